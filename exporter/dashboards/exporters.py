"""The row about the exporter itself: each instance, when each app is asked, states, calls, errors, durations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.dashboards import promql
from exporter.dashboards.looks import COLOURED_TEXT, STATE_COLOURS, fixed, state, thresholds, worded
from exporter.dashboards.panels import WIDTH, Column, Label, Panel, Row, lines, override, table
from exporter.dashboards.promql import APPS, JOB, selected
from exporter.metrics import catalogue
from exporter.status import State

if TYPE_CHECKING:
    from exporter.dashboards.looks import Json

_DOWN_UP = {"0": ("down", "red"), "1": ("up", "green")}
_BROKEN_FINE = {"0": ("broken", "red"), "1": ("fine", "green")}
_QUANTILES = {"median": 0.5, "9 of 10": 0.9, "99 of 100": 0.99}
_STACKED = {"fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
_SLOW_BEAT = 120.0
"""Seconds without a heartbeat of the poller after which it does not live."""


def row() -> Row:
    """Everything about the exporter itself."""
    return Row(
        "Exporter",
        (
            Panel(WIDTH, 5, _instances()),
            Panel(WIDTH, 10, _looks_at_apps()),
            *(Panel(12, 8, graph()) for graph in (_states, _calls, _errors, _durations)),
        ),
    )


def _instances() -> Json:
    build = catalogue.BUILD_INFO.name
    served = f"max by (instance) (last_over_time({selected(build, JOB)}[$__range]))"
    versions = promql.newest(build, "instance", "version", JOB)
    store, errors, taken, last_run, stumbled, files = (
        selected(metric.name, JOB)
        for metric in (
            catalogue.STORE_UP,
            catalogue.RELOAD_SUCCESSFUL,
            catalogue.RELOAD_SUCCESS_TIME,
            catalogue.POLLER_LAST_RUN,
            catalogue.POLLER_ERRORS,
            catalogue.CONFIG_FILE_ERRORS,
        )
    )
    columns = (
        Column("Scrape", f"max by (instance) (up{{{JOB}}}) and on (instance) {served}", looks=worded(_DOWN_UP)),
        Column(
            "Store",
            f"min by (instance) ({store}) + on (instance) group_left (version) 0 * {versions}",
            looks=worded(_BROKEN_FINE),
        ),
        Column("Poller last ran before", f"time() - max by (instance) ({last_run})", "s", 0, _alarming(_SLOW_BEAT)),
        Column("Faults survived", f"sum by (instance) (increase({stumbled}[$__range]))", looks=_alarming(1)),
        Column("Configuration", f"min by (instance) ({errors})", looks=worded(_BROKEN_FINE)),
        Column("Configuration read", f"1000 * max by (instance) ({taken})", "dateTimeFromNow"),
        Column(
            "Broken app files",
            f"sum by (instance) ({files}) or 0 * max by (instance) ({selected(build, JOB)})",
            looks=_alarming(1),
        ),
    )
    page = {"title": "Status page", "url": "http://${__value.raw}/", "targetBlank": True}
    labels = (
        Label("instance", "Exporter", {"links": [page], "custom.width": 220}),
        Label("version", "Version"),
    )
    description = "Each exporter that was scraped in the time range; its address leads to its status page."
    return table("Exporters", description, labels, columns)


def _looks_at_apps() -> Json:
    def in_range(counter: catalogue.MetricInfo) -> str:
        return f"sum by (appid) (increase({selected(counter.name)}[$__range]))"

    columns = (
        Column("State", promql.named(promql.severity()), looks=state()),
        Column("Last success", _moment(catalogue.LAST_SUCCESS), "dateTimeFromNow"),
        Column("Next fetch", _moment(catalogue.NEXT_FETCH), "dateTimeFromNow"),
        Column("Fetches", in_range(catalogue.FETCHES)),
        Column("Failures", in_range(catalogue.FETCH_FAILURES), looks=_alarming(1)),
        Column("Revisions", in_range(catalogue.REVISIONS)),
    )
    labels = (
        Label("app", "App", {"custom.width": 220}),
        Label("appid", "AppID", {"custom.width": 200}),
    )
    description = (
        "When WeChat was and is asked about each app; fetches, failures and revisions are those of the time range."
        " The status page says what is wrong and what to do."
    )
    return table("Fetching", description, labels, columns, f"-1 * {promql.severity()}")


def _states() -> Json:
    states = selected(catalogue.FETCH_STATE.name)
    return lines(
        "States",
        "How many apps are in which state.",
        {"{{state}}": f"count by (state) (max by (appid, state) ({states}) == 1)"},
        {"unit": "none", "decimals": 0, "custom": _STACKED},
        [override(known.value, displayName=known.words, color=fixed(STATE_COLOURS[known])) for known in State],
    )


def _calls() -> Json:
    return lines(
        "Calls to WeChat per hour",
        "Calls by endpoint, failed ones included, as a rate per hour.",
        {"{{endpoint}}": _per_hour(selected(f"{catalogue.REQUEST_DURATION.name}_count", JOB), "endpoint")},
        {"unit": "none", "decimals": 1},
    )


def _errors() -> Json:
    return lines(
        "Errors per hour",
        "Errors met when asking WeChat, by code, as a rate per hour; empty while there were none."
        " The README says what each code means.",
        {"{{errcode}}": _per_hour(selected(catalogue.API_ERRORS.name, APPS), "errcode")},
        {"unit": "none", "decimals": 1},
    )


def _durations() -> Json:
    buckets = selected(f"{catalogue.REQUEST_DURATION.name}_bucket", JOB)
    return lines(
        "Duration of calls",
        "How long calls to WeChat took at the most: the faster half, 9 of 10, 99 of 100.",
        {
            legend: f"histogram_quantile({quantile}, sum by (le) (rate({buckets}[$__rate_interval])))"
            for legend, quantile in _QUANTILES.items()
        },
        {"unit": "s"},
    )


def _per_hour(selector: str, label: str) -> str:
    return f"3600 * sum by ({label}) (rate({selector}[$__rate_interval]))"


def _moment(metric: catalogue.MetricInfo) -> str:
    """A time of each app in milliseconds, as Grafana counts."""
    return f"1000 * max by (appid) ({selected(metric.name)})"


def _alarming(value: float) -> Json:
    """Red from a value on."""
    return {"thresholds": thresholds("text", (value, "red")), "custom.cellOptions": COLOURED_TEXT}

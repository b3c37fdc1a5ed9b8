"""The row about the exporter itself: each instance, the fetches of each report, states, calls, errors, durations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.apps import State
from exporter.dashboards import queries
from exporter.dashboards.panels import WIDTH, Column, Label, Panel, PanelRow, lines, override, table
from exporter.dashboards.queries import APPS, JOB, selected
from exporter.dashboards.styles import COLOURED_TEXT, STATE_COLOURS, fixed, state, thresholds, worded
from exporter.metrics import catalogue

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json

_DOWN_UP = {"0": ("down", "red"), "1": ("up", "green")}
_BROKEN_FINE = {"0": ("broken", "red"), "1": ("fine", "green")}
_QUANTILES = {"median": 0.5, "9 of 10": 0.9, "99 of 100": 0.99}
_STACKED = {"fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
_ON_TIME = {"0": ("on time", "green"), "1": ("late", "orange")}


def row() -> PanelRow:
    """Return everything about the exporter itself."""
    return PanelRow(
        "Exporter",
        (
            Panel(WIDTH, 5, _instances()),
            Panel(WIDTH, 10, _fetching()),
            *(Panel(12, 8, graph()) for graph in (_states, _calls, _errors, _durations)),
        ),
    )


def _instances() -> Json:
    build = catalogue.BUILD_INFO.name
    served = f"max by (instance) (last_over_time({selected(build, JOB)}[$__range]))"
    versions = queries.newest(build, "instance", "version", JOB)
    store, valid, read, errors, files = (
        selected(metric.name, JOB)
        for metric in (
            catalogue.STORE_UP,
            catalogue.RELOAD_SUCCESSFUL,
            catalogue.RELOAD_SUCCESS_TIME,
            catalogue.INTERNAL_ERRORS,
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
        Column(
            "Since poller ran",
            promql.seconds_since_poller_run("instance", JOB),
            "s",
            0,
            _alarming(promql.STALLED_AFTER),
        ),
        Column("Internal errors", f"sum by (instance) (increase({errors}[$__range]))", looks=_alarming(1)),
        Column("Configuration", f"min by (instance) ({valid})", looks=worded(_BROKEN_FINE)),
        Column("Configuration read", f"1000 * max by (instance) ({read})", "dateTimeFromNow"),
        Column(
            "Invalid app files",
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


def _fetching() -> Json:
    def in_range(counter: catalogue.MetricInfo) -> str:
        return f"sum by (appid, report) (increase({selected(counter.name)}[$__range]))"

    columns = (
        Column("State", queries.named(queries.severity_of_each()), looks=state()),
        Column("Newest period", queries.lateness(), looks=worded(_ON_TIME)),
        Column("Last success", _moment(catalogue.LAST_SUCCESS), "dateTimeFromNow"),
        Column("Next fetch", _moment(catalogue.NEXT_FETCH), "dateTimeFromNow"),
        Column("Fetches", in_range(catalogue.FETCHES)),
        Column("Failures", in_range(catalogue.FETCH_FAILURES), looks=_alarming(1)),
        Column("Revisions", in_range(catalogue.REVISIONS)),
    )
    labels = (
        Label("app", "App", {"custom.width": 220}),
        Label("appid", "AppID", {"custom.width": 200}),
        Label("report", "Report"),
    )
    description = (
        "When each report of each app was fetched and is fetched next; fetches, failures and revisions in the time"
        " range. A newest period is late when the one after it should have been published. The status page says what"
        " is wrong and what to do."
    )
    return table("Fetching", description, labels, columns, f"-1 * {queries.severity_of_each()}")


def _states() -> Json:
    states = selected(catalogue.FETCH_STATE.name)
    return lines(
        "States",
        "How many reports of apps are in which state.",
        {"{{state}}": f"count by (state) (max by (appid, report, state) ({states}) == 1)"},
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
        "Errors of calls to WeChat by code, as a rate per hour; empty while there are none."
        " The README says what each code means.",
        {"{{errcode}}": _per_hour(selected(catalogue.API_ERRORS.name, APPS), "errcode")},
        {"unit": "none", "decimals": 1},
    )


def _durations() -> Json:
    buckets = selected(f"{catalogue.REQUEST_DURATION.name}_bucket", JOB)
    return lines(
        "Duration of calls",
        "Duration of calls to WeChat: the median, and the longest of 90 % and of 99 % of the calls.",
        {
            legend: f"histogram_quantile({quantile}, sum by (le) (rate({buckets}[$__rate_interval])))"
            for legend, quantile in _QUANTILES.items()
        },
        {"unit": "s"},
    )


def _per_hour(selector: str, label: str) -> str:
    return f"3600 * sum by ({label}) (rate({selector}[$__rate_interval]))"


def _moment(metric: catalogue.MetricInfo) -> str:
    """A time of each report of each app in milliseconds, Grafana's unit."""
    return f"1000 * {promql.per_app_and_report(selected(metric.name))}"


def _alarming(value: float) -> Json:
    """Red from a value on."""
    return {"thresholds": thresholds("text", (value, "red")), "custom.cellOptions": COLOURED_TEXT}

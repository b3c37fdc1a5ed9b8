"""The row about the exporter itself: instances, fetches by report, states, calls, errors and durations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.apps import State
from exporter.dashboards import queries
from exporter.dashboards.graphs import time_series
from exporter.dashboards.panels import WIDTH, Column, LabelColumn, Panel, PanelRow, override, table
from exporter.dashboards.queries import APPS, JOB, chosen
from exporter.dashboards.styles import (
    COLOURED_TEXT,
    STATE_COLOURS,
    app_links,
    fixed_colour,
    state_column,
    text_column,
    thresholds,
)
from exporter.metrics import catalogue

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json

_DOWN_UP = {"0": ("down", "red"), "1": ("up", "green")}
_STORE = {"0": ("unavailable", "red"), "1": ("ok", "green")}
_CONFIGURATION = {"0": ("invalid", "red"), "1": ("ok", "green")}
_QUANTILES = {"median": 0.5, "90th percentile": 0.9, "99th percentile": 0.99}
_STACKED = {"fillOpacity": 60, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
_ON_TIME = {"0": ("on time", "green"), "1": ("late", "orange")}


def row() -> PanelRow:
    """Return the row about the exporter itself."""
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
    # `up` has a series for every target of the job; only those that exposed build_info in the time range are exporters.
    served = f"max by (instance) (last_over_time({chosen(build, JOB)}[$__range]))"
    versions = queries.versions()
    store, valid, read, errors, files = (
        chosen(metric.name, JOB)
        for metric in (
            catalogue.STORE_UP,
            catalogue.RELOAD_SUCCESSFUL,
            catalogue.RELOAD_SUCCESS_TIME,
            catalogue.INTERNAL_ERRORS,
            catalogue.CONFIG_FILE_ERRORS,
        )
    )
    columns = (
        Column("Scrape", f"max by (instance) (up{{{JOB}}}) and on (instance) {served}", style=text_column(_DOWN_UP)),
        # The label `version` is added to one column only; merging the columns gives it to the row.
        Column(
            "Store",
            f"min by (instance) ({store}) + on (instance) group_left (version) 0 * {versions}",
            style=text_column(_STORE),
        ),
        Column(
            "Since poller run",
            promql.seconds_since_poller_run("instance", JOB),
            "s",
            0,
            _red_from(promql.STALLED_AFTER),
        ),
        Column("Internal errors", f"sum by (instance) (increase({errors}[$__range]))", style=_red_from(1)),
        Column("Configuration", f"min by (instance) ({valid})", style=text_column(_CONFIGURATION)),
        Column("Configuration loaded", f"1000 * max by (instance) ({read})", "dateTimeFromNow"),
        # Without app files the metric has no series: `or` shows 0 instead of an empty cell.
        Column(
            "Invalid app files",
            f"sum by (instance) ({files}) or 0 * max by (instance) ({chosen(build, JOB)})",
            style=_red_from(1),
        ),
    )
    page = {"title": "Status page", "url": "http://${__value.raw}/", "targetBlank": True}
    labels = (
        LabelColumn("instance", "Exporter", {"links": [page], "custom.width": 220}),
        LabelColumn("version", "Version"),
    )
    description = "Each exporter that was scraped in the time range; its address is a link to its status page."
    return table("Exporters", description, labels, columns)


def _fetching() -> Json:
    # `increase` over the time range and not the counter itself, which starts again at 0 with the exporter.
    def in_range(counter: catalogue.MetricInfo) -> str:
        return f"sum by (appid, report) (increase({chosen(counter.name)}[$__range]))"

    columns = (
        Column("State", queries.with_app_links(f"({queries.severity_by_report()})"), style=state_column()),
        Column("Newest period", queries.lateness(), style=text_column(_ON_TIME)),
        Column("Last success", _milliseconds(catalogue.LAST_SUCCESS), "dateTimeFromNow"),
        Column("Next fetch", _milliseconds(catalogue.NEXT_FETCH), "dateTimeFromNow"),
        Column("Fetches", in_range(catalogue.FETCHES)),
        Column("Failures", in_range(catalogue.FETCH_FAILURES), style=_red_from(1)),
        Column("Revisions", in_range(catalogue.REVISIONS)),
    )
    labels = (
        LabelColumn("app", "App", {"links": app_links(), "custom.width": 220}),
        LabelColumn("appid", "AppID", {"custom.width": 200}),
        LabelColumn("report", "Report"),
        LabelColumn("instance", "Exporter", {"custom.hidden": True}),
    )
    description = (
        "Last success and next fetch of each report of each app; fetches, failures and revisions in the time range."
        " The newest period is late when the next period should have been published. The status page has the error and"
        " what to do."
    )
    return table("Fetching", description, labels, columns, f"-1 * {queries.severity_by_report()}")


def _states() -> Json:
    states = chosen(catalogue.FETCH_STATE.name)
    return time_series(
        "States",
        "Number of reports of all apps in each state.",
        {"{{state}}": f"count by (state) (max by (appid, report, state) ({states}) == 1)"},
        {"unit": "none", "decimals": 0, "custom": _STACKED},
        [override(each.value, displayName=each.text, color=fixed_colour(STATE_COLOURS[each])) for each in State],
    )


def _calls() -> Json:
    return time_series(
        "Calls to WeChat per hour",
        "Calls per hour by endpoint, including failed calls.",
        {"{{endpoint}}": _per_hour(chosen(f"{catalogue.REQUEST_DURATION.name}_count", JOB), "endpoint")},
        {"unit": "none", "decimals": 1},
    )


def _errors() -> Json:
    return time_series(
        "Errors per hour",
        "Errors of calls to WeChat per hour by code; empty while there are none. The documentation lists the codes.",
        {"{{errcode}}": _per_hour(chosen(catalogue.API_ERRORS.name, APPS), "errcode")},
        {"unit": "none", "decimals": 1},
    )


def _durations() -> Json:
    buckets = chosen(f"{catalogue.REQUEST_DURATION.name}_bucket", JOB)
    return time_series(
        "Duration of calls",
        "Duration of calls to WeChat: median, 90th and 99th percentile.",
        {
            legend: f"histogram_quantile({quantile}, sum by (le) (rate({buckets}[$__rate_interval])))"
            for legend, quantile in _QUANTILES.items()
        },
        {"unit": "s"},
    )


def _per_hour(selector: str, label: str) -> str:
    return f"3600 * sum by ({label}) (rate({selector}[$__rate_interval]))"


def _milliseconds(metric: catalogue.MetricInfo) -> str:
    """Return a timestamp of each app and report in milliseconds, the unit of Grafana's times."""
    return f"1000 * {promql.per_app_and_report(queries.current(metric.name))}"


def _red_from(value: float) -> Json:
    """Return the properties of a column that is red from a value upwards."""
    return {"thresholds": thresholds("text", (value, "red")), "custom.cellOptions": COLOURED_TEXT}

"""Every metric of the exporter: its name, type, labels and HELP. Metric names are defined only here.

The figures of a report come from its entry in ``reports``; these are all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from exporter.apps import State
from exporter.reports import PREFIX, REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.reports import Report


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric family."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str


def _gauge(name: str, labels: str, text: str) -> MetricInfo:
    return MetricInfo(PREFIX + name, "gauge", tuple(labels.split()), text)


def _counter(name: str, labels: str, text: str) -> MetricInfo:
    return MetricInfo(PREFIX + name, "counter", tuple(labels.split()), text)


PERIOD_END = _gauge("period_end_timestamp_seconds", "appid report", "End of the live period (Beijing), Unix time.")
PERIOD_FIRST_SEEN = _gauge(
    "period_first_seen_timestamp_seconds", "appid report", "First successful fetch of the live period, Unix time."
)
APP_INFO = _gauge("app_info", "appid name", "Configured name of an app; always 1.")
UP = _gauge(
    "up",
    "appid report",
    "Whether WeChat responds as expected (states ok and not_ready); absent until the first fetch.",
)
FETCH_STATE = _gauge(
    "fetch_state",
    "appid report state",
    f"State of the newest wanted period, 1 for the current one: {', '.join(State)}. refused: action required;"
    " failed: retried automatically.",
)
LAST_SUCCESS = _gauge(
    "last_success_timestamp_seconds", "appid report", "Last successful fetch of the newest wanted period, Unix time."
)
NEXT_FETCH = _gauge("next_fetch_timestamp_seconds", "appid report", "Next fetch of the report, Unix time.")
FETCHES = _counter("fetches_total", "appid report", "Fetches, each of one period.")
FETCH_FAILURES = _counter(
    "fetch_failures_total", "appid report", "Fetches that failed; a period that is not published yet is no failure."
)
REVISIONS = _counter("revisions_total", "appid report", "Stored periods that WeChat has revised.")
API_ERRORS = _counter(
    "api_errors_total",
    "appid report errcode",
    "Failed calls to WeChat by errcode (other: unknown to the exporter), or by timeout, connection, http_4xx,"
    " http_5xx, malformed.",
)
REQUEST_DURATION = MetricInfo(
    f"{PREFIX}exporter_api_request_duration_seconds",
    "histogram",
    ("endpoint",),
    "Duration of each call to WeChat, failed ones included.",
)
REQUEST_FAILURES = _counter(
    "exporter_api_request_failures_total",
    "endpoint",
    "Calls to WeChat that ended in a timeout, a connection error or an HTTP error.",
)
POLLER_LAST_RUN = _gauge("exporter_poller_last_run_timestamp_seconds", "", "Last run of the poller, Unix time.")
INTERNAL_ERRORS = _counter("exporter_internal_errors_total", "component", "Internal errors; the log has the traceback.")
STORE_UP = _gauge("exporter_store_up", "", "Whether the store is usable; 0 while data is kept in memory only.")
BUILD_INFO = _gauge("exporter_build_info", "version pythonversion", "Version of the exporter; always 1.")
RELOAD_SUCCESSFUL = _gauge(
    "exporter_config_last_reload_successful",
    "",
    "Whether the configuration and the web configuration were valid when last read.",
)
RELOAD_SUCCESS_TIME = _gauge(
    "exporter_config_last_reload_success_timestamp_seconds",
    "",
    "Last successful load of the configuration, Unix time.",
)
CONFIG_FILE_ERRORS = _gauge(
    "exporter_config_file_errors",
    "file",
    "Whether the app file is invalid. Its last valid apps stay configured.",
)

OF_STATE = (
    PERIOD_END,
    PERIOD_FIRST_SEEN,
    APP_INFO,
    UP,
    FETCH_STATE,
    LAST_SUCCESS,
    NEXT_FETCH,
    FETCHES,
    FETCH_FAILURES,
    API_ERRORS,
    REVISIONS,
)
"""The families of the state of apps and their reports."""

KNOWN_OF_PAST = (PERIOD_END, APP_INFO)
"""The families of ``OF_STATE`` that are known from the store; the others describe the exporter at a time."""


def thresholds(reports: Iterable[Report]) -> dict[str, MetricInfo]:
    """Return the families of the alert thresholds of some reports, by the configuration's name of the ratio."""
    return {
        threshold.option: _gauge(
            f"alert_{threshold.option}",
            "appid report",
            f"{threshold.field.title}: alert threshold as a ratio to the baseline; 0 disables the alert.",
        )
        for report in reports
        for threshold in report.alert_thresholds
    }


THRESHOLDS = thresholds(REPORTS.values())
"""Those of the built-in reports."""

OF_APPS = (*OF_STATE, *THRESHOLDS.values())
"""The families with an ``appid`` label, apart from those of reports: they belong to the cached page."""

OF_EXPORTER = (
    REQUEST_DURATION,
    REQUEST_FAILURES,
    POLLER_LAST_RUN,
    INTERNAL_ERRORS,
    STORE_UP,
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_TIME,
    CONFIG_FILE_ERRORS,
)
"""The families without an ``appid`` label: rendered at each scrape."""


def of_report(report: Report) -> Iterator[MetricInfo]:
    """Return the families of a report: each figure followed by its comparisons, then what is derived, the calendar."""
    kind = report.period.NAME
    for field in report.plain_fields:
        yield _gauge_of(report.metric(field), report, f"{field.meaning}, in the live {kind} ({field.wechat}).")
        for comparison in report.comparisons:
            if comparison.applies_to(field):
                name = report.comparison_metric(comparison, field)
                yield _gauge_of(name, report, f"{field.meaning}, {comparison.description} ({field.wechat}).")
    if report.has_end_metric:
        yield _gauge_of(end_metric(report), report, f"End of the live {kind} (Beijing), Unix time.")
    for derived in report.derived:
        for field in report.fields:
            if field.wechat in derived.fields:
                text = f"{field.title}: {derived.description} ({field.wechat})."
                kind_of_label = (derived.period or report.period).NAME
                name = PREFIX + derived.metric.format(field.metric)
                yield MetricInfo(name, "gauge", ("appid", kind_of_label, *derived.labels), text)
    for fact in report.calendar:
        yield _gauge_of(PREFIX + fact.metric, report, fact.help)


def end_metric(report: Report) -> str:
    """Return the gauge that gives the live period's end under its label, so that queries can pick the newest."""
    return f"{PREFIX}{report.period.NAME}_end_timestamp_seconds"


def _gauge_of(name: str, report: Report, text: str, *labels: str) -> MetricInfo:
    return MetricInfo(name, "gauge", ("appid", report.period.NAME, *labels), text)

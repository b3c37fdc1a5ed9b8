"""Every metric of the exporter: its name, type, labels and HELP. Names stand here and nowhere else.

The metrics of the weekly figures come from ``reports``; these are all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from exporter.reports import PREFIX, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

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


WEEK_END = _gauge(
    "week_end_timestamp_seconds", "appid week", "When the live week ended: Monday 00:00 Beijing, Unix time."
)
WEEK_FIRST_SEEN = _gauge(
    "week_first_seen_timestamp_seconds", "appid week", "When the exporter first had the live week, Unix time."
)
_HOLIDAYS = "Weekdays off for a public holiday of mainland China in {}; no sample while the year's schedule is unknown."
WEEK_HOLIDAYS = _gauge("week_public_holidays", "appid week", _HOLIDAYS.format("the live week"))
PREVIOUS_WEEK_HOLIDAYS = _gauge(
    "previous_week_public_holidays", "appid week", _HOLIDAYS.format("the week before the live one")
)
APP_INFO = _gauge("app_info", "appid name", "The configured name of an app; always 1.")
UP = _gauge(
    "up",
    "appid",
    "1 if WeChat answers for the app as it should (states ok and not_ready), 0 if not; absent until it was asked.",
)
FETCH_STATE = _gauge(
    "fetch_state",
    "appid state",
    "1 for the one state that holds about the newest wanted week: pending, ok, not_ready, quota_spent, refused"
    " (a person must act) or failed (tried again by itself).",
)
LAST_SUCCESS = _gauge(
    "last_success_timestamp_seconds", "appid", "When the newest wanted week's row last arrived, Unix time."
)
NEXT_FETCH = _gauge("next_fetch_timestamp_seconds", "appid", "When WeChat is asked about the app next, Unix time.")
FETCHES = _counter("fetches_total", "appid", "Conversations with WeChat about one week.")
FETCH_FAILURES = _counter(
    "fetch_failures_total",
    "appid",
    "Conversations about one week that failed; a week not yet published is no failure.",
)
REVISIONS = _counter("revisions_total", "appid", "How often a known week came back with other figures.")
API_ERRORS = _counter(
    "api_errors_total",
    "appid errcode",
    "Errors met when asking WeChat: its errcode (other: one unknown to the exporter), or timeout, connection,"
    " http_4xx, http_5xx, malformed.",
)
REQUEST_DURATION = MetricInfo(
    f"{PREFIX}exporter_api_request_duration_seconds",
    "histogram",
    ("endpoint",),
    "How long each call to WeChat took, failed ones included.",
)
POLLER_LAST_RUN = _gauge(
    "exporter_poller_last_run_timestamp_seconds", "", "When the poller last looked after all apps, Unix time."
)
POLLER_ERRORS = _counter("exporter_poller_errors_total", "", "Faults of the exporter that the poller survived.")
STORE_UP = _gauge("exporter_store_up", "", "1 if the store takes and gives, 0 while the exporter goes on from memory.")
BUILD_INFO = _gauge("exporter_build_info", "version pythonversion", "The exporter's version; always 1.")
RELOAD_SUCCESSFUL = _gauge(
    "exporter_config_last_reload_successful",
    "",
    "1 if the configuration, and the web configuration, were last read without a refusal.",
)
RELOAD_SUCCESS_TIME = _gauge(
    "exporter_config_last_reload_success_timestamp_seconds",
    "",
    "When a configuration was last read and taken, Unix time.",
)
CONFIG_FILE_ERRORS = _gauge(
    "exporter_config_file_errors",
    "file",
    "1 for each app file that is broken: of its apps, those of its last good state go on, if there was one.",
)

THRESHOLDS = {
    field.threshold: _gauge(
        f"alert_{field.threshold}",
        "appid",
        f"{field.title}: the ratio to the baseline below which the app alerts, as configured; 0 never does.",
    )
    for field in WEEKLY.watched
}
"""By the attribute of ``reports.Thresholds``."""

OF_APPS = (
    WEEK_END,
    WEEK_FIRST_SEEN,
    WEEK_HOLIDAYS,
    PREVIOUS_WEEK_HOLIDAYS,
    APP_INFO,
    UP,
    FETCH_STATE,
    LAST_SUCCESS,
    NEXT_FETCH,
    FETCHES,
    FETCH_FAILURES,
    API_ERRORS,
    REVISIONS,
    *THRESHOLDS.values(),
)
"""The families with an ``appid`` label, apart from the figures: they belong to the cached page."""

OF_EXPORTER = (
    REQUEST_DURATION,
    POLLER_LAST_RUN,
    POLLER_ERRORS,
    STORE_UP,
    BUILD_INFO,
    RELOAD_SUCCESSFUL,
    RELOAD_SUCCESS_TIME,
    CONFIG_FILE_ERRORS,
)
"""The families without an ``appid`` label: rendered at each scrape."""


def of_report(report: Report) -> Iterator[MetricInfo]:
    """The figures of a report, each followed by its twins: the period before, the median of the four before."""
    for field in report.fields:
        what = f"{field.meaning[0].upper()}{field.meaning[1:]}"
        source = f"{field.wechat} of {report.api}; fetched on a slow interval"
        labels = ("appid", "week")
        yield MetricInfo(report.metric(field), "gauge", labels, f"{what}, in the live week ({source}).")
        yield MetricInfo(
            report.previous_metric(field),
            "gauge",
            labels,
            f"{what}, in the week before the live one ({source}).",
        )
        yield MetricInfo(
            report.median_metric(field),
            "gauge",
            labels,
            f"{what}, the median of the four weeks before the live one ({source}).",
        )

"""Snapshots of apps and their reports, created by the poller and read by all other packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.apps.state import SEVERITY, State

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import History, Report, Thresholds


@dataclass(frozen=True, slots=True)
class LastResult:
    """The result of the last fetch of the newest wanted period of a report."""

    period: Period
    state: State
    """Never ``pending``."""
    at: float
    """When the response arrived, Unix seconds."""
    since: float
    """When the state began, Unix seconds; the first of several failures in a row."""
    errcode: str = ""
    """The ``errcode`` label; empty without an error."""
    message: str = ""
    """What is wrong and what to do, for people; without secrets."""
    failures: int = 0
    """Number of failures and busy responses in a row."""
    retry_after: float = 0.0
    """Seconds that the server requested to wait (``Retry-After``)."""
    history_stopped: bool = False
    """Older periods are not requested until the next fetch."""
    succeeded: float | None = None
    """When the newest wanted period was last fetched successfully, Unix seconds."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of one report of an app since the exporter started."""

    fetches: int = 0
    failures: int = 0
    revisions: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    """Errors by ``errcode`` label, in the order of first occurrence."""


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """The state, figures and counters of one report of an app."""

    report: Report
    state: State
    last_result: LastResult | None
    history: History
    next_fetch: float
    """When the report is fetched next, Unix seconds."""
    counters: Counters


@dataclass(frozen=True, slots=True)
class AppStatus:
    """The reports of one app."""

    appid: str
    name: str
    reports: tuple[ReportStatus, ...]
    """In the order of the catalogue."""
    thresholds: Thresholds

    def of(self, report: Report) -> ReportStatus | None:
        """Return the status of one report; None if the app does not fetch it."""
        return next((status for status in self.reports if status.report.name == report.name), None)

    @property
    def state(self) -> State:
        """The worst state among the app's reports."""
        return max((status.state for status in self.reports), key=SEVERITY.index)

"""Snapshots of apps and their reports, which the poller makes and all other packages read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.apps.state import SEVERITY, State

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import History, Report, Thresholds


@dataclass(frozen=True, slots=True)
class LastResult:
    """What the last response about the newest wanted period of a report meant."""

    period: Period
    state: State
    """Never ``pending``."""
    at: float
    """When it came, Unix seconds."""
    since: float
    """When the state began, Unix seconds: of several failures in a row, the first."""
    errcode: str = ""
    """The ``errcode`` label; empty if nothing was wrong."""
    message: str = ""
    """What was wrong and what to do, for people; never with a secret."""
    failures: int = 0
    """How many responses in a row were failures or said that WeChat is busy."""
    retry_after: float = 0.0
    """Seconds that the server asked to wait."""
    history_stopped: bool = False
    """Older periods are not requested until the next fetch."""
    succeeded: float | None = None
    """When the row of the newest wanted period last arrived, Unix seconds."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted about one report of an app since the exporter started."""

    fetches: int = 0
    failures: int = 0
    revisions: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    """How often each ``errcode`` label was met, in the order of the first meeting."""


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """Everything that may be said about one report of an app."""

    report: Report
    state: State
    last_result: LastResult | None
    history: History
    next_fetch: float
    """When the report is requested next, Unix seconds."""
    counters: Counters


@dataclass(frozen=True, slots=True)
class AppStatus:
    """Everything that may be said about one app."""

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

"""Fetches the periods that the store lacks: the apps side by side, one request at a time for each app.

Each result is in the store before the next request of its app is sent, so that a backfill can end at any instant, also
by SIGKILL: the next one requests no answered period again. The state of the reports, which a running exporter keeps in
the same store, stays as it is.

The threads of the pool fetch and store; the main thread waits and shows the progress, and an interrupt (SIGINT) ends
its wait. Requests in flight then have ``_FINISH_SECONDS`` to end, since their responses count against WeChat's quota.
"""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from exporter.apps import LastResult, State
from exporter.poller.cross_checks import believed
from exporter.poller.tracker import ReportTracker, apply_history
from exporter.reports import History, Reading, StoredReading
from exporter.store import UnavailablePeriod
from exporter.wechat.codes import DAILY_QUOTA, Busy, Failed, NotReady, QuotaSpent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from exporter.backfill.pace import PacedSender
    from exporter.backfill.progress import Progress
    from exporter.config import App
    from exporter.guard import Guard
    from exporter.periods import Period
    from exporter.poller.tracker import Key
    from exporter.reports import Report
    from exporter.store import Store
    from exporter.wechat.client import Client, Outcome
    from exporter.wechat.codes import FetchError

COMPONENT = "backfill"
RETRY_WAITS = (1.0, 4.0, 15.0)
"""Seconds before each retry of a request that failed or was answered with busy."""
MINUTE_QUOTA_WAIT = 60.0
"""Seconds until the quota of a minute (45011) is available again."""
_LONGEST_WAIT = 60.0
_FINISH_SECONDS = 2.0
_TICK = 0.2
"""Seconds between two updates of the progress."""


@dataclass(frozen=True, slots=True)
class ReportTask:
    """What to request of one report of an app."""

    report: Report
    newest: Period
    """The newest wanted period, which determines how many later figures an older cohort should have."""
    periods: tuple[Period, ...]
    """The newest first."""


@dataclass(frozen=True, slots=True)
class AppTask:
    """What to request of one app, report by report."""

    app: App
    reports: tuple[ReportTask, ...]

    def __len__(self) -> int:
        """Return the number of periods."""
        return sum(len(task.periods) for task in self.reports)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why periods of a report of an app were not fetched."""

    appid: str
    report: str
    """Empty if it concerns all reports of the app."""
    periods: int
    """How many periods are missing because of it."""
    reason: str
    """What is wrong and what to do, for people."""
    until_tomorrow: bool = False
    """Whether the quota of the day is spent."""


@dataclass(slots=True)
class FetchSummary:
    """The result of a backfill. Each thread of the pool has one for each of its apps; they are added afterwards."""

    fetched: int = 0
    without_data: int = 0
    unpublished: int = 0
    """Recent periods that WeChat has not published yet."""
    stops: list[Stop] = field(default_factory=list)
    interrupted: bool = False

    def add(self, other: FetchSummary) -> None:
        """Add the results of one app."""
        self.fetched += other.fetched
        self.without_data += other.without_data
        self.unpublished += other.unpublished
        self.stops += other.stops


class HistoryFetcher:
    """Fetches periods into the store.

    Args:
        client: requests the reports, through ``sender``.
        sender: limits the rate of requests.
        store: where results are saved; it must not be used by another poller of this process.
        clock: the wall clock, Unix seconds.
        guard: the exception barrier.
        retry_waits: seconds before each retry.
    """

    def __init__(  # noqa: PLR0913 (the dependencies from the composition root)
        self,
        client: Client,
        sender: PacedSender,
        store: Store,
        clock: Callable[[], float],
        *,
        guard: Guard,
        retry_waits: Sequence[float] = RETRY_WAITS,
    ) -> None:
        self._client = client
        self._sender = sender
        self._store = store
        self._clock = clock
        self._guard = guard
        self._retry_waits = retry_waits

    def run(self, tasks: Iterable[AppTask], concurrency: int, progress: Progress) -> FetchSummary:
        """Fetch all tasks, ``concurrency`` apps at once; return early at an interrupt."""
        summary = FetchSummary()
        pool = ThreadPoolExecutor(concurrency)
        pending: set[Future[FetchSummary | None]] = {pool.submit(self._guarded, task, progress) for task in tasks}
        futures = frozenset(pending)
        try:
            while pending:
                _, pending = wait(pending, _TICK, FIRST_EXCEPTION)
                progress.show()
        except KeyboardInterrupt:
            summary.interrupted = True
            self._sender.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            wait(pending, _FINISH_SECONDS)
        for future in futures:
            result = future.result() if future.done() and not future.cancelled() else None
            if result is not None:
                summary.add(result)
        pool.shutdown(wait=False)
        return summary

    def _guarded(self, task: AppTask, progress: Progress) -> FetchSummary:
        summary = FetchSummary()
        if self._guard.run(COMPONENT, partial(self._fetch_app, task, summary, progress)) is None:
            summary.stops.append(Stop(task.app.appid, "", len(task), "internal error, see the traceback in the log"))
        return summary

    def _fetch_app(self, task: AppTask, summary: FetchSummary, progress: Progress) -> bool:
        left = len(task)
        for each in task.reports:
            found, stop = self._fetch_report(task.app, each, summary, progress)
            left -= found
            if stop is None:
                continue
            reason, ends_app = stop
            missing = left if ends_app else len(each.periods) - found
            quota = isinstance(reason, QuotaSpent) and reason.errcode == str(DAILY_QUOTA)
            summary.stops.append(
                Stop(task.app.appid, "" if ends_app else each.report.name, missing, str(reason), quota)
            )
            progress.skip(missing)
            if ends_app:
                break
            left -= missing
        return True

    def _fetch_report(
        self, app: App, task: ReportTask, summary: FetchSummary, progress: Progress
    ) -> tuple[int, tuple[FetchError, bool] | None]:
        """Fetch the periods of one report.

        Returns:
            How many have a result; why it ended early, and whether that concerns all reports of the app.
        """
        found, failed, failed_before = 0, None, False
        for period in task.periods:
            if self._sender.is_stopped():
                return found, None
            if self._store.problem:
                return found, (Failed(f"not continued: {self._store.problem}"), True)
            outcome = self._fetch(app, task.report, period)
            reason = self._save(app, task, period, outcome, summary)
            if reason is None:
                found, failed_before = found + 1, False
                progress.advance()
                continue
            if self._sender.is_stopped():
                return found, None
            ends_app = reason.about_app or (isinstance(reason, Failed) and not reason.about_period)
            # As in the poller: one failure may concern its period only, after a second one the others will fail too.
            if ends_app or not isinstance(reason, Failed) or failed_before:
                return found, (reason, ends_app)
            failed, failed_before = reason, True
        return found, None if failed is None else (failed, False)

    def _fetch(self, app: App, report: Report, period: Period) -> Outcome:
        """Fetch a period, with retries while another attempt may succeed soon."""
        outcome = self._client.fetch(app, report, period)
        for seconds in self._retry_waits:
            wait_seconds = _retry_wait(outcome, seconds)
            if wait_seconds is None or self._sender.is_stopped():
                break
            self._sender.wait(wait_seconds)
            outcome = self._client.fetch(app, report, period)
        return outcome

    def _save(
        self, app: App, task: ReportTask, period: Period, outcome: Outcome, summary: FetchSummary
    ) -> FetchError | None:
        """Judge a result as the poller does, and store it; return the reason to request its period again."""
        now = self._clock()
        trackers = self._trackers(app, task, period, now)
        outcome = believed(trackers, app.appid, outcome)
        after, changes = apply_history(trackers[app.appid, task.report.name], period, outcome, now)
        unavailable = after.unavailable.get(period)
        is_final = unavailable is not None and unavailable.final
        # Not the state of the report, nor when it is requested next: a running exporter keeps both in the same store.
        kept = StoredReading, *((UnavailablePeriod,) if is_final else ())
        self._store.save([change for change in changes if isinstance(change.value, kept)])
        if after.has(period, task.newest):
            summary.fetched += 1
        elif is_final:
            summary.without_data += 1
        elif isinstance(outcome.result, Reading | NotReady) and not isinstance(outcome.result, Busy):
            summary.unpublished += 1
        else:
            return outcome.result
        return None

    def _trackers(self, app: App, task: ReportTask, period: Period, now: float) -> dict[Key, ReportTracker]:
        """Return what the store has of a period, in the report and in the one that confirms it."""
        check = task.report.check
        names = {task.report.name, *(() if check is None else (check.report,))}
        newest = LastResult(task.newest, State.OK, now, now)
        return {
            (app.appid, report.name): ReportTracker(
                app,
                report,
                History.of(report, self._store.periods(app.appid, report, period, period)),
                newest if report is task.report else None,
            )
            for report in app.reports
            if report.name in names
        }


def _retry_wait(outcome: Outcome, seconds: float) -> float | None:
    """Return how long to wait before the same request again; None if it would not help."""
    reason = outcome.result
    if isinstance(reason, QuotaSpent):
        return None if reason.errcode == str(DAILY_QUOTA) else MINUTE_QUOTA_WAIT
    if not isinstance(reason, Failed | Busy) or reason.no_data:
        return None
    wait_seconds = max(seconds, reason.retry_after)
    return wait_seconds if wait_seconds <= _LONGEST_WAIT else None

"""The poller thread: dispatches due fetches, applies their outcomes, stores them, publishes statuses.

It alone owns the trackers, the queue and the transition log, so that none of them needs a lock. Workers put outcomes,
and the reloader the next configuration, into one inbox; all other threads read published statuses, which are
immutable. A step applies everything in the inbox, stores the changes in one transaction, and dispatches what is due.

* Statuses are published before they are stored: a slow or full disk does not delay the figures.
* There is at least one step per ``HEARTBEAT``. A queue that slept until its next entry would miss a change of the
  system clock; after one to the past, all entries are computed again.
* One request is in flight per app, recorded in ``_busy``. An outcome whose task is not there any more belongs to an app
  that was removed or whose access method changed meanwhile, and is discarded: it may be an answer to the old secret.
* Each outcome runs inside the exception barrier. An internal error about one app must not stop all others; that app is
  scheduled again, otherwise it would never be fetched again.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.apps import AppStatus, ReportStatus
from exporter.poller.cross_checks import TotalsLog, believed
from exporter.poller.fetch_queue import FetchQueue
from exporter.poller.plan import next_fetch, plan
from exporter.poller.reconfigure import ConfigDiff, next_trackers
from exporter.poller.shared_results import retried_with, share_history, share_newest
from exporter.poller.tracker import (
    ReportTracker,
    apply_history,
    apply_newest,
    from_store,
    with_stored,
)
from exporter.poller.transitions import TransitionLog
from exporter.poller.worker_pool import Fetcher, FetchTask, WorkerPool
from exporter.reports import REPORTS, Reading
from exporter.wechat.client import Outcome
from exporter.wechat.codes import OTHER, Failed, FetchError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from exporter.config import App, Config
    from exporter.guard import Guard
    from exporter.reports import Report
    from exporter.store import Change, Store, StoredState

HEARTBEAT = 1.0
"""Maximum seconds between two steps, and so between two readings of the wall clock."""

COMPONENT = "poller"

log = structlog.get_logger()

T = TypeVar("T")

_INTERNAL_ERROR = Outcome(Failed("internal error, see the traceback in the log: please report it", OTHER), (OTHER,))


class Heartbeat(Protocol):
    """Records that the poller runs: ``metrics.Meters``."""

    def tick(self, now: float) -> None:
        """Record a finished step."""
        ...


@dataclass(frozen=True, slots=True)
class _FinishedTask:
    task: FetchTask
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _NextConfig:
    config: Config
    fetcher: Fetcher
    done: Future[ConfigDiff | None]


class Poller:
    """Fetches all reports of all apps of a configuration, until ``apply_config`` replaces it.

    Args:
        config: the apps, and when to fetch.
        fetcher: how to fetch.
        store: where readings and results are saved.
        clock: the wall clock, Unix seconds.
        heartbeat: records each step.
        guard: the exception barrier.
        retry: whether refused and failed reports are requested at once, as at every start of the exporter.
    """

    def __init__(  # noqa: PLR0913 (the dependencies from the composition root)
        self,
        config: Config,
        *,
        fetcher: Fetcher,
        store: Store,
        clock: Callable[[], float],
        heartbeat: Heartbeat,
        guard: Guard,
        retry: bool,
    ) -> None:
        self._config = config
        self._fetcher = fetcher
        self._store = store
        self._clock = clock
        self._heartbeat = heartbeat
        self._guard = guard
        self._publish: Callable[[tuple[AppStatus, ...]], None] = lambda _statuses: None
        self._inbox: SimpleQueue[_FinishedTask | _NextConfig | None] = SimpleQueue()
        self._queue = FetchQueue()
        self._in_flight = 0
        self._busy: dict[str, FetchTask] = {}
        """The task in flight of each app, unless the app was removed or changed meanwhile."""
        self._last_now = clock()
        self.rounds = 0
        """Progress for the stall detector: increases at least once per ``HEARTBEAT``."""
        self._trackers = {
            (app.appid, report.name): from_store(app, report, self._read(app, report, config), retry=retry)
            for app in config.apps
            for report in app.reports
        }
        self._totals = TotalsLog()
        self._transitions = TransitionLog()
        self._transitions.restart(self._trackers.values())
        self._statuses: dict[str, AppStatus] = {}
        self._schedule_all(self._last_now)
        self._workers = WorkerPool(self._run_task)
        self._workers.resize(config.fetch.concurrency)

    def statuses(self) -> tuple[AppStatus, ...]:
        """Return the status of every app, in the order of the configuration; for any thread."""
        return tuple(self._statuses.values())

    def publish_to(self, publish: Callable[[tuple[AppStatus, ...]], None]) -> None:
        """Call this with all statuses, now and after each change; to be called before ``run``."""
        self._publish = publish
        self._publish(self.statuses())

    def run(self, stopping: threading.Event) -> None:
        """Run steps until ``stopping`` is set; ``wake`` ends a wait early."""
        self._run_guarded(partial(self._step, (), self._clock))
        while not stopping.is_set():
            self.rounds += 1
            self._run_guarded(partial(self._step, self._wait(), self._clock))

    def drain(self) -> None:
        """Fetch everything that is due now and return after the last outcome; time does not advance meanwhile."""
        now = self._clock()
        self._step((), lambda: now)
        while self._in_flight:
            self._step(self._wait(), lambda: now)

    def wake(self) -> None:
        """End the current wait of ``run``."""
        self._inbox.put(None)

    def close(self) -> None:
        """Stop the workers; those with a request in flight end after it."""
        self._workers.resize(0)

    def apply_config(self, config: Config, fetcher: Fetcher) -> ConfigDiff | None:
        """Apply the next configuration, while ``run`` runs; return when it is in effect.

        Apps that stay keep their state. Reports of new or changed apps are fetched at once. The outcome of a request in
        flight is discarded if its app was removed or its access method changed.

        Returns:
            None if an internal error prevented it; then the previous configuration continues.
        """
        done: Future[ConfigDiff | None] = Future()
        self._inbox.put(_NextConfig(config, fetcher, done))
        return done.result()

    def _run_guarded(self, action: Callable[[], T]) -> T | None:
        return self._guard.run(COMPONENT, action)

    def _wait(self) -> tuple[_FinishedTask | _NextConfig, ...]:
        """Return everything in the inbox, after a heartbeat at the latest."""
        messages = []
        timeout = HEARTBEAT
        while True:
            try:
                messages.append(self._inbox.get(timeout=timeout))
            except Empty:
                return tuple(message for message in messages if message is not None)
            timeout = 0  # everything else that is already there, in the same step

    def _step(self, messages: Iterable[_FinishedTask | _NextConfig], clock: Callable[[], float]) -> None:
        now = clock()
        changes: list[Change] = []
        for message in messages:
            if isinstance(message, _FinishedTask):
                changes += self._run_guarded(partial(self._apply_outcome, message, now)) or ()
            else:
                self._save(changes)  # under the host that they came from: the next configuration may have another
                changes = []
                message.done.set_result(self._run_guarded(partial(self._apply, message.config, message.fetcher, now)))
        self._save(changes)
        if now < self._last_now:  # the clock was set back
            self._schedule_all(now)
        self._last_now = now
        self._dispatch(now)
        if self._store.reopen_if_due():
            self._run_guarded(partial(self._merge_stored, now))
        self._heartbeat.tick(now)

    def _save(self, changes: list[Change]) -> None:
        if changes:
            self._publish(self.statuses())
            self._run_guarded(partial(self._store.save, changes))

    def _apply(self, config: Config, fetcher: Fetcher, now: float) -> ConfigDiff:
        """Build all next trackers first, so that an internal error leaves the current ones in place."""
        trackers, diff = next_trackers(
            self._trackers, self._config, config, lambda app, report: self._read(app, report, config)
        )
        host_changed = config.api != self._config.api
        self._store.use_host(config.api.host)
        self._config, self._fetcher, self._trackers = config, fetcher, trackers
        self._transitions.restart(trackers.values(), forget=host_changed)
        access = {app.appid: app.access for app in config.apps}
        self._busy = {
            appid: task
            for appid, task in self._busy.items()
            if access.get(appid) == task.app.access and not host_changed
        }
        self._queue = FetchQueue()  # a new one drops the entries of removed apps
        self._schedule_all(now)
        self._workers.resize(config.fetch.concurrency)
        self._publish(self.statuses())
        return diff

    def _merge_stored(self, now: float) -> None:
        """Read everything again: the store opened another file, which may hold more."""
        for key, tracker in self._trackers.items():
            self._trackers[key] = with_stored(tracker, self._read(tracker.app, tracker.report, self._config))
        self._schedule_all(now)
        self._publish(self.statuses())

    def _read(self, app: App, report: Report, config: Config) -> StoredState:
        self.rounds += 1  # ten thousand apps take a while; the stall detector must see progress
        wanted = report.periods_in_weeks(config.fetch.history_weeks)
        return self._store.read(app.appid, report, wanted, config.api.host)

    def _apply_outcome(self, finished: _FinishedTask, now: float) -> tuple[Change, ...]:
        self._in_flight -= 1
        task, period = finished.task, finished.task.plan.period
        appid, key = task.app.appid, (task.app.appid, task.report.name)
        if self._busy.get(appid) is not task:
            return ()
        del self._busy[appid]
        if key not in self._trackers:  # the app is still configured, this report of it is not
            self._schedule_all(now)
            return ()
        before = self._trackers[key]
        apply = apply_history if task.plan.history else apply_newest
        try:
            # The tracker is replaced first: an internal error in what follows must not lose the reading.
            after, changes = apply(before, period, believed(self._trackers, appid, finished.outcome), now)
            self._trackers[key] = after
            shared = self._share_result(after, finished, now)
            for other in retried_with(self._trackers, before, after):
                self._trackers[other.key] = other
        finally:  # without a new entry in the queue, the app would never be fetched again
            self._statuses[appid] = self._schedule_app(self._trackers[key].app, now)
        self._transitions.observe(before, after, now)
        if isinstance(finished.outcome.result, Reading):
            self._totals.observe(self._trackers, appid, finished.outcome.result)
        return (*changes, *shared)

    def _share_result(self, after: ReportTracker, finished: _FinishedTask, now: float) -> tuple[Change, ...]:
        """Apply what concerns the app's credentials to its other reports: each would get the same error."""
        reason = finished.outcome.result
        if not isinstance(reason, FetchError) or not reason.about_app:
            return ()
        if finished.task.plan.history:
            shared = share_history(self._trackers, after)
        else:
            shared = share_newest(self._trackers, after, reason, self._config.fetch.ready_after, now)
        changes: tuple[Change, ...] = ()
        for other, more in shared:
            if not finished.task.plan.history:
                self._transitions.observe(self._trackers[other.key], other, now, quiet=True)
            self._trackers[other.key] = other
            changes += more
        return changes

    def _schedule_all(self, now: float) -> None:
        """Schedule every app: at the start, and after the clock was set back, when all entries are too late."""
        self._statuses = {app.appid: self._schedule_app(app, now) for app in self._config.apps}

    def _schedule_app(self, app: App, now: float) -> AppStatus:
        """Queue the next fetches of an app; return its status."""
        trackers = (self._trackers[app.appid, report.name] for report in app.reports)
        statuses = tuple(self._schedule(tracker, now) for tracker in trackers)
        return AppStatus(app.appid, app.name, statuses, app.alerts)

    def _schedule(self, tracker: ReportTracker, now: float) -> ReportStatus:
        newest_at = next_fetch(tracker, self._config.fetch, now)
        self._queue.put(tracker.key, plan(tracker, self._config.fetch, now), newest_at, _rank(tracker.report))
        return tracker.status(newest_at)

    def _dispatch(self, now: float) -> None:
        while self._in_flight < self._workers.size:
            key = self._queue.take_due(now)
            if key is None:
                return
            appid = key[0]
            if appid in self._busy:  # all its reports are queued again when that request is done
                continue
            tracker = self._trackers[key]
            next_plan = plan(tracker, self._config.fetch, now)
            task = self._busy[appid] = FetchTask(self._fetcher, tracker.app, tracker.report, next_plan)
            self._in_flight += 1
            self._workers.put(task)

    def _run_task(self, task: FetchTask) -> None:
        outcome = self._run_guarded(partial(task.fetcher.fetch, task.app, task.report, task.plan.period))
        self._inbox.put(_FinishedTask(task, outcome or _INTERNAL_ERROR))


def _rank(report: Report) -> int:
    return list(REPORTS).index(report.name)

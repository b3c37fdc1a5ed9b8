"""The poller thread: dispatches due fetches, applies their outcomes, stores them, publishes statuses.

It owns the trackers, the queue and the transition log; nothing else touches them. Workers put outcomes, and the
reloader the next configuration, into one inbox. All other threads read finished statuses, which are immutable. Each
step applies the whole inbox, stores the changes in one transaction, and dispatches. There is at least one a second, so
that a change of the system clock is noticed.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.apps import AppStatus, ReportStatus
from exporter.periods import newest_wanted
from exporter.poller.fetch_queue import FetchQueue
from exporter.poller.plan import next_fetch, plan
from exporter.poller.reconfigure import ConfigDiff, next_trackers
from exporter.poller.tracker import (
    RETRIED_AT_ONCE,
    ReportTracker,
    apply_history,
    apply_newest,
    apply_shared,
    opened,
    stop_history,
    with_stored,
)
from exporter.poller.transitions import TransitionLog
from exporter.poller.worker_pool import Fetcher, FetchTask, WorkerPool
from exporter.reports import REPORTS
from exporter.wechat.client import Outcome
from exporter.wechat.codes import OTHER, Failed, Unanswered

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from exporter.config import App, Config
    from exporter.guard import Guard
    from exporter.reports import Report
    from exporter.store import Change, Store, StoredState

HEARTBEAT = 1.0
"""Seconds between two steps at the most: so often the wall clock is read."""

COMPONENT = "poller"

log = structlog.get_logger()

T = TypeVar("T")

_INTERNAL_ERROR = Outcome(Failed("internal error, the log has the traceback: please report it", OTHER), (OTHER,))


class Heartbeat(Protocol):
    """Is told that the poller lives: ``metrics.Meters``."""

    def tick(self, now: float) -> None:
        """One step is done."""
        ...


@dataclass(frozen=True, slots=True)
class _Arrival:
    task: FetchTask
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _NextConfig:
    config: Config
    fetcher: Fetcher
    done: Future[ConfigDiff | None]


class Poller:
    """Fetches all reports of all apps of a configuration, and of the next one when it is handed over.

    Args:
        config: the apps, and when to fetch.
        fetcher: how to fetch.
        store: where everything is kept.
        clock: the wall clock, Unix seconds.
        heartbeat: is told of each step.
        guard: the exception barrier.
        retry: what was refused or failed is requested at once, as at every start of the exporter.
    """

    def __init__(  # noqa: PLR0913 (the wires of the composition root)
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
        self._inbox: SimpleQueue[_Arrival | _NextConfig | None] = SimpleQueue()
        self._queue = FetchQueue()
        self._in_flight = 0
        self._busy: dict[str, FetchTask] = {}
        """The task in flight for an app; one whose app left or changed meanwhile is in here no more."""
        self._last_now = clock()
        self.rounds = 0
        """Counts what was done: goes up at least once every ``HEARTBEAT``."""
        self._trackers = {
            (app.appid, report.name): opened(app, report, self._read(app, report, config), retry=retry)
            for app in config.apps
            for report in app.reports
        }
        self._transitions = TransitionLog()
        self._transitions.restart(self._trackers.values())
        self._statuses: dict[str, AppStatus] = {}
        self._enter_all(self._last_now)
        self._workers = WorkerPool(self._carry_out)
        self._workers.resize(config.fetch.concurrency)

    def statuses(self) -> tuple[AppStatus, ...]:
        """Return the status of every app, in the order of the configuration; for any thread."""
        return tuple(self._statuses.values())

    def publish_to(self, publish: Callable[[tuple[AppStatus, ...]], None]) -> None:
        """Hand the finished statuses to this, now and whenever they changed; called before ``run`` runs."""
        self._publish = publish
        self._publish(self.statuses())

    def run(self, stopping: threading.Event) -> None:
        """Steps until told to stop; ``wake`` makes it notice at once."""
        self._guarded(partial(self._step, (), self._clock))
        while not stopping.is_set():
            self.rounds += 1
            self._guarded(partial(self._step, self._wait(), self._clock))

    def drain(self) -> None:
        """Fetch everything that is due now, and return when the last outcome is in; what gets due meanwhile waits."""
        now = self._clock()
        self._step((), lambda: now)
        while self._in_flight:
            self._step(self._wait(), lambda: now)

    def wake(self) -> None:
        """Ends the current wait of ``run``."""
        self._inbox.put(None)

    def close(self) -> None:
        """Lets the workers go; those with a request in flight end after it."""
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

    def _guarded(self, action: Callable[[], T]) -> T | None:
        return self._guard.run(COMPONENT, action)

    def _wait(self) -> tuple[_Arrival | _NextConfig, ...]:
        """Everything that came in, after a heartbeat at the latest."""
        messages = []
        timeout = HEARTBEAT
        while True:
            try:
                messages.append(self._inbox.get(timeout=timeout))
            except Empty:
                return tuple(message for message in messages if message is not None)
            timeout = 0

    def _step(self, messages: Iterable[_Arrival | _NextConfig], clock: Callable[[], float]) -> None:
        now = clock()
        changes: list[Change] = []
        for message in messages:
            if isinstance(message, _Arrival):
                changes += self._guarded(partial(self._absorb, message, now)) or ()
            else:
                self._keep(changes)
                changes = []
                message.done.set_result(self._guarded(partial(self._apply, message.config, message.fetcher, now)))
        self._keep(changes)
        if now < self._last_now:
            self._enter_all(now)
        self._last_now = now
        self._dispatch(now)
        if self._store.reopen_if_due():
            self._guarded(partial(self._read_again, now))
        self._heartbeat.tick(now)

    def _keep(self, changes: list[Change]) -> None:
        if changes:
            self._publish(self.statuses())
            self._guarded(partial(self._store.save, changes))

    def _apply(self, config: Config, fetcher: Fetcher, now: float) -> ConfigDiff:
        """Build the next trackers whole, then swap them in."""
        trackers, diff = next_trackers(
            self._trackers, self._config, config, lambda app, report: self._read(app, report, config)
        )
        moved = config.api != self._config.api
        self._store.use_host(config.api.host)
        self._config, self._fetcher, self._trackers = config, fetcher, trackers
        self._transitions.restart(trackers.values(), forget=moved)
        ways = {app.appid: app.way for app in config.apps}
        self._busy = {
            appid: task for appid, task in self._busy.items() if ways.get(appid) == task.app.way and not moved
        }
        self._queue = FetchQueue()
        self._enter_all(now)
        self._workers.resize(config.fetch.concurrency)
        self._publish(self.statuses())
        return diff

    def _read_again(self, now: float) -> None:
        """The store opened another file, which may hold more."""
        for key, tracker in self._trackers.items():
            self._trackers[key] = with_stored(tracker, self._read(tracker.app, tracker.report, self._config))
        self._enter_all(now)
        self._publish(self.statuses())

    def _read(self, app: App, report: Report, config: Config) -> StoredState:
        self.rounds += 1  # ten thousand apps take a while: that is progress, too
        wanted = report.periods_in_weeks(config.fetch.history_weeks)
        return self._store.read(app.appid, report, wanted, config.api.host)

    def _absorb(self, arrival: _Arrival, now: float) -> tuple[Change, ...]:
        self._in_flight -= 1
        task, period = arrival.task, arrival.task.plan.period
        appid, key = task.app.appid, (task.app.appid, task.report.name)
        if self._busy.get(appid) is not task:
            return ()
        del self._busy[appid]
        if key not in self._trackers:  # the app stays, this report of it left
            self._enter_all(now)
            return ()
        before = self._trackers[key]
        apply = apply_history if task.plan.history else apply_newest
        try:
            after, changes = apply(before, period, arrival.outcome, now)
            self._trackers[key] = after
            shared = self._share(after, arrival, now)
            self._retry_shared(before, after)
        finally:
            self._statuses[appid] = self._entered_app(self._trackers[key].app, now)
        self._transitions.observe(before, after, now)
        return (*changes, *shared)

    def _share(self, found: ReportTracker, arrival: _Arrival, now: float) -> tuple[Change, ...]:
        """What concerns the app's credentials was found out by one report and holds for all of them."""
        reason = arrival.outcome.result
        if not isinstance(reason, Unanswered) or not reason.about_app:
            return ()
        changes: tuple[Change, ...] = ()
        for report in found.app.reports:
            before = self._trackers[found.app.appid, report.name]
            if before.key == found.key:
                continue
            if arrival.task.plan.history:
                after, more = stop_history(before)
            else:
                wanted = newest_wanted(report.period, now, self._config.fetch.ready_after)
                after, more = apply_shared(before, wanted, reason, now)
                self._transitions.observe(before, after, now, quiet=True)
            self._trackers[before.key] = after
            changes += more
        return changes

    def _retry_shared(self, before: ReportTracker, after: ReportTracker) -> None:
        """What kept all reports of the app from being fetched is over: the others do not wait for their own turn."""
        was = before.last_result
        if was is None or before.state not in RETRIED_AT_ONCE or after.state in RETRIED_AT_ONCE:
            return
        for report in after.app.reports:
            other = self._trackers[after.app.appid, report.name]
            last = other.last_result
            if last is not None and other.state in RETRIED_AT_ONCE and (last.errcode, last.at) == (was.errcode, was.at):
                self._trackers[other.key] = replace(other, fetch_at_once=True)

    def _enter_all(self, now: float) -> None:
        """For the beginning, and for a clock that was set back, which makes every entry of the queue too late."""
        self._statuses = {app.appid: self._entered_app(app, now) for app in self._config.apps}

    def _entered_app(self, app: App, now: float) -> AppStatus:
        """Enter the next fetches of an app; return its status."""
        trackers = (self._trackers[app.appid, report.name] for report in app.reports)
        statuses = tuple(self._entered(tracker, now) for tracker in trackers)
        return AppStatus(app.appid, app.name, statuses, app.alerts)

    def _entered(self, tracker: ReportTracker, now: float) -> ReportStatus:
        newest_at = next_fetch(tracker, self._config.fetch, now)
        self._queue.put(tracker.key, plan(tracker, self._config.fetch, now), newest_at, _rank(tracker.report))
        return tracker.status(newest_at)

    def _dispatch(self, now: float) -> None:
        while self._in_flight < self._workers.size:
            key = self._queue.take_due(now)
            if key is None:
                return
            appid = key[0]
            if appid in self._busy:  # one request in flight per app: all its reports are entered when that one is back
                continue
            tracker = self._trackers[key]
            next_plan = plan(tracker, self._config.fetch, now)
            task = self._busy[appid] = FetchTask(self._fetcher, tracker.app, tracker.report, next_plan)
            self._in_flight += 1
            self._workers.put(task)

    def _carry_out(self, task: FetchTask) -> None:
        outcome = self._guarded(partial(task.fetcher.fetch, task.app, task.report, task.plan.period))
        self._inbox.put(_Arrival(task, outcome or _INTERNAL_ERROR))


def _rank(report: Report) -> int:
    return list(REPORTS).index(report.name)

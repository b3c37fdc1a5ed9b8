"""The one thread that decides: dispatches what is due, takes in what came back, keeps it, tells of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.poller.agenda import Agenda
from exporter.poller.ledger import Ledger, absorb_history, absorb_newest, opened
from exporter.poller.plan import Look, next_fetch, plan
from exporter.status import State, Status
from exporter.wechat.client import Outcome
from exporter.wechat.codes import OTHER, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config import App, Config
    from exporter.periods import Week
    from exporter.reports import Report
    from exporter.store import Change, Store

HEARTBEAT = 1.0
"""Seconds between two steps at the most: so often the wall clock is looked at."""

log = structlog.get_logger()

T = TypeVar("T")

_OUR_FAULT = Outcome(Failed("a fault of the exporter, its log has the traceback: please report it", OTHER), (OTHER,))


class Asker(Protocol):
    """The door to WeChat: ``wechat.client.Client``."""

    def ask(self, app: App, report: Report, week: Week) -> Outcome:
        """Asks for one week of one app."""
        ...


class Pulse(Protocol):
    """Is told that the poller lives: ``metrics.Meters``."""

    def beat(self, now: float) -> None:
        """One step is done."""
        ...

    def stumbled(self) -> None:
        """The broad handler caught an error: a fault of the exporter."""
        ...


@dataclass(frozen=True, slots=True)
class _Arrival:
    app: App
    look: Look
    outcome: Outcome


class Poller:
    """Looks after all apps of a configuration.

    Args:
        config: the apps, and when to ask.
        report: what is asked for.
        asker: how to ask.
        store: where everything is kept.
        clock: the wall clock, Unix seconds.
        pulse: is told of each step.
        changed: is called when ``statuses`` changed.
        retry: refused and failed apps are asked at once, as at every start of the exporter.
    """

    def __init__(  # noqa: PLR0913 (the wires of the composition root)
        self,
        config: Config,
        report: Report,
        *,
        asker: Asker,
        store: Store,
        clock: Callable[[], float],
        pulse: Pulse,
        changed: Callable[[], None],
        retry: bool,
    ) -> None:
        self._fetch = config.fetch
        self._report = report
        self._asker = asker
        self._store = store
        self._clock = clock
        self._pulse = pulse
        self._changed = changed
        self._tasks: SimpleQueue[tuple[App, Look] | None] = SimpleQueue()
        self._inbox: SimpleQueue[_Arrival | None] = SimpleQueue()
        self._agenda = Agenda()
        self._busy: set[str] = set()
        self._last_now = clock()
        weeks = config.fetch.history_weeks
        self._ledgers = {
            app.appid: opened(app, store.read(app.appid, report, weeks), retry=retry) for app in config.apps
        }
        self._told = dict.fromkeys(self._ledgers, State.PENDING)
        self._statuses: dict[str, Status] = {}
        for appid in self._ledgers:
            self._enter(appid, self._last_now)
        for number in range(config.fetch.concurrency):
            threading.Thread(target=self._work, name=f"asker-{number}", daemon=True).start()

    def statuses(self) -> tuple[Status, ...]:
        """How it stands with every app, in the order of the configuration; for any thread."""
        return tuple(self._statuses.values())

    def run(self, stopping: threading.Event) -> None:
        """Steps until told to stop; ``wake`` makes it notice at once."""
        self.guarded(partial(self._step, (), self._clock))
        while not stopping.is_set():
            self.guarded(partial(self._step, self._wait(), self._clock))

    def drain(self) -> None:
        """Asks everything that is due now, and returns when the last answer is in; what gets due meanwhile waits."""
        now = self._clock()
        self._step((), lambda: now)
        while self._busy:
            self._step(self._wait(), lambda: now)

    def wake(self) -> None:
        """Ends the current wait of ``run``."""
        self._inbox.put(None)

    def close(self) -> None:
        """Lets the askers go; those with a request under way end after it."""
        for _ in range(self._fetch.concurrency):
            self._tasks.put(None)

    def _wait(self) -> tuple[_Arrival, ...]:
        """Everything that came in, after a heartbeat at the latest."""
        arrivals = []
        timeout = HEARTBEAT
        while True:
            try:
                arrivals.append(self._inbox.get(timeout=timeout))
            except Empty:
                return tuple(arrival for arrival in arrivals if arrival is not None)
            timeout = 0

    def _step(self, arrivals: Iterable[_Arrival], clock: Callable[[], float]) -> None:
        now = clock()
        changes: list[Change] = []
        for arrival in arrivals:
            changes += self.guarded(partial(self._absorb, arrival, now)) or ()
        if changes:
            self._changed()
            self.guarded(partial(self._store.save, changes))
        if now < self._last_now:
            self._enter_all(now)
        self._last_now = now
        self._dispatch(now)
        self._store.mend()
        self._pulse.beat(now)

    def _absorb(self, arrival: _Arrival, now: float) -> tuple[Change, ...]:
        appid, look = arrival.app.appid, arrival.look
        before = self._ledgers[appid]
        absorb = absorb_history if look.history else absorb_newest
        self._busy.discard(appid)
        try:
            after, changes = absorb(before, self._report, look.week, arrival.outcome, now)
            self._ledgers[appid] = after
        finally:
            self._enter(appid, now)
        self._tell(before, after, now)
        return changes

    def _enter_all(self, now: float) -> None:
        """A clock that was set back makes every entry of the agenda too late."""
        for appid in self._ledgers:
            if appid not in self._busy:
                self._enter(appid, now)

    def _enter(self, appid: str, now: float) -> None:
        ledger = self._ledgers[appid]
        newest_at = next_fetch(ledger, self._fetch, now)
        self._agenda.put(appid, plan(ledger, self._fetch, now), newest_at)
        self._statuses[appid] = ledger.status(newest_at)

    def _dispatch(self, now: float) -> None:
        while len(self._busy) < self._fetch.concurrency:
            appid = self._agenda.take_due(now)
            if appid is None:
                return
            ledger = self._ledgers[appid]
            self._busy.add(appid)
            self._tasks.put((ledger.app, plan(ledger, self._fetch, now)))

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            app, look = task
            outcome = self.guarded(partial(self._asker.ask, app, self._report, look.week))
            self._inbox.put(_Arrival(app, look, outcome or _OUR_FAULT))

    def guarded(self, action: Callable[[], T]) -> T | None:
        """Does it; a fault of the exporter is logged and counted, and everything else goes on."""
        try:
            return action()
        except Exception:
            log.exception("a fault of the exporter: please report it")
            self._pulse.stumbled()
            return None

    def _tell(self, before: Ledger, after: Ledger, now: float) -> None:
        """Says it once when an app breaks and once when it heals, and when a new week is in."""
        appid, state, answer = after.app.appid, after.state, after.answer
        told, self._told[appid] = self._told[appid], state
        if answer is not None and state is not told and not state.up:
            log.warning("app in trouble", appid=appid, state=state.value, errcode=answer.errcode, error=answer.message)
        elif before.answer is not None and state.up and not before.state.up:
            lasted = round(now - before.answer.since)
            log.info("app is well again", appid=appid, state=state.value, lasted_seconds=lasted)
        live, was = after.recent.current, before.recent.current
        if live is not None and (was is None or live.week != was.week):
            log.info("week published", appid=appid, week=live.week.label)

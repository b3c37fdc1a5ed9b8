"""The one thread that decides: dispatches what is due, takes in what came back, keeps it, tells of it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.poller.agenda import Agenda
from exporter.poller.askers import Asker, Askers, Task
from exporter.poller.handover import Turnover, next_ledgers
from exporter.poller.ledger import Ledger, absorb_history, absorb_newest, opened, with_stored
from exporter.poller.plan import next_fetch, plan
from exporter.status import State, Status
from exporter.wechat.client import Outcome
from exporter.wechat.codes import OTHER, Failed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from exporter.config import App, Config
    from exporter.reports import Report
    from exporter.store import Change, Known, Store

HEARTBEAT = 1.0
"""Seconds between two steps at the most: so often the wall clock is looked at."""

log = structlog.get_logger()

T = TypeVar("T")

_OUR_FAULT = Outcome(Failed("a fault of the exporter, its log has the traceback: please report it", OTHER), (OTHER,))


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
    task: Task
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _Handover:
    config: Config
    asker: Asker
    done: Future[Turnover | None]


class Poller:
    """Looks after all apps of a configuration, and of the next one when it is handed over.

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
        self._config = config
        self._report = report
        self._asker = asker
        self._store = store
        self._clock = clock
        self._pulse = pulse
        self._changed = changed
        self._inbox: SimpleQueue[_Arrival | _Handover | None] = SimpleQueue()
        self._agenda = Agenda()
        self._under_way = 0
        self._busy: dict[str, Task] = {}
        """The task under way for an app; one whose app left or changed meanwhile is in here no more."""
        self._last_now = clock()
        self.rounds = 0
        """Counts what was done: goes up at least once every ``HEARTBEAT``."""
        self._ledgers = {app.appid: opened(app, self._read(app, config), retry=retry) for app in config.apps}
        self._told = dict.fromkeys(self._ledgers, State.PENDING)
        self._ailing = _troubles(self._ledgers)
        """When an app's trouble began, whatever its kinds since; Unix seconds."""
        self._statuses: dict[str, Status] = {}
        self._enter_all(self._last_now)
        self._askers = Askers(self._carry_out)
        self._askers.become(config.fetch.concurrency)

    def statuses(self) -> tuple[Status, ...]:
        """How it stands with every app, in the order of the configuration; for any thread."""
        return tuple(self._statuses.values())

    def run(self, stopping: threading.Event) -> None:
        """Steps until told to stop; ``wake`` makes it notice at once."""
        self.guarded(partial(self._step, (), self._clock))
        while not stopping.is_set():
            self.rounds += 1
            self.guarded(partial(self._step, self._wait(), self._clock))

    def drain(self) -> None:
        """Asks everything that is due now, and returns when the last answer is in; what gets due meanwhile waits."""
        now = self._clock()
        self._step((), lambda: now)
        while self._under_way:
            self._step(self._wait(), lambda: now)

    def wake(self) -> None:
        """Ends the current wait of ``run``."""
        self._inbox.put(None)

    def close(self) -> None:
        """Lets the askers go; those with a request under way end after it."""
        self._askers.become(0)

    def take(self, config: Config, asker: Asker) -> Turnover | None:
        """Goes over to the next configuration, while ``run`` runs; returns when it holds.

        Apps that stay keep everything that is known of them. What is new or was changed is asked at once. What is
        under way for an app that left, or by a way in that it has no more, ends without a trace.

        Returns:
            None if a fault of the exporter prevented it; then the configuration before goes on.
        """
        done: Future[Turnover | None] = Future()
        self._inbox.put(_Handover(config, asker, done))
        return done.result()

    def _wait(self) -> tuple[_Arrival | _Handover, ...]:
        """Everything that came in, after a heartbeat at the latest."""
        messages = []
        timeout = HEARTBEAT
        while True:
            try:
                messages.append(self._inbox.get(timeout=timeout))
            except Empty:
                return tuple(message for message in messages if message is not None)
            timeout = 0

    def _step(self, messages: Iterable[_Arrival | _Handover], clock: Callable[[], float]) -> None:
        now = clock()
        changes: list[Change] = []
        for message in messages:
            if isinstance(message, _Arrival):
                changes += self.guarded(partial(self._absorb, message, now)) or ()
            else:
                self._keep(changes)
                changes = []
                message.done.set_result(self.guarded(partial(self._go_over, message.config, message.asker, now)))
        self._keep(changes)
        if now < self._last_now:
            self._enter_all(now)
        self._last_now = now
        self._dispatch(now)
        if self._store.mend():
            self.guarded(partial(self._read_again, now))
        self._pulse.beat(now)

    def _keep(self, changes: list[Change]) -> None:
        if changes:
            self._changed()
            self.guarded(partial(self._store.save, changes))

    def _go_over(self, config: Config, asker: Asker, now: float) -> Turnover:
        """Builds the next ledgers whole, then swaps them in."""
        ledgers, turnover = next_ledgers(self._ledgers, self._config, config, lambda app: self._read(app, config))
        moved = config.api != self._config.api
        self._store.turn_to(config.api.host)
        self._config, self._asker, self._ledgers = config, asker, ledgers
        told = {} if moved else self._told
        self._told = {appid: told.get(appid, State.PENDING) for appid in ledgers}
        known = {appid: began for appid, began in self._ailing.items() if appid in ledgers}
        self._ailing = _troubles(ledgers) | known
        self._busy = {
            appid: task
            for appid, task in self._busy.items()
            if appid in ledgers and task.app.way == ledgers[appid].app.way and not moved
        }
        self._agenda = Agenda()
        self._statuses = {appid: self._entered(appid, now) for appid in ledgers}
        self._askers.become(config.fetch.concurrency)
        self._changed()
        return turnover

    def _read_again(self, now: float) -> None:
        """The store opened another file, which may hold more."""
        for appid, ledger in self._ledgers.items():
            self._ledgers[appid] = with_stored(ledger, self._read(ledger.app, self._config))
            self._enter(appid, now)
        self._changed()

    def _read(self, app: App, config: Config) -> Known:
        self.rounds += 1  # ten thousand apps take a while: that is progress, too
        return self._store.read(app.appid, self._report, config.fetch.history_weeks, config.api.host)

    def _absorb(self, arrival: _Arrival, now: float) -> tuple[Change, ...]:
        self._under_way -= 1
        task, look = arrival.task, arrival.task.look
        appid = task.app.appid
        if self._busy.get(appid) is not task:
            return ()
        before = self._ledgers[appid]
        absorb = absorb_history if look.history else absorb_newest
        del self._busy[appid]
        try:
            after, changes = absorb(before, self._report, look.week, arrival.outcome, now)
            self._ledgers[appid] = after
        finally:
            self._enter(appid, now)
        self._tell(before, after, now)
        return changes

    def _enter_all(self, now: float) -> None:
        """For the beginning, and for a clock that was set back, which makes every entry of the agenda too late."""
        for appid in self._ledgers:
            if appid not in self._busy:
                self._enter(appid, now)

    def _enter(self, appid: str, now: float) -> None:
        self._statuses[appid] = self._entered(appid, now)

    def _entered(self, appid: str, now: float) -> Status:
        """How it stands with an app, whose next look is entered unless one is under way."""
        ledger = self._ledgers[appid]
        newest_at = next_fetch(ledger, self._config.fetch, now)
        if appid not in self._busy:
            self._agenda.put(appid, plan(ledger, self._config.fetch, now), newest_at)
        return ledger.status(newest_at)

    def _dispatch(self, now: float) -> None:
        while self._under_way < self._askers.number:
            appid = self._agenda.take_due(now)
            if appid is None:
                return
            ledger = self._ledgers[appid]
            task = self._busy[appid] = Task(self._asker, ledger.app, plan(ledger, self._config.fetch, now))
            self._under_way += 1
            self._askers.put(task)

    def _carry_out(self, task: Task) -> None:
        outcome = self.guarded(partial(task.asker.ask, task.app, self._report, task.look.week))
        self._inbox.put(_Arrival(task, outcome or _OUR_FAULT))

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
        began = self._ailing.pop(appid, None)
        if answer is not None and not state.up:
            self._ailing[appid] = now if began is None else min(began, now)
            if state is not told:
                facts = {"appid": appid, "state": state.value, "errcode": answer.errcode, "error": answer.message}
                log.warning("app in trouble", **facts)
        elif began is not None:
            log.info("app is well again", appid=appid, state=state.value, lasted_seconds=max(0, round(now - began)))
        live, was = after.recent.current, before.recent.current
        if live is not None and (was is None or live.week != was.week):
            log.info("week published", appid=appid, week=live.week.label)


def _troubles(ledgers: Mapping[str, Ledger]) -> dict[str, float]:
    """When the trouble of each app that is in trouble began, as far as the store knows."""
    return {
        appid: ledger.answer.since
        for appid, ledger in ledgers.items()
        if ledger.answer is not None and not ledger.state.up
    }

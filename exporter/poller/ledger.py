"""What the poller knows of one app, and how an outcome changes it. Pure: a ledger in, a ledger out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.periods import DAY, Week
from exporter.reports import Reading, Report
from exporter.status import Answer, Counters, Kept, Recent, State, Status
from exporter.store import Change, Known, Miss
from exporter.wechat.codes import Busy, Failed, NotReady, QuotaSpent, Refused, TokenRejected, Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config import App
    from exporter.wechat.client import Outcome

GIVEN_UP_AFTER = 14 * DAY
"""A week that ended this long ago, and of which WeChat has nothing, is requested again only after a month."""

STATES: Mapping[type[Unanswered], State] = MappingProxyType(
    {
        NotReady: State.NOT_READY,
        Busy: State.NOT_READY,
        QuotaSpent: State.QUOTA_SPENT,
        Refused: State.REFUSED,
        TokenRejected: State.REFUSED,
        Failed: State.FAILED,
    }
)
"""The state that each decision leads to."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one app's report."""

    app: App
    answer: Answer | None = None
    recent: Recent = Recent()  # noqa: RUF009 (a frozen value)
    held: frozenset[Week] = frozenset()
    """The newest weeks that the store holds."""
    misses: Mapping[Week, Miss] = field(default_factory=lambda: MappingProxyType({}))
    ask_at_once: bool = False
    """The last answer's wait does not count: a start after a failure, a changed configuration."""
    counters: Counters = Counters()  # noqa: RUF009 (a frozen value)

    @property
    def state(self) -> State:
        """How it stands with the newest wanted week; "not ready" about a week that is stored changes nothing."""
        if self.answer is None:
            return State.PENDING
        if self.answer.state is State.NOT_READY and self.answer.week in self.held:
            return State.OK
        return self.answer.state

    def status(self, next_fetch: float) -> Status:
        """The ledger as the ways out may read it."""
        return Status(
            appid=self.app.appid,
            name=self.app.name,
            state=self.state,
            answer=self.answer,
            recent=self.recent,
            next_fetch=next_fetch,
            counters=self.counters,
            thresholds=self.app.alerts,
        )


def opened(app: App, known: Known, *, retry: bool) -> Ledger:
    """The ledger as it was kept; with ``retry``, apps that were refused or failed do not wait on."""
    answer = known.answer
    is_retried = retry and answer is not None and answer.state in {State.REFUSED, State.FAILED}
    return Ledger(
        app=app,
        answer=answer,
        recent=known.recent,
        held=known.held,
        misses=MappingProxyType({miss.week: miss for miss in known.misses}),
        ask_at_once=is_retried or _is_lost(answer, known),
    )


def with_stored(ledger: Ledger, known: Known) -> Ledger:
    """The ledger after the store opened another file, which may hold more than was known and lack nothing of it."""
    answer = ledger.answer or known.answer
    return replace(
        ledger,
        answer=answer,
        recent=known.recent,
        held=known.held,
        misses=MappingProxyType({miss.week: miss for miss in known.misses}),
        ask_at_once=ledger.ask_at_once or _is_lost(answer, known),
    )


def _is_lost(answer: Answer | None, known: Known) -> bool:
    """Whether the newest week arrived and is not stored any more: it was damaged, so its wait does not count."""
    return answer is not None and answer.state is State.OK and answer.week not in known.held


def absorb_newest(
    ledger: Ledger, report: Report, week: Week, outcome: Outcome, now: float
) -> tuple[Ledger, tuple[Change, ...]]:
    """The ledger after an answer about the newest wanted week, and what is to be kept of it."""
    was = ledger.state
    ledger, changes = _absorb(ledger, report, outcome, now)
    reason = outcome.result if isinstance(outcome.result, Unanswered) else None
    before = ledger.answer
    state = State.OK if reason is None else STATES[type(reason)]
    answer = Answer(
        week=week,
        state=state,
        at=now,
        since=now,
        errcode="" if reason is None else reason.errcode,
        message="" if reason is None else str(reason),
        failures=(before.failures if before else 0) + 1 if isinstance(reason, Failed | Busy) else 0,
        retry_after=0.0 if reason is None else reason.retry_after,
        history_stopped=reason is not None and not _others_may_fare_better(reason),
        succeeded=now if reason is None else before.succeeded if before else None,
    )
    if before is not None and replace(ledger, answer=answer).state is was:
        answer = replace(answer, since=min(before.since, now))
    after = replace(ledger, answer=answer, ask_at_once=False)
    return after, (*changes, Change(ledger.app.appid, report, answer))


def absorb_history(
    ledger: Ledger, report: Report, week: Week, outcome: Outcome, now: float
) -> tuple[Ledger, tuple[Change, ...]]:
    """The ledger after an answer about an older week; the state is not touched by it."""
    ledger, changes = _absorb(ledger, report, outcome, now)
    reason = outcome.result
    if isinstance(reason, Reading):
        return ledger, changes
    # WeChat refuses a week that is not over with the same code, so a clock that is ahead must not decide alone.
    latest = now if outcome.server_time is None else min(now, outcome.server_time)
    final = reason.no_data and latest - week.end >= GIVEN_UP_AFTER
    miss = Miss(week, now, final)
    ledger = replace(ledger, misses=MappingProxyType({**ledger.misses, week: miss}))
    changes = (Change(ledger.app.appid, report, miss),)
    if not final and isinstance(reason, QuotaSpent | Refused | Busy) and ledger.answer is not None:
        answer = replace(ledger.answer, history_stopped=True)
        ledger = replace(ledger, answer=answer)
        changes = (*changes, Change(ledger.app.appid, report, answer))
    return ledger, changes


def _absorb(ledger: Ledger, report: Report, outcome: Outcome, now: float) -> tuple[Ledger, tuple[Change, ...]]:
    """Counts the conversation and takes in its reading, if there is one."""
    result = outcome.result
    ledger = replace(ledger, counters=_counted(ledger.counters, outcome))
    if isinstance(result, Unanswered):
        return ledger, ()
    kept = Kept(result, now)
    for known in ledger.recent.weeks:
        if known.week == result.week:
            kept = Kept(result, min(known.first_seen, now))
            if known.reading.values != result.values:
                counters = replace(ledger.counters, revisions=ledger.counters.revisions + 1)
                ledger = replace(ledger, counters=counters)
    return _placed(ledger, kept), (Change(ledger.app.appid, report, kept),)


def _placed(ledger: Ledger, kept: Kept) -> Ledger:
    """Puts a reading where it belongs; its week is no longer one that was asked for in vain."""
    misses = {week: miss for week, miss in ledger.misses.items() if week != kept.week}
    return replace(
        ledger,
        recent=ledger.recent.with_week(kept),
        held=ledger.held | {kept.week},
        misses=MappingProxyType(misses),
    )


def _counted(counters: Counters, outcome: Outcome) -> Counters:
    failed = isinstance(outcome.result, Unanswered) and not isinstance(outcome.result, NotReady)
    errors = dict(counters.errors)
    for label in outcome.errors:
        errors[label] = errors.get(label, 0) + 1
    return replace(
        counters,
        fetches=counters.fetches + 1,
        failures=counters.failures + failed,
        errors=tuple(errors.items()),
    )


def _others_may_fare_better(reason: Unanswered) -> bool:
    """Whether it is of use to ask for other weeks of the app in this look."""
    return isinstance(reason, NotReady | Failed) and not isinstance(reason, Busy) and reason.about_week

"""What the poller knows of one report of one app, and how an outcome changes it. Pure: a tracker in, a tracker out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.apps import Counters, LastResult, ReportStatus, State
from exporter.periods import DAY
from exporter.reports import History, Reading, StoredReading
from exporter.store import Change, StoredState, UnavailablePeriod
from exporter.wechat.codes import Busy, Failed, FetchError, NotReady, QuotaSpent, Refused, TokenRejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config import App
    from exporter.periods import Period
    from exporter.reports import Report
    from exporter.wechat.client import Outcome

GIVEN_UP_AFTER = 14 * DAY
"""A period that ended this long ago, and of which WeChat has nothing, is requested again only after a month."""

STATES: Mapping[type[FetchError], State] = MappingProxyType(
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
RETRIED_AT_ONCE = frozenset({State.REFUSED, State.FAILED})
"""States whose wait ends when their cause may be gone: at a start, or when another report of the app succeeds."""

Key = tuple[str, str]
"""Appid and name of the report."""


@dataclass(frozen=True, slots=True)
class ReportTracker:
    """What is known of one report of one app."""

    app: App
    report: Report
    history: History
    last_result: LastResult | None = None
    stored: frozenset[Period] = frozenset()
    """The newest periods that the store holds."""
    unavailable: Mapping[Period, UnavailablePeriod] = field(default_factory=lambda: MappingProxyType({}))
    fetch_at_once: bool = False
    """The last result's wait does not count: a start after a failure, a changed configuration."""
    counters: Counters = Counters()  # noqa: RUF009 (a frozen value)

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.app.appid, self.report.name

    @property
    def state(self) -> State:
        """The state of the newest wanted period; "not ready" about a stored one changes nothing."""
        if self.last_result is None:
            return State.PENDING
        if self.last_result.state is State.NOT_READY and self.last_result.period in self.stored:
            return State.OK
        return self.last_result.state

    def status(self, next_fetch: float) -> ReportStatus:
        """The tracker as everything else may read it."""
        return ReportStatus(self.report, self.state, self.last_result, self.history, next_fetch, self.counters)


Applied = tuple[ReportTracker, tuple[Change, ...]]
"""The next tracker, and what is to be stored."""


def opened(app: App, report: Report, known: StoredState, *, retry: bool) -> ReportTracker:
    """Return the tracker as it was stored; with ``retry``, what was refused or failed does not wait on."""
    last = known.last_result
    is_retried = retry and last is not None and last.state in RETRIED_AT_ONCE
    tracker = ReportTracker(app, report, known.history, last)
    return with_stored(replace(tracker, fetch_at_once=is_retried), known)


def with_stored(tracker: ReportTracker, known: StoredState) -> ReportTracker:
    """Return the tracker with what the store holds, which may be more than was known and lacks nothing of it."""
    last = tracker.last_result or known.last_result
    # What arrived and is not stored any more was damaged: its wait does not count.
    is_lost = last is not None and last.state is State.OK and last.period not in known.stored
    return replace(
        tracker,
        last_result=last,
        history=known.history,
        stored=known.stored,
        unavailable=MappingProxyType({each.period: each for each in known.unavailable}),
        fetch_at_once=tracker.fetch_at_once or is_lost,
    )


def apply_newest(tracker: ReportTracker, period: Period, outcome: Outcome, now: float) -> Applied:
    """Return the tracker after an outcome about the newest wanted period."""
    was = tracker
    tracker, changes = _apply(tracker, outcome, now)
    reason = outcome.result if isinstance(outcome.result, FetchError) else None
    after = _with_result(was, tracker, period, reason, now)
    return after, (*changes, _kept(after))


def apply_shared(tracker: ReportTracker, period: Period, reason: FetchError, now: float) -> Applied:
    """Return the tracker after another report of the app found out what concerns all of them: its credentials.

    ``period`` is the newest wanted one of this report.
    """
    after = _with_result(tracker, tracker, period, reason, now)
    return after, (_kept(after),)


def apply_history(tracker: ReportTracker, period: Period, outcome: Outcome, now: float) -> Applied:
    """Return the tracker after an outcome about an older period; the state is not touched by it."""
    tracker, changes = _apply(tracker, outcome, now)
    reason = outcome.result
    if isinstance(reason, Reading):
        return tracker, changes
    # WeChat refuses a period that is not over with the same code, so a clock that is ahead must not decide alone.
    latest = now if outcome.server_time is None else min(now, outcome.server_time)
    final = reason.no_data and latest - period.end >= GIVEN_UP_AFTER
    unavailable = UnavailablePeriod(period, now, final)
    tracker = replace(tracker, unavailable=MappingProxyType({**tracker.unavailable, period: unavailable}))
    changes = (Change(tracker.app.appid, tracker.report, unavailable),)
    given_up = reason.about_app or isinstance(reason, QuotaSpent | Refused | Busy)
    if not final and (given_up or (not _others_may_succeed(reason) and _has_just_failed(tracker, period.after()))):
        tracker, stopped = stop_history(tracker)
        changes += stopped
    return tracker, changes


def stop_history(tracker: ReportTracker) -> Applied:
    """Return the tracker with older periods left alone until the next fetch."""
    if tracker.last_result is None:
        return tracker, ()
    tracker = replace(tracker, last_result=replace(tracker.last_result, history_stopped=True))
    return tracker, (_kept(tracker),)


def _with_result(
    was: ReportTracker, tracker: ReportTracker, period: Period, reason: FetchError | None, now: float
) -> ReportTracker:
    before = was.last_result
    state = State.OK if reason is None else STATES[type(reason)]
    result = LastResult(
        period=period,
        state=state,
        at=now,
        since=now,
        errcode="" if reason is None else reason.errcode,
        message="" if reason is None else str(reason),
        failures=(before.failures if before else 0) + 1 if isinstance(reason, Failed | Busy) else 0,
        retry_after=0.0 if reason is None else reason.retry_after,
        history_stopped=reason is not None and not _others_may_succeed(reason),
        succeeded=now if reason is None else before.succeeded if before else None,
    )
    if before is not None and replace(tracker, last_result=result).state is was.state:
        result = replace(result, since=min(before.since, now))
    return replace(tracker, last_result=result, fetch_at_once=False)


def _kept(tracker: ReportTracker) -> Change:
    if tracker.last_result is None:
        raise ValueError("there is no result to store")
    return Change(tracker.app.appid, tracker.report, tracker.last_result)


def _apply(tracker: ReportTracker, outcome: Outcome, now: float) -> Applied:
    """Count the conversation and take in its reading, if there is one."""
    result = outcome.result
    tracker = replace(tracker, counters=_counted(tracker.counters, outcome))
    if isinstance(result, FetchError):
        return tracker, ()
    known = tracker.history.reading(result.period)
    stored = StoredReading(result, now)
    if known is not None:
        if result.period == tracker.history.live:
            stored = StoredReading(result, min(tracker.history.first_seen, now))
        if known.values != result.values:
            tracker = replace(tracker, counters=replace(tracker.counters, revisions=tracker.counters.revisions + 1))
    return _placed(tracker, stored), (Change(tracker.app.appid, tracker.report, stored),)


def _placed(tracker: ReportTracker, stored: StoredReading) -> ReportTracker:
    """Put a reading where it belongs; its period is no longer unavailable."""
    unavailable = {period: each for period, each in tracker.unavailable.items() if period != stored.period}
    return replace(
        tracker,
        history=tracker.history.with_reading(stored),
        stored=tracker.stored | {stored.period},
        unavailable=MappingProxyType(unavailable),
    )


def _counted(counters: Counters, outcome: Outcome) -> Counters:
    failed = isinstance(outcome.result, FetchError) and not isinstance(outcome.result, NotReady)
    errors = dict(counters.errors)
    for label in outcome.errors:
        errors[label] = errors.get(label, 0) + 1
    return replace(
        counters,
        fetches=counters.fetches + 1,
        failures=counters.failures + failed,
        errors=tuple(errors.items()),
    )


def _has_just_failed(tracker: ReportTracker, period: Period) -> bool:
    """Whether a period was requested in vain since the last fetch of the newest one."""
    unavailable, last = tracker.unavailable.get(period), tracker.last_result
    return unavailable is not None and last is not None and unavailable.at >= last.at


def _others_may_succeed(reason: FetchError) -> bool:
    """Whether it is of use to request other periods of the report before the next fetch."""
    is_alone = reason.about_period and not reason.about_app
    return isinstance(reason, NotReady | Failed) and not isinstance(reason, Busy) and is_alone

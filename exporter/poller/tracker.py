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
"""Seconds after its end when a period without data is final: it is requested again only after a month."""

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
"""The state that each reason leads to."""
RETRIED_AT_ONCE = frozenset({State.REFUSED, State.FAILED})
"""States whose wait ends early when the cause may be fixed: at a start, or when another report succeeds."""

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
    """The newest stored periods that are complete. A cohort that still gains figures is in ``history`` only."""
    unavailable: Mapping[Period, UnavailablePeriod] = field(default_factory=lambda: MappingProxyType({}))
    fetch_at_once: bool = False
    """Ignore the wait of the last result: after a start, or a change of the configuration."""
    counters: Counters = Counters()  # noqa: RUF009 (a frozen value)

    @property
    def key(self) -> Key:
        """Appid and name of the report."""
        return self.app.appid, self.report.name

    @property
    def state(self) -> State:
        """The state of the newest wanted period; "not ready" about a stored one changes nothing."""
        if self.last_result is None:
            return State.PENDING
        newest = self.last_result.period
        if self.last_result.state is State.NOT_READY and self.has(newest, newest):
            return State.OK
        return self.last_result.state

    def has(self, period: Period, newest: Period) -> bool:
        """Return whether a period has everything that can be known when ``newest`` is the newest wanted one."""
        if period in self.stored:
            return True
        reading = self.history.reading(period) if self.report.later else None
        return reading is not None and reading.last_key >= self.report.wanted_key(period, newest)

    def status(self, next_fetch: float) -> ReportStatus:
        """Return an immutable snapshot for all other packages."""
        return ReportStatus(self.report, self.state, self.last_result, self.history, next_fetch, self.counters)


Applied = tuple[ReportTracker, tuple[Change, ...]]
"""The next tracker, and the changes to store."""


def from_store(app: App, report: Report, known: StoredState, *, retry: bool) -> ReportTracker:
    """Return the tracker as it was stored; with ``retry``, refused and failed reports are fetched at once."""
    last = known.last_result
    is_retried = retry and last is not None and last.state in RETRIED_AT_ONCE
    tracker = ReportTracker(app, report, known.history, last)
    return with_stored(replace(tracker, fetch_at_once=is_retried), known)


def with_stored(tracker: ReportTracker, known: StoredState) -> ReportTracker:
    """Return the tracker with what the store contains, which is at least what the tracker had."""
    last = tracker.last_result or known.last_result
    # A reading that arrived and is not stored was damaged: fetch it again at once.
    tracker = replace(
        tracker,
        last_result=last,
        history=known.history,
        stored=known.stored,
        unavailable=MappingProxyType({each.period: each for each in known.unavailable}),
    )
    is_lost = last is not None and last.state is State.OK and not tracker.has(last.period, last.period)
    return replace(tracker, fetch_at_once=tracker.fetch_at_once or is_lost)


def apply_newest(tracker: ReportTracker, period: Period, outcome: Outcome, now: float) -> Applied:
    """Return the tracker after an outcome about the newest wanted period."""
    previous = tracker
    tracker, changes, reason = _apply(tracker, outcome, period, now)
    after = _with_result(previous, tracker, period, reason, now)
    return after, (*changes, _result_change(after))


def apply_shared(tracker: ReportTracker, period: Period, reason: FetchError, now: float) -> Applied:
    """Return the tracker after an error of another report that concerns the credentials of the app.

    ``period`` is the newest wanted one of this report.
    """
    after = _with_result(tracker, tracker, period, reason, now)
    return after, (_result_change(after),)


def apply_history(tracker: ReportTracker, period: Period, outcome: Outcome, now: float) -> Applied:
    """Return the tracker after an outcome about an older period, which never changes the state."""
    newest = period if tracker.last_result is None else tracker.last_result.period
    tracker, changes, reason = _apply(tracker, outcome, newest, now)
    if reason is None:
        return tracker, changes
    # WeChat returns the same code for a period that has not ended. If the local clock is ahead, the server's counts.
    latest = now if outcome.server_time is None else min(now, outcome.server_time)
    final = reason.no_data and latest - tracker.report.known_from(period, newest) >= GIVEN_UP_AFTER
    unavailable = UnavailablePeriod(period, now, final)
    tracker = replace(tracker, unavailable=MappingProxyType({**tracker.unavailable, period: unavailable}))
    changes += (Change(tracker.app.appid, tracker.report, unavailable),)
    given_up = reason.about_app or isinstance(reason, QuotaSpent | Refused | Busy)
    # One failure may concern its period only; after a second one in a row the others are likely to fail too.
    if not final and (given_up or (not _others_may_succeed(reason) and _has_just_failed(tracker, period.after()))):
        tracker, stopped = stop_history(tracker)
        changes += stopped
    return tracker, changes


def stop_history(tracker: ReportTracker) -> Applied:
    """Return the tracker without requests for older periods until the next fetch."""
    if tracker.last_result is None:
        return tracker, ()
    tracker = replace(tracker, last_result=replace(tracker.last_result, history_stopped=True))
    return tracker, (_result_change(tracker),)


def _with_result(
    previous: ReportTracker, tracker: ReportTracker, period: Period, reason: FetchError | None, now: float
) -> ReportTracker:
    before = previous.last_result
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
    # The state that is shown decides, not the one of the result: "not ready" about a stored period is "ok".
    if before is not None and replace(tracker, last_result=result).state is previous.state:
        result = replace(result, since=min(before.since, now))
    return replace(tracker, last_result=result, fetch_at_once=False)


def _result_change(tracker: ReportTracker) -> Change:
    if tracker.last_result is None:
        raise ValueError("there is no result to store")
    return Change(tracker.app.appid, tracker.report, tracker.last_result)


def _apply(
    tracker: ReportTracker, outcome: Outcome, newest: Period, now: float
) -> tuple[ReportTracker, tuple[Change, ...], FetchError | None]:
    """Count the outcome and add its reading, if it has one; return also why something is missing, if it is.

    ``newest`` is the newest wanted period.
    """
    result = outcome.result
    tracker = replace(tracker, counters=_count(tracker.counters, outcome))
    if isinstance(result, FetchError):
        return tracker, (), result
    known = tracker.history.reading(result.period)
    if known is not None and tracker.report.later:
        result = result.completed_by(known)
    missing = missing_key(result, newest)
    # The weekly report has the size of a cohort too, so the size is stored only with the first later figure.
    if missing is not None and (not result.by_dimension or result == known):
        return tracker, (), missing
    stored = StoredReading(result, now)
    if known is not None:
        if result.period == tracker.history.live:  # a revision keeps the time when the period was first seen
            stored = StoredReading(result, min(tracker.history.first_seen, now))
        if known != result and not _has_grown(known, result):
            tracker = replace(tracker, counters=replace(tracker.counters, revisions=tracker.counters.revisions + 1))
    return _with_reading(tracker, stored), (Change(tracker.app.appid, tracker.report, stored),), missing


def missing_key(reading: Reading, newest: Period) -> NotReady | None:
    """Return the reason for a response without the wanted key, which WeChat sends without an error code.

    None if the reading has it. ``newest`` is the newest wanted period.
    """
    report, period = reading.report, reading.period
    key = report.wanted_key(period, newest)
    if reading.last_key >= key:
        return None
    later = f"1 {period.NAME} later" if key == 1 else f"{key} {period.NAME}s later"
    message = f"WeChat has not (yet) published how many visitors of {period.NAME} {period.label} came back {later}"
    return NotReady(message, about_period=True, no_data=True)


def _with_reading(tracker: ReportTracker, stored: StoredReading) -> ReportTracker:
    """Add a reading to the history; its period is no longer unavailable."""
    unavailable = {period: each for period, each in tracker.unavailable.items() if period != stored.period}
    return replace(
        tracker,
        history=tracker.history.with_reading(stored),
        stored=tracker.stored | ({stored.period} if stored.reading.is_complete else set()),
        unavailable=MappingProxyType(unavailable),
    )


def _has_grown(known: Reading, result: Reading) -> bool:
    """Return whether a cohort has gained later keys and is otherwise the same, which is no revision."""
    is_same = known.values == result.values and {*known.by_dimension} <= {*result.by_dimension}
    return result.report.later > 0 and is_same


def _count(counters: Counters, outcome: Outcome) -> Counters:
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
    """Return whether a request for a period failed since the last fetch of the newest one."""
    unavailable, last = tracker.unavailable.get(period), tracker.last_result
    return unavailable is not None and last is not None and unavailable.at >= last.at


def _others_may_succeed(reason: FetchError) -> bool:
    """Return whether requests for other periods of the report may succeed before the next fetch."""
    is_alone = reason.about_period and not reason.about_app
    return isinstance(reason, NotReady | Failed) and not isinstance(reason, Busy) and is_alone

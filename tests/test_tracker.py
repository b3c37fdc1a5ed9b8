from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest

from exporter.apps import Counters, LastResult, State
from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.periods import DAY, Month, Week
from exporter.poller.tracker import (
    STATES,
    ReportTracker,
    apply_history,
    apply_newest,
    apply_shared,
    from_store,
    stop_history,
    with_stored,
)
from exporter.reports import DAILY, MONTHLY, WEEKLY, History, Reading, StoredReading
from exporter.store import Change, StoredState, UnavailablePeriod
from exporter.wechat.client import Outcome
from exporter.wechat.codes import Busy, Failed, FetchError, NotReady, QuotaSpent, Refused, TokenRejected

if TYPE_CHECKING:
    from exporter.periods import Period

APP = App(appid="wx0123456789abcdef", access=Datacube(AppSecret(LiteralSecret("s"))))
FRESH = ReportTracker(APP, WEEKLY, History(WEEKLY))
W3 = Week(date(2026, 11, 16))
W2, W1 = W3.before(), W3.before(2)
NOW = W3.end + DAY


def reading(week: Week, visitors: int = 100) -> Reading:
    return Reading(WEEKLY, week, (None, None, visitors, None, None, None, None))


def newest(
    tracker: ReportTracker, result: Reading | FetchError, now: float = NOW, *errors: str, week: Week = W3
) -> ReportTracker:
    return apply_newest(tracker, week, Outcome(result, errors), now)[0]


def history(tracker: ReportTracker, result: Reading | FetchError, week: Week, now: float = NOW) -> ReportTracker:
    return apply_history(tracker, week, Outcome(result), now)[0]


def known_periods(tracker: ReportTracker) -> list[Period]:
    """Return the periods whose reading the tracker has in memory, the newest first."""
    return [period for period in tracker.history.periods if tracker.history.reading(period) is not None]


def last_result(tracker: ReportTracker) -> LastResult:
    assert tracker.last_result is not None
    return tracker.last_result


def test_a_fresh_tracker_is_pending() -> None:
    assert FRESH.state is State.PENDING
    assert FRESH.key == (APP.appid, "weekly")


REASONS = [
    (NotReady("x", "61503", about_period=True), State.NOT_READY, 0, False),
    (Busy("x", "-1", about_period=True), State.NOT_READY, 0, True),
    (QuotaSpent("x", "45009", about_period=True), State.QUOTA_SPENT, 1, True),
    (Refused("x", "40164"), State.REFUSED, 1, True),
    (TokenRejected("x", "40001"), State.REFUSED, 1, True),
    (Failed("x", "timeout"), State.FAILED, 1, True),
    (Failed("x", "malformed", about_period=True), State.FAILED, 1, False),
]


@pytest.mark.parametrize(("reason", "state", "failures", "stopped"), REASONS, ids=range(len(REASONS)))
def test_a_reason_sets_the_state_and_may_stop_history(
    reason: FetchError, state: State, failures: int, stopped: bool
) -> None:
    tracker = newest(FRESH, reason, NOW, "label")
    assert tracker.state is state
    assert tracker.counters == Counters(1, failures, 0, (("label", 1),))
    assert last_result(tracker).history_stopped is stopped
    assert last_result(tracker).errcode == reason.errcode


def test_every_decision_has_a_state() -> None:
    assert set(STATES) == {*FetchError.__subclasses__(), *NotReady.__subclasses__()}
    assert {type(reason) for reason, *_ in REASONS} == set(STATES)


def test_a_newer_week_becomes_the_live_one() -> None:
    tracker = newest(newest(FRESH, reading(W2), week=W2), reading(W3))
    assert tracker.history.live == W3
    assert known_periods(tracker) == [W3, W2]


def test_a_gap_before_the_live_week_is_filled_by_history() -> None:
    tracker = newest(newest(FRESH, reading(W1), week=W1), reading(W3))
    assert known_periods(tracker) == [W3, W1]
    tracker = history(tracker, reading(W2), W2)
    assert tracker.history.live == W3
    assert known_periods(tracker) == [W3, W2, W1]


def test_an_older_week_is_live_while_the_newest_is_not_ready() -> None:
    tracker = newest(FRESH, NotReady("x", "61503", about_period=True))
    tracker = history(history(tracker, reading(W2), W2), reading(W1), W1)
    assert tracker.history.live == W2
    assert known_periods(tracker) == [W2, W1]
    assert tracker.state is State.NOT_READY


def test_older_history_does_not_replace_the_live_week() -> None:
    tracker = newest(newest(FRESH, reading(W2), week=W2), reading(W3))
    tracker = history(tracker, reading(W1), W1)
    assert tracker.history.live == W3
    assert tracker.history.reading(W3) == reading(W3)
    assert tracker.stored == {W1, W2, W3}


def test_history_in_any_order_makes_the_typical_week_known() -> None:
    (typical,) = [comparison for comparison in WEEKLY.comparisons if comparison.name == "typical_week"]
    (visitors, visits) = (WEEKLY.fields[2], WEEKLY.fields[1])
    live = Week(date(2026, 9, 7))  # no public holiday in the previous weeks
    tracker = newest(FRESH, reading(live, 7), week=live)
    for number in (4, 1, 3, 2):
        assert typical.value(tracker.history, visitors) is None
        tracker = history(tracker, reading(live.before(number), 100 + number), live.before(number))
    assert typical.value(tracker.history, visitors) == 102.5
    assert typical.value(tracker.history, visits) is None
    later = newest(tracker, reading(live.after(), 9), week=live.after())
    assert known_periods(later) == [live.after(), *(live.before(number) for number in range(5))]


def test_not_ready_about_a_stored_week_stays_ok() -> None:
    known = newest(FRESH, reading(W3))
    tracker = newest(known, NotReady("x", "61503", about_period=True), NOW + 60)
    assert tracker.state is State.OK
    assert tracker.history == known.history
    result = last_result(tracker)
    assert (result.succeeded, result.at, result.since) == (NOW, NOW + 60, NOW)


def test_a_revision_is_counted_and_keeps_first_seen() -> None:
    known = newest(FRESH, reading(W3, 100))
    tracker, changes = apply_newest(known, W3, Outcome(reading(W3, 120)), NOW + 60)
    assert tracker.counters.revisions == 1
    assert tracker.history == History.of(WEEKLY, [StoredReading(reading(W3, 120), NOW)])
    assert Change(APP.appid, WEEKLY, StoredReading(reading(W3, 120), NOW)) in changes
    assert newest(tracker, reading(W3, 120), NOW + 120).counters.revisions == 1


def test_field_missing_in_a_revision_is_removed() -> None:
    known = newest(FRESH, Reading(WEEKLY, W3, (1, 2, 3, 4, 5, 6, 7)))
    tracker = newest(known, reading(W3, 3))
    assert tracker.history == History.of(WEEKLY, [StoredReading(reading(W3, 3), NOW)])
    assert tracker.history.value(W3, WEEKLY.fields[0]) is None


def test_failures_are_counted_until_a_success() -> None:
    tracker = FRESH
    for number in (1, 2, 3):
        tracker = newest(tracker, Failed("x", "timeout"), NOW + number)
        assert (last_result(tracker).failures, last_result(tracker).since) == (number, NOW + 1)
    result = last_result(newest(tracker, reading(W3), NOW + 4))
    assert (result.failures, result.since, result.succeeded) == (0, NOW + 4, NOW + 4)


def test_ok_after_a_wait_begins_when_the_week_arrives() -> None:
    waiting = newest(FRESH, NotReady("x", "61503", about_period=True), NOW)
    assert last_result(newest(waiting, reading(W3), NOW + 60)).since == NOW + 60


def test_a_failure_keeps_figures_and_last_success() -> None:
    tracker = newest(newest(FRESH, reading(W3)), Refused("x", "40164"), NOW + 60)
    assert last_result(tracker).succeeded == NOW
    assert known_periods(tracker) == [W3]


UNAVAILABLE = [
    ("an empty list about an old week is final", NotReady("x", no_data=True), W1, True),
    ("61501 about an old week is final", Failed("x", "61501", no_data=True), W1, True),
    ("61502 about an old week is final", Refused("x", "61502", no_data=True), W1, True),
    ("an empty list about a recent week is not", NotReady("x", no_data=True), W2, False),
    ("61503 about an old week is not", NotReady("x", "61503"), W1, False),
    ("a timeout about an old week is not", Failed("x", "timeout"), W1, False),
]


@pytest.mark.parametrize(("why", "reason", "week", "final"), UNAVAILABLE, ids=[row[0] for row in UNAVAILABLE])
def test_a_week_without_data_is_remembered(why: str, reason: FetchError, week: Week, final: bool) -> None:
    assert why
    known = newest(FRESH, reading(W3))
    tracker, changes = apply_history(known, week, Outcome(reason), NOW)
    assert tracker.unavailable[week] == UnavailablePeriod(week, NOW, final)
    assert changes == (Change(APP.appid, WEEKLY, UnavailablePeriod(week, NOW, final)),)
    assert (tracker.state, tracker.last_result) == (known.state, known.last_result)


def test_table_of_unavailable_periods_is_complete() -> None:
    assert len({row[0] for row in UNAVAILABLE}) == 6


@pytest.mark.parametrize(("server_time", "final"), [(None, True), (NOW, True), (NOW - 14 * DAY, False)])
def test_a_clock_ahead_of_the_server_makes_nothing_final(server_time: float | None, final: bool) -> None:
    """WeChat also refuses an unfinished week with 61501, so its Date header must confirm that the week is old."""
    outcome = Outcome(Failed("x", "61501", no_data=True), server_time=server_time)
    tracker, _ = apply_history(newest(FRESH, reading(W3)), W1, outcome, NOW)
    assert tracker.unavailable[W1].final is final


def test_first_seen_in_the_future_is_corrected() -> None:
    ahead = newest(FRESH, reading(W3), NOW + 30 * DAY)
    assert newest(ahead, reading(W3), NOW).history.first_seen == NOW


def test_exactly_fourteen_days_make_no_data_final() -> None:
    known = newest(FRESH, reading(W3))
    gone = NotReady("x", no_data=True)
    assert not history(known, gone, W2, W2.end + 14 * DAY - 1).unavailable[W2].final
    assert history(known, gone, W2, W2.end + 14 * DAY).unavailable[W2].final


STOPPING = [
    QuotaSpent("x", "45009"),
    QuotaSpent("x", "45011"),
    Refused("x", "48001"),
    Busy("x", "-1", about_period=True),
]


@pytest.mark.parametrize("reason", STOPPING, ids=lambda reason: reason.errcode)
def test_quota_refusal_and_busy_stop_history_only(reason: FetchError) -> None:
    known = newest(FRESH, reading(W3))
    tracker, changes = apply_history(known, W2, Outcome(reason), NOW)
    assert tracker.state is State.OK
    assert tracker.last_result == replace(last_result(known), history_stopped=True)
    assert Change(APP.appid, WEEKLY, last_result(tracker)) in changes


def test_a_second_failure_in_a_row_stops_history() -> None:
    known = newest(FRESH, reading(W3))
    once = history(known, Failed("x", "timeout"), W2)
    assert not last_result(once).history_stopped
    assert last_result(history(once, Failed("x", "timeout"), W1)).history_stopped
    assert not last_result(history(once, Failed("x", "malformed", about_period=True), W1)).history_stopped
    assert not last_result(history(once, NotReady("x", "61503", about_period=True), W1)).history_stopped
    after_another = newest(once, reading(W3), NOW + 1)
    assert not last_result(history(after_another, Failed("x", "timeout"), W1, NOW + 2)).history_stopped


def test_history_cannot_stop_before_the_first_result() -> None:
    assert stop_history(FRESH) == (FRESH, ())


def test_a_reading_ends_an_unavailable_period() -> None:
    tracker = history(newest(FRESH, reading(W3)), Failed("x", "timeout"), W2)
    assert W2 not in history(tracker, reading(W2), W2).unavailable


@pytest.mark.parametrize("state", list(State)[1:])
def test_a_start_retries_refused_and_failed_reports(state: State) -> None:
    known = StoredState(
        History.of(WEEKLY, [StoredReading(reading(W3), NOW)]), LastResult(W3, state, NOW, NOW), frozenset({W3})
    )
    assert not from_store(APP, WEEKLY, known, retry=False).fetch_at_once
    tracker = from_store(APP, WEEKLY, known, retry=True)
    assert tracker.fetch_at_once is (state in {State.REFUSED, State.FAILED})
    assert not newest(tracker, reading(W3)).fetch_at_once


def test_a_period_that_the_store_lost_is_fetched_at_once() -> None:
    known = StoredState(History(WEEKLY), LastResult(W3, State.OK, NOW, NOW))
    assert from_store(APP, WEEKLY, known, retry=False).fetch_at_once
    not_ready = replace(known, last_result=LastResult(W3, State.NOT_READY, NOW, NOW))
    assert not from_store(APP, WEEKLY, not_ready, retry=False).fetch_at_once


def test_a_replaced_store_adds_history_and_keeps_the_result() -> None:
    tracker = newest(FRESH, reading(W3))
    stored = tuple(StoredReading(reading(week), NOW) for week in (W1, W2, W3))
    older = LastResult(W2, State.FAILED, 1.0, 1.0)
    known = StoredState(
        History.of(WEEKLY, stored), older, frozenset({W1, W2, W3}), (UnavailablePeriod(W1.before(), 5.0, final=True),)
    )
    after = with_stored(tracker, known)
    assert known_periods(after) == [W3, W2, W1]
    assert after.last_result == tracker.last_result
    assert after.unavailable == {W1.before(): UnavailablePeriod(W1.before(), 5.0, final=True)}
    assert (after.fetch_at_once, after.counters) == (False, tracker.counters)


def test_status_has_the_values_of_the_tracker() -> None:
    tracker = newest(FRESH, reading(W3))
    status = tracker.status(next_fetch=NOW + 60)
    assert (status.report, status.state, status.last_result) == (WEEKLY, State.OK, tracker.last_result)
    assert (status.history, status.next_fetch, status.counters) == (tracker.history, NOW + 60, tracker.counters)


def test_a_shared_refusal_changes_state_but_counts_no_fetch() -> None:
    daily = ReportTracker(APP, DAILY, History(DAILY), fetch_at_once=True)
    refused = Refused("not in whitelist", "40164", about_app=True)
    period = DAILY.period.containing(NOW)
    tracker, changes = apply_shared(daily, period, refused, NOW)
    assert tracker.last_result == LastResult(
        period, State.REFUSED, NOW, NOW, "40164", "not in whitelist", history_stopped=True
    )
    assert changes == (Change(APP.appid, DAILY, last_result(tracker)),)
    assert (tracker.counters, tracker.fetch_at_once) == (Counters(), False)


def test_a_shared_failure_doubles_the_wait_of_all_reports() -> None:
    daily = ReportTracker(APP, DAILY, History(DAILY))
    failed = Failed("x", "timeout", about_app=True)
    for number in (1, 2, 3):
        daily, _ = apply_shared(daily, DAILY.period.containing(NOW), failed, NOW + number)
        assert (last_result(daily).failures, last_result(daily).since) == (number, NOW + 1)


def test_a_shared_refusal_keeps_figures_and_last_success() -> None:
    month = Month(date(2026, 10, 1))
    values = (1, 2, 3, 4, 5.5, 6.5, 7.5)
    monthly, _ = apply_newest(
        ReportTracker(APP, MONTHLY, History(MONTHLY)), month, Outcome(Reading(MONTHLY, month, values)), NOW
    )
    tracker, _ = apply_shared(monthly, month, Refused("x", "40164", about_app=True), NOW + 60)
    assert tracker.history == monthly.history
    assert last_result(tracker).succeeded == NOW

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.apps import LastResult, State
from exporter.config import App, AppSecret, Datacube, Fetch, LiteralSecret
from exporter.periods import BEIJING, DAY, Day, Month, Week
from exporter.poller.fetch_queue import FetchQueue
from exporter.poller.plan import FetchPlan, jitter, next_fetch, plan, wait
from exporter.poller.tracker import ReportTracker
from exporter.reports import DAILY, MONTHLY, WEEKLY, History
from exporter.store import UnavailablePeriod

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import Report

HOUR, MINUTE = 3600.0, 60.0
FETCH = Fetch(interval=6 * HOUR, retry_interval=30 * MINUTE, ready_after=10 * HOUR, history_weeks=4)
APP = App(appid="wx0123456789abcdef", access=Datacube(AppSecret(LiteralSecret("s"))))
SPREAD = jitter(APP.appid)


def beijing(text: str) -> float:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=BEIJING).timestamp()


def near(instant: float) -> object:
    return pytest.approx(instant, rel=0, abs=1e-3)


def week(text: str) -> Week:
    return Week.containing(beijing(f"{text}T12:00"))


W47, W46, W45, W44 = (week("11-16").before(weeks) for weeks in range(4))
TUESDAY = beijing("11-24T12:00")
FULL = frozenset({W47, W46, W45, W44, W44.before()})


def result(state: State = State.OK, at: float = TUESDAY, about: Period = W47, **more: object) -> LastResult:
    return replace(LastResult(about, state, at, at), **more)


def tracker(last: LastResult | None, **more: object) -> ReportTracker:
    return replace(ReportTracker(APP, WEEKLY, History(WEEKLY), last, FULL), **more)


def tracker_of(report: Report, last: LastResult | None, *stored: Period) -> ReportTracker:
    return ReportTracker(APP, report, History(report), last, frozenset(stored))


WAITS: list[tuple[str, LastResult, float]] = [
    ("ok waits interval", result(), 6 * HOUR),
    (
        "not ready waits retry_interval on the first day",
        result(State.NOT_READY, beijing("11-23T14:00")),
        30 * MINUTE,
    ),
    (
        "not ready to the last moment of the first day",
        result(State.NOT_READY, beijing("11-24T09:59:59")),
        30 * MINUTE,
    ),
    ("not ready waits interval afterwards", result(State.NOT_READY, beijing("11-24T10:00")), 6 * HOUR),
    ("refused waits interval", result(State.REFUSED), 6 * HOUR),
    ("a token renewed elsewhere waits retry_interval", result(State.REFUSED, retry_after=60.0), 30 * MINUTE),
    ("the first failure waits retry_interval", result(State.FAILED, failures=1), 30 * MINUTE),
    ("the second failure waits twice that", result(State.FAILED, failures=2), HOUR),
    ("the fourth failure eight times", result(State.FAILED, failures=4), 4 * HOUR),
    ("doubling ends at interval", result(State.FAILED, failures=5), 6 * HOUR),
    ("doubling stays at interval", result(State.FAILED, failures=5000), 6 * HOUR),
    ("Retry-After makes a wait longer", result(State.FAILED, failures=1, retry_after=2 * HOUR), 2 * HOUR),
    ("Retry-After makes no wait shorter", result(State.FAILED, failures=2, retry_after=1.0), HOUR),
    ("Retry-After is honoured up to interval", result(State.FAILED, failures=1, retry_after=9e9), 6 * HOUR),
    ("busy waits retry_interval on any day", result(State.NOT_READY, errcode="-1", failures=1), 30 * MINUTE),
    ("busy a third time waits four times that", result(State.NOT_READY, errcode="61504", failures=3), 2 * HOUR),
    ("busy for long waits interval", result(State.NOT_READY, errcode="-1", failures=50), 6 * HOUR),
    ("the minute quota waits retry_interval", result(State.QUOTA_SPENT, errcode="45011"), 30 * MINUTE),
    (
        "the daily quota waits until ready_after past midnight",
        result(State.QUOTA_SPENT, errcode="45009"),
        beijing("11-25T10:00") - TUESDAY,
    ),
    (
        "also right after midnight",
        result(State.QUOTA_SPENT, beijing("11-24T00:00:01"), errcode="45009"),
        beijing("11-25T10:00") - beijing("11-24T00:00:01"),
    ),
]


@pytest.mark.parametrize(("why", "last", "seconds"), WAITS, ids=[row[0] for row in WAITS])
def test_wait_of_a_report_follows_from_its_last_result(why: str, last: LastResult, seconds: float) -> None:
    assert why
    due = last.at + seconds * (1 + SPREAD)
    before, after = plan(tracker(last), FETCH, due - 1), plan(tracker(last), FETCH, due)
    assert before == FetchPlan(near(due), W47)
    assert after == FetchPlan(due, W47)
    assert next_fetch(tracker(last), FETCH, last.at) == near(due)


def test_table_of_waits_is_complete() -> None:
    assert len({row[0] for row in WAITS}) == 20


TURN = beijing("11-23T10:00") + 30 * MINUTE * SPREAD
SUNDAY = beijing("11-22T23:00")
PLANS: list[tuple[str, ReportTracker, float, FetchPlan]] = [
    ("a report never fetched is due", tracker(None), TUESDAY, FetchPlan(TUESDAY, W47)),
    (
        "a newer week makes it due, a little after ready_after",
        tracker(result(at=beijing("11-23T08:00"), about=W46)),
        TURN - 1,
        FetchPlan(near(TURN), W47),
    ),
    (
        "and then the newer week is requested",
        tracker(result(at=beijing("11-23T08:00"), about=W46)),
        TURN,
        FetchPlan(TURN, W47),
    ),
    (
        "a wait that is over comes before the newer week, and is about the older one",
        tracker(result(State.FAILED, SUNDAY, W46, failures=1)),
        beijing("11-23T02:00"),
        FetchPlan(beijing("11-23T02:00"), W46),
    ),
    (
        "a newer week ends the wait for tomorrow's quota",
        tracker(result(State.QUOTA_SPENT, SUNDAY, W46, errcode="45009")),
        TURN,
        FetchPlan(TURN, W47),
    ),
    (
        "weeks missed while stopped are not requested one by one",
        tracker(result(at=beijing("10-01T12:00"), about=week("09-21"))),
        TUESDAY,
        FetchPlan(TUESDAY, W47),
    ),
    ("a result from the future is due now", tracker(result(at=TUESDAY + 1)), TUESDAY, FetchPlan(TUESDAY, W47)),
    (
        "what is to be fetched at once is due",
        tracker(result(State.REFUSED), fetch_at_once=True),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W47),
    ),
    (
        "the newest missing older week is requested once the newest is stored",
        tracker(result(), stored=frozenset({W47, W45})),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W46, history=True),
    ),
    (
        "then the next older one",
        tracker(result(), stored=frozenset({W47, W46, W45})),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W44, history=True),
    ),
    (
        "older weeks are requested while the newest is not ready",
        tracker(result(State.NOT_READY), stored=frozenset()),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W46, history=True),
    ),
    (
        "a week unavailable since the last fetch is not requested again",
        tracker(
            result(),
            stored=FULL - {W46},
            unavailable=MappingProxyType({W46: UnavailablePeriod(W46, TUESDAY + 1, final=False)}),
        ),
        TUESDAY + 2,
        FetchPlan(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "but after the next fetch it is",
        tracker(
            result(),
            stored=FULL - {W46},
            unavailable=MappingProxyType({W46: UnavailablePeriod(W46, TUESDAY - 1, final=False)}),
        ),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W46, history=True),
    ),
    (
        "a final gap is not requested again",
        tracker(
            result(),
            stored=FULL - {W44},
            unavailable=MappingProxyType({W44: UnavailablePeriod(W44, TUESDAY - 29 * DAY, final=True)}),
        ),
        TUESDAY + 1,
        FetchPlan(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "but after a month it is",
        tracker(
            result(),
            stored=FULL - {W44},
            unavailable=MappingProxyType({W44: UnavailablePeriod(W44, TUESDAY - 33 * DAY, final=True)}),
        ),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W44, history=True),
    ),
    (
        "a final gap from the future does not count",
        tracker(
            result(),
            stored=FULL - {W44},
            unavailable=MappingProxyType({W44: UnavailablePeriod(W44, TUESDAY + 9 * DAY, final=True)}),
        ),
        TUESDAY + 1,
        FetchPlan(TUESDAY + 1, W44, history=True),
    ),
    (
        "a stopped history waits for the next fetch",
        tracker(result(history_stopped=True), stored=frozenset({W47})),
        TUESDAY + 1,
        FetchPlan(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "the newest week comes before history",
        tracker(result(), stored=frozenset()),
        TUESDAY + 7 * HOUR,
        FetchPlan(TUESDAY + 7 * HOUR, W47),
    ),
    (
        "weeks beyond history_weeks are not requested",
        tracker(result(), stored=FULL),
        TUESDAY + 1,
        FetchPlan(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
]


@pytest.mark.parametrize(("why", "known", "now", "expected"), PLANS, ids=[row[0] for row in PLANS])
def test_the_plan_names_the_next_period_and_when(
    why: str, known: ReportTracker, now: float, expected: FetchPlan
) -> None:
    assert why
    assert plan(known, FETCH, now) == expected


def test_table_of_plans_is_complete() -> None:
    assert len({row[0] for row in PLANS}) == 19


@given(st.text())
def test_jitter_is_at_most_a_tenth_and_always_the_same(appid: str) -> None:
    assert 0 <= jitter(appid) < 0.1
    assert jitter(appid) == jitter(appid)


def test_thousands_of_apps_spread_out() -> None:
    tenths = {int(jitter(f"wx{number:016x}") * 100) for number in range(1000)}
    assert tenths == set(range(10))


@given(st.sampled_from(list(State)[1:]), st.floats(0, 40 * DAY), st.integers(0, 100))
def test_no_plan_is_in_the_past_or_further_than_a_week(state: State, later: float, failures: int) -> None:
    now = TUESDAY + later
    due = plan(tracker(result(state, failures=failures)), FETCH, now).at
    assert now <= due <= now + 7 * DAY + HOUR


def test_the_queue_orders_newest_then_newer_history() -> None:
    queue = FetchQueue()
    for name, next_plan, newest_at in (
        ("old", FetchPlan(1.0, W44, history=True), 99.0),
        ("older week", FetchPlan(1.0, W45, history=True), 99.0),
        ("later", FetchPlan(9.0, W47), 9.0),
        ("soon", FetchPlan(5.0, W47), 5.0),
        ("new", FetchPlan(2.0, W46, history=True), 99.0),
    ):
        queue.put((name, "weekly"), next_plan, newest_at, 0)
    due = [queue.take_due(5.0) for _ in range(5)]
    assert due == [("soon", "weekly"), ("new", "weekly"), ("older week", "weekly"), ("old", "weekly"), None]
    assert queue.take_due(9.0) == ("later", "weekly")


def test_the_queue_orders_equal_entries_by_rank() -> None:
    """If all are due at once, the weekly reports come first; equal reports keep the order of their entries."""
    queue = FetchQueue()
    newest = [(appid, report) for report in ("weekly", "daily", "monthly") for appid in ("wx1", "wx2")]
    for appid, report in reversed(newest):
        queue.put((appid, report), FetchPlan(5.0, W47), 5.0, ["weekly", "daily", "monthly"].index(report))
    due = [queue.take_due(5.0) for _ in range(7)]
    assert due == [
        ("wx2", "weekly"),
        ("wx1", "weekly"),
        ("wx2", "daily"),
        ("wx1", "daily"),
        *reversed(newest[4:]),
        None,
    ]


def test_the_queue_orders_history_of_all_reports_by_end() -> None:
    queue = FetchQueue()
    queue.put(("wx1", "monthly"), FetchPlan(1.0, Month.of(W47.first.replace(day=1)), history=True), 99.0, 2)
    queue.put(("wx1", "daily"), FetchPlan(1.0, Day.of(W46.last), history=True), 99.0, 1)
    queue.put(("wx2", "daily"), FetchPlan(1.0, Day.of(W47.first), history=True), 99.0, 1)
    queue.put(("wx1", "weekly"), FetchPlan(1.0, W46, history=True), 99.0, 0)
    due = [queue.take_due(5.0) for _ in range(4)]
    assert due == [("wx1", "monthly"), ("wx2", "daily"), ("wx1", "weekly"), ("wx1", "daily")]


def test_a_later_entry_of_the_queue_replaces_the_earlier() -> None:
    queue, key = FetchQueue(), ("wx1", "weekly")
    queue.put(key, FetchPlan(1.0, W47), 1.0, 0)
    queue.put(key, FetchPlan(8.0, W47), 8.0, 0)
    assert queue.take_due(5.0) is None
    queue.put(key, FetchPlan(8.0, W46, history=True), 99.0, 0)
    assert queue.take_due(5.0) == key
    assert queue.take_due(9.0) is None


def test_replaced_entries_do_not_pile_up() -> None:
    """While history is filled, all reports of an app are entered at each response; they are due hours later."""
    queue, keys = FetchQueue(), [("wx1", "weekly"), ("wx1", "daily"), ("wx2", "daily")]
    queue.put(("wx0", "weekly"), FetchPlan(50.0, W47), 50.0, 0)  # before all of them
    for number in range(1000):
        for key in keys:
            queue.put(key, FetchPlan(1.0, W47.before(number), history=True), 99.0 + number, 0)
        due = queue.take_due(5.0)
        assert due is not None
        keys = [due, *(key for key in keys if key != due)]
    assert len(queue._newest) + len(queue._history) < 50
    assert queue.take_due(5.0) is not None


def test_the_reports_of_an_app_are_entries_of_their_own() -> None:
    queue = FetchQueue()
    queue.put(("wx1", "weekly"), FetchPlan(1.0, W47), 1.0, 0)
    queue.put(("wx1", "daily"), FetchPlan(1.0, Day.of(W47.last)), 1.0, 1)
    assert [queue.take_due(5.0) for _ in range(3)] == [("wx1", "weekly"), ("wx1", "daily"), None]


def test_an_entry_with_history_is_taken_when_its_newest_is_due() -> None:
    queue = FetchQueue()
    queue.put(("waits", "weekly"), FetchPlan(1.0, W44, history=True), 50.0, 0)
    queue.put(("other", "weekly"), FetchPlan(1.0, W46, history=True), 99.0, 0)
    assert queue.take_due(50.0) == ("waits", "weekly")
    assert queue.take_due(50.0) == ("other", "weekly")
    assert queue.take_due(50.0) is None


def test_an_unavailable_period_from_the_future_does_not_count() -> None:
    later = MappingProxyType({W46: UnavailablePeriod(W46, TUESDAY + 9999, final=False)})
    known = tracker(result(), stored=FULL - {W46}, unavailable=later)
    assert plan(known, FETCH, TUESDAY + 1) == FetchPlan(TUESDAY + 1, W46, history=True)


MONDAY_24, OCTOBER = Day.of(W47.first).before(-7), Month.of(W47.first.replace(month=10, day=1))
NEWEST: list[tuple[str, Report, float, Period]] = [
    ("a day is wanted ten hours after its end", DAILY, beijing("11-24T10:00"), MONDAY_24),
    ("until then the previous day", DAILY, beijing("11-24T09:59:59"), MONDAY_24.before()),
    ("a week on Monday at ten", WEEKLY, beijing("11-23T10:00"), W47),
    ("until then the previous week", WEEKLY, beijing("11-23T09:59:59"), W46),
    ("a month on the first at ten", MONTHLY, beijing("11-01T10:00"), OCTOBER),
    ("until then the previous month", MONTHLY, beijing("11-01T09:59:59"), OCTOBER.before()),
]


@pytest.mark.parametrize(("why", "report", "now", "period"), NEWEST, ids=[row[0] for row in NEWEST])
def test_the_newest_wanted_period_of_each_report(why: str, report: Report, now: float, period: Period) -> None:
    assert why
    assert plan(tracker_of(report, None), FETCH, now) == FetchPlan(now, period)


def test_a_new_day_ends_the_wait_of_the_daily_report() -> None:
    last = result(at=beijing("11-24T08:00"), about=MONDAY_24.before())
    stored = [MONDAY_24.before(number) for number in range(1, 30)]
    due = beijing("11-24T10:00") + 30 * MINUTE * SPREAD
    known = tracker_of(DAILY, last, *stored)
    assert plan(known, FETCH, due - 1) == FetchPlan(near(due), MONDAY_24)
    assert plan(known, FETCH, due) == FetchPlan(due, MONDAY_24)


def test_a_day_not_ready_waits_retry_interval_for_a_day() -> None:
    for at, seconds in ((beijing("11-24T14:00"), 30 * MINUTE), (beijing("11-25T10:00"), 6 * HOUR)):
        assert wait(DAILY, result(State.NOT_READY, at, MONDAY_24), FETCH) == seconds


@pytest.mark.parametrize(("report", "number"), [(WEEKLY, 4), (DAILY, 28), (MONTHLY, 2)], ids=lambda each: str(each)[:3])
def test_history_reaches_as_far_back_as_its_weeks(report: Report, number: int) -> None:
    """Four weeks are four weeks, 28 days and two months, the newest one included."""
    newest = plan(tracker_of(report, None), FETCH, TUESDAY).period
    last = result(about=newest)
    stored = [newest.before(back) for back in range(number)]
    oldest = tracker_of(report, last, *stored[:-1])
    assert plan(oldest, FETCH, TUESDAY + 1) == FetchPlan(TUESDAY + 1, stored[-1], history=True)
    assert plan(tracker_of(report, last, *stored), FETCH, TUESDAY + 1).period == newest


@pytest.mark.parametrize(("weeks", "months"), [(1, 2), (8, 2), (9, 3), (13, 4), (26, 7), (52, 13), (104, 25)])
def test_months_in_weeks(weeks: int, months: int) -> None:
    assert MONTHLY.periods_in_weeks(weeks) == months
    assert DAILY.periods_in_weeks(weeks) == 7 * weeks
    assert WEEKLY.periods_in_weeks(weeks) == weeks


def test_all_reports_of_an_app_have_the_same_jitter() -> None:
    due = {
        next_fetch(tracker_of(report, result(State.REFUSED, about=period), period), FETCH, TUESDAY)
        for report, period in ((WEEKLY, W47), (MONTHLY, OCTOBER))
    }
    assert due == {TUESDAY + 6 * HOUR * (1 + SPREAD)}

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import App, AppSecret, Datacube, Fetch, LiteralSecret
from exporter.periods import BEIJING, DAY, Week
from exporter.poller.agenda import Agenda
from exporter.poller.ledger import Ledger
from exporter.poller.plan import Look, jitter, next_fetch, plan
from exporter.status import Answer, State
from exporter.store import Miss

HOUR, MINUTE = 3600.0, 60.0
FETCH = Fetch(interval=6 * HOUR, retry_interval=30 * MINUTE, ready_after=10 * HOUR, history_weeks=4)
APP = App(appid="wx0123456789abcdef", way=Datacube(AppSecret(LiteralSecret("s"))))
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


def answer(state: State = State.OK, at: float = TUESDAY, about: Week = W47, **more: object) -> Answer:
    return replace(Answer(about, state, at, at), **more)


def ledger(last: Answer | None, **more: object) -> Ledger:
    return replace(Ledger(APP, last, held=FULL), **more)


WAITS: list[tuple[str, Answer, float]] = [
    ("ok waits interval", answer(), 6 * HOUR),
    (
        "not ready waits retry_interval on the first day",
        answer(State.NOT_READY, beijing("11-23T14:00")),
        30 * MINUTE,
    ),
    (
        "not ready to the last moment of the first day",
        answer(State.NOT_READY, beijing("11-24T09:59:59")),
        30 * MINUTE,
    ),
    ("not ready waits interval afterwards", answer(State.NOT_READY, beijing("11-24T10:00")), 6 * HOUR),
    ("refused waits interval", answer(State.REFUSED), 6 * HOUR),
    ("what somebody else renews waits retry_interval", answer(State.REFUSED, retry_after=60.0), 30 * MINUTE),
    ("the first failure waits retry_interval", answer(State.FAILED, failures=1), 30 * MINUTE),
    ("the second failure waits twice that", answer(State.FAILED, failures=2), HOUR),
    ("the fourth failure eight times", answer(State.FAILED, failures=4), 4 * HOUR),
    ("doubling ends at interval", answer(State.FAILED, failures=5), 6 * HOUR),
    ("doubling ends at interval for good", answer(State.FAILED, failures=5000), 6 * HOUR),
    ("Retry-After makes a wait longer", answer(State.FAILED, failures=1, retry_after=2 * HOUR), 2 * HOUR),
    ("Retry-After makes no wait shorter", answer(State.FAILED, failures=2, retry_after=1.0), HOUR),
    ("Retry-After is honoured up to interval", answer(State.FAILED, failures=1, retry_after=9e9), 6 * HOUR),
    ("busy waits retry_interval on any day", answer(State.NOT_READY, errcode="-1", failures=1), 30 * MINUTE),
    ("busy a third time waits four times that", answer(State.NOT_READY, errcode="61504", failures=3), 2 * HOUR),
    ("busy for long waits interval", answer(State.NOT_READY, errcode="-1", failures=50), 6 * HOUR),
    ("the minute quota waits retry_interval", answer(State.QUOTA_SPENT, errcode="45011"), 30 * MINUTE),
    (
        "the daily quota waits until ready_after past midnight",
        answer(State.QUOTA_SPENT, errcode="45009"),
        beijing("11-25T10:00") - TUESDAY,
    ),
    (
        "also right after midnight",
        answer(State.QUOTA_SPENT, beijing("11-24T00:00:01"), errcode="45009"),
        beijing("11-25T10:00") - beijing("11-24T00:00:01"),
    ),
]


@pytest.mark.parametrize(("why", "last", "seconds"), WAITS, ids=[row[0] for row in WAITS])
def test_an_app_is_left_alone_for_as_long_as_its_answer_says(why: str, last: Answer, seconds: float) -> None:
    assert why
    due = last.at + seconds * (1 + SPREAD)
    before, after = plan(ledger(last), FETCH, due - 1), plan(ledger(last), FETCH, due)
    assert before == Look(near(due), W47)
    assert after == Look(due, W47)
    assert next_fetch(ledger(last), FETCH, last.at) == near(due)


def test_the_table_of_waits_is_whole() -> None:
    assert len({row[0] for row in WAITS}) == 20


TURN = beijing("11-23T10:00") + 30 * MINUTE * SPREAD
SUNDAY = beijing("11-22T23:00")
LOOKS: list[tuple[str, Ledger, float, Look]] = [
    ("an app never asked is due", ledger(None), TUESDAY, Look(TUESDAY, W47)),
    (
        "a newer week makes it due, a little after ready_after",
        ledger(answer(at=beijing("11-23T08:00"), about=W46)),
        TURN - 1,
        Look(near(TURN), W47),
    ),
    (
        "and then the newer week is asked for",
        ledger(answer(at=beijing("11-23T08:00"), about=W46)),
        TURN,
        Look(TURN, W47),
    ),
    (
        "a wait that is over comes before the turn, and is about the older week",
        ledger(answer(State.FAILED, SUNDAY, W46, failures=1)),
        beijing("11-23T02:00"),
        Look(beijing("11-23T02:00"), W46),
    ),
    (
        "a newer week ends the wait for tomorrow's quota",
        ledger(answer(State.QUOTA_SPENT, SUNDAY, W46, errcode="45009")),
        TURN,
        Look(TURN, W47),
    ),
    (
        "weeks slept through are not made up one by one",
        ledger(answer(at=beijing("10-01T12:00"), about=week("09-21"))),
        TUESDAY,
        Look(TUESDAY, W47),
    ),
    ("an answer from the future is due now", ledger(answer(at=TUESDAY + 1)), TUESDAY, Look(TUESDAY, W47)),
    (
        "what is to be asked at once is due",
        ledger(answer(State.REFUSED), ask_at_once=True),
        TUESDAY + 1,
        Look(TUESDAY + 1, W47),
    ),
    (
        "the newest missing older week is asked for once the newest is in",
        ledger(answer(), held=frozenset({W47, W45})),
        TUESDAY + 1,
        Look(TUESDAY + 1, W46, history=True),
    ),
    (
        "then the next older one",
        ledger(answer(), held=frozenset({W47, W46, W45})),
        TUESDAY + 1,
        Look(TUESDAY + 1, W44, history=True),
    ),
    (
        "older weeks are asked for while the newest is not ready",
        ledger(answer(State.NOT_READY), held=frozenset()),
        TUESDAY + 1,
        Look(TUESDAY + 1, W46, history=True),
    ),
    (
        "a week that was missed in this look is not asked for again",
        ledger(answer(), held=FULL - {W46}, misses=MappingProxyType({W46: Miss(W46, TUESDAY + 1, final=False)})),
        TUESDAY + 2,
        Look(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "but after the next look it is",
        ledger(answer(), held=FULL - {W46}, misses=MappingProxyType({W46: Miss(W46, TUESDAY - 1, final=False)})),
        TUESDAY + 1,
        Look(TUESDAY + 1, W46, history=True),
    ),
    (
        "what WeChat will never have is not asked for again",
        ledger(answer(), held=FULL - {W44}, misses=MappingProxyType({W44: Miss(W44, TUESDAY - 29 * DAY, final=True)})),
        TUESDAY + 1,
        Look(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "but after a month it is",
        ledger(answer(), held=FULL - {W44}, misses=MappingProxyType({W44: Miss(W44, TUESDAY - 33 * DAY, final=True)})),
        TUESDAY + 1,
        Look(TUESDAY + 1, W44, history=True),
    ),
    (
        "what a clock that was ahead concluded counts for nothing",
        ledger(answer(), held=FULL - {W44}, misses=MappingProxyType({W44: Miss(W44, TUESDAY + 9 * DAY, final=True)})),
        TUESDAY + 1,
        Look(TUESDAY + 1, W44, history=True),
    ),
    (
        "a stopped history waits for the next look",
        ledger(answer(history_stopped=True), held=frozenset({W47})),
        TUESDAY + 1,
        Look(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
    (
        "the newest week comes before history",
        ledger(answer(), held=frozenset()),
        TUESDAY + 7 * HOUR,
        Look(TUESDAY + 7 * HOUR, W47),
    ),
    (
        "weeks beyond history_weeks are not asked for",
        ledger(answer(), held=FULL),
        TUESDAY + 1,
        Look(near(TUESDAY + 6 * HOUR * (1 + SPREAD)), W47),
    ),
]


@pytest.mark.parametrize(("why", "known", "now", "look"), LOOKS, ids=[row[0] for row in LOOKS])
def test_the_plan_says_what_is_asked_next_and_when(why: str, known: Ledger, now: float, look: Look) -> None:
    assert why
    assert plan(known, FETCH, now) == look


def test_the_table_of_looks_is_whole() -> None:
    assert len({row[0] for row in LOOKS}) == 19


@given(st.text())
def test_jitter_is_at_most_a_tenth_and_always_the_same(appid: str) -> None:
    assert 0 <= jitter(appid) < 0.1
    assert jitter(appid) == jitter(appid)


def test_thousands_of_apps_spread_out() -> None:
    tenths = {int(jitter(f"wx{number:016x}") * 100) for number in range(1000)}
    assert tenths == set(range(10))


@given(st.sampled_from(list(State)[1:]), st.floats(0, 40 * DAY), st.integers(0, 100))
def test_an_app_is_never_planned_for_the_past_nor_left_alone_for_more_than_a_week(
    state: State, later: float, failures: int
) -> None:
    now = TUESDAY + later
    due = plan(ledger(answer(state, failures=failures)), FETCH, now).at
    assert now <= due <= now + 7 * DAY + HOUR


def test_the_agenda_puts_newest_weeks_before_history_and_newer_history_before_older() -> None:
    agenda = Agenda()
    agenda.put("old", Look(1.0, W44, history=True), 99.0)
    agenda.put("older week", Look(1.0, W45, history=True), 99.0)
    agenda.put("later", Look(9.0, W47), 9.0)
    agenda.put("soon", Look(5.0, W47), 5.0)
    agenda.put("new", Look(2.0, W46, history=True), 99.0)
    taken = [agenda.take_due(5.0) for _ in range(5)]
    assert taken == ["soon", "new", "older week", "old", None]
    assert agenda.take_due(9.0) == "later"


def test_a_later_entry_of_the_agenda_replaces_the_earlier_one() -> None:
    agenda = Agenda()
    agenda.put("app", Look(1.0, W47), 1.0)
    agenda.put("app", Look(8.0, W47), 8.0)
    assert agenda.take_due(5.0) is None
    agenda.put("app", Look(8.0, W46, history=True), 99.0)
    assert agenda.take_due(5.0) == "app"
    assert agenda.take_due(9.0) is None


def test_an_app_that_waits_with_history_is_taken_for_its_newest_week_when_that_is_due() -> None:
    agenda = Agenda()
    agenda.put("waits", Look(1.0, W44, history=True), 50.0)
    agenda.put("other", Look(1.0, W46, history=True), 99.0)
    assert agenda.take_due(50.0) == "waits"
    assert agenda.take_due(50.0) == "other"
    assert agenda.take_due(50.0) is None


def test_a_miss_from_the_future_is_none() -> None:
    later = MappingProxyType({W46: Miss(W46, TUESDAY + 9999, final=False)})
    known = ledger(answer(), held=FULL - {W46}, misses=later)
    assert plan(known, FETCH, TUESDAY + 1) == Look(TUESDAY + 1, W46, history=True)

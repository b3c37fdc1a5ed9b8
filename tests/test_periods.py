from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import machine_in

from exporter.periods import (
    BEIJING,
    DAY,
    Week,
    beijing_words,
    newest_wanted_week,
    next_midnight,
    utc_stamp,
    week_containing,
    week_from_ref_date,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600.0
ZONES = ("America/Los_Angeles", "Pacific/Auckland", "Asia/Shanghai", "UTC")
INSTANTS = st.floats(min_value=0, max_value=datetime(2200, 1, 1, tzinfo=UTC).timestamp())
MONDAYS = st.dates(date(1971, 1, 4), date(2199, 12, 30)).map(lambda day: day - timedelta(days=day.weekday()))


def beijing(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING).timestamp()


@pytest.fixture(params=ZONES)
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    with machine_in(request.param):
        yield


RUNNING_WEEKS = [
    ("2026-11-22T23:59:59", "20261116-20261122"),
    ("2026-11-23T00:00:00", "20261123-20261129"),
    ("2026-11-23T00:00:01", "20261123-20261129"),
    ("2025-12-31T12:00:00", "20251229-20260104"),
    ("2026-01-01T00:00:00", "20251229-20260104"),
    ("2026-12-31T23:59:59", "20261228-20270103"),
    ("2027-01-03T23:59:59", "20261228-20270103"),
    ("2027-01-04T00:00:00", "20270104-20270110"),
    ("2024-02-29T23:59:59", "20240226-20240303"),
    ("2024-02-25T23:59:59", "20240219-20240225"),
    ("2028-02-29T00:00:00", "20280228-20280305"),
    ("2000-02-29T10:00:00", "20000228-20000305"),
    ("2100-03-01T00:00:00", "21000301-21000307"),
    ("1970-01-01T08:00:00", "19691229-19700104"),
]


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(("moment", "label"), RUNNING_WEEKS)
def test_an_instant_belongs_to_the_week_that_runs_in_beijing(moment: str, label: str) -> None:
    assert week_containing(beijing(moment)).label == label


def test_the_table_of_running_weeks_is_whole() -> None:
    assert len({moment for moment, _ in RUNNING_WEEKS}) == 14


WANTED_WEEKS = [
    ("2026-11-22T23:59:59", 0.0, "20261109-20261115"),
    ("2026-11-23T00:00:00", 0.0, "20261116-20261122"),
    ("2026-11-23T09:59:59", 10 * HOUR, "20261109-20261115"),
    ("2026-11-23T10:00:00", 10 * HOUR, "20261116-20261122"),
    ("2026-11-29T23:59:59", 10 * HOUR, "20261116-20261122"),
    ("2026-01-05T10:00:00", 10 * HOUR, "20251229-20260104"),
    ("2024-03-04T10:00:00", 10 * HOUR, "20240226-20240303"),
    ("2026-11-25T12:00:00", 2.5 * DAY, "20261116-20261122"),
    ("2026-11-25T11:59:59", 2.5 * DAY, "20261109-20261115"),
]


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(("moment", "ready_after", "label"), WANTED_WEEKS)
def test_the_wanted_week_is_the_newest_that_ended_long_enough_ago(moment: str, ready_after: float, label: str) -> None:
    assert newest_wanted_week(beijing(moment), ready_after).label == label


def test_the_table_of_wanted_weeks_is_whole() -> None:
    assert len(set(WANTED_WEEKS)) == 9


@given(INSTANTS)
def test_a_week_is_seven_days_from_a_monday_and_holds_its_instant(instant: float) -> None:
    week = week_containing(instant)
    assert week.monday.weekday() == 0
    assert week.sunday - week.monday == timedelta(days=6)
    assert week.end - week.start == 7 * DAY
    assert week.start <= instant < week.end


@given(INSTANTS, st.floats(0, 7 * DAY - 1))
def test_the_wanted_week_is_over_and_not_older_than_it_need_be(instant: float, ready_after: float) -> None:
    week = newest_wanted_week(instant, ready_after)
    assert week.end + ready_after <= instant + 1e-3
    assert week.after().end + ready_after > instant - 1e-3


@given(INSTANTS, st.floats(0, 400 * DAY), st.floats(0, 7 * DAY - 1))
def test_the_wanted_week_never_moves_backwards(instant: float, later: float, ready_after: float) -> None:
    assert newest_wanted_week(instant, ready_after) <= newest_wanted_week(instant + later, ready_after)


@given(MONDAYS, st.integers(1, 600))
def test_going_back_and_forth_arrives_where_it_began(monday: date, weeks: int) -> None:
    week = Week(monday)
    assert week.before().after() == week
    assert (week.monday - week.before(weeks).monday).days == 7 * weeks


@given(MONDAYS, st.sampled_from("-–—~_/ "))
def test_ref_date_is_read_back_with_any_dash(monday: date, dash: str) -> None:
    week = Week(monday)
    if dash != "_":  # a word character is no dash
        assert week_from_ref_date(f"{week.begin_date}{dash}{week.end_date}") == week


NO_WEEKS = [
    "",
    "20261116",
    "20261116-20261123",
    "20261117-20261123",
    "20261122-20261116",
    "20260230-20260308",
    "2026-11-16",
    "20261116--20261122",
    "२०२६१११६-20261122",
    "20261116_20261122",
]


@pytest.mark.parametrize("text", NO_WEEKS)
def test_what_is_no_natural_week_is_no_ref_date(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the words differ by cause)
        week_from_ref_date(text)


def test_the_table_of_no_weeks_is_whole() -> None:
    assert len(set(NO_WEEKS)) == 10


def test_only_a_monday_begins_a_week() -> None:
    with pytest.raises(ValueError, match="2026-11-24 is not a Monday"):
        Week(date(2026, 11, 24))


WORDS = [
    (date(2026, 11, 16), "16-22 Nov 2026"),
    (date(2026, 11, 30), "30 Nov-6 Dec 2026"),
    (date(2025, 12, 29), "29 Dec 2025-4 Jan 2026"),
]


@pytest.mark.parametrize(("monday", "words"), WORDS)
def test_a_week_says_in_words_which_days_it_has(monday: date, words: str) -> None:
    assert Week(monday).words == words


def test_the_table_of_words_is_whole() -> None:
    assert len(WORDS) == 3


@pytest.mark.usefixtures("_zone")
def test_midnight_and_words_are_beijings_whatever_the_machine_thinks() -> None:
    moment = beijing("2026-11-23T14:05:00")
    assert next_midnight(moment) == beijing("2026-11-24T00:00:00")
    assert next_midnight(beijing("2026-11-23T00:00:00")) == beijing("2026-11-24T00:00:00")
    assert beijing_words(moment) == "Mon 2026-11-23 14:05 Beijing"
    assert utc_stamp(moment) == "20261123T060500Z"

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from harness import machine_time_zone
from hypothesis import given
from hypothesis import strategies as st

from exporter.periods import (
    BEIJING,
    DAY,
    Day,
    Month,
    Period,
    Week,
    format_beijing,
    format_utc_compact,
    newest_wanted,
    next_midnight,
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
    with machine_time_zone(request.param):
        yield


CURRENT_WEEKS = [
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
@pytest.mark.parametrize(("moment", "label"), CURRENT_WEEKS)
def test_instant_belongs_to_the_current_week_in_beijing(moment: str, label: str) -> None:
    assert Week.containing(beijing(moment)).label == label


def test_table_of_current_weeks_is_complete() -> None:
    assert len({moment for moment, _ in CURRENT_WEEKS}) == 14


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
def test_wanted_week_is_the_newest_past_its_ready_time(moment: str, ready_after: float, label: str) -> None:
    assert newest_wanted(Week, beijing(moment), ready_after).label == label


def test_table_of_wanted_weeks_is_complete() -> None:
    assert len(set(WANTED_WEEKS)) == 9


@given(INSTANTS)
def test_a_week_is_seven_days_from_a_monday(instant: float) -> None:
    week = Week.containing(instant)
    assert week.first.weekday() == 0
    assert week.last - week.first == timedelta(days=6)
    assert week.end - week.start == 7 * DAY


KINDS = st.sampled_from([Day, Week, Month])


@given(KINDS, INSTANTS)
def test_a_period_contains_its_instant_and_whole_days(kind: type[Period], instant: float) -> None:
    period = kind.containing(instant)
    assert period.start <= instant < period.end
    assert period.end - period.start == len(period.days) * DAY
    assert (period.days[0], period.days[-1]) == (period.first, period.last)
    assert all(kind.containing_day(day) is period for day in period.days)
    assert kind.from_ref_date(period.label) is period


@given(KINDS, INSTANTS, st.floats(0, 7 * DAY - 1))
def test_wanted_period_is_over_and_the_newest_possible(kind: type[Period], instant: float, ready_after: float) -> None:
    period = newest_wanted(kind, instant, ready_after)
    assert period.end + ready_after <= instant + 1e-3
    assert period.after().end + ready_after > instant - 1e-3


@given(KINDS, INSTANTS, st.floats(0, 400 * DAY), st.floats(0, 7 * DAY - 1))
def test_the_wanted_period_never_moves_backwards(
    kind: type[Period], instant: float, later: float, ready_after: float
) -> None:
    assert newest_wanted(kind, instant, ready_after) <= newest_wanted(kind, instant + later, ready_after)


@given(KINDS, INSTANTS, st.integers(1, 600))
def test_before_and_after_are_inverse(kind: type[Period], instant: float, number: int) -> None:
    period = kind.containing(instant + 20_000 * DAY)
    assert period.before().after() is period
    assert period.before(number).before(-number) is period
    assert period.before(number) < period
    assert period.before().end == period.start
    steps = period
    for _ in range(min(number, 30)):
        steps = steps.before()
    assert steps is period.before(min(number, 30))


@given(MONDAYS, st.integers(1, 600))
def test_weeks_are_seven_days_apart(monday: date, weeks: int) -> None:
    assert (Week(monday).first - Week(monday).before(weeks).first).days == 7 * weeks


MONTHS = [
    ("2026-01-31T23:59:59", 0.0, "202512", "20251201", "20251231"),
    ("2026-02-01T09:59:59", 10 * HOUR, "202512", "20251201", "20251231"),
    ("2026-02-01T10:00:00", 10 * HOUR, "202601", "20260101", "20260131"),
    ("2026-02-28T23:59:59", 10 * HOUR, "202601", "20260101", "20260131"),
    ("2026-03-01T10:00:00", 10 * HOUR, "202602", "20260201", "20260228"),
    ("2028-02-29T23:59:59", 10 * HOUR, "202801", "20280101", "20280131"),
    ("2028-03-01T10:00:00", 10 * HOUR, "202802", "20280201", "20280229"),
    ("2100-03-01T10:00:00", 10 * HOUR, "210002", "21000201", "21000228"),
    ("2027-01-01T10:00:00", 10 * HOUR, "202612", "20261201", "20261231"),
]


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(("moment", "ready_after", "label", "begin", "end"), MONTHS)
def test_the_wanted_month_is_over(moment: str, ready_after: float, label: str, begin: str, end: str) -> None:
    month = newest_wanted(Month, beijing(moment), ready_after)
    assert (month.label, month.begin_date, month.end_date) == (label, begin, end)


DAYS = [
    ("2026-11-25T09:59:59", 10 * HOUR, "20261123"),
    ("2026-11-25T10:00:00", 10 * HOUR, "20261124"),
    ("2026-03-01T10:00:00", 10 * HOUR, "20260228"),
    ("2028-03-01T10:00:00", 10 * HOUR, "20280229"),
    ("2028-03-01T09:59:59", 10 * HOUR, "20280228"),
    ("2027-01-01T10:00:00", 10 * HOUR, "20261231"),
    ("2026-11-25T00:00:00", 0.0, "20261124"),
    ("2026-11-24T23:59:59", 0.0, "20261123"),
]


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(("moment", "ready_after", "label"), DAYS)
def test_the_wanted_day_is_over(moment: str, ready_after: float, label: str) -> None:
    day = newest_wanted(Day, beijing(moment), ready_after)
    assert (day.label, day.begin_date, day.end_date) == (label, label, label)


NAMES = [
    (Day(date(2026, 11, 4)), "day", "Wed 4 Nov 2026", "2026-11-04"),
    (Week(date(2026, 11, 16)), "week", "16-22 Nov 2026", "2026-W47"),
    (Month(date(2026, 11, 1)), "month", "November 2026", "2026-11"),
]


@pytest.mark.parametrize(("period", "name", "readable", "iso"), NAMES)
def test_period_has_a_kind_readable_name_and_iso_form(period: Period, name: str, readable: str, iso: str) -> None:
    assert (period.NAME, period.display_name, period.iso) == (name, readable, iso)


NO_REF_DATES = [
    (Day, "202611"),
    (Day, "20261131"),
    (Day, "20261116-20261122"),
    (Day, "2026-11-16"),
    (Month, "20261116"),
    (Month, "202613"),
    (Month, "2026-11"),
    (Month, "20261"),
]


@pytest.mark.parametrize(("kind", "text"), NO_REF_DATES)
def test_invalid_ref_date_is_rejected(kind: type[Period], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the messages differ by cause)
        kind.from_ref_date(text)


def test_only_a_first_day_begins_a_month() -> None:
    with pytest.raises(ValueError, match="2026-11-24 is not the first day of a month"):
        Month(date(2026, 11, 24))


def test_periods_of_different_kinds_are_never_equal() -> None:
    first = date(2026, 6, 1)  # a Monday, and the first of a month
    assert len({Day(first), Week(first), Month(first)}) == 3


@given(MONDAYS, st.sampled_from("-–—~_/ "))
def test_ref_date_is_parsed_with_any_dash(monday: date, dash: str) -> None:
    week = Week(monday)
    if dash != "_":  # a letter or underscore is no dash
        assert Week.from_ref_date(f"{week.begin_date}{dash}{week.end_date}") == week


INVALID_WEEKS = [
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


@pytest.mark.parametrize("text", INVALID_WEEKS)
def test_ref_date_that_is_no_natural_week_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the messages differ by cause)
        Week.from_ref_date(text)


def test_table_of_invalid_weeks_is_complete() -> None:
    assert len(set(INVALID_WEEKS)) == 10


def test_only_a_monday_begins_a_week() -> None:
    with pytest.raises(ValueError, match="2026-11-24 is not a Monday"):
        Week(date(2026, 11, 24))


READABLE_NAMES = [
    (date(2026, 11, 16), "16-22 Nov 2026"),
    (date(2026, 11, 30), "30 Nov-6 Dec 2026"),
    (date(2025, 12, 29), "29 Dec 2025-4 Jan 2026"),
]


@pytest.mark.parametrize(("monday", "readable"), READABLE_NAMES)
def test_readable_name_of_a_week_shows_its_days(monday: date, readable: str) -> None:
    assert Week(monday).display_name == readable


@pytest.mark.usefixtures("_zone")
def test_midnight_and_readable_times_are_in_beijing_time() -> None:
    """They do not depend on the time zone of the machine."""
    moment = beijing("2026-11-23T14:05:00")
    assert next_midnight(moment) == beijing("2026-11-24T00:00:00")
    assert next_midnight(beijing("2026-11-23T00:00:00")) == beijing("2026-11-24T00:00:00")
    assert format_beijing(moment) == "Mon 2026-11-23 14:05 Beijing"
    assert format_utc_compact(moment) == "20261123T060500Z"

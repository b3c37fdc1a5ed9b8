"""Comparison figures: tables with expected values, and random histories compared with a simple implementation."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.periods import Day, Month, Week
from exporter.reports import DAILY, MONTHLY, REPORTS, WEEKLY, History, Reading, StoredReading
from exporter.reports.comparisons import earlier, lowest_week, noise_ratio, recent, typical_recent, typical_week
from exporter.reports.comparisons import typical_weekday as typical_weekday_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.periods import Period
    from exporter.reports import Field, Report

SESSIONS, VISITS, VISITORS, NEW_VISITORS, STAY, STAY_PER_SESSION, DEPTH = WEEKLY.fields
TRENDS = (WEEKLY, DAILY, MONTHLY)
COUNTS = (SESSIONS, VISITS, VISITORS, NEW_VISITORS)
Days = dict[date, float]


def history(report: Report, figures: Mapping[Period, float | None], field: Field = VISITORS) -> History:
    """Return a history in which one field has these figures; another field is always known, so every row exists."""
    other = STAY if field is not STAY else DEPTH
    rows = []
    for period, figure in figures.items():
        values: list[float | None] = [None] * len(report.fields)
        values[report.fields.index(other)] = 1.0
        values[report.fields.index(field)] = figure
        rows.append(StoredReading(Reading(report, period, tuple(values)), 1.0))
    return History.of(report, rows)


def weeks(live: Week, *figures: float | None) -> History:
    """Return the figures of the live week and those before it, the newest first; None is a week without the field."""
    return history(WEEKLY, {live.before(number): figure for number, figure in enumerate(figures)})


def days(live: date, figure: Callable[[date], float | None], number: int = 112) -> History:
    """Return a history of that many days up to the live one, each with its figure."""
    return history(DAILY, {Day.of(day): figure(day) for day in (live - timedelta(n) for n in range(number))})


def compared(history: History, name: str, field: Field = VISITORS) -> float | None:
    (comparison,) = [each for each in history.report.comparisons if each.name == name]
    return comparison.value(history, field)


def derived(history: History, name: str, field: Field = VISITORS) -> dict[tuple[str, ...], float]:
    """Return the values of a derived figure by the labels of the period and its own."""
    (found,) = [each for each in history.report.derived if each.metric == name]
    return {(period.label, *labels): value for period, labels, value in found.values(history, field)}


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def week(month: int, day: int, year: int = 2026) -> Week:
    return Week.containing_day(date(year, month, day))


# The holiday schedule of the State Council for 2026, independent of the package.
HOLIDAYS_2026 = (
    ("New Year", date(2026, 1, 1), 3),
    ("Spring Festival", date(2026, 2, 15), 9),
    ("Qingming", date(2026, 4, 4), 3),
    ("Labour Day", date(2026, 5, 1), 5),
    ("Dragon Boat Festival", date(2026, 6, 19), 3),
    ("Mid-Autumn Festival", date(2026, 9, 25), 3),
    ("National Day", date(2026, 10, 1), 7),
)
OFF_2026 = {first + timedelta(number) for _, first, length in HOLIDAYS_2026 for number in range(length)}
MAKE_UP_2026 = {
    date(2026, 1, 4),
    date(2026, 2, 14),
    date(2026, 2, 28),
    date(2026, 5, 9),
    date(2026, 9, 20),
    date(2026, 10, 10),
}


def irregular(day: date) -> bool:
    """Return whether a day of 2026 is a holiday or a make-up working day; no day of 2027 is known to be one."""
    return day in OFF_2026 or day in MAKE_UP_2026


def ordinary_week(week: Week) -> bool:
    return not any(day in OFF_2026 for day in week.days[:5])


def test_calendar_of_2026_matches_the_published_one() -> None:
    year = [date(2026, 1, 1) + timedelta(number) for number in range(365)]
    assert {day for day in year if day in chinese_calendar.holidays} == OFF_2026
    assert {day for day in year if day.weekday() >= 5 and chinese_calendar.is_workday(day)} == MAKE_UP_2026


# -- comparisons at a fixed distance

DISTANCES = [
    ("previous_week", WEEKLY, 1),
    ("previous_day", DAILY, 1),
    ("same_weekday", DAILY, 7),
    ("previous_month", MONTHLY, 1),
    ("year_ago_month", MONTHLY, 12),
]
LIVE: dict[str, Period] = {
    "weekly": week(3, 2),
    "daily": Day.of(date(2026, 3, 3)),
    "monthly": Month.of(date(2026, 3, 1)),
}


@pytest.mark.parametrize(("name", "report", "distance"), DISTANCES, ids=[row[0] for row in DISTANCES])
def test_a_comparison_is_exactly_as_many_periods_before(name: str, report: Report, distance: int) -> None:
    live = LIVE[report.name]
    every = {live.before(number): 100 + number for number in range(14)}
    compared_with = live.before(distance)
    assert compared(history(report, every), name) == 100 + distance
    assert compared(history(report, {**every, compared_with: 0}), name) == 0
    assert compared(history(report, {**every, compared_with: None}), name) is None
    others = {period: figure for period, figure in every.items() if period != compared_with}
    assert compared(history(report, others), name) is None
    assert compared(history(report, {live: 1}), name) is None
    assert compared(History(report), name) is None


@pytest.mark.parametrize(("name", "report", "distance"), DISTANCES, ids=[row[0] for row in DISTANCES])
def test_a_comparison_does_not_need_the_live_figure(name: str, report: Report, distance: int) -> None:
    live = LIVE[report.name]
    assert compared(history(report, {live: None, live.before(distance): 5}), name) == 5


@pytest.mark.parametrize(
    ("live", "name", "before"),
    [
        ("20260301", "previous_day", "20260228"),
        ("20260301", "same_weekday", "20260222"),
        ("20240301", "previous_day", "20240229"),
        ("20270101", "previous_day", "20261231"),
        ("20270103", "same_weekday", "20261227"),
        ("202601", "previous_month", "202512"),
        ("202603", "previous_month", "202602"),
        ("202601", "year_ago_month", "202501"),
        ("202502", "year_ago_month", "202402"),
        ("202703", "year_ago_month", "202603"),
        ("20251229-20260104", "previous_week", "20251222-20251228"),
        ("20270104-20270110", "previous_week", "20261228-20270103"),
    ],
)
def test_distances_over_the_ends_of_months_and_years(live: str, name: str, before: str) -> None:
    report = next(report for report in TRENDS if name in {each.name for each in report.comparisons})
    periods = {report.period.from_ref_date(live): 7, report.period.from_ref_date(before): 3}
    assert compared(history(report, periods), name) == 3


def test_earlier_is_pure_and_of_any_distance() -> None:
    found = weeks(week(3, 2), 0, 1, 2, 3)
    assert [earlier(number)(found, VISITORS) for number in range(5)] == [0, 1, 2, 3, None]


# -- typical_week and lowest_week

QUIET = week(9, 7)
"""No public holiday in the eight previous weeks."""

TYPICAL_WEEKS: list[tuple[str, History, float | None, float | None]] = [
    ("nothing known", History(WEEKLY), None, None),
    ("the live week alone", weeks(QUIET, 1), None, None),
    ("three weeks are too few", weeks(QUIET, 1, 10, 20, 30), None, None),
    ("four weeks", weeks(QUIET, 1, 10, 20, 40, 50), 30, None),
    ("five weeks are too few for a lowest", weeks(QUIET, 1, 10, 20, 40, 50, 5), 30, None),
    ("six weeks", weeks(QUIET, 1, 10, 20, 40, 50, 5, 60), 30, 5),
    ("eight weeks, of which the last four are typical", weeks(QUIET, 1, 10, 20, 40, 50, 60, 70, 80, 2), 30, 2),
    ("a ninth week does not count", weeks(QUIET, 1, 10, 20, 40, 50, 60, 70, 80, 90, 2), 30, 10),
    ("unknown weeks are skipped", weeks(QUIET, 1, None, 10, None, 20, None, 40, None, 50), 30, None),
    ("two unknown leave a lowest", weeks(QUIET, 1, None, 10, None, 20, 40, 50, 60, 5), 30, 5),
    ("three unknown do not", weeks(QUIET, 1, None, 10, None, 20, None, 50, 60, 5), 35, None),
    ("zero is a figure", weeks(QUIET, 1, 0, 0, 0, 50, 60, 70), 0, 0),
    ("the live figure may be unknown", weeks(QUIET, None, 10, 20, 40, 50, 60, 70), 30, 10),
    # Of the eight weeks before 20261116, those of National Day (two) and of the Mid-Autumn Festival do not count.
    ("after National Day", weeks(week(11, 16), 1, 10, 20, 30, 40, 50, 6, 7, 8), 25, None),
    # Before 20261019 the week of 12 October is the only ordinary one since 14 September.
    ("soon after National Day", weeks(week(10, 19), 1, 10, 2, 3, 4, 20, 30, 40, 50), 25, None),
    ("six ordinary weeks are not there", weeks(week(10, 12), 1, 2, 3, 4, 20, 30, 40, 50, 60), 35, None),
    # Spring Festival is off from Monday 16 to Monday 23 February, so two weeks do not count; New Year's is a third.
    ("after Spring Festival", weeks(week(3, 2), 1, 2, 3, 10, 20, 30, 40, 50, 60), 25, 10),
    ("in the second week after it", weeks(week(3, 9), 1, 10, 2, 3, 20, 30, 40, 50, 60), 25, 10),
    # A make-up working day on Saturday or Sunday makes no week a holiday one: 14 and 28 February.
    ("make-up days are in ordinary weeks", weeks(week(3, 16), 1, 10, 20, 2, 3, 30, 40, 50, 60), 25, 10),
    # Labour Day is off on a Friday, a Monday and a Tuesday: two weeks. Qingming is off on a Monday.
    ("after Labour Day", weeks(week(5, 11), 1, 2, 3, 10, 20, 4, 30, 40, 50), 25, None),
    # In 2027 no day is known to be off: 1 January and the weeks of Spring Festival in February count as ordinary.
    ("a year without a calendar", weeks(week(3, 1, 2027), 1, 10, 20, 30, 40, 50, 60, 70, 5), 25, 5),
    # Of the week from 28 December 2026 four weekdays are known not to be off, the fifth is unknown.
    ("a week of two years", weeks(week(1, 11, 2027), 1, 10, 20, 30, 40, 50, 60), 25, 10),
]


@pytest.mark.parametrize(("why", "found", "typical", "lowest"), TYPICAL_WEEKS, ids=[row[0] for row in TYPICAL_WEEKS])
def test_typical_and_lowest_week(why: str, found: History, typical: float | None, lowest: float | None) -> None:
    assert why
    assert (compared(found, "typical_week"), compared(found, "lowest_week")) == (typical, lowest)


def test_table_of_typical_weeks_is_complete() -> None:
    assert len({row[0] for row in TYPICAL_WEEKS}) == 22


def test_there_is_a_lowest_week_of_counts_only() -> None:
    (lowest,) = [each for each in WEEKLY.comparisons if each.name == "lowest_week"]
    assert [field for field in WEEKLY.fields if lowest.applies_to(field)] == list(COUNTS)
    assert all(each.applies_to(field) for each in WEEKLY.comparisons[:2] for field in WEEKLY.fields)


@dataclass(frozen=True)
class PlainWeeks:
    """The rules of docs/metrics.md, implemented without optimizations."""

    figures: Mapping[Week, float | None]
    live: Week

    @property
    def ordinary(self) -> list[float]:
        """Return the figures of the ordinary weeks among the previous eight, the newest first."""
        found = []
        for number in range(1, 9):
            monday = self.live.first - timedelta(weeks=number)
            known = self.figures.get(Week(monday))
            is_off = any(monday + timedelta(day) in OFF_2026 for day in range(5))
            if known is not None and not is_off:
                found.append(known)
        return found

    @property
    def typical(self) -> float | None:
        last = sorted(self.ordinary[:4])
        return (last[1] + last[2]) / 2 if len(last) == 4 else None

    @property
    def lowest(self) -> float | None:
        return min(self.ordinary) if len(self.ordinary) >= 6 else None


MONDAYS = st.integers(0, 60).map(lambda number: Week(date(2026, 3, 2)).before(-number))
"""Live weeks from March 2026 to April 2027: the eight previous ones are in 2026 and 2027."""
FIGURES = st.none() | st.integers(0, 10**6)


@given(MONDAYS, st.dictionaries(st.integers(1, 12), FIGURES))
def test_week_comparisons_match_a_plain_computation(live: Week, figures: dict[int, int | None]) -> None:
    known = {live: 1} | {live.before(number): figure for number, figure in figures.items()}
    found, plain = history(WEEKLY, known), PlainWeeks(known, live)
    assert typical_week(found, VISITORS) == plain.typical
    assert lowest_week(found, VISITORS) == plain.lowest
    assert compared(found, "previous_week") == known.get(live.before())


@given(MONDAYS, st.lists(st.floats(0, 1e6), min_size=8, max_size=8))
def test_typical_weeks_of_averages(live: Week, figures: list[float]) -> None:
    known = {live: 1.0} | {live.before(number): figure for number, figure in enumerate(figures, 1)}
    assert typical_week(history(WEEKLY, known, STAY), STAY) == PlainWeeks(known, live).typical


@given(MONDAYS, st.lists(st.integers(0, 10**6), min_size=4, max_size=4), st.integers(2, 10))
def test_the_typical_week_ignores_one_extreme(live: Week, figures: list[int], factor: int) -> None:
    """An outlier among four weeks changes the median at most to the value of its neighbours."""
    places = [number for number in range(1, 9) if ordinary_week(live.before(number))][:4]
    if len(places) < 4:
        return
    known = {live: 1} | {live.before(place): figure for place, figure in zip(places, figures, strict=True)}
    known[live.before(places[0])] = max(figures) * factor
    typical = typical_week(history(WEEKLY, known), VISITORS)
    assert typical is not None
    assert min(figures) <= typical <= max(figures[1:])


# -- typical_weekday

TYPICAL_WEEKDAYS: list[tuple[str, date, dict[int, float | None], float | None]] = [
    ("nothing before", date(2026, 9, 9), {}, None),
    ("three weeks are too few", date(2026, 9, 9), {1: 10, 2: 20, 3: 30}, None),
    ("four weeks", date(2026, 9, 9), {1: 10, 2: 20, 3: 40, 4: 50}, 30),
    ("the last four of eight", date(2026, 9, 9), {1: 10, 2: 20, 3: 40, 4: 50, 5: 1, 6: 2, 7: 3, 8: 4}, 30),
    ("a ninth week does not count", date(2026, 9, 9), {1: 10, 2: 20, 3: 40, 9: 50}, None),
    ("unknown ones are skipped", date(2026, 9, 9), {1: None, 2: 10, 4: 20, 6: 40, 8: 50}, 30),
    ("zero is a figure", date(2026, 9, 9), {1: 0, 2: 0, 3: 0, 4: 50}, 0),
    # Thursdays before 29 October: 1 October is National Day, the others are ordinary.
    ("National Day is skipped", date(2026, 10, 29), {1: 10, 2: 20, 3: 40, 4: 1, 5: 50}, 30),
    # Saturdays before 31 October: the 10th is a working day, the 3rd and 26 September are holidays.
    (
        "make-up days and weekend holidays are skipped",
        date(2026, 10, 31),
        {1: 10, 2: 20, 3: 1, 4: 2, 5: 3, 6: 40},
        None,
    ),
    (
        "and older ones take their place",
        date(2026, 10, 31),
        {1: 10, 2: 20, 3: 1, 4: 2, 5: 3, 6: 40, 7: 50, 8: 60},
        30,
    ),
    # Sundays before 11 October: the 4th and 27 September are holidays, 20 September is a working day.
    ("three Sundays in a row", date(2026, 10, 11), {1: 1, 2: 2, 3: 3, 4: 10, 5: 20, 6: 40, 7: 50}, 30),
    # Mondays before 9 March: 16 and 23 February are Spring Festival.
    ("Spring Festival is skipped", date(2026, 3, 9), {1: 10, 2: 1, 3: 2, 4: 20, 5: 40, 6: 50}, 30),
    # Saturdays before 7 March: 28 and 14 February are working days, the 21st is a holiday.
    ("and its Saturdays", date(2026, 3, 7), {1: 1, 2: 2, 3: 3, 4: 10, 5: 20, 6: 40, 7: 50}, 30),
    # The live day itself is a holiday or a working Saturday: it is compared with ordinary days all the same.
    ("a live holiday", date(2026, 10, 1), {1: 10, 2: 20, 3: 40, 4: 50}, 30),
    ("a live make-up day", date(2026, 10, 10), {1: 1, 2: 2, 3: 10, 4: 20, 5: 40, 6: 50}, 30),
    # Fridays before 29 January 2027: 1 January 2027 is a Friday, and nothing is known of that year.
    ("a year without a calendar", date(2027, 1, 29), {1: 10, 2: 20, 3: 40, 4: 50, 5: 1}, 30),
]


@pytest.mark.parametrize(
    ("why", "live", "before", "typical"), TYPICAL_WEEKDAYS, ids=[row[0] for row in TYPICAL_WEEKDAYS]
)
def test_typical_weekday(why: str, live: date, before: dict[int, float | None], typical: float | None) -> None:
    assert why
    known = {Day.of(live): 1} | {Day.of(live - timedelta(weeks=number)): before[number] for number in before}
    assert compared(history(DAILY, known), "typical_weekday") == typical


def test_table_of_typical_weekdays_is_complete() -> None:
    assert len({row[0] for row in TYPICAL_WEEKDAYS}) == 16


def test_other_weekdays_do_not_count() -> None:
    live = date(2026, 9, 9)
    found = days(live, lambda day: 5 if day.weekday() == live.weekday() else 1000 + day.day)
    assert compared(found, "typical_weekday") == 5
    assert compared(days(live, lambda day: None if day.weekday() == live.weekday() else 7), "typical_weekday") is None


# -- recent, typical_recent and noise_ratio


@dataclass(frozen=True)
class PlainDays:
    """The rules of docs/metrics.md, implemented without optimizations."""

    figures: Mapping[date, float | None]
    live: date

    def typical(self, day: date) -> float | None:
        same = [day - timedelta(7 * number) for number in range(1, 9)]
        known = [self.figures.get(each) for each in same if not irregular(each)]
        last = sorted([value for value in known if value is not None][:4])
        return (last[1] + last[2]) / 2 if len(last) == 4 else None

    def ordinary(self, number: int) -> list[date]:
        found: list[date] = []
        day = self.live
        while len(found) < number:
            if not irregular(day):
                found.append(day)
            day -= timedelta(1)
        return found

    def recent(self) -> dict[tuple[str, ...], float]:
        return self._sums(self.figures.get)

    def typical_recent(self) -> dict[tuple[str, ...], float]:
        return self._sums(self.typical)

    def noise_ratio(self) -> dict[tuple[str, ...], float]:
        window = self.ordinary(31)
        ratios = []
        for day in window[3:]:
            value, typical = self.figures.get(day), self.typical(day)
            if value and typical:
                ratios.append(math.log(value / typical))
        if len(ratios) < 14:
            return {}
        middle = statistics.median(ratios)
        deviation = statistics.median([abs(ratio - middle) for ratio in ratios])
        return {(f"{window[0]:%Y%m%d}",): 1.4826 * deviation}

    def _sums(self, figure: Callable[[date], float | None]) -> dict[tuple[str, ...], float]:
        found = {}
        for number in (2, 3):
            last = self.ordinary(number)
            values = [figure(day) for day in last]
            if None not in values:
                found[f"{last[0]:%Y%m%d}", str(number)] = sum(value for value in values if value is not None)
        return found


def by_day(day: date) -> float:
    """Return a figure that differs for every day."""
    return 1000 + (day - date(2026, 1, 1)).days


RECENT: list[tuple[str, date, tuple[date, date, date]]] = [
    ("an ordinary week", date(2026, 9, 10), (date(2026, 9, 10), date(2026, 9, 9), date(2026, 9, 8))),
    ("over a weekend", date(2026, 9, 14), (date(2026, 9, 14), date(2026, 9, 13), date(2026, 9, 12))),
    ("in National Day", date(2026, 10, 5), (date(2026, 9, 30), date(2026, 9, 29), date(2026, 9, 28))),
    ("after National Day", date(2026, 10, 8), (date(2026, 10, 8), date(2026, 9, 30), date(2026, 9, 29))),
    ("on a make-up day", date(2026, 10, 10), (date(2026, 10, 9), date(2026, 10, 8), date(2026, 9, 30))),
    ("after a make-up day", date(2026, 10, 11), (date(2026, 10, 11), date(2026, 10, 9), date(2026, 10, 8))),
    ("in Spring Festival", date(2026, 2, 23), (date(2026, 2, 13), date(2026, 2, 12), date(2026, 2, 11))),
    ("after Spring Festival", date(2026, 2, 25), (date(2026, 2, 25), date(2026, 2, 24), date(2026, 2, 13))),
    ("in a year without a calendar", date(2027, 1, 2), (date(2027, 1, 2), date(2027, 1, 1), date(2026, 12, 31))),
]


@pytest.mark.parametrize(("why", "live", "last"), RECENT, ids=[row[0] for row in RECENT])
def test_recent_sums_the_last_ordinary_days(why: str, live: date, last: tuple[date, ...]) -> None:
    assert why
    label = f"{last[0]:%Y%m%d}"
    assert derived(days(live, by_day), "recent_{}") == {
        (label, "2"): by_day(last[0]) + by_day(last[1]),
        (label, "3"): sum(map(by_day, last)),
    }


def test_recent_days_that_are_unknown_have_no_sum() -> None:
    live = date(2026, 10, 8)
    unknown = {
        date(2026, 9, 29): [("20261008", "2")],
        date(2026, 9, 30): [],
        date(2026, 10, 8): [],
        date(2026, 10, 3): [("20261008", "2"), ("20261008", "3")],
    }
    for missing, labels in unknown.items():
        found = days(live, lambda day, missing=missing: None if day == missing else by_day(day))
        assert list(derived(found, "recent_{}")) == labels
    assert derived(days(live, by_day, 1), "recent_{}") == {}


def test_typical_recent_sums_the_typical_weekdays() -> None:
    """Thursday 8 October and Wednesday 30 September: of their weekdays before, 1 October and no other is off."""
    found = days(date(2026, 10, 8), by_day)
    thursday = statistics.median(by_day(date(2026, 9, day)) for day in (24, 17, 10, 3))
    wednesday = statistics.median(
        by_day(day) for day in (date(2026, 9, 23), date(2026, 9, 16), date(2026, 9, 9), date(2026, 9, 2))
    )
    tuesday = wednesday - 1
    assert derived(found, "typical_recent_{}") == {
        ("20261008", "2"): thursday + wednesday,
        ("20261008", "3"): thursday + wednesday + tuesday,
    }


def test_typical_recent_needs_history_and_no_live_figure() -> None:
    live = date(2026, 9, 10)
    found = days(live, lambda day: None if day == live else 10)
    assert derived(found, "recent_{}") == {}
    assert derived(found, "typical_recent_{}") == {("20260910", "2"): 20, ("20260910", "3"): 30}
    assert derived(days(live, lambda _: 10, 29), "typical_recent_{}") == {}
    assert derived(days(live, lambda _: 10, 30), "typical_recent_{}") == {("20260910", "2"): 20}


def noisy(day: date) -> float:
    return 1000 + (day - date(2025, 1, 1)).days * 37 % 101


def test_noise_is_zero_for_an_app_that_repeats_its_weeks() -> None:
    found = days(date(2026, 9, 10), lambda day: 100 + day.weekday())
    assert derived(found, "daily_{}_noise_ratio") == {("20260910",): 0}


def test_noise_excludes_the_last_three_ordinary_days() -> None:
    """A drop of the live day must not increase the noise."""
    live = date(2026, 10, 8)
    window = {date(2026, 10, 8), date(2026, 9, 30), date(2026, 9, 29)}
    fallen = derived(days(live, lambda day: 1 if day in window else noisy(day)), "daily_{}_noise_ratio")
    assert fallen == derived(days(live, noisy), "daily_{}_noise_ratio")
    assert list(fallen) == [("20261008",)]
    fourth = derived(days(live, lambda day: 1 if day == date(2026, 9, 28) else noisy(day)), "daily_{}_noise_ratio")
    assert fourth != fallen


def test_noise_ignores_holidays_and_make_up_days() -> None:
    live = date(2026, 10, 20)
    found = derived(days(live, noisy), "daily_{}_noise_ratio")
    assert found == derived(days(live, lambda day: 1 if irregular(day) else noisy(day)), "daily_{}_noise_ratio")
    assert found == {
        ("20261020",): near(
            PlainDays({live - timedelta(n): noisy(live - timedelta(n)) for n in range(112)}, live).noise_ratio()[
                "20261020",
            ]
        )
    }


@pytest.mark.parametrize(("known", "exists"), [(13, False), (14, True), (28, True)])
def test_noise_needs_fourteen_known_days(known: int, exists: bool) -> None:
    live = date(2026, 9, 10)
    window = [live - timedelta(number) for number in range(3, 31)]
    unknown = window[: 28 - known]
    figures: Days = {live - timedelta(number): 100.0 for number in range(112)}
    plain = PlainDays({day: None if day in unknown else figure for day, figure in figures.items()}, live)
    found = derived(days(live, plain.figures.get), "daily_{}_noise_ratio")
    assert found == plain.noise_ratio()
    assert bool(found) is exists


def test_days_without_visitors_do_not_make_noise() -> None:
    """The logarithm of zero does not exist: such a day, or one whose typical weekday is zero, is skipped."""
    live = date(2026, 9, 10)
    assert derived(days(live, lambda _: 0), "daily_{}_noise_ratio") == {}
    found = derived(days(live, lambda day: 0 if day.weekday() == 6 else 100), "daily_{}_noise_ratio")
    assert found == {("20260910",): 0}


def test_the_noise_of_a_known_spread() -> None:
    """Days alternate by weeks: each is 21 % above or below the typical one, so that the deviation is ln(1.1) once."""
    live = date(2026, 9, 10)
    found = days(live, lambda day: 121.0 if (day - date(2026, 1, 5)).days // 7 % 2 else 100.0)
    typical = 110.5
    logs = [math.log(121 / typical), math.log(100 / typical)]
    (value,) = derived(found, "daily_{}_noise_ratio").values()
    assert value == near(1.4826 * (logs[0] - logs[1]) / 2)


def test_derived_figures_of_the_four_counts_only() -> None:
    assert [each.metric for each in DAILY.derived] == ["recent_{}", "typical_recent_{}", "daily_{}_noise_ratio"]
    for each in DAILY.derived:
        assert set(each.fields) == {field.wechat for field in COUNTS}
        assert list(each.values(History(DAILY), VISITORS)) == []
    assert [each.labels for each in DAILY.derived] == [("days",), ("days",), ()]


LIVE_DAYS = st.dates(date(2026, 5, 1), date(2027, 4, 30))
"""The 111 days before are in 2026 and 2027."""


@st.composite
def known_days(draw: st.DrawFn) -> tuple[date, dict[date, float | None]]:
    """Return a live day and the figures before it, with some days unknown and some without the field."""
    live = draw(LIVE_DAYS)
    chance = draw(st.randoms(use_true_random=False))
    missing, empty = draw(st.sampled_from([(0.0, 0.0), (0.05, 0.05), (0.3, 0.1), (0.6, 0.0)]))
    figures: dict[date, float | None] = {live: chance.randrange(1000)}
    for number in range(1, 112):
        day = live - timedelta(number)
        if chance.random() >= missing:
            figures[day] = None if chance.random() < empty else chance.randrange(1000)
    return live, figures


@given(known_days())
def test_day_figures_match_a_plain_computation(known: tuple[date, dict[date, float | None]]) -> None:
    live, figures = known
    found = history(DAILY, {Day.of(day): figure for day, figure in figures.items()})
    plain = PlainDays(figures, live)
    assert typical_weekday_of(found, VISITORS) == plain.typical(live)
    assert compared(found, "previous_day") == figures.get(live - timedelta(1))
    assert compared(found, "same_weekday") == figures.get(live - timedelta(7))
    assert derived(found, "recent_{}") == plain.recent()
    assert derived(found, "typical_recent_{}") == plain.typical_recent()
    noise = derived(found, "daily_{}_noise_ratio")
    assert noise == {labels: near(value) for labels, value in plain.noise_ratio().items()}


@given(known_days(), st.sampled_from(COUNTS))
def test_every_count_has_figures_of_its_own(known: tuple[date, dict[date, float | None]], field: Field) -> None:
    live, figures = known
    found = history(DAILY, {Day.of(day): figure for day, figure in figures.items()}, field)
    plain = PlainDays(figures, live)
    others = [other for other in COUNTS if other is not field]
    assert compared(found, "typical_weekday", field) == plain.typical(live)
    for function, expected in ((recent, plain.recent()), (typical_recent, plain.typical_recent())):
        assert {(day.label, *labels): value for day, labels, value in function(found, field)} == expected
        assert not any(list(function(found, other)) for other in others)
    assert not any(list(noise_ratio(found, other)) for other in others)


def test_reach_covers_all_compared_periods() -> None:
    """The oldest day of the noise ratio is within the lookback: 56 days before the 31st, after the longest holiday."""
    for live in (date(2026, 2, 24), date(2026, 10, 8), date(2026, 10, 12), date(2026, 3, 2)):
        oldest = PlainDays({}, live).ordinary(31)[-1] - timedelta(weeks=8)
        assert (live - oldest).days <= DAILY.lookback
    assert WEEKLY.lookback >= 8
    assert MONTHLY.lookback >= 12


def test_every_comparison_of_the_contract_exists() -> None:
    found = {name: {each.name for each in report.comparisons} for name, report in REPORTS.items()}
    assert found == {
        "weekly": {"previous_week", "typical_week", "lowest_week"},
        "daily": {"previous_day", "same_weekday", "typical_weekday"},
        "monthly": {"previous_month", "year_ago_month"},
        "weekly_retention": set(),
        "daily_sources": set(),
        "daily_summary": {"same_weekday", "typical_weekday"},
    }

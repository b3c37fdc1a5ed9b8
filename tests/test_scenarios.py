"""Courses of weeks and days, and the alerts that each period calls for, from the exporter's figures to Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from rule_cases import alerts_of, cohort, promtool_agrees, status, stored

from exporter.periods import Day, Week
from exporter.reports import DAILY, DAILY_SUMMARY, WEEKLY, WEEKLY_RETENTION, History, Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.apps import AppStatus
    from exporter.periods import Period
    from exporter.reports import Report

QUIET = Week(date(2026, 12, 14))
"""No public holiday in the eight weeks before it."""
FIRST_HOLIDAY, AFTER_HOLIDAYS = Week(date(2026, 9, 21)), Week(date(2026, 10, 12))
BELOW, COLLAPSED, DROPPED = "BelowNormal", "Collapsed", "Dropped"
Expected = tuple[set[str], ...]
N: set[str] = set()
"""No alert."""


def counts(*kinds: str, of: tuple[str, ...] = ("Visitors", "NewVisitors", "Sessions", "Visits")) -> set[str]:
    """The alerts of all four counts."""
    return {figure + kind for figure in of for kind in kinds}


@dataclass(frozen=True)
class Course:
    """An app's periods, and the alerts at the newest ones; every count follows the visitors unless one is given."""

    why: str
    visitors: tuple[int | None, ...]
    expected: Expected
    """For as many periods as are given, the newest last."""
    newest: Period = QUIET
    new_visitors: tuple[int | None, ...] = ()
    visits: tuple[int | None, ...] = ()
    sessions: tuple[int | None, ...] = ()

    @property
    def report(self) -> Report:
        """The report whose periods these are."""
        return WEEKLY if isinstance(self.newest, Week) else DAILY

    def apps(self) -> Iterator[tuple[AppStatus, set[str]]]:
        """The app as it was at each of the newest periods, and its alerts."""
        history, length = History(self.report), len(self.visitors)
        for place in range(length):
            now = self.newest.before(length - 1 - place)
            visitors = self.visitors[place]
            if visitors is not None:
                new = self.new_visitors[place] if self.new_visitors else visitors // 2
                visits = self.visits[place] if self.visits else 6 * visitors
                sessions = self.sessions[place] if self.sessions else 2 * visitors
                row = stored(self.report, now, sessions, visits, visitors, new, 90.0, 60.0, 3.0)
                history = history.with_reading(row)
            after = len(self.expected) - (length - place)
            if after >= 0 and visitors is not None:
                yield status(history, appid=f"{self.why}, {now.label}"), self.expected[after]


@dataclass(frozen=True)
class CohortCourse:
    """Cohorts of new visitors: their sizes, how many came back in the week after, and the alerts of the newest ones."""

    why: str
    cohorts: tuple[tuple[int, int] | None, ...]
    expected: Expected
    newest: Week = QUIET
    report = WEEKLY_RETENTION

    def apps(self) -> Iterator[tuple[AppStatus, set[str]]]:
        """The app as it was when each of the newest cohorts had come back, and its alerts."""
        history, length = History(self.report), len(self.cohorts)
        for place, found in enumerate(self.cohorts):
            week = self.newest.before(length - 1 - place)
            after = len(self.expected) - (length - place)
            if found is not None:
                history = history.with_reading(cohort(week, *found))
                if after >= 0:
                    yield status(history, appid=f"{self.why}, {week.label}"), self.expected[after]


@dataclass(frozen=True)
class ShareCourse:
    """Shares of days, each by as many sharers as 0.8 of the shares, and the alerts of the newest days."""

    why: str
    shares: tuple[int | None, ...]
    expected: Expected
    newest: Day = Day(date(2026, 11, 22))  # noqa: RUF009 (a frozen value)
    min_ratio: float = 0.5
    report = DAILY_SUMMARY

    def apps(self) -> Iterator[tuple[AppStatus, set[str]]]:
        """The app as it was on each of the newest days, and its alerts."""
        history, length = History(self.report), len(self.shares)
        thresholds = Thresholds().with_ratios({(self.report.name, "shares_min_ratio"): self.min_ratio})
        for place, shares in enumerate(self.shares):
            day = self.newest.before(length - 1 - place)
            after = len(self.expected) - (length - place)
            if shares is not None:
                history = history.with_reading(stored(self.report, day, shares, round(0.8 * shares), 9000))
                if after >= 0:
                    yield status(history, thresholds, f"{self.why}, {day.label}"), self.expected[after]


STEADY = (1000,) * 9
ALL_BELOW, ALL_COLLAPSED = counts(BELOW), counts(BELOW, COLLAPSED)
SUNDAY = Day(date(2026, 11, 22))
DAYS = (150, 150, 150, 150, 150, 80, 80) * 10
"""Ten weeks of days until a Sunday, with a holiday week in October."""
DAILY_DROPPED, DAILY_BOTH = counts("DailyDropped"), counts("DailyDropped", "DailyCollapsed")
LESS, FEWER_SHARES = {"RetentionDropped"}, {"SharesDropped"}
SHARES = (150, 150, 150, 150, 150, 300, 300) * 9
"""Nine weeks of days until a Sunday."""
COURSES: tuple[Course | CohortCourse | ShareCourse, ...] = (
    Course("nothing changes", STEADY, (N,)),
    Course("a fall to a half", (*STEADY, 500), (N, ALL_BELOW)),
    Course("a fall to a half that stays", (*STEADY, 500, 500, 500), (ALL_BELOW, N, N)),
    Course("a fall to a fifth", (*STEADY, 200), (N, ALL_COLLAPSED)),
    Course("a rise, and back", (*STEADY, 2000, 1000), (N, N)),
    Course("a rise over weeks, and back", (*STEADY, 1500, 2000, 2500, 1200), (N, N, N, N)),
    Course("bots for one week", (*STEADY, 20000, 1000, 1000), (N, N, N)),
    Course("a campaign of two weeks", (*STEADY, 3000, 3000, 1000), (N, N, N)),
    Course("slow decline", tuple(round(1000 * 0.95**week) for week in range(12)), (N, N, N)),
    Course("a week that is never published, then a half", (*STEADY, None, 500, 500), (ALL_BELOW, N)),
    Course("a fall that begins within a week", (*STEADY, 630, 350, 350), (ALL_BELOW, ALL_COLLAPSED, N)),
    Course("a fall to 300", (*STEADY, 300, 300, 300), (ALL_COLLAPSED, counts(COLLAPSED), N)),
    Course(
        "a fall that begins in a holiday week",
        (*STEADY, 20, 20, 20),
        (N, ALL_COLLAPSED, ALL_COLLAPSED),
        Week(date(2026, 10, 19)),
    ),
    Course("a holiday week, and back", (*STEADY, 400, 1000), (N, N), AFTER_HOLIDAYS),
    Course("a fall after a holiday week", (*STEADY, 400, 500), (N, ALL_BELOW), AFTER_HOLIDAYS),
    Course("a new app", (1000, 500), (N, counts(DROPPED))),
    Course("a new app that collapses", (1000, 300), (N, counts(DROPPED, COLLAPSED))),
    Course("a first week", (1000,), (N,)),
    Course("natural variation", (1000, 850, 1150, 900, 1200, 800, 1100, 950, 1000, 780, 1150, 820), (N, N, N)),
    Course("an app of twenty visitors", (20, 22, 18, 20, 21, 19, 20, 22, 20, 9), (N, N)),
    Course("an app of twenty visitors that loses most", (*[20] * 9, 5), (N, N)),
    Course("a new app of twenty visitors", (20, 5), (N, N)),
    Course("new visitors by chance", (*STEADY, 1000), (N, N), new_visitors=(*[20] * 9, 5)),
    Course("a collapse in a holiday week", (*STEADY, 200), (N, N), FIRST_HOLIDAY),
    Course("a new app in a holiday week", (1000, 200), (N, N), FIRST_HOLIDAY),
    Course("a new app after a holiday week", (1000, 200), (N, N), AFTER_HOLIDAYS),
    Course(
        "an app of sixty visitors",
        (60, 62, 58, 60, 61, 59, 60, 62, 60, 25),
        (N, {"VisitorsBelowNormal"} | {"SessionsBelowNormal", "VisitsBelowNormal"}),
    ),
    Course(
        "new visitors alone",
        (*STEADY, 760),
        (N, {"NewVisitorsBelowNormal", "NewVisitorsCollapsed"}),
        new_visitors=(*[500] * 9, 10),
    ),
    Course("page visits alone", (*STEADY, 1000), (N, {"VisitsBelowNormal"}), visits=(*[6000] * 9, 2400)),
    Course("sessions alone", (*STEADY, 1000), (N, {"SessionsBelowNormal"}), sessions=(*[2000] * 9, 1200)),
    Course(
        "a field that was missing for one week",
        (*STEADY, 1000, 1000),
        (N, {"NewVisitorsBelowNormal"}),
        new_visitors=(*[500] * 9, None, 250),
    ),
    Course("days without a fall", DAYS, (N, N, N), SUNDAY),
    Course(
        "a drop from a Wednesday",
        (*DAYS[:-5], *(round(0.5 * count) for count in DAYS[-5:])),
        (N, N, DAILY_DROPPED, DAILY_DROPPED, DAILY_DROPPED),
        SUNDAY,
    ),
    Course(
        "a collapse from a Friday",
        (*DAYS[:-3], *(round(0.1 * count) for count in DAYS[-3:])),
        (N, DAILY_BOTH, DAILY_BOTH),
        SUNDAY,
    ),
    Course("a day at a half", (*DAYS[:-3], 75, 80, 80), (N, N, N), SUNDAY),
    CohortCourse("retention that stays", ((900, 220), (1000, 250), (950, 240)), (N, N, N)),
    CohortCourse("retention that falls for good", ((1000, 250), (1000, 250), (1000, 120), (1000, 120)), (N, LESS, N)),
    CohortCourse("retention of one bad cohort", ((1000, 250), (1000, 120), (1000, 250)), (N, LESS, N)),
    CohortCourse("retention of a campaign's visitors", ((1000, 250), (9000, 900), (1000, 250)), (N, LESS, N)),
    CohortCourse("retention that declines slowly", ((1000, 250), (1000, 200), (1000, 160), (1000, 128)), (N, N, N)),
    CohortCourse("retention after a missing cohort", ((1000, 250), None, (1000, 120)), (N,)),
    CohortCourse(
        "retention that falls over the holidays",
        ((1000, 250), (1000, 120), (1000, 120), (1000, 60)),
        (N, N, LESS),
        AFTER_HOLIDAYS,
    ),
    ShareCourse("shares without a fall", SHARES, (N, N, N)),
    ShareCourse("shares that fall for good", (*SHARES[:-2], 60, 60), (N, FEWER_SHARES, FEWER_SHARES)),
    ShareCourse("shares after a missing day", (*SHARES[:-2], None, 60), (FEWER_SHARES,)),
    ShareCourse("shares of a new app", (*SHARES[-27:-1], 60), (N, N)),
    ShareCourse("shares without a threshold", (*SHARES[:-1], 0), (N,), min_ratio=0.0),
)


def test_each_course_raises_its_alerts() -> None:
    found = {app.appid: alerts_of(app) for course in COURSES for app, _ in course.apps()}
    assert found == {app.appid: expected for course in COURSES for app, expected in course.apps()}


def test_rules_fire_for_each_course(promtool: str, tmp_path: Path) -> None:
    cases = [case for course in COURSES for case in course.apps()]
    expected = {(app.appid, name) for app, names in cases for name in names}
    assert promtool_agrees(promtool, tmp_path, [app for app, _ in cases], expected) == ""

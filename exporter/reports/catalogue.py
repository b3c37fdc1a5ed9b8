"""The catalogue: WeChat's reports, the meaning of each field and the name of its metric.

A further report with one row per period is one more entry here. The meaning of the fields is that of WeChat's
documentation of the API that ``api`` names (developers.weixin.qq.com, "Data analysis").
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.holidays import is_irregular, public_holidays
from exporter.periods import Day, Month, Week
from exporter.reports import retention, sources
from exporter.reports.comparisons import (
    earlier,
    lowest_week,
    noise_ratio,
    recent,
    typical_recent,
    typical_week,
    typical_weekday,
)
from exporter.reports.dimensions import DEPTH, SOURCE, STAY
from exporter.reports.fields import (
    COHORT_FIELDS,
    DEPTH_SESSIONS,
    DISTRIBUTION_FIELDS,
    SESSIONS,
    SHARERS,
    SHARES,
    SOURCE_SESSIONS,
    SOURCE_VISITORS,
    STAY_PER_VISITOR,
    STAY_SESSIONS,
    TOTAL_VISITORS,
    VISIT_DEPTH,
    VISIT_FIELDS,
    WATCHED_COUNTS,
)
from exporter.reports.model import (
    AlertThreshold,
    CalendarFact,
    Comparison,
    CrossCheck,
    DerivedFigure,
    Report,
    Shape,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTS = tuple(figure.wechat for figure in WATCHED_COUNTS)


def _of_distribution() -> tuple[DerivedFigure, ...]:
    sessions = (SOURCE_SESSIONS.wechat,)
    by_part = (
        ((*sessions, SOURCE_VISITORS.wechat), SOURCE),
        ((STAY_SESSIONS.wechat,), STAY),
        ((DEPTH_SESSIONS.wechat,), DEPTH),
    )
    return (
        *(
            DerivedFigure("daily_{}", "on the live day", fields, sources.by_part, (dimension.label,))
            for fields, dimension in by_part
        ),
        DerivedFigure(
            "weekly_{}",
            "in the newest week of which all days are known",
            sessions,
            sources.weekly,
            (SOURCE.label,),
            period=Week,
        ),
        DerivedFigure(
            "previous_week_{}", "in the previous week", sessions, sources.previous_weekly, (SOURCE.label,), period=Week
        ),
        DerivedFigure(
            "recent_{}", "sum of the last 3 ordinary days", sessions, sources.recent_parts, ("days", SOURCE.label)
        ),
        DerivedFigure(
            "typical_recent_{}",
            "sum of the typical weekdays of those days",
            sessions,
            sources.typical_recent_parts,
            ("days", SOURCE.label),
        ),
    )


def _days_off(week: object) -> float | None:
    return public_holidays(week) if isinstance(week, Week) else None


def _irregular(day: object) -> float | None:
    irregular = is_irregular(day) if isinstance(day, Day) else None
    return None if irregular is None else int(irregular)


def _days_in_weeks(weeks: int) -> int:
    return 7 * weeks


_SAME_WEEKDAY = Comparison("same_weekday", "the same weekday of the previous week", earlier(7))
_TYPICAL_WEEKDAY = Comparison(
    "typical_weekday", "the typical weekday (median of the last four ordinary ones)", typical_weekday
)
_SHARING = (SHARES.wechat, SHARERS.wechat)
_HOLIDAYS = "Weekdays off for a public holiday of mainland China in {}; absent until the year's schedule is published."
_IRREGULAR = "Whether {} is a public holiday or a make-up working day; absent until the year's schedule is published."
# Facts about the live period are one family for all reports of one kind of period, like its end.
_WEEK_HOLIDAYS = CalendarFact(
    "week_public_holidays", _HOLIDAYS.format("the live week"), _days_off, "{number} holiday{s}"
)
_DAY_IRREGULAR = CalendarFact("day_irregular", _IRREGULAR.format("the live day"), _irregular, "holiday or make-up day")

WEEKLY = Report(
    name="weekly",
    title="Weeks",
    api="analysis.getWeeklyVisitTrend",
    path="/datacube/getweanalysisappidweeklyvisittrend",
    period=Week,
    fields=VISIT_FIELDS,
    comparisons=(
        Comparison("previous_week", "the previous week", earlier(1)),
        Comparison("typical_week", "the typical week (median of the last four ordinary weeks)", typical_week),
        Comparison("lowest_week", "the lowest ordinary week of the previous eight", lowest_week, counts_only=True),
    ),
    calendar=(
        _WEEK_HOLIDAYS,
        CalendarFact(
            "previous_week_public_holidays",
            _HOLIDAYS.format("the previous week"),
            lambda week: _days_off(week.before()),
            "previous week: {number} holiday{s}",
        ),
    ),
    alert_thresholds=tuple(AlertThreshold(figure, 0.7) for figure in (*WATCHED_COUNTS, STAY_PER_VISITOR, VISIT_DEPTH)),
    # Half a year for the chart; the comparisons need eight weeks.
    lookback=25,
    chart_periods=26,
)
DAILY = Report(
    name="daily",
    title="Days",
    api="analysis.getDailyVisitTrend",
    path="/datacube/getweanalysisappiddailyvisittrend",
    period=Day,
    fields=VISIT_FIELDS,
    comparisons=(
        _SAME_WEEKDAY,
        Comparison("previous_day", "the previous day", earlier(1)),
        _TYPICAL_WEEKDAY,
    ),
    derived=(
        DerivedFigure("recent_{}", "sum of the last 2 or 3 ordinary days", _COUNTS, recent, ("days",)),
        DerivedFigure(
            "typical_recent_{}", "sum of the typical weekdays of those days", _COUNTS, typical_recent, ("days",)
        ),
        DerivedFigure(
            "daily_{}_noise_ratio",
            "the app's own variation: standard deviation of ln(day / typical weekday) over 28 ordinary days",
            _COUNTS,
            noise_ratio,
        ),
    ),
    calendar=(
        _DAY_IRREGULAR,
        CalendarFact(
            "same_weekday_irregular",
            _IRREGULAR.format("the same weekday of the previous week"),
            lambda day: _irregular(day.before(7)),
            "previous week: holiday or make-up day",
        ),
    ),
    # 0.65 and not 0.7 as for weeks, because daily figures vary more. Three days below 0.65 of their typical weekdays
    # gave 0.03 to 0.05 false alerts per year for synthetic apps with 1,000 visitors a week.
    alert_thresholds=tuple(AlertThreshold(figure, 0.65) for figure in WATCHED_COUNTS),
    # The noise ratio needs 31 ordinary days (plus up to 20 irregular ones) and eight weeks before each of them.
    lookback=111,
    chart_periods=56,
    periods_in_weeks=_days_in_weeks,
)
MONTHLY = Report(
    name="monthly",
    title="Months",
    api="analysis.getMonthlyVisitTrend",
    path="/datacube/getweanalysisappidmonthlyvisittrend",
    period=Month,
    fields=VISIT_FIELDS,
    comparisons=(
        Comparison("previous_month", "the previous month", earlier(1)),
        Comparison("year_ago_month", "the same month of the previous year", earlier(12)),
    ),
    # Twelve months before, for the same month of the previous year.
    lookback=12,
    chart_periods=13,
    # As many months as those weeks touch, and at least two: a single month has no comparison.
    periods_in_weeks=lambda weeks: max(2, -(-7 * weeks // 30)),
)

WEEKLY_RETENTION = Report(
    name="weekly_retention",
    title="Retention",
    api="analysis.getWeeklyRetain",
    path="/datacube/getweanalysisappidweeklyretaininfo",
    period=Week,
    shape=Shape.COHORT,
    fields=COHORT_FIELDS,
    derived=tuple(
        DerivedFigure(pattern, text, ("visit_uv", "visit_uv_new"), values, ("weeks_later",))
        for pattern, text, values in (
            ("weekly_retained_{}", "members of the cohort who came back", retention.retained),
            ("weekly_cohort_{}", "size of the cohort", retention.cohort),
            (
                "previous_week_retained_{}",
                "members of the previous week's cohort who came back",
                retention.previous_retained,
            ),
            ("previous_week_cohort_{}", "size of the previous week's cohort", retention.previous_cohort),
        )
    ),
    calendar=(
        _WEEK_HOLIDAYS,
        CalendarFact(
            "following_week_public_holidays",
            _HOLIDAYS.format("the week after the cohort's"),
            lambda week: _days_off(week.before(-1)),
            "following week: {number} holiday{s}",
        ),
    ),
    alert_thresholds=(AlertThreshold(COHORT_FIELDS[1], 0.7),),
    check=CrossCheck(WEEKLY.name, retention.believe),
    has_end_metric=False,
    lookback=2 * retention.SEARCHED_COHORTS,
    later=retention.LAST_WEEK,
)
DAILY_SOURCES = Report(
    name="daily_sources",
    title="Entrances",
    api="analysis.getVisitDistribution",
    path="/datacube/getweanalysisappidvisitdistribution",
    period=Day,
    shape=Shape.DISTRIBUTION,
    fields=DISTRIBUTION_FIELDS,
    derived=_of_distribution(),
    check=CrossCheck(DAILY.name, totals=(SOURCE_SESSIONS.wechat, SESSIONS.wechat)),
    has_end_metric=False,
    # The typical weekdays of the last three ordinary days: as many days as the median needs, after irregular ones.
    lookback=80,
    chart_periods=56,
    periods_in_weeks=_days_in_weeks,
)
DAILY_SUMMARY = Report(
    name="daily_summary",
    prefix="daily",
    title="Shares",
    api="analysis.getDailySummary",
    path="/datacube/getweanalysisappiddailysummarytrend",
    period=Day,
    fields=(SHARES, SHARERS, TOTAL_VISITORS),
    comparisons=(replace(_SAME_WEEKDAY, fields=_SHARING), replace(_TYPICAL_WEEKDAY, fields=_SHARING)),
    calendar=(_DAY_IRREGULAR,),
    has_end_metric=False,
    # Off: shares depend on campaigns, and few apps have enough of them on one day.
    alert_thresholds=(AlertThreshold(SHARES, 0.0),),
    lookback=56,
    chart_periods=56,
    periods_in_weeks=_days_in_weeks,
)

_all = (WEEKLY, DAILY, MONTHLY, WEEKLY_RETENTION, DAILY_SOURCES, DAILY_SUMMARY)
_reports = {report.name: report for report in _all}
REPORTS: Mapping[str, Report] = MappingProxyType(_reports)
"""All reports by name, in the order in which they are fetched and shown."""
DEFAULT_REPORTS = (WEEKLY,)
"""The reports that an app fetches by default."""


def register(report: Report) -> None:
    """Add a report to the catalogue, and so to everything that iterates over reports; used by tests."""
    _reports[report.name] = report

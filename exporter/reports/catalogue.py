"""The catalogue: WeChat's reports, the meaning of each field and the name of its metric.

A further report with one row per period is one more entry here. The meaning of the fields is that of WeChat's
documentation of the API that ``api`` names (developers.weixin.qq.com, "Data analysis", "Visit trend").
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.holidays import is_irregular, public_holidays
from exporter.periods import Day, Month, Week
from exporter.reports.comparisons import (
    earlier,
    lowest_week,
    noise_ratio,
    recent,
    typical_recent,
    typical_week,
    typical_weekday,
)
from exporter.reports.model import AlertThreshold, CalendarFact, Comparison, DerivedFigure, Field, Report, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSIONS = Field("session_cnt", "sessions", "Sessions", "Times the Mini Program was opened", Unit.COUNT)
VISITS = Field("visit_pv", "visits", "Visits", "Page visits", Unit.COUNT)
# Deduplicated over the period: visitors must not be added over days, weeks or apps.
VISITORS = Field("visit_uv", "visitors", "Visitors", "Visitors, deduplicated", Unit.COUNT, is_primary=True)
NEW_VISITORS = Field("visit_uv_new", "new_visitors", "New visitors", "New visitors, deduplicated", Unit.COUNT)
# Optional: missing in every example of WeChat's documentation, but present in all real responses that were seen.
STAY_PER_VISITOR = Field(
    "stay_time_uv",
    "stay_per_visitor_seconds",
    "Stay per visitor",
    "Average stay per visitor in seconds",
    Unit.SECONDS,
)
STAY_PER_SESSION = Field(
    "stay_time_session",
    "stay_per_session_seconds",
    "Stay per session",
    "Average stay per session in seconds",
    Unit.SECONDS,
)
VISIT_DEPTH = Field("visit_depth", "visit_depth_pages", "Visit depth", "Average visit depth in pages", Unit.PAGES)

VISIT_FIELDS = (SESSIONS, VISITS, VISITORS, NEW_VISITORS, STAY_PER_VISITOR, STAY_PER_SESSION, VISIT_DEPTH)
"""The seven figures of the three visit trends."""
_WATCHED_COUNTS = (VISITORS, NEW_VISITORS, SESSIONS, VISITS)
_COUNTS = tuple(figure.wechat for figure in _WATCHED_COUNTS)


def _days_off(week: object) -> float | None:
    return public_holidays(week) if isinstance(week, Week) else None


def _irregular(day: object) -> float | None:
    irregular = is_irregular(day) if isinstance(day, Day) else None
    return None if irregular is None else int(irregular)


_HOLIDAYS = "Weekdays off for a public holiday of mainland China in {}; absent until the year's schedule is published."
_IRREGULAR = "Whether {} is a public holiday or a make-up working day; absent until the year's schedule is published."

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
        CalendarFact("week_public_holidays", _HOLIDAYS.format("the live week"), _days_off, "{number} holiday{s}"),
        CalendarFact(
            "previous_week_public_holidays",
            _HOLIDAYS.format("the previous week"),
            lambda week: _days_off(week.before()),
            "previous week: {number} holiday{s}",
        ),
    ),
    alert_thresholds=tuple(AlertThreshold(figure, 0.7) for figure in (*_WATCHED_COUNTS, STAY_PER_VISITOR, VISIT_DEPTH)),
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
        Comparison("same_weekday", "the same weekday of the previous week", earlier(7)),
        Comparison("previous_day", "the previous day", earlier(1)),
        Comparison("typical_weekday", "the typical weekday (median of the last four ordinary ones)", typical_weekday),
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
        CalendarFact("day_irregular", _IRREGULAR.format("the live day"), _irregular, "holiday or make-up day"),
        CalendarFact(
            "same_weekday_irregular",
            _IRREGULAR.format("the same weekday of the previous week"),
            lambda day: _irregular(day.before(7)),
            "previous week: holiday or make-up day",
        ),
    ),
    # 0.65 and not 0.7 as for weeks, because daily figures vary more. Three days below 0.65 of their typical weekdays
    # gave 0.03 to 0.05 false alerts per year for synthetic apps with 1,000 visitors a week.
    alert_thresholds=tuple(AlertThreshold(figure, 0.65) for figure in _WATCHED_COUNTS),
    # The noise ratio needs 31 ordinary days (plus up to 20 irregular ones) and eight weeks before each of them.
    lookback=111,
    chart_periods=56,
    periods_in_weeks=lambda weeks: 7 * weeks,
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

_reports = {report.name: report for report in (WEEKLY, DAILY, MONTHLY)}
REPORTS: Mapping[str, Report] = MappingProxyType(_reports)
"""All reports by name, in the order in which they are fetched and shown."""
DEFAULT_REPORTS = (WEEKLY,)
"""The reports that an app fetches by default."""


def register(report: Report) -> None:
    """Add a report to the catalogue, and so to everything that iterates over reports; used by tests."""
    _reports[report.name] = report

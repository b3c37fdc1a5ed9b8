"""The rows about one app: bar charts by week, month and day, beside a comparison of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.dashboards import bars, queries
from exporter.dashboards.graphs import bar_chart
from exporter.dashboards.panels import WIDTH, Column, LabelColumn, Panel, PanelRow
from exporter.dashboards.queries import FIGURES
from exporter.dashboards.styles import fixed_colour, regex_mapping
from exporter.reports import PREFIX, Unit
from exporter.reports.catalogue import DAILY, MONTHLY, WEEKLY

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json
    from exporter.reports import CalendarFact, Field, Report

# `none` and not `short`, which would print 57.0 K for 57,012 visitors.
UNITS = {Unit.COUNT: ("none", 0), Unit.SECONDS: ("s", 1), Unit.PAGES: ("none", 2)}
"""Grafana's unit and the decimals of a figure."""
WEEK_PATTERN = r"^(\d{4})(\d\d)(\d\d)-\d{4}(\d\d)(\d\d)$"
"""The value of the ``week`` label."""

_BASELINE_STYLE = {"color": fixed_colour("#8e8e8e")}


@dataclass(frozen=True, slots=True)
class ReportCharts:
    """How the periods of a report are charted."""

    report: Report
    comparison: str
    """The catalogue's name of the comparison beside each figure ..."""
    comparison_title: str
    """... and its legend."""
    label: LabelColumn
    width: int
    """Width of a panel in grid columns."""
    note: str = ""
    """Appended to the descriptions of panels."""
    highlight: CalendarFact | None = None
    """Periods for which it is true have another colour ..."""
    highlight_title: str = ""
    """... this legend ..."""
    highlight_note: str = ""
    """... and this note in the description."""

    @property
    def comparison_description(self) -> str:
        """The comparison in descriptions of panels."""
        return next(each.description for each in self.report.comparisons if each.name == self.comparison)


_WEEKS = ReportCharts(
    WEEKLY,
    "typical_week",
    "Typical week",
    LabelColumn("week", "Week", {"mappings": regex_mapping(WEEK_PATTERN, "$2-$3")}, bars.around_gaps(WEEKLY)),
    WIDTH // 2,
    " Weeks are labelled with their Monday.",
    highlight=WEEKLY.calendar[0],
    highlight_title="Week with a holiday",
    highlight_note=" Weeks with a weekday off for a public holiday are orange.",
)
_MONTHS = ReportCharts(
    MONTHLY,
    "year_ago_month",
    "Previous year",
    LabelColumn("month", "Month", {"mappings": regex_mapping(r"^(\d{4})(\d\d)$", "$1-$2")}, bars.around_gaps(MONTHLY)),
    WIDTH // 2,
)


def of_days(report: Report, width: int) -> ReportCharts:
    """Return how a report about days is charted."""
    date = {"mappings": regex_mapping(r"^(\d{4})(\d\d)(\d\d)$", "$2-$3")}
    return ReportCharts(
        report,
        "typical_weekday",
        "Typical weekday",
        LabelColumn("day", "Day", date, bars.around_gaps(report)),
        width,
        # A fact about days that each of these reports has.
        highlight=next(fact for fact in DAILY.calendar if fact.metric == "day_irregular"),
        highlight_title="Holiday or make-up day",
        highlight_note=" Public holidays and make-up working days are orange.",
    )


def rows() -> tuple[PanelRow, ...]:
    """Return the rows about the weeks, months and days of the selected app."""
    return _row(_WEEKS, *_week_panels()), _row(_MONTHS), _row(of_days(DAILY, WIDTH))


def _row(charts: ReportCharts, *more: Panel) -> PanelRow:
    fields = (FIGURES["visitors"], FIGURES["sessions"])
    panels = (Panel(charts.width, 9, with_comparison(charts, field)) for field in fields)
    return PanelRow(f"{charts.report.title} of ${{app:text}}", (*panels, *more))


def _week_panels() -> tuple[Panel, ...]:
    stays = [FIGURES[name] for name in ("stay_per_visitor_seconds", "stay_per_session_seconds")]
    return (
        Panel(8, 8, _new_and_returning()),
        Panel(8, 8, _averages("Stay", "Average stay per visitor in the whole week, and per session.", stays)),
        Panel(8, 8, _averages("Visit depth", "Average number of pages per session.", [FIGURES["visit_depth_pages"]])),
    )


def with_comparison(charts: ReportCharts, field: Field) -> Json:
    """Return bars of a figure for each period, beside those of the comparison."""
    report, kind = charts.report, charts.report.period.NAME
    figure = bars.bar(report.metric(field), report)
    columns = [Column(field.title, figure, *UNITS[field.unit], {"color": fixed_colour("blue")})]
    # Two queries, since a bar chart of Grafana has one colour per series, not per bar. At most one of them has a value
    # for a period, so that the group shows a single bar.
    if charts.highlight is not None:
        ordinary, highlighted = bars.split_by_fact(figure, PREFIX + charts.highlight.metric, report)
        columns = [
            Column(field.title, ordinary, *UNITS[field.unit], {"color": fixed_colour("blue")}),
            Column(charts.highlight_title, highlighted, *UNITS[field.unit], {"color": fixed_colour("orange")}),
        ]
    baseline = bars.bar(queries.comparison_metric(report, charts.comparison, field), report)
    columns.append(Column(charts.comparison_title, baseline, *UNITS[field.unit], _BASELINE_STYLE))
    description = (
        f"{field.title} of each {kind} in the time range, beside {charts.comparison_description} where it is known."
        f"{charts.note}{charts.highlight_note} A missing {kind} leaves a gap. Empty unless the app fetches the report"
        f" {report.name}."
    )
    return bar_chart(f"{field.title} per {kind}", description, charts.label, columns)


def _new_and_returning() -> Json:
    new, all_visitors = (bars.bar(WEEKLY.metric(FIGURES[name]), WEEKLY) for name in ("new_visitors", "visitors"))
    columns = (
        Column("New", new, style={"color": fixed_colour("green")}),
        Column("Returning", f"{all_visitors} - {new}", style={"color": fixed_colour("blue")}),
    )
    description = "Visitors who opened the app for the first time, and all other visitors."
    return bar_chart("New and returning visitors", description + _WEEKS.note, _WEEKS.label, columns, "normal")


def _averages(title: str, description: str, fields: list[Field]) -> Json:
    columns = [
        Column(field.title, bars.bar(WEEKLY.metric(field), WEEKLY), *UNITS[field.unit], {"color": fixed_colour(colour)})
        for field, colour in zip(fields, ("blue", "purple"), strict=False)
    ]
    return bar_chart(title, f"{description}{_WEEKS.note}", _WEEKS.label, columns)

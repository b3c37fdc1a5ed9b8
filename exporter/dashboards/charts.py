"""The rows about one app: a bar for each week, month and day, beside what the catalogue compares it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.dashboards import queries
from exporter.dashboards.panels import WIDTH, Column, Label, Panel, PanelRow, bars
from exporter.dashboards.queries import FIGURES
from exporter.dashboards.styles import fixed, pattern
from exporter.reports import PREFIX, Unit
from exporter.reports.catalogue import DAILY, MONTHLY, WEEKLY

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json
    from exporter.reports import CalendarFact, Field, Report

UNITS = {Unit.COUNT: ("none", 0), Unit.SECONDS: ("s", 1), Unit.PAGES: ("none", 2)}
"""Grafana's unit and the decimals of a figure (``short`` would print 57.0 K)."""
WEEK = r"^(\d{4})(\d\d)(\d\d)-\d{4}(\d\d)(\d\d)$"
"""The ``week`` label."""

_BASELINE = {"color": fixed("#8e8e8e")}


@dataclass(frozen=True, slots=True)
class _Bars:
    """How the periods of a report become bars."""

    report: Report
    comparison: str
    """The catalogue's name of what stands beside each figure ..."""
    beside: str
    """... and its title."""
    label: Label
    width: int
    """Of a panel, in columns of the grid."""
    note: str = ""
    marks: CalendarFact | None = None
    """Periods for which it holds have another colour ..."""
    marked: str = ""
    """... and this title."""

    @property
    def description(self) -> str:
        """The comparison for people."""
        return next(each.description for each in self.report.comparisons if each.name == self.comparison)


_WEEKS = _Bars(
    WEEKLY,
    "typical_week",
    "Typical week",
    Label("week", "Week", {"mappings": pattern(WEEK, "$2-$3")}),
    WIDTH // 2,
    " A week is named by its Monday.",
)
_MONTHS = _Bars(
    MONTHLY,
    "year_ago_month",
    "A year before",
    Label("month", "Month", {"mappings": pattern(r"^(\d{4})(\d\d)$", "$1-$2")}),
    WIDTH // 2,
)
_DAYS = _Bars(
    DAILY,
    "typical_weekday",
    "Typical weekday",
    Label("day", "Day", {"mappings": pattern(r"^(\d{4})(\d\d)(\d\d)$", "$2-$3")}),
    WIDTH,
    " Public holidays and make-up working days have a colour of their own.",
    marks=next(fact for fact in DAILY.calendar if fact.metric == "day_irregular"),
    marked="Holiday or make-up day",
)


def rows() -> tuple[PanelRow, ...]:
    """Return the rows about the weeks, months and days of the app in detail."""
    return _row(_WEEKS, *_of_weeks()), _row(_MONTHS), _row(_DAYS)


def _row(shown: _Bars, *more: Panel) -> PanelRow:
    fields = (FIGURES["visitors"], FIGURES["sessions"])
    panels = (Panel(shown.width, 9, _beside_baseline(shown, field)) for field in fields)
    return PanelRow(f"{shown.report.title} of ${{app:text}}", (*panels, *more))


def _of_weeks() -> tuple[Panel, ...]:
    stays = [FIGURES[name] for name in ("stay_per_visitor_seconds", "stay_per_session_seconds")]
    return (
        Panel(8, 8, _new_and_returning()),
        Panel(8, 8, _averages("Stay", "Stay of a visitor in the whole week, and of one session.", stays)),
        Panel(8, 8, _averages("Visit depth", "Pages of one session.", [FIGURES["visit_depth_pages"]])),
    )


def _beside_baseline(shown: _Bars, field: Field) -> Json:
    report, kind = shown.report, shown.report.period.NAME
    figure = queries.bar(report.metric(field), report)
    columns = [Column(field.title, figure, *UNITS[field.unit], {"color": fixed("blue")})]
    if shown.marks is not None:
        ordinary, marked = queries.marked(figure, PREFIX + shown.marks.metric, report)
        columns = [
            Column(field.title, ordinary, *UNITS[field.unit], {"color": fixed("blue")}),
            Column(shown.marked, marked, *UNITS[field.unit], {"color": fixed("orange")}),
        ]
    baseline = queries.bar(queries.base(report, shown.comparison, field), report)
    columns.append(Column(shown.beside, baseline, *UNITS[field.unit], _BASELINE))
    description = (
        f"{field.title} of each {kind} that Prometheus has seen in the time range, beside {shown.description}, where"
        f" that is known.{shown.note} Empty unless the app fetches the report {report.name}."
    )
    return bars(f"{field.title} per {kind}", description, shown.label, columns)


def _new_and_returning() -> Json:
    new, everybody = (queries.bar(WEEKLY.metric(FIGURES[name]), WEEKLY) for name in ("new_visitors", "visitors"))
    columns = (
        Column("New", new, looks={"color": fixed("green")}),
        Column("Returning", f"{everybody} - {new}", looks={"color": fixed("blue")}),
    )
    description = "Visitors who came for the first time, and all others."
    return bars("New and returning visitors", description + _WEEKS.note, _WEEKS.label, columns, "normal")


def _averages(title: str, description: str, fields: list[Field]) -> Json:
    columns = [
        Column(field.title, queries.bar(WEEKLY.metric(field), WEEKLY), *UNITS[field.unit], {"color": fixed(colour)})
        for field, colour in zip(fields, ("blue", "purple"), strict=False)
    ]
    return bars(title, f"{description} Averages.{_WEEKS.note}", _WEEKS.label, columns)

"""The page of one app: the state of each report, charts of all stored periods, and their tables.

Like the status page it is one response without external resources, whose only style is allowed by its hash. It has no
script.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.alerts.model import PREFIX as ALERT_PREFIX
from exporter.reports import Shape
from exporter.web.breakdown import BAR, breakdowns
from exporter.web.chart import HEIGHT, WIDTH, Axis, draw, holidays
from exporter.web.formats import UNKNOWN, format_note
from exporter.web.rendering import TEMPLATES, content_hash
from exporter.web.shown_figures import shown_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.alerts.drops import Drop
    from exporter.alerts.past_periods import PastPeriod
    from exporter.apps import AppStatus, ReportStatus
    from exporter.reports import Report
    from exporter.web.breakdown import Breakdown
    from exporter.web.chart import Chart
    from exporter.web.documents import PageContext
    from exporter.web.shown_figures import ShownFigure

_PAGE = TEMPLATES.get_template("apppage.html")


@dataclass(frozen=True, slots=True)
class _Cell:
    """One figure and its change, formatted."""

    figure: str
    change: str | None
    """None if the figure is not compared."""
    fell: bool
    """Whether it would have alerted."""


@dataclass(frozen=True, slots=True)
class _Alert:
    name: str
    anchor: str
    """Of its section in docs/alerts.md."""
    text: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One stored period, or the gap of those that are not stored."""

    title: str
    cells: tuple[_Cell, ...] = ()
    note: str = ""
    """About public holidays."""
    alerts: tuple[_Alert, ...] = ()
    missing: int = 0
    """How many periods are not stored."""


@dataclass(frozen=True, slots=True)
class _ReportView:
    """One report on the page."""

    report: Report
    status: ReportStatus
    axis: Axis | None
    """None if nothing is stored."""
    charts: tuple[Chart, ...]
    breakdowns: tuple[Breakdown, ...]
    columns: tuple[ShownFigure, ...]
    is_noted: bool
    """Whether the table has a column for holidays and alerts."""
    caption: str
    rows: tuple[_Row, ...]
    """The newest first."""
    lead: ShownFigure | None
    """The figure that is shown in the list of reports; None if the report has none."""
    newest: _Cell | None
    """That figure in the newest period; None if nothing is stored."""


def render(app: AppStatus, periods: Sequence[Sequence[PastPeriod]], context: PageContext) -> bytes:
    """Return the page; ``periods`` are those of each report of the app, the oldest first."""
    page = _PAGE.render(
        app=app,
        views=[_view(status, of) for status, of in zip(app.reports, periods, strict=True)],
        context=context,
        style=_style(),
        width=WIDTH,
        height=HEIGHT,
        bar=BAR,
        version=__version__,
    )
    # errors="replace": a name from the configuration may contain a lone surrogate, which UTF-8 cannot encode.
    return page.encode(errors="replace")


@cache
def content_security_policy() -> str:
    """Return the Content-Security-Policy of the page."""
    return (
        f"default-src 'none'; style-src '{content_hash(_style())}'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _style() -> str:
    return TEMPLATES.get_template("apppage.css").render()


def _view(status: ReportStatus, periods: Sequence[PastPeriod]) -> _ReportView:
    report = status.report
    axis = Axis.of(periods) if periods else None
    columns = shown_figures(report, periods)
    charted = sorted((each for each in columns if each.is_charted), key=lambda each: not each.field.is_primary)
    charts = [draw(each, periods, axis) for each in charted] if axis else []
    return _ReportView(
        report,
        status,
        axis,
        tuple(chart for chart in charts if chart is not None),
        tuple(breakdowns(status.history)),
        columns,
        is_noted=holidays(report) is not None or bool(report.alert_thresholds),
        caption=_caption(report, periods) if periods else "",
        rows=tuple(_rows(periods, columns)),
        lead=charted[0] if charted else None,
        newest=_cell(periods[-1], charted[0]) if periods and charted else None,
    )


def _caption(report: Report, periods: Sequence[PastPeriod]) -> str:
    """Return the caption of the table, one sentence."""
    span = periods[-1].period.periods_since(periods[0].period) + 1
    missing = f", {span - len(periods)} missing between them" if span > len(periods) else ""
    text = f"{len(periods)} stored {report.period.NAME}{'' if len(periods) == 1 else 's'}{missing}; the newest first"
    match report.shape:
        case Shape.COHORT:
            return f"{text}, with the change against the previous cohort in percentage points."
        case Shape.DISTRIBUTION:
            return f"{text}. CSV and JSON have all parts."
        case _ if report.comparisons:
            return f"{text}, each figure with its change against {report.comparisons[0].description}."
        case _:
            return f"{text}."


def _rows(periods: Sequence[PastPeriod], columns: Sequence[ShownFigure]) -> Iterator[_Row]:
    for newer, older in pairwise([*reversed(periods), None]):
        if newer is not None:
            yield _row(newer, columns)
        missing = newer.period.periods_since(older.period) - 1 if newer and older else 0
        if newer and older and missing:
            first, last = older.period.after().display_name, newer.period.before().display_name
            yield _Row(last if missing == 1 else f"{first} to {last}", missing=missing)


def _row(past: PastPeriod, columns: Sequence[ShownFigure]) -> _Row:
    fact = holidays(past.history.report)
    number = fact.value(past.period) if fact else None
    most_severe = {drop.rule.field: drop for drop in reversed(past.drops)}
    return _Row(
        past.period.display_name,
        tuple(_cell(past, each) for each in columns),
        format_note(fact.note, number) if fact and number else "",
        tuple(_alert(drop) for drop in reversed(most_severe.values())),
    )


def _cell(past: PastPeriod, of: ShownFigure) -> _Cell:
    change = (of.change(past) or UNKNOWN) if of.change else None
    return _Cell(of.format(of.value(past)), change, of.fell(past))


def _alert(drop: Drop) -> _Alert:
    anchor = (ALERT_PREFIX + drop.rule.name).lower()
    return _Alert(drop.rule.name, anchor, f"{drop.ratio:.0%} of {drop.baseline.base.description}")

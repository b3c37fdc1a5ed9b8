"""Sparklines: one figure over many periods, drawn as small columns in SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.reports import History, Report

WIDTH = 104
"""Of the drawing, in SVG units."""
HEIGHT = 28
"""Of the highest figure. Columns begin at zero, so that a drop of 10 % is drawn as 10 %."""
_FILL = 0.75
"""Share of its slot that a column fills, so that columns do not touch."""
BOX = f"0 0 {WIDTH} {HEIGHT}"
"""The ``viewBox`` of the drawing."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The columns as SVG path data, and a description. An unknown period is a gap."""

    earlier: str
    live: str
    share: float | None
    """The live figure as a share of the highest; None if it is unknown. The page sorts by it."""
    description: str
    """For the ``title`` element: what a screen reader reads."""


def sparkline(history: History) -> Sparkline | None:
    """Draw the primary figure of a history; return None if there is none or it is unknown for all periods."""
    report = history.report
    field = report.primary_field
    if field is None or history.live is None:
        return None
    # Shorter than the chart for a young app: the columns then begin further to the right.
    course = history.recent_values(field, report.chart_periods)
    known = [figure for figure in course if figure is not None]
    if not known:
        return None
    top = max(known) or 1.0  # all known figures may be zero
    step = WIDTH / report.chart_periods
    columns = [
        _column(step * (report.chart_periods - len(course) + slot + 0.5), fig, top) for slot, fig in enumerate(course)
    ]
    description = (
        f"{field.total_title}, {len(course)} {report.period.NAME}s to {history.live.display_name}:"
        f" first {known[0]:,.0f}, last {known[-1]:,.0f}, lowest {min(known):,.0f}, highest {max(known):,.0f}"
    )
    unknown = len(course) - len(known)
    return Sparkline(
        earlier="".join(columns[:-1]),
        live=columns[-1],
        share=None if course[-1] is None else round(course[-1] / top, 4),
        description=f"{description}; {unknown} unknown" if unknown else description,
    )


def column_width(report: Report) -> float:
    """Return the stroke width of a column."""
    return round(_FILL * WIDTH / report.chart_periods, 2)


def _column(x: float, figure: float | None, top: float) -> str:
    """Return the path of one period's column. Zero is one unit high, to differ from a gap."""
    if figure is None:
        return ""
    return f"M{round(x, 1):g} {HEIGHT}v-{max(1, round(HEIGHT * figure / top))}"

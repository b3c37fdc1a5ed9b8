"""One figure over many periods, as columns the size of a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.reports import History, Report

WIDTH = 104
"""Units in all."""
HEIGHT = 28
"""Units from zero to the highest figure: a fall looks as large as it is."""
_FILLED = 0.75
"""How much of its place a column fills, so that neighbours do not touch."""
BOX = f"0 0 {WIDTH} {HEIGHT}"
"""Everything that is drawn lies in here, as SVG's ``viewBox``."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The columns as SVG's path data, and what they say in words. A period that is not known is a gap."""

    earlier: str
    live: str
    share: float | None
    """How high the live period stands, as a share of the highest; None where its figure is not known."""
    words: str


def sparkline(history: History) -> Sparkline | None:
    """Draws the leading figure of a history; None where there is nothing to draw."""
    report = history.report
    field = report.primary_field
    if field is None or history.live is None:
        return None
    course = history.recent_values(field, report.chart_periods)
    known = [figure for figure in course if figure is not None]
    if not known:
        return None
    top = max(known) or 1.0
    step = WIDTH / report.chart_periods
    columns = [
        _column(step * (report.chart_periods - len(course) + place + 0.5), fig, top) for place, fig in enumerate(course)
    ]
    words = (
        f"{field.title}, {len(course)} {report.period.NAME}s to {history.live.display_name}: first {known[0]:,.0f},"
        f" last {known[-1]:,.0f}, lowest {min(known):,.0f}, highest {max(known):,.0f}"
    )
    unknown = len(course) - len(known)
    return Sparkline(
        earlier="".join(columns[:-1]),
        live=columns[-1],
        share=None if course[-1] is None else round(course[-1] / top, 4),
        words=f"{words}; {unknown} not known" if unknown else words,
    )


def stroke(report: Report) -> float:
    """Return the width of a column."""
    return round(_FILLED * WIDTH / report.chart_periods, 2)


def _column(x: float, figure: float | None, top: float) -> str:
    """One period's column; the newest stands at the right end, and zero is a column of one unit."""
    if figure is None:
        return ""
    return f"M{round(x, 1):g} {HEIGHT}v-{max(1, round(HEIGHT * figure / top))}"

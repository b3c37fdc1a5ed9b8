"""One figure over many weeks, as columns the size of a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.status import TRAIL_WEEKS

if TYPE_CHECKING:
    from exporter.reports import Field
    from exporter.status import Trail

STEP = 4
"""Units from one week to the next."""
HEIGHT = 28
"""Units from zero to the highest figure: a fall looks as large as it is."""
BOX = f"0 0 {STEP * TRAIL_WEEKS} {HEIGHT}"
"""Everything that is drawn lies in here, as SVG's ``viewBox``."""


@dataclass(frozen=True, slots=True)
class Sparkline:
    """The columns as SVG's path data, and what they say in words. A week that is not known is a gap."""

    earlier: str
    live: str
    share: float | None
    """How high the live week stands, as a share of the highest; None where its figure is not known."""
    words: str


def sparkline(trail: Trail, field: Field) -> Sparkline | None:
    """Draws a trail; None where there is nothing to draw."""
    course = list(trail.figures.values())
    known = [figure for figure in course if figure is not None]
    if trail.newest is None or not known:
        return None
    top = max(known) or 1.0
    columns = [_column(TRAIL_WEEKS - len(course) + place, figure, top) for place, figure in enumerate(course)]
    words = (
        f"{field.title}, {len(course)} weeks to {trail.newest.words}: first {known[0]:,.0f}, last {known[-1]:,.0f},"
        f" lowest {min(known):,.0f}, highest {max(known):,.0f}"
    )
    unknown = len(course) - len(known)
    return Sparkline(
        earlier="".join(columns[:-1]),
        live=columns[-1],
        share=None if course[-1] is None else round(course[-1] / top, 4),
        words=f"{words}; {unknown} not known" if unknown else words,
    )


def _column(place: int, figure: float | None, top: float) -> str:
    """One week's column; the newest stands at the right end, and zero is a column of one unit."""
    if figure is None:
        return ""
    return f"M{STEP * place + STEP // 2} {HEIGHT}v-{max(1, round(HEIGHT * figure / top))}"

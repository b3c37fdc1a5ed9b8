"""The parts of a figure in the newest complete week against the previous one: which entrance lost sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.reports import Shape
from exporter.reports.sources import losses
from exporter.web.formats import UNKNOWN, format_change, format_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Field, History
    from exporter.reports.sources import PartChange, WeekChange

BAR = 100
"""Width of a bar for a share of 100 %, in SVG units."""


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """One part, formatted."""

    name: str
    before: str
    now: str
    change: str
    share: str
    """Empty if it has none."""
    bar: str
    """The share as the width of a bar, in SVG units."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The parts of one figure."""

    title: str
    week: str
    previous_week: str
    share_title: str
    rows: tuple[BreakdownRow, ...]


def breakdowns(history: History) -> Iterator[Breakdown]:
    """Yield the primary figure by the largest loss, then those whose parts are known in advance, in their order."""
    report = history.report
    if report.shape is not Shape.DISTRIBUTION:
        return
    for field in report.fields:
        is_fixed = field.dimension is not None and field.dimension.is_bounded
        # Visitors of the other figures are deduplicated for a day, so that a week of them cannot be added up.
        if (field.is_primary or is_fixed) and (found := losses(history, field)) is not None:
            yield _breakdown(field, found, is_fixed=is_fixed)


def _breakdown(field: Field, found: WeekChange, *, is_fixed: bool) -> Breakdown:
    if is_fixed and field.dimension:
        order = list(field.dimension.names.values())
        parts = sorted(found.parts, key=lambda part: order.index(part.name))
        total = found.total.now
        rows = [_row(part, part.now / total if total else None) for part in parts]
    else:
        parts = [part for part in found.parts if part.now or part.before]
        rows = [_row(part, found.share(part) if part.lost > 0 else None) for part in parts]
    return Breakdown(
        field.title,
        found.week.display_name,
        found.week.before().display_name,
        "Share" if is_fixed else "Of all losses",
        tuple(rows),
    )


def _row(part: PartChange, share: float | None) -> BreakdownRow:
    return BreakdownRow(
        format_part(part.name),
        f"{part.before:,}",
        f"{part.now:,}",
        format_change(part.change) or UNKNOWN,
        "" if share is None else f"{share:.0%}",
        "" if share is None else f"{BAR * share:.1f}".removesuffix(".0"),
    )

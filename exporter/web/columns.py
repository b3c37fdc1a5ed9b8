"""The columns of a view of the status page, and their cells: derived from the form of the report.

A report with one row per period has a column for each figure. Cohorts have one for each number of weeks later. A
distribution has the totals and the parts that lost most, because there are too many parts for a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from exporter.reports import Shape
from exporter.reports.retention import comebacks
from exporter.reports.sources import losses
from exporter.web.formats import (
    UNKNOWN,
    came_back_title,
    format_change,
    format_figure,
    format_part,
    format_points,
    format_ratio,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Field, History, Report
    from exporter.reports.retention import Comeback
    from exporter.reports.sources import PartChange, WeekChange

_LOSSES: Final = ("Largest loss", "Second largest", "Third largest")
"""The titles of the parts that are shown, the largest loss first."""


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of figures."""

    key: str
    """Its name in the links and the script of the page."""
    title: str
    field: Field | None = None
    """The figure whose alert is shown in it."""
    is_text: bool = False
    """Whether its cells begin with words and not with a number."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure and its change against the earlier period, formatted."""

    figure: str
    change: str = ""
    detail: str = ""
    hint: str = ""
    """The counts behind it, shown on hover."""
    share: float | None = None
    """The value by which a column of text is sorted."""


NOTHING: Final = Cell(UNKNOWN)


# Registered reports are few, and each row of each rendering needs the columns.
@lru_cache(maxsize=16)
def columns(report: Report) -> tuple[ViewColumn, ...]:
    """Return the columns of a report, from left to right."""
    match report.shape:
        case Shape.COHORT:
            return tuple(
                ViewColumn(f"{field.metric}-{later}", came_back_title(field, later), _alerting(field, later))
                # New visitors first: their retention falls before the number of visitors does.
                for field in reversed(report.fields)
                for later in range(1, report.later + 1)
            )
        case Shape.DISTRIBUTION if report.primary_field is not None:
            total = report.primary_field.total_title
            return (
                ViewColumn("total", total),
                ViewColumn("week", f"{total} of the week", is_text=True),
                *(ViewColumn(f"loss-{place}", title, is_text=True) for place, title in enumerate(_LOSSES, 1)),
            )
        case _:
            return tuple(ViewColumn(field.metric, field.title, field) for field in report.plain_fields)


def cells(history: History) -> tuple[Cell, ...]:
    """Return the cells of an app's report, in the order of ``columns``."""
    report = history.report
    match report.shape:
        case Shape.COHORT:
            return tuple(_of_cohorts(history))
        case Shape.DISTRIBUTION if report.primary_field is not None:
            return tuple(_of_distribution(history, report.primary_field))
        case _:
            return tuple(_of_figure(history, field) for field in report.plain_fields)


def _of_figure(history: History, field: Field) -> Cell:
    return Cell(format_figure(history.live_value(field), field.unit), format_change(history.change(field)))


def _of_cohorts(history: History) -> Iterator[Cell]:
    for field in reversed(history.report.fields):
        known = {each.weeks_later: each for each in comebacks(history, field)}
        for later in range(1, history.report.later + 1):
            yield _of_cohort(known[later], field) if later in known else NOTHING


def _of_cohort(found: Comeback, field: Field) -> Cell:
    hint = f"{found.retained:,} of {found.size:,} {field.title.lower()} of {found.week.display_name}"
    return Cell(format_ratio(found.ratio), format_points(found.change), hint=hint)


def _of_distribution(history: History, field: Field) -> Iterator[Cell]:
    yield Cell(format_figure(history.live_value(field), field.unit))
    found = losses(history, field)
    if found is None:
        yield from [NOTHING] * (1 + len(_LOSSES))
        return
    total = found.total
    yield Cell(f"{total.now:,}", format_change(total.change), found.week.display_name, share=total.now)
    largest = found.losses[: len(_LOSSES)]
    yield from (_of_loss(found, part) for part in largest)
    yield from [NOTHING] * (len(_LOSSES) - len(largest))


def _of_loss(found: WeekChange, part: PartChange) -> Cell:
    return Cell(
        format_part(part.name),
        format_change(part.change),
        f"{found.share(part):.0%} of the losses",
        f"{part.now:,} in {found.week.display_name}, {part.before:,} in the previous week",
        share=round(part.lost / found.total.before, 4),
    )


def _alerting(field: Field, later: int) -> Field | None:
    # The alert is about the newest cohort: later weeks follow from it.
    return field if later == 1 else None

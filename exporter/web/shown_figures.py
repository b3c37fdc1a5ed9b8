"""The figures of a report that the page of an app shows over all periods, as charts and as columns of the table.

A report with one row per period shows each of its figures. Cohorts show the share that came back after each number of
weeks. A distribution shows its total and its main parts: all parts would be dozens of charts, and the CSV has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from exporter.reports import Shape
from exporter.reports.retention import comeback
from exporter.web.formats import (
    came_back_title,
    format_change,
    format_figure,
    format_part,
    format_points,
    format_ratio,
)
from exporter.web.parts import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.alerts.past_periods import PastPeriod
    from exporter.reports import Field, Report
    from exporter.reports.retention import Comeback

_MAIN: Final = 6
"""Number of parts that are shown."""


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """One figure over all periods."""

    name: str
    """Identifies it within the report."""
    title: str
    field: Field
    value: Callable[[PastPeriod], float | None]
    format: Callable[[float | None], str]
    change: Callable[[PastPeriod], str] | None = None
    """Returns the change, formatted; None if the figure is not compared."""
    is_alerting: bool = False
    """Whether it is what the alerts about the field are about."""
    is_charted: bool = True

    def fell(self, past: PastPeriod) -> bool:
        """Return whether the figure would have alerted in a period."""
        return self.is_alerting and any(drop.rule.field is self.field for drop in past.drops)


def shown_figures(report: Report, periods: Sequence[PastPeriod]) -> tuple[ShownFigure, ...]:
    """Return the shown figures of a report, as the columns of its table from left to right."""
    match report.shape:
        case Shape.COHORT:
            # New visitors first: their retention falls before the number of visitors does.
            return tuple(each for field in reversed(report.fields) for each in _of_cohorts(report, field))
        case Shape.DISTRIBUTION:
            return _of_parts(report.primary_field, periods) if report.primary_field else ()
        case _:
            return tuple(_plain(report, field) for field in report.plain_fields)


def _plain(report: Report, field: Field) -> ShownFigure:
    is_compared = any(comparison.applies_to(field) for comparison in report.comparisons)
    return ShownFigure(
        field.metric,
        field.title,
        field,
        lambda past: past.value(field),
        partial(format_figure, unit=field.unit),
        (lambda past: format_change(past.change(field))) if is_compared else None,
        is_alerting=True,
    )


def _of_cohorts(report: Report, field: Field) -> list[ShownFigure]:
    return [
        # The report about weeks has a chart of the same figure.
        _total(field, is_charted=False),
        *(_came_back(field, later, report.later) for later in range(1, report.later + 1)),
    ]


def _came_back(field: Field, later: int, last: int) -> ShownFigure:
    def found(past: PastPeriod) -> Comeback | None:
        return comeback(past.history, field, past.period, later)

    def change(past: PastPeriod) -> str:
        return format_points(None if (now := found(past)) is None else now.change)

    return ShownFigure(
        f"{field.metric}-{later}",
        came_back_title(field, later),
        field,
        lambda past: None if (now := found(past)) is None else now.ratio,
        format_ratio,
        # Alerts are about the first week; a change beside every share would hide the shares.
        change if later == 1 else None,
        is_alerting=later == 1,
        is_charted=later in {1, last},
    )


def _of_parts(field: Field, periods: Sequence[PastPeriod]) -> tuple[ShownFigure, ...]:
    sums = {
        key: sum(past.part(field, key) or 0 for past in periods)
        for key in keys(field, (past.stored.reading for past in periods))
    }
    main = tuple(sorted(sums, key=lambda key: -sums[key])[:_MAIN])
    return (
        _total(field),
        *(_part(field, key) for key in main),
        *([_others(field, main)] if len(sums) > len(main) else []),
    )


def _total(field: Field, *, is_charted: bool = True) -> ShownFigure:
    return ShownFigure(
        field.metric,
        field.total_title,
        field,
        lambda past: past.value(field),
        partial(format_figure, unit=field.unit),
        is_charted=is_charted,
    )


def _part(field: Field, key: str) -> ShownFigure:
    name = field.dimension.name(key) if field.dimension else key
    return ShownFigure(
        f"{field.metric}-{name}",
        format_part(name).capitalize(),
        field,
        lambda past: past.part(field, key),
        partial(format_figure, unit=field.unit),
    )


def _others(field: Field, main: tuple[str, ...]) -> ShownFigure:
    def value(past: PastPeriod) -> float | None:
        total = past.value(field)
        return None if total is None else total - sum(past.part(field, key) or 0 for key in main)

    return ShownFigure(
        f"{field.metric}-others",
        "Others",
        field,
        value,
        partial(format_figure, unit=field.unit),
        is_charted=False,
    )

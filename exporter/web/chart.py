"""Charts of one figure over all stored periods, drawn in SVG.

A chart is stretched to the available width, so it contains shapes only; its axis labels are text of the page, which
stays readable on a phone. Areas begin at zero, so that a drop of 10 % is drawn as 10 %, and have one step for
each period, so that a single period between two unknown ones is visible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.alerts.past_periods import PastPeriod
    from exporter.periods import Period
    from exporter.reports import CalendarFact, Report
    from exporter.web.shown_figures import ShownFigure

WIDTH, HEIGHT = 1000, 100
"""Size of every chart, in SVG units."""
_MIN_PERIODS = 12
"""Minimum length of an axis: otherwise the two periods of a new app would fill the whole width."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The periods of a report from left to right, including those that are not stored."""

    first: Period
    last: Period
    holidays: str = ""
    """Bands of the periods with public holidays, as SVG path data."""

    @classmethod
    def of(cls, periods: Sequence[PastPeriod]) -> Axis:
        """Return the axis of stored periods, the oldest first; there is at least one."""
        last = periods[-1].period
        axis = cls(min(periods[0].period, last.before(_MIN_PERIODS - 1)), last)
        # Of all periods: the calendar knows the holidays of those that are not stored, too.
        every = (last.before(number) for number in reversed(range(axis.length)))
        fact = holidays(periods[0].history.report)
        bands = (axis._band(period) for period in every if fact and fact.value(period))
        return replace(axis, holidays="".join(bands))

    @property
    def length(self) -> int:
        """Number of periods."""
        return self.last.periods_since(self.first) + 1

    def x(self, number: float) -> str:
        """Return where the period with this number begins, in SVG units."""
        return f"{round(WIDTH * number / self.length, 1):g}"

    def number(self, period: Period) -> int:
        """Return the number of a period; the first one has 0."""
        return period.periods_since(self.first)

    def _band(self, period: Period) -> str:
        number = self.number(period)
        return f"M{self.x(number)} 0H{self.x(number + 1)}V{HEIGHT}H{self.x(number)}Z"


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart of one figure."""

    figure: ShownFigure
    area: str
    """SVG path data: a step for each period; unknown periods are gaps."""
    alerts: str
    """A point of zero length above each period in which the figure would have alerted."""
    lowest: str
    highest: str
    description: str
    """The chart as text, for screen readers."""


def holidays(report: Report) -> CalendarFact | None:
    """Return the calendar fact about holidays in a period of a report; a report without one has that of its kind."""
    facts = (each.calendar[0] for each in (report, *REPORTS.values()) if each.calendar and each.period is report.period)
    return next(facts, None)


def draw(figure: ShownFigure, periods: Sequence[PastPeriod], axis: Axis) -> Chart | None:
    """Draw a figure; return None if it is unknown for all periods."""
    known = [(past, value) for past in periods if (value := figure.value(past)) is not None]
    if not known:
        return None
    values = [value for _, value in known]
    top = max(values) or 1.0  # all of them may be zero
    alerts = [(past, value) for past, value in known if figure.fell(past)]
    lowest, highest = min(known, key=lambda each: each[1]), max(known, key=lambda each: each[1])
    return Chart(
        figure,
        area="".join(_area([(axis.number(past.period), value / top) for past, value in known], axis)),
        alerts="".join(_point(axis, past, value / top) for past, value in alerts),
        lowest=figure.format(lowest[1]),
        highest=figure.format(highest[1]),
        description=_describe(figure, known, (lowest, highest), len(alerts), axis),
    )


def _area(shares: Iterable[tuple[int, float]], axis: Axis) -> Iterable[str]:
    """Yield the area: up at the first period of each run of known ones, along the tops, down at its end."""
    previous: int | None = None
    for number, share in shares:
        if previous is not None and number > previous + 1:
            yield f"V{HEIGHT}Z"
            previous = None
        start = f"M{axis.x(number)} {HEIGHT}" if previous is None else ""
        yield f"{start}V{_y(share)}H{axis.x(number + 1)}"
        previous = number
    yield f"V{HEIGHT}Z"


def _point(axis: Axis, past: PastPeriod, share: float) -> str:
    return f"M{axis.x(axis.number(past.period) + 0.5)} {_y(share)}h0"


def _y(share: float) -> str:
    # Zero is one unit high, to differ from a gap.
    return f"{round(HEIGHT - max(1, HEIGHT * share), 1):g}"


def _describe(
    figure: ShownFigure,
    known: Sequence[tuple[PastPeriod, float]],
    extremes: tuple[tuple[PastPeriod, float], tuple[PastPeriod, float]],
    alerts: int,
    axis: Axis,
) -> str:
    def named(each: tuple[PastPeriod, float]) -> str:
        return f"{figure.format(each[1])} ({each[0].period.display_name})"

    kind = axis.last.NAME
    facts = [
        f"{len(known)} {kind}s",
        *(f"{what} {named(each)}" for what, each in (("first", known[0]), ("last", known[-1]))),
        *(f"{what} {named(each)}" for what, each in zip(("lowest", "highest"), extremes, strict=True)),
    ]
    unknown = axis.last.periods_since(known[0][0].period) + 1 - len(known)
    if unknown:
        facts.append(f"{unknown} unknown")
    if alerts:
        facts.append(f"{alerts} with an alert")
    return ", ".join(facts)

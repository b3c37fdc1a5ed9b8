"""Figures of the visit distribution: sessions and visitors by entrance, sessions by stay and by depth. Pure.

WeChat leaves out parts with the value 0. A bucket of stay or depth, and an entrance that the app had in the last 28
days, is therefore 0 on a day of which the figure is known: otherwise an entrance that disappeared would have no
sample, and no loss. An entrance without visitors for 28 days loses its series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from exporter.periods import Day, Week
from exporter.reports.comparisons import RECENT_DAYS, recent, typical_recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.periods import Period
    from exporter.reports.figure_types import Field
    from exporter.reports.model import Sample, StoredFigures

SOURCE_DAYS: Final = 28
"""Days within which an entrance must have been used to have samples."""
_SEARCHED_WEEKS = 4
"""Weeks that are searched for one of which all days are known; after more, the loss would be outdated."""


@dataclass(frozen=True, slots=True)
class PartChange:
    """One part of a figure in a week and in the previous week."""

    name: str
    """The label value: ``search``."""
    now: float
    before: float

    @property
    def lost(self) -> float:
        """By how much it fell; negative if it rose."""
        return self.before - self.now

    @property
    def change(self) -> float | None:
        """The relative change; None if there was nothing in the previous week."""
        return self.now / self.before - 1 if self.before else None


@dataclass(frozen=True, slots=True)
class WeekChange:
    """The parts of a figure in the newest week of which all days are known, against the previous week."""

    week: Week
    parts: tuple[PartChange, ...]
    """The largest loss first."""

    @property
    def total(self) -> PartChange:
        """The sum of all parts."""
        return PartChange("", sum(part.now for part in self.parts), sum(part.before for part in self.parts))

    @property
    def losses(self) -> tuple[PartChange, ...]:
        """The parts that fell, the largest loss first."""
        return tuple(part for part in self.parts if part.lost > 0)

    # Of what all falling parts lost, and not of what the total lost: with a rise elsewhere, that would exceed 100 %.
    def share(self, part: PartChange) -> float:
        """Return the share of a part in all losses, 0 to 1."""
        return part.lost / sum(each.lost for each in self.losses)


def losses(history: StoredFigures, field: Field) -> WeekChange | None:
    """Return what each part lost in the newest complete week; None unless all days of both weeks are known."""
    before = {name: value for _, (name,), value in previous_weekly(history, field)}
    now = [(week, name, value) for week, (name,), value in weekly(history, field)]
    if not now or not before:
        return None
    week = now[0][0]
    parts = (PartChange(name, value, before[name]) for _, name, value in now)
    ordered = tuple(sorted(parts, key=lambda part: (-part.lost, -part.now, part.name)))
    return WeekChange(week, ordered) if isinstance(week, Week) else None


def by_part(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield each part of a figure on the live day: day, label value, value."""
    if history.live is not None:
        for key, name in _parts(history, field, history.live):
            value = history.value(history.live, field, key)
            if value is not None:
                yield history.live, (name,), value


def weekly(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield each part in the newest week of which all seven days are known: week, label value, sum."""
    return _weekly(history, field, weeks_before=0)


def previous_weekly(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield the same parts in the week before, under the labels of ``weekly``; none if a day of it is unknown."""
    return _weekly(history, field, weeks_before=1)


def recent_parts(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield each part in the last 3 ordinary days: newest day, number of days and label value, sum."""
    return _recent(history, field, recent)


def typical_recent_parts(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield what is typical of each part on the days of ``recent_parts``: the medians of the weekdays, summed up."""
    return _recent(history, field, typical_recent)


def _recent(
    history: StoredFigures, field: Field, sums: Callable[[StoredFigures, Field, str], Iterator[Sample]]
) -> Iterator[Sample]:
    if history.live is None:
        return
    longest = str(max(RECENT_DAYS))
    for key, name in _parts(history, field, history.live):
        for day, (days,), value in sums(history, field, key):
            if days == longest:
                yield day, (days, name), value


def _weekly(history: StoredFigures, field: Field, weeks_before: int) -> Iterator[Sample]:
    week = _newest_complete_week(history, field)
    if week is None:
        return
    days = _days(week.before(weeks_before))
    if not _all_known(history, field, days):
        return
    for key, name in _parts(history, field, Day.of(week.last)):
        yield week, (name,), sum(history.value(day, field, key) or 0 for day in days)


def _newest_complete_week(history: StoredFigures, field: Field) -> Week | None:
    if history.live is None:
        return None
    newest = Week.containing_day(history.live.last)
    weeks = (newest.before(number) for number in range(_SEARCHED_WEEKS + 1))
    return next((week for week in weeks if _all_known(history, field, _days(week))), None)


def _days(week: Week) -> tuple[Day, ...]:
    return tuple(Day.of(day) for day in week.days)


def _all_known(history: StoredFigures, field: Field, days: tuple[Day, ...]) -> bool:
    return all(history.value(day, field) is not None for day in days)


def _parts(history: StoredFigures, field: Field, last: Period) -> tuple[tuple[str, str], ...]:
    """Return key and label value of each part that has a sample in the period that ends with a day."""
    if field.dimension is None:
        return ()
    seen = history.keys(field, last, SOURCE_DAYS)
    known = tuple(field.dimension.names) if field.dimension.is_bounded else ()
    return tuple((key, field.dimension.name(key)) for key in dict.fromkeys((*known, *sorted(seen, key=int))))

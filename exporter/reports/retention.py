"""Figures of weekly retention: for each of the four following weeks, how many of a cohort came back. Pure.

A cohort is the (new) visitors of one week. Key k of its response is how many of them visited in the k-th week after it;
it appears when that week is published (docs/wechat-api.md section 6). Each number of weeks later has a live cohort of
its own: the newest one whose value is known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.periods import Period
    from exporter.reports.figure_types import Field
    from exporter.reports.model import Reading, Sample, StoredFigures

LAST_WEEK: Final = 4
"""The last of the following weeks that WeChat returns."""
SEARCHED_COHORTS: Final = 2 * LAST_WEEK
"""Cohorts, from the newest, that are searched for a value; an older one would be outdated."""


@dataclass(frozen=True, slots=True)
class Comeback:
    """How many of a cohort came back a number of weeks later, beside the cohort one week earlier."""

    week: Period
    """The cohort's."""
    weeks_later: int
    retained: float
    size: float
    previous_ratio: float | None
    """The ratio of the previous cohort; None if it is not known."""

    @property
    def ratio(self) -> float:
        """The share of the cohort that came back, 0 to 1."""
        return self.retained / self.size

    @property
    def change(self) -> float | None:
        """The difference to the ratio of the previous cohort; None if that is not known."""
        return None if self.previous_ratio is None else self.ratio - self.previous_ratio


def comebacks(history: StoredFigures, field: Field) -> Iterator[Comeback]:
    """Yield each number of weeks later of which the newest cohort has a size; a pure function."""
    for later in range(1, LAST_WEEK + 1):
        week = _newest_cohort(history, field, str(later))
        found = None if week is None else comeback(history, field, week, later)
        if found is not None:
            yield found


def comeback(history: StoredFigures, field: Field, week: Period, later: int) -> Comeback | None:
    """Return how many of a cohort came back a number of weeks later; None if it is unknown or the cohort is empty."""
    counts, previous = (_counts(history, field, each, later) for each in (week, week.before()))
    if counts is None:
        return None
    return Comeback(week, later, *counts, None if previous is None else previous[0] / previous[1])


def _counts(history: StoredFigures, field: Field, week: Period, later: int) -> tuple[float, float] | None:
    """Return how many of a cohort came back, and its size; None if either is unknown or the cohort is empty."""
    came_back, size = history.value(week, field, str(later)), history.value(week, field)
    return None if came_back is None or not size else (came_back, size)


def retained(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield for each number of weeks later: the cohort's week, that number, how many came back."""
    return _samples(history, field, weeks_before=0, size=False)


def cohort(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield the sizes of the same cohorts, under the same labels."""
    return _samples(history, field, weeks_before=0, size=True)


def previous_retained(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield how many of the cohorts one week earlier came back, under the labels of ``retained``."""
    return _samples(history, field, weeks_before=1, size=False)


def previous_cohort(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield the sizes of the cohorts one week earlier, under the labels of ``retained``."""
    return _samples(history, field, weeks_before=1, size=True)


def believe(reading: Reading, trend: Reading | None) -> Reading | None:
    """Return a cohort, with the size from the report of the same week's visitors where WeChat left it out.

    WeChat's own example has a size of 0 beside 99,310 who came back; real responses of zeros were seen while the week
    had visitors (docs/wechat-api.md section 6). A size that is not known anywhere is None.

    Args:
        reading: the cohort.
        trend: the weekly report of the cohort's week; None if it is not known (yet).

    Returns:
        None if all values of a figure are 0 although the trend has visitors.
    """
    sizes = []
    for field, size in zip(reading.report.fields, reading.values, strict=True):
        came_back = any(value > 0 for name, _, value in reading.by_dimension if name == field.wechat)
        visitors = None if trend is None else _value(trend, field.wechat)
        if size == 0 and not came_back and visitors:
            return None
        sizes.append((visitors or None) if came_back and not size else size)
    return replace(reading, values=tuple(sizes))


def _value(reading: Reading, name: str) -> float | None:
    """Return a figure of another report by WeChat's name of the field."""
    return next((reading.value(field) for field in reading.report.fields if field.wechat == name), None)


def _samples(history: StoredFigures, field: Field, weeks_before: int, *, size: bool) -> Iterator[Sample]:
    for later in range(1, LAST_WEEK + 1):
        newest = _newest_cohort(history, field, str(later))
        if newest is not None:
            value = history.value(newest.before(weeks_before), field, "" if size else str(later))
            if value is not None:
                yield newest, (str(later),), value


def _newest_cohort(history: StoredFigures, field: Field, key: str) -> Period | None:
    """Return the newest cohort that has a value for a number of weeks later."""
    if history.live is None:
        return None
    cohorts = (history.live.before(number) for number in range(SEARCHED_COHORTS))
    return next((each for each in cohorts if history.value(each, field, key) is not None), None)

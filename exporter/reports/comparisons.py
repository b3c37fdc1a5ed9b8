"""Comparison figures: pure functions of the stored periods and the calendar of public holidays.

Baselines are calculated here and not in PromQL: the store has the weeks before Prometheus was started, and the calendar
has the ordinary weeks. ``quantile_over_time`` over the published series weights each week by how long it was the
newest, which differs from week to week: it returned 0.775 or 0.62 where the median was 0.689.

Ordinary periods exclude public holidays and make-up working days. Of the pairs of successive weeks from 2018 to 2026,
28 % include a weekday off for a holiday. Which comparison distinguishes a drop from noise and holidays was measured on
synthetic apps; docs/alerts.md has the results.
"""

from __future__ import annotations

from itertools import count, islice, takewhile
from math import log
from statistics import median
from typing import TYPE_CHECKING, Final

from exporter.holidays import is_irregular, public_holidays
from exporter.periods import Day, Week

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.periods import Period
    from exporter.reports.figure_types import Field
    from exporter.reports.model import Sample, StoredFigures

# Twice the weeks that are needed, because holidays can make several weeks in a row unusable.
LOOKBACK_WEEKS: Final = 8
"""Weeks before the live period that are searched for ordinary ones."""
TYPICAL_PERIODS: Final = 4
"""Ordinary periods that the typical one is the median of; with fewer known ones there is none."""
LOWEST_MIN_WEEKS: Final = 6
"""Ordinary weeks that must be known for a lowest week."""
RECENT_DAYS: Final = (2, 3)
"""Numbers of ordinary days that are summed up."""
NOISE_DAYS: Final = 28
"""Ordinary days, before the recent ones, over which the noise ratio is measured."""
NOISE_MIN_DAYS: Final = 14
"""How many of ``NOISE_DAYS`` must be known."""
_MAD_TO_DEVIATION = 1.4826
"""Factor from the median absolute deviation of normally distributed values to their standard deviation."""
_MAX_IRREGULAR_DAYS = 20
"""How many irregular days a search for ordinary days skips; the longest holidays are nine days."""


def earlier(number: int) -> Callable[[StoredFigures, Field], float | None]:
    """Return a comparison with the period that many periods before the live one."""

    def value(history: StoredFigures, field: Field) -> float | None:
        return None if history.live is None else history.value(history.live.before(number), field)

    return value


def typical_week(history: StoredFigures, field: Field) -> float | None:
    """Return the median of the last four ordinary weeks among the previous eight; None if fewer are known."""
    known = list(islice(_ordinary_weeks(history, field), TYPICAL_PERIODS))
    return median(known) if len(known) == TYPICAL_PERIODS else None


def lowest_week(history: StoredFigures, field: Field) -> float | None:
    """Return the lowest of the ordinary weeks among the previous eight; None if fewer than six are known."""
    known = list(_ordinary_weeks(history, field))
    return min(known) if len(known) >= LOWEST_MIN_WEEKS else None


def typical_weekday(history: StoredFigures, field: Field) -> float | None:
    """Return the median of the last four ordinary days with the same weekday in the previous eight weeks."""
    return None if history.live is None else _typical_weekday_of(history, field, history.live)


def recent(history: StoredFigures, field: Field, key: str = "") -> Iterator[Sample]:
    """Yield the sum of the last 2 and of the last 3 ordinary days: newest day, number of days, sum."""
    return _recent_sums(history.live, lambda day: history.value(day, field, key))


def typical_recent(history: StoredFigures, field: Field, key: str = "") -> Iterator[Sample]:
    """Yield the sums of the typical weekdays of the same days as ``recent``."""
    return _recent_sums(history.live, lambda day: _typical_weekday_of(history, field, day, key))


def noise_ratio(history: StoredFigures, field: Field) -> Iterator[Sample]:
    """Yield the standard deviation of ln(day / typical weekday), estimated from the median absolute deviation."""
    days = _ordinary_days(history.live, NOISE_DAYS + max(RECENT_DAYS))
    logs = []
    # Without the recent days: a drop must not raise the noise that it is compared with.
    for day in days[max(RECENT_DAYS) :]:
        value, typical = history.value(day, field), _typical_weekday_of(history, field, day)
        if value and typical:
            logs.append(log(value / typical))
    if len(logs) >= NOISE_MIN_DAYS:
        middle = median(logs)
        # The median absolute deviation and not the standard deviation, which a single extraordinary day dominates.
        yield days[0], (), _MAD_TO_DEVIATION * median(abs(each - middle) for each in logs)


def _ordinary_weeks(history: StoredFigures, field: Field) -> Iterator[float]:
    """Yield a figure of the known weeks without a public holiday, the newest first."""
    for number in range(1, LOOKBACK_WEEKS + 1):
        week = history.live.before(number) if isinstance(history.live, Week) else None
        value = history.value(week, field)
        # A year without a published schedule has None holidays, so all of its weeks are ordinary.
        if week is not None and value is not None and not public_holidays(week):
            yield value


def _typical_weekday_of(history: StoredFigures, field: Field, day: Period, key: str = "") -> float | None:
    same = (day.before(7 * weeks) for weeks in range(1, LOOKBACK_WEEKS + 1))
    values = (history.value(each, field, key) for each in same if isinstance(each, Day) and not is_irregular(each))
    known = list(islice((value for value in values if value is not None), TYPICAL_PERIODS))
    return median(known) if len(known) == TYPICAL_PERIODS else None


def _recent_sums(live: Period | None, value_of: Callable[[Period], float | None]) -> Iterator[Sample]:
    days = _ordinary_days(live, max(RECENT_DAYS))
    for number in RECENT_DAYS:
        values = [value_of(day) for day in days[:number]]
        known = [value for value in values if value is not None]
        # A sum with a missing day would look like a drop.
        if len(known) == number:
            yield days[0], (str(number),), sum(known)


def _ordinary_days(live: Period | None, number: int) -> list[Day]:
    """Return the last ``number`` days that are neither public holidays nor make-up working days, the newest first."""
    if not isinstance(live, Day):
        return []
    limit = number + _MAX_IRREGULAR_DAYS
    back = takewhile(lambda day: live.periods_since(day) <= limit, (live.before(n) for n in count()))
    return list(islice((day for day in back if not is_irregular(day)), number))

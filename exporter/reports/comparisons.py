"""What the figures of the live period are compared with: pure functions over stored periods and the calendar.

Which comparison tells a real fall from noise and holidays was measured on synthetic fleets; the figures are in
docs/alerts.md.
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
    from exporter.reports.model import Field, StoredFigures

LOOKED_BACK: Final = 8
"""Weeks before the live period among which ordinary ones are looked for."""
TYPICAL_OF: Final = 4
"""Ordinary periods whose median is typical; there is no median of fewer."""
LOWEST_OF: Final = 6
"""Ordinary weeks that must be known before the least of them means anything."""
RECENT_DAYS: Final = (2, 3)
NOISE_DAYS: Final = 28
"""Ordinary days before the recent ones over which an app's own variation is measured ..."""
NOISE_KNOWN: Final = 14
"""... and how many of them must be known."""
_MAD_TO_DEVIATION = 1.4826  # a median absolute deviation of normal noise, as a standard deviation
_LONGEST_HOLIDAY = 20  # days that are looked back for ordinary ones; the longest holidays are nine days


def earlier(number: int) -> Callable[[StoredFigures, Field], float | None]:
    """Return a comparison with exactly so many periods before the live one."""

    def value(history: StoredFigures, field: Field) -> float | None:
        return None if history.live is None else history.value(history.live.before(number), field)

    return value


def typical_week(history: StoredFigures, field: Field) -> float | None:
    """Return the median of the last four ordinary weeks among the eight before."""
    known = list(islice(_ordinary_weeks(history, field), TYPICAL_OF))
    return median(known) if len(known) == TYPICAL_OF else None


def lowest_week(history: StoredFigures, field: Field) -> float | None:
    """Return the least of the ordinary weeks among the eight before."""
    known = list(_ordinary_weeks(history, field))
    return min(known) if len(known) >= LOWEST_OF else None


def typical_weekday(history: StoredFigures, field: Field) -> float | None:
    """Return the median of the last four ordinary days on the same weekday among the eight weeks before."""
    return None if history.live is None else _typical_of(history, field, history.live)


def recent(history: StoredFigures, field: Field) -> Iterator[tuple[Period, tuple[str, ...], float]]:
    """Yield the sum of the last 2 and 3 ordinary days."""
    return _of_recent(history, history.value, field)


def typical_recent(history: StoredFigures, field: Field) -> Iterator[tuple[Period, tuple[str, ...], float]]:
    """Yield the sum of what is typical of those days."""
    return _of_recent(history, lambda day, field: _typical_of(history, field, day), field)


def noise_ratio(history: StoredFigures, field: Field) -> Iterator[tuple[Period, tuple[str, ...], float]]:
    """Yield an app's own variation: the spread of ln(day / typical weekday), robust against single days."""
    days = _ordinary_days(history.live, NOISE_DAYS + max(RECENT_DAYS))
    logs = []
    for day in days[max(RECENT_DAYS) :]:
        value, typical = history.value(day, field), _typical_of(history, field, day)
        if value and typical:
            logs.append(log(value / typical))
    if len(logs) >= NOISE_KNOWN:
        middle = median(logs)
        yield days[0], (), _MAD_TO_DEVIATION * median(abs(each - middle) for each in logs)


def _ordinary_weeks(history: StoredFigures, field: Field) -> Iterator[float]:
    """A figure of the known weeks without a public holiday, the newest first; an unknown calendar excludes none."""
    for number in range(1, LOOKED_BACK + 1):
        week = history.live.before(number) if isinstance(history.live, Week) else None
        value = history.value(week, field)
        if week is not None and value is not None and not public_holidays(week):
            yield value


def _typical_of(history: StoredFigures, field: Field, day: Period) -> float | None:
    same = (day.before(7 * weeks) for weeks in range(1, LOOKED_BACK + 1))
    values = (history.value(each, field) for each in same if isinstance(each, Day) and not is_irregular(each))
    known = list(islice((value for value in values if value is not None), TYPICAL_OF))
    return median(known) if len(known) == TYPICAL_OF else None


def _of_recent(
    history: StoredFigures, figure: Callable[[Period, Field], float | None], field: Field
) -> Iterator[tuple[Period, tuple[str, ...], float]]:
    days = _ordinary_days(history.live, max(RECENT_DAYS))
    for number in RECENT_DAYS:
        values = [figure(day, field) for day in days[:number]]
        known = [value for value in values if value is not None]
        if len(known) == number:
            yield days[0], (str(number),), sum(known)


def _ordinary_days(live: Period | None, number: int) -> list[Day]:
    """The last so many days that are neither public holidays nor make-up working days, the newest first."""
    if not isinstance(live, Day):
        return []
    back = takewhile(
        lambda day: live.periods_since(day) <= number + _LONGEST_HOLIDAY, (live.before(n) for n in count())
    )
    return list(islice((day for day in back if not is_irregular(day)), number))

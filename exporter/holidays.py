"""Public holidays of mainland China, from the official schedules in the package chinesecalendar.

The package agrees with the much larger package ``holidays`` on every weekday from 2018 to 2026 (220 KB against 14 MB).
The State Council publishes the schedule of a year in the November before; until the package has it, the year is unknown
and every function returns None. Unknown is not the same as no holiday: metrics must have no sample then, never 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import chinese_calendar

if TYPE_CHECKING:
    from datetime import date

    from exporter.periods import Day, Week

_WEEKDAYS = 5


# Cached, because thousands of apps need the same few weeks and days in each rendering.
@lru_cache(maxsize=2048)
def public_holidays(week: Week) -> int | None:
    """Return the number of days from Monday to Friday that are off; None if a year's schedule is unknown."""
    kinds = [is_day_off(day) for day in week.days[:_WEEKDAYS]]
    return None if None in kinds else sum(map(bool, kinds))


@lru_cache(maxsize=8192)
def is_irregular(day: Day) -> bool | None:
    """Return whether a day is a public holiday or a make-up working day; None if the year's schedule is unknown."""
    is_off = is_day_off(day.first)
    if is_off is None:
        return None
    is_weekend = day.first.weekday() >= _WEEKDAYS
    # A weekend day within a holiday is off like any other, so only its name in the schedule shows that it is irregular.
    is_named: bool = day.first in chinese_calendar.holidays
    return is_named or is_off != is_weekend


def is_day_off(day: date) -> bool | None:
    """Return whether a day is a weekend day or holiday on which people are off; None if the schedule is unknown."""
    try:
        return bool(chinese_calendar.is_holiday(day))
    except NotImplementedError:
        # Raised for years outside the package's tables: before 2004, or not published yet.
        return None

"""Public holidays of mainland China, from the official schedules as the package chinesecalendar carries them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import chinese_calendar

if TYPE_CHECKING:
    from datetime import date

    from exporter.periods import Day, Week

_WEEKDAYS = 5


@lru_cache(maxsize=2048)
def public_holidays(week: Week) -> int | None:
    """How many of a week's days from Monday to Friday are off for a public holiday.

    None where the schedule of a year is not known: the State Council publishes it in the November before, and the
    package brings it with a release of its own.
    """
    kinds = [is_day_off(day) for day in week.days[:_WEEKDAYS]]
    return None if None in kinds else sum(map(bool, kinds))


@lru_cache(maxsize=8192)
def is_irregular(day: Day) -> bool | None:
    """Whether a day is a public holiday or a make-up working day; None where the year's schedule is not known.

    A weekend day beside a public holiday counts as one: the schedule names it.
    """
    off = is_day_off(day.first)
    if off is None:
        return None
    is_weekend = day.first.weekday() >= _WEEKDAYS
    named: bool = day.first in chinese_calendar.holidays
    return named or off != is_weekend


def is_day_off(day: date) -> bool | None:
    """Whether people are off work on a day, weekend or holiday; None where the year's schedule is not known."""
    try:
        return bool(chinese_calendar.is_holiday(day))
    except NotImplementedError:
        return None

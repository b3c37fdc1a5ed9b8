"""Public holidays of mainland China, from the official schedules as the package chinesecalendar carries them."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import chinese_calendar

if TYPE_CHECKING:
    from exporter.periods import Week

_WEEKDAYS = 5


@lru_cache(maxsize=2048)
def public_holidays(week: Week) -> int | None:
    """How many of a week's days from Monday to Friday are off for a public holiday.

    None where the schedule of a year is not known: the State Council publishes it in the November before, and the
    package brings it with a release of its own.
    """
    days = (week.first + timedelta(days=offset) for offset in range(_WEEKDAYS))
    try:
        return sum(bool(chinese_calendar.is_holiday(day)) for day in days)
    except NotImplementedError:
        return None

"""Plausible figures: the same for the same seed, app and week."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.periods import Week

_FIRST_MONDAY = date(2024, 1, 1)
_HOLIDAYS = ((1, 1), (5, 1), (10, 1), (10, 2), (10, 3))
"""Days that are public holidays in China each year, as (month, day)."""

HOLIDAY_DIP = 0.6
DROP = 0.45


@dataclass(frozen=True, slots=True)
class Audience:
    """How many people use a pretended app, and how that changes."""

    visitors: int = 5000
    """In an ordinary week of 2024."""
    weekly_growth: float = 0.002
    drops_in: Week | None = None
    """In this week something went badly wrong."""


def row(audience: Audience, week: Week, seed: str) -> Mapping[str, float | str]:
    """One row as WeChat would send it (wechat-api.md section 1)."""
    character = random.Random(seed)  # noqa: S311 (figures for a demo, no secret)
    chance = random.Random(f"{seed} {week.begin_date}")  # noqa: S311 (the same)

    def around(least: float, most: float) -> float:
        """What is usual for the app, a little different each week."""
        return character.uniform(least, most) * chance.gauss(1, 0.02)

    weeks = (week.first - _FIRST_MONDAY).days / 7
    level = audience.visitors * (1 + audience.weekly_growth) ** weeks * chance.gauss(1, 0.03)
    if _has_holiday(week):
        level *= HOLIDAY_DIP
    if week == audience.drops_in:
        level *= DROP
    visitors = max(0, round(level))
    sessions = round(visitors * around(2.2, 2.8))
    stay_per_session = round(around(45, 75), 4)
    return {
        "ref_date": week.label,
        "session_cnt": sessions,
        "visit_pv": round(sessions * around(3.2, 3.8)),
        "visit_uv": visitors,
        "visit_uv_new": round(visitors * around(0.22, 0.32)),
        "stay_time_uv": round(stay_per_session * sessions / visitors, 4) if visitors else 0,
        "stay_time_session": stay_per_session if visitors else 0,
        "visit_depth": round(around(1.8, 2.6), 4) if visitors else 0,
    }


def _has_holiday(week: Week) -> bool:
    days = (week.first + timedelta(days=offset) for offset in range(7))
    return any((day.month, day.day) in _HOLIDAYS for day in days)

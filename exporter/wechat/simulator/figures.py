"""Plausible figures: the same for the same seed, app and period, and consistent with each other.

Every figure is made from days. Sessions and visits of a week or month are the sums of its days; visitors are fewer than
the sum, because WeChat deduplicates people who come on several days. Weekdays, holidays and drops change the days.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.holidays import is_day_off

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.periods import Day, Period, Week

_FIRST_MONDAY = date(2024, 1, 1)
_WEEKDAYS = (1.02, 1.0, 0.99, 1.0, 1.06, 0.98, 0.95)
"""Visitors by weekday, as shares of the mean."""
_SHARE_OF_WEEK = 0.27
"""Visitors of a mean day as a share of the week's visitors: a visitor comes on 1.9 days of a week."""
_DAYS_OF_VISITOR = {1: 1.0, 7: 7 * _SHARE_OF_WEEK}
"""Days on which a visitor comes, by the days of the period."""
_DAYS_OF_MONTHLY_VISITOR = 3.1
"""The same for a month, whose length varies."""

HOLIDAY_DIP = 0.6
DROP = 0.45


@dataclass(frozen=True, slots=True)
class Audience:
    """How many people use a simulated app, and how the number changes."""

    visitors: int = 5000
    """Visitors in an ordinary week of January 2024."""
    weekly_growth: float = 0.002
    drops_in: Week | None = None
    """The one week with a drop."""
    drops_from: Day | None = None
    """The first day of a drop that lasts."""
    drops_through: str = ""
    """WeChat's key of the entrance that loses most of what a drop loses; empty: all lose the same share."""
    retention_drops_in: Week | None = None
    """The cohort of which fewer new visitors come back."""


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day of an app, from which every report is made."""

    visitors: int
    new_visitors: int
    sessions: int
    usual_sessions: int
    """Sessions without the drop."""
    visits: int
    stay_per_session: float
    depth: float


def day_figures(audience: Audience, day: Day, seed: str, launched: Week | None = None) -> DayFigures | None:
    """Return the figures of a day; None before the app's first week."""
    return None if launched is not None and day.first < launched.first else _day(audience, day.first, seed)


def row(audience: Audience, period: Period, seed: str, launched: Week | None = None) -> Mapping[str, float | str]:
    """Return one row as WeChat would send it (docs/wechat-api.md section 1).

    Args:
        audience: how many people use the app.
        period: a day, a week or a month.
        seed: determines the figures.
        launched: the app's first week; days before it have no visitors.
    """
    days = [_day(audience, day, seed) for day in period.days if launched is None or day >= launched.first]
    sessions = sum(day.sessions for day in days)
    people = sum(day.visitors for day in days)
    visitors = round(people / _DAYS_OF_VISITOR.get(len(period.days), _DAYS_OF_MONTHLY_VISITOR))
    stay = sum(day.stay_per_session * day.sessions for day in days) / sessions if sessions else 0.0
    depth = sum(day.depth * day.sessions for day in days) / sessions if sessions else 0.0
    stay_per_session = round(stay, 4)
    return {
        "ref_date": period.label,
        "session_cnt": sessions,
        "visit_pv": sum(day.visits for day in days),
        "visit_uv": visitors,
        "visit_uv_new": min(visitors, sum(day.new_visitors for day in days)),
        "stay_time_uv": round(stay_per_session * sessions / visitors, 4) if visitors else 0,
        "stay_time_session": stay_per_session,
        "visit_depth": round(depth, 4),
    }


@lru_cache(maxsize=200_000)
def _day(audience: Audience, day: date, seed: str) -> DayFigures:
    """Return the figures of one day. Cached, because a month and its five weeks share their days."""
    character, chance = _character(seed), random.Random(f"{seed} {day:%Y%m%d}")  # noqa: S311 (figures for a demo, no secret)
    weekly = random.Random(f"{seed} week {day:%G%V}").gauss(1, 0.03)  # noqa: S311 (the same)

    def around(usual: float) -> float:
        """Vary a usual value of the app by about 2 % from day to day."""
        return usual * chance.gauss(1, 0.02)

    weeks = (day - _FIRST_MONDAY).days / 7
    level = audience.visitors * _SHARE_OF_WEEK * (1 + audience.weekly_growth) ** weeks * weekly * chance.gauss(1, 0.03)
    level *= _WEEKDAYS[day.weekday()]
    if is_day_off(day) and day.weekday() < 5:  # noqa: PLR2004 (Monday to Friday)
        level *= HOLIDAY_DIP
    usual = level
    if _has_dropped(audience, day):
        level *= DROP
    visitors = max(0, round(level))
    sessions_per_visitor = around(character[0])
    sessions = round(visitors * sessions_per_visitor)
    return DayFigures(
        visitors=visitors,
        new_visitors=round(visitors * around(character[2])),
        sessions=sessions,
        usual_sessions=max(sessions, round(max(0, round(usual)) * sessions_per_visitor)),
        visits=round(sessions * around(character[1])),
        stay_per_session=around(character[3]),
        depth=around(character[4]),
    )


def _has_dropped(audience: Audience, day: date) -> bool:
    if audience.drops_from is not None and day >= audience.drops_from.first:
        return True
    return audience.drops_in is not None and audience.drops_in.first <= day <= audience.drops_in.last


@lru_cache(maxsize=20_000)
def _character(seed: str) -> tuple[float, float, float, float, float]:
    """Return an app's usual sessions per visitor, visits per session, share of new visitors, stay and depth."""
    character = random.Random(seed)  # noqa: S311 (figures for a demo, no secret)
    uniform = character.uniform
    return uniform(1.2, 1.5), uniform(3.2, 3.8), uniform(0.1, 0.16), uniform(45, 75), uniform(1.8, 2.6)

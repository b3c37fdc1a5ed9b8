"""The valid response of each report, consistent with all others about the same app.

The sessions of a day's entrances, stays and depths each add up to its sessions; those who come back are never more than
the cohort; a drop is mostly a loss of one entrance, if the audience has ``drops_through``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.periods import Day, Week
from exporter.reports import Shape
from exporter.wechat.simulator.figures import Audience, day_figures, row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.periods import Period
    from exporter.reports import Report

Content = dict[str, object]

_FIRST_DAY = Day.containing_day(Week.from_ref_date("20240101-20240107").first)
_ENTRANCES = ("1", "2", "3", "4", "10", "16", "18", "22", "23", "29", "35", "36", "46", "62")
_MAIN_SHARE = 0.55
"""Share of the sessions that come through the entrance of a drop."""
_MAIN_LOSS = 0.8
"""Share of a drop's loss that this entrance has."""
_STAYS = (0.11, 0.11, 0.1, 0.14, 0.09, 0.13, 0.12, 0.2)
_DEPTHS = (0.3, 0.34, 0.2, 0.08, 0.04, 0.03, 0.01)
_COME_BACK = (0.52, 0.48, 0.46, 0.44)
"""Share of a week's visitors who come back in each of the four weeks after it."""
_NEW_COME_BACK = (0.25, 0.2, 0.17, 0.15)
_RETENTION_DROP = 0.5


@dataclass(frozen=True, slots=True)
class Subject:
    """An app, as far as its figures depend on it."""

    audience: Audience
    seed: str
    launched: Week | None = None


def content(subject: Subject, report: Report, period: Period, known_weeks: int) -> Content:
    """Return the content of a response as WeChat would send it (docs/wechat-api.md).

    Args:
        subject: the app.
        report: any report of the catalogue.
        period: one of the report's.
        known_weeks: for a cohort, the number of later weeks that are published.
    """
    if report.shape is Shape.COHORT and isinstance(period, Week):
        return _cohort(subject, period, min(known_weeks, report.later))
    if report.shape is Shape.DISTRIBUTION and isinstance(period, Day):
        return _distribution(subject, period)
    if is_summary(report) and isinstance(period, Day):
        return {"list": [_summary(subject, period)]}
    return {"list": [row(subject.audience, period, subject.seed, subject.launched)]}


def is_summary(report: Report) -> bool:
    """Return whether a report has a row with figures that the visit trends do not have."""
    return any(field.wechat == "share_pv" for field in report.fields)


def _cohort(subject: Subject, week: Week, known_weeks: int) -> Content:
    trend = row(subject.audience, week, subject.seed, subject.launched)
    chance = random.Random(f"{subject.seed} cohort {week.label}")  # noqa: S311 (figures for a demo, no secret)
    active, new = int(trend["visit_uv"]), int(trend["visit_uv_new"])
    all_back, new_back = [active], [new]
    factor = _RETENTION_DROP if subject.audience.retention_drops_in == week else 1.0
    for everyone, newcomers in list(zip(_COME_BACK, _NEW_COME_BACK, strict=True))[:known_weeks]:
        all_back.append(min(active, round(active * everyone * chance.gauss(1, 0.02))))
        new_back.append(min(new, all_back[-1], round(new * newcomers * factor * chance.gauss(1, 0.03))))
    return {"ref_date": week.label, "visit_uv_new": _entries(new_back), "visit_uv": _entries(all_back)}


def _distribution(subject: Subject, day: Day) -> Content:
    figures = day_figures(subject.audience, day, subject.seed, subject.launched)
    chance = random.Random(f"{subject.seed} entrances {day.label}")  # noqa: S311 (figures for a demo, no secret)
    sessions = figures.sessions if figures else 0
    by_source = _by_source(subject, sessions, figures.usual_sessions if figures else 0, chance)
    per_session = figures.visitors / sessions if figures and sessions else 0.0
    # A visitor who comes through two entrances counts at both.
    visitors = {key: min(value, round(value * per_session * 1.1) or 1) for key, value in by_source.items() if value}
    parts: dict[str, Mapping[str, int]] = {
        "access_source_session_cnt": by_source,
        "access_source_visit_uv": visitors,
        "access_staytime_info": _by_bucket(sessions, _STAYS, chance),
        "access_depth_info": _by_bucket(sessions, _DEPTHS, chance),
    }
    return {
        "ref_date": day.label,
        "list": [{"index": index, "item_list": _items(values, chance)} for index, values in parts.items()],
    }


def _by_bucket(sessions: int, weights: Sequence[float], chance: random.Random) -> Mapping[str, int]:
    shares = _apportioned(sessions, _varied(weights, chance))
    return {str(key): value for key, value in enumerate(shares, 1)}


def _by_source(subject: Subject, sessions: int, usual_sessions: int, chance: random.Random) -> Mapping[str, int]:
    """Return the sessions of each entrance, which add up to ``sessions``."""
    keys, weights = _entrances(subject.seed, subject.audience.drops_through)
    usual = _apportioned(usual_sessions, _varied(weights, chance))
    lost = usual_sessions - sessions
    through = subject.audience.drops_through
    main = min(round(_MAIN_LOSS * lost), usual[keys.index(through)]) if through else 0
    left = [value - main if key == through else value for key, value in zip(keys, usual, strict=True)]
    return dict(zip(keys, _apportioned(sessions, left), strict=True))


@lru_cache(maxsize=20_000)
def _entrances(seed: str, main: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the keys of an app's entrances and their shares of the sessions."""
    chance = random.Random(f"{seed} entrances")  # noqa: S311 (figures for a demo, no secret)
    chosen = chance.sample(_ENTRANCES, 8)
    keys = tuple(dict.fromkeys((main, *chosen))) if main else tuple(chosen)
    weights = [chance.expovariate(1) + 0.05 for _ in keys]
    if main:
        weights[0] = sum(weights[1:]) * _MAIN_SHARE / (1 - _MAIN_SHARE)
    return keys, tuple(weights)


def _varied(weights: Sequence[float], chance: random.Random) -> list[float]:
    return [weight * chance.gauss(1, 0.03) for weight in weights]


def _apportioned(total: int, weights: Sequence[float]) -> list[int]:
    """Return whole numbers in the proportion of the weights that add up to the total (largest remainders)."""
    whole = sum(weights)
    exact = [total * weight / whole if whole else 0.0 for weight in weights]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: shares[place] - exact[place])
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def _summary(subject: Subject, day: Day) -> Mapping[str, object]:
    figures = day_figures(subject.audience, day, subject.seed, subject.launched)
    chance = random.Random(f"{subject.seed} shares {day.label}")  # noqa: S311 (figures for a demo, no secret)
    shares = round(figures.sessions * 0.03 * chance.gauss(1, 0.1)) if figures else 0
    days = day.periods_since(_FIRST_DAY)
    # Grows by the same number each day, so that it never falls.
    total = int(subject.audience.visitors * (3 + 0.02 * days))
    return {"ref_date": day.label, "visit_total": total, "share_pv": shares, "share_uv": round(shares * 0.7)}


def _entries(values: Sequence[int]) -> list[dict[str, int]]:
    return [{"key": key, "value": value} for key, value in enumerate(values)]


def _items(values: Mapping[str, int], chance: random.Random) -> list[dict[str, int]]:
    """Return keys and values in any order, without those that are 0, as WeChat does."""
    items = [{"key": int(key), "value": value} for key, value in values.items() if value]
    chance.shuffle(items)
    return items

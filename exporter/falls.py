"""What fell further than an app may fall: the conditions of the alerts, of values; ``rules`` writes them in PromQL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import sqrt
from typing import TYPE_CHECKING

from exporter.holidays import public_holidays
from exporter.reports import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.periods import Week
    from exporter.reports import Field
    from exporter.status import Recent, Status

NOISE = 3
"""A fall of a count must be this many times what chance alone does to two Poisson counts."""
ENOUGH_VISITORS = 200
"""An average (stay, depth) over fewer visitors says nothing."""


class Baseline(Enum):
    """What a figure is compared with, in words."""

    PREVIOUS_WEEK = "the week before"
    MEDIAN_WEEK = "the median of the four weeks before"

    def of(self, recent: Recent, field: Field) -> float | None:
        """The figure to compare with; None where it is not known."""
        if self is Baseline.MEDIAN_WEEK:
            return recent.median(field)
        return recent.previous.reading.value(field) if recent.previous else None

    def explained(self, week: Week) -> bool:
        """Whether a public holiday explains a fall in this week; one week of a median's four does not weigh."""
        compared = (week, week.before()) if self is Baseline.PREVIOUS_WEEK else (week,)
        return any(public_holidays(week) for week in compared)


@dataclass(frozen=True, slots=True)
class Fall:
    """One figure of the live week that is too low."""

    field: Field
    baseline: Baseline
    ratio: float
    """To the baseline."""


def falls(status: Status) -> Iterator[Fall]:
    """What fell below the app's thresholds by more than chance where no public holiday explains it."""
    recent = status.recent
    if recent.current is None:
        return
    reading = recent.current.reading
    watched, visitors = reading.report.watched, reading.report.leading
    for baseline in Baseline:
        if baseline.explained(reading.week):
            continue
        behind = (reading.value(visitors), baseline.of(recent, visitors))
        for field in watched:
            now, before = reading.value(field), baseline.of(recent, field)
            if now is None or not before or now / before >= getattr(status.thresholds, field.threshold):
                continue
            if _significant(field, now, before, behind):
                yield Fall(field, baseline, now / before)


def _significant(field: Field, now: float, before: float, visitors: tuple[float | None, float | None]) -> bool:
    """Whether there is enough behind a fall: more than noise for a count, enough visitors for an average.

    What one visitor does several times is not several chances: the noise of sessions is that of the visitors behind
    them, each worth as many sessions as usual.
    """
    if field.unit is not Unit.COUNT:
        return all(count is not None and count >= ENOUGH_VISITORS for count in visitors)
    if field.leads:
        each = 1.0
    elif visitors[1]:
        each = before / visitors[1]
    else:
        return False
    return (before - now) / sqrt((before + now) * each) > NOISE

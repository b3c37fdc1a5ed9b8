"""What fell further than an app may fall: the conditions of the alerts; ``figures`` writes them in PromQL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import sqrt
from typing import TYPE_CHECKING

from exporter.holidays import public_holidays
from exporter.periods import Week
from exporter.reports import Unit
from exporter.reports.catalogue import VISITORS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.apps import AppStatus
    from exporter.reports import Comparison, Field, Report

NOISE = 3
"""A fall of a count must be this many times what chance alone does to two Poisson counts."""
ENOUGH_VISITORS = 200
"""An average (stay, depth) over fewer visitors says nothing."""


class Baseline(Enum):
    """What a figure is compared with: the name of a comparison of the weekly report."""

    PREVIOUS_WEEK = "previous_week"
    TYPICAL_WEEK = "typical_week"

    @property
    def comparison(self) -> Comparison:
        """How the catalogue describes it."""
        return next(each for each in WEEKLY.comparisons if each.name == self.value)

    @property
    def description(self) -> str:
        """What it is called in an alert and beside a figure."""
        return _DESCRIPTIONS[self]

    def has_holiday(self, week: Week) -> bool:
        """Whether a public holiday explains a fall in this week; the typical week is one without."""
        compared = (week, week.before()) if self is Baseline.PREVIOUS_WEEK else (week,)
        return any(public_holidays(week) for week in compared)


_DESCRIPTIONS = {Baseline.PREVIOUS_WEEK: "the week before", Baseline.TYPICAL_WEEK: "the typical week"}


@dataclass(frozen=True, slots=True)
class Drop:
    """One figure of the live week that is too low."""

    report: Report
    field: Field
    baseline: Baseline
    ratio: float
    """To the baseline."""


def find_drops(status: AppStatus) -> Iterator[Drop]:
    """What fell below the app's thresholds by more than chance where no public holiday explains it."""
    weekly = status.of(WEEKLY)
    if weekly is None or not isinstance(week := weekly.history.live, Week):
        return
    history = weekly.history
    for baseline in Baseline:
        if baseline.has_holiday(week):
            continue
        value = baseline.comparison.value
        behind = (history.live_value(VISITORS), value(history, VISITORS))
        for threshold in WEEKLY.alert_thresholds:
            field = threshold.field
            now, before = history.live_value(field), value(history, field)
            if now is None or not before or now / before >= status.thresholds.of(WEEKLY, threshold):
                continue
            if _significant(field, now, before, behind):
                yield Drop(WEEKLY, field, baseline, now / before)


def _significant(field: Field, now: float, before: float, visitors: tuple[float | None, float | None]) -> bool:
    """Whether there is enough behind a fall: more than noise for a count, enough visitors for an average.

    What one visitor does several times is not several chances: the noise of sessions is that of the visitors behind
    them, each worth as many sessions as usual.
    """
    if field.unit is not Unit.COUNT:
        return all(count is not None and count >= ENOUGH_VISITORS for count in visitors)
    if field.is_primary:
        each = 1.0
    elif visitors[1]:
        each = before / visitors[1]
    else:
        return False
    return (before - now) / sqrt((before + now) * each) > NOISE

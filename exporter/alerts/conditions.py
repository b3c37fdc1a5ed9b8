"""Detect figures that dropped below the thresholds of an app.

The status page evaluates these conditions on stored history; ``figures`` states the same conditions in PromQL. A test
gives the same apps to both and requires the same result.
"""

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

# Without this gate and the holiday check, "below 0.7 of the previous week" raised 3.05 false alerts per app and year on
# synthetic apps with 1,000 visitors and 8 % weekly noise; with both, 0.10 (docs/alerts.md, "Why these rules").
NOISE = 3
"""Minimum significance of a drop: the standard deviations of the difference of two Poisson counts."""
ENOUGH_VISITORS = 200
"""Minimum number of visitors behind an average (stay, depth) in both weeks."""


class Baseline(Enum):
    """What a weekly figure is compared with; the value is the name of a comparison of the weekly report."""

    PREVIOUS_WEEK = "previous_week"
    TYPICAL_WEEK = "typical_week"

    @property
    def comparison(self) -> Comparison:
        """The comparison in the catalogue."""
        return next(each for each in WEEKLY.comparisons if each.name == self.value)

    @property
    def description(self) -> str:
        """The baseline in annotations and on the status page: ``the typical week``."""
        return _DESCRIPTIONS[self]

    def metric(self, field: Field) -> str:
        """Return the name of the metric that has the baseline of a field."""
        return WEEKLY.comparison_metric(self.comparison, field)

    def has_holiday(self, week: Week) -> bool:
        """Return whether a compared week has a public holiday, which would explain a drop."""
        # The typical week is made of weeks without holidays, so only the live week can have one.
        compared = (week, week.before()) if self is Baseline.PREVIOUS_WEEK else (week,)
        return any(public_holidays(week) for week in compared)


_DESCRIPTIONS = {Baseline.PREVIOUS_WEEK: "the previous week", Baseline.TYPICAL_WEEK: "the typical week"}


@dataclass(frozen=True, slots=True)
class Drop:
    """One figure of the live week that is below its threshold."""

    report: Report
    field: Field
    baseline: Baseline
    ratio: float
    """The figure divided by its baseline."""


def find_drops(status: AppStatus) -> Iterator[Drop]:
    """Yield the figures of an app's live week that alert: below the threshold, significant and not in a holiday week.

    Yields nothing for an app without the weekly report.
    """
    weekly = status.of(WEEKLY)
    if weekly is None or not isinstance(week := weekly.history.live, Week):
        return
    history = weekly.history
    for baseline in Baseline:
        if baseline.has_holiday(week):
            continue
        value = baseline.comparison.value
        visitors = (history.live_value(VISITORS), value(history, VISITORS))
        for threshold in WEEKLY.alert_thresholds:
            field = threshold.field
            now, before = history.live_value(field), value(history, field)
            if now is None or not before or now / before >= status.thresholds.of(WEEKLY, threshold):
                continue
            if _is_significant(field, now, before, visitors):
                yield Drop(WEEKLY, field, baseline, now / before)


def _is_significant(field: Field, now: float, before: float, visitors: tuple[float | None, float | None]) -> bool:
    """Return whether a drop is more than chance.

    Args:
        field: the field that dropped.
        now: its value in the live week.
        before: its baseline.
        visitors: the visitors of the live week and of the baseline.
    """
    if field.unit is not Unit.COUNT:
        # An average is no Poisson count, so its noise cannot be estimated from the value itself.
        return all(count is not None and count >= ENOUGH_VISITORS for count in visitors)
    # Sessions of one visitor are not independent events. Their variance is that of the visitors behind them, each of
    # whom has `weight` sessions on average; without it, 20 visitors with ten sessions each would count as 200 events.
    if field.is_primary:
        weight = 1.0
    elif visitors[1]:
        weight = before / visitors[1]
    else:
        return False
    return (before - now) / sqrt((before + now) * weight) > NOISE

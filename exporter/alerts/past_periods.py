"""Every stored period of a report with its history up to then, and the drops that the alerts find in it.

A figure that WeChat revised has its revised value; the thresholds are the current ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.alerts.drops import drops_of
from exporter.reports import History

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.alerts.drops import Drop
    from exporter.periods import Period
    from exporter.reports import Field, Report, StoredReading, Thresholds


@dataclass(frozen=True, slots=True)
class PastPeriod:
    """One stored period."""

    stored: StoredReading
    history: History
    """Up to this period, which is the live one."""
    drops: tuple[Drop, ...]
    """The drops that would have alerted, the most severe of each figure first."""

    @property
    def period(self) -> Period:
        """The period."""
        return self.stored.period

    def value(self, field: Field) -> float | None:
        """Return a figure; None if it is unknown."""
        return self.stored.reading.value(field)

    def part(self, field: Field, key: str) -> float | None:
        """Return the part of a figure with a key; None if it is unknown."""
        return self.stored.reading.part(field, key)

    def change(self, field: Field) -> float | None:
        """Return the relative change against the first comparison of the field, as ``History.change`` does."""
        return self.history.change(field)


def past_periods(
    report: Report, stored: Iterable[StoredReading], thresholds: Thresholds, first: Period | None = None
) -> Iterator[PastPeriod]:
    """Yield each period, the oldest first.

    Args:
        report: the report.
        stored: its readings, the oldest first.
        thresholds: the alert thresholds of the app.
        first: the first period to yield; older ones are for comparison only. None: yield all.
    """
    history = History(report)
    for each in stored:
        history = history.with_reading(each)
        if first is None or each.period >= first:
            yield PastPeriod(each, history, tuple(drops_of(history, thresholds)))

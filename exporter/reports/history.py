"""The newest readings of one report of one app, packed into bytes.

Each period is a row of doubles, the newest first; NaN is an unknown figure, a row of NaN for an unknown period.
With 10,000 apps the histories are most of the memory: 26 weeks of seven figures are 1.5 kB, as objects they were 12 kB.

Histories are immutable: the poller replaces a history, while web threads read the previous one without a lock.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import isnan, nan
from struct import Struct
from typing import TYPE_CHECKING

from exporter.reports.model import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.periods import Period
    from exporter.reports.model import Field, Report


_DOUBLE = Struct("d")


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A reading, and when the exporter first received its period (Unix seconds)."""

    reading: Reading
    first_seen: float

    @property
    def period(self) -> Period:
        """The period of the reading."""
        return self.reading.period


@dataclass(frozen=True, slots=True)
class History:
    """The live period of a report and up to ``report.lookback`` earlier ones."""

    report: Report
    live: Period | None = None
    """The newest period that WeChat has published; None if there is none yet."""
    first_seen: float = 0.0
    """When the exporter first received the live period (Unix seconds)."""
    packed: bytes = b""

    @classmethod
    def of(cls, report: Report, stored: Iterable[StoredReading]) -> History:
        """Return the history of these readings, in any order."""
        history = cls(report)
        for each in sorted(stored, key=lambda each: each.period):
            history = history.with_reading(each)
        return history

    def with_reading(self, stored: StoredReading) -> History:
        """Return the history with the reading of a further period, or with a revised reading of a known one.

        A reading older than ``report.lookback`` is ignored.
        """
        row = _row(stored.reading.values)
        # The distance is positive for a newer period, 0 for a revision of the live one, negative for an older one.
        distance = 1 if self.live is None else stored.period.periods_since(self.live)
        if distance > 0:
            # Periods between the previous live one and this one were not published, or not fetched: unknown rows.
            packed = row + _unknown(self.report) * (distance - 1 if self.packed else 0) + self.packed
            packed = packed[: len(row) * (self.report.lookback + 1)]
            return History(self.report, stored.period, stored.first_seen, _trimmed(packed, _unknown(self.report)))
        index = -distance
        if index > self.report.lookback:
            return self
        padded = self.packed + _unknown(self.report) * (index + 1 - len(self.packed) // len(row))
        packed = padded[: len(row) * index] + row + padded[len(row) * (index + 1) :]
        return History(self.report, self.live, self.first_seen if index else stored.first_seen, packed)

    @property
    def periods(self) -> list[Period]:
        """Every period from the live one back to the oldest known one, including unknown ones in between."""
        if self.live is None:
            return []
        return [self.live.before(number) for number in range(len(self.packed) // (8 * len(self.report.fields)))]

    def reading(self, period: Period) -> Reading | None:
        """Return the reading of a period; None if it is unknown."""
        values = self._row(period)
        return None if all(value is None for value in values) else Reading(self.report, period, values)

    def value(self, period: Period | None, figure: Field) -> float | None:
        """Return a figure of a period; None if it is unknown."""
        if period is None or self.live is None:
            return None
        return self._value(self.live.periods_since(period), self.report.fields.index(figure), figure)

    def live_value(self, figure: Field) -> float | None:
        """Return a figure of the live period."""
        return self.value(self.live, figure)

    def recent_values(self, figure: Field, length: int) -> list[float | None]:
        """Return a figure of up to ``length`` newest periods, oldest first, starting with the first known value."""
        column = self.report.fields.index(figure)
        known = min(length, len(self.packed) // (_DOUBLE.size * len(self.report.fields)))
        values = [self._value(index, column, figure) for index in reversed(range(known))]
        start = next((index for index, value in enumerate(values) if value is not None), len(values) - 1)
        return values[max(start, 0) :]

    def _value(self, index: int, column: int, figure: Field) -> float | None:
        """Return a figure of the period that is ``index`` periods before the live one."""
        # Unpacks one double instead of a row: the comparisons of one app with daily figures read 900 single values.
        offset = _DOUBLE.size * (len(self.report.fields) * index + column)
        if index < 0 or offset >= len(self.packed):
            return None
        (value,) = _DOUBLE.unpack_from(self.packed, offset)
        return None if isnan(value) else figure.typed(value)

    def _row(self, period: Period) -> tuple[float | None, ...]:
        return tuple(self.value(period, figure) for figure in self.report.fields)


def _row(values: Iterable[float | None]) -> bytes:
    return array("d", [nan if value is None else value for value in values]).tobytes()


def _unknown(report: Report) -> bytes:
    return _row([None] * len(report.fields))


def _trimmed(packed: bytes, unknown: bytes) -> bytes:
    """Return the rows without unknown periods at the old end."""
    # They carry no information, and would make equal histories unequal.
    while packed.endswith(unknown):
        packed = packed[: -len(unknown)]
    return packed

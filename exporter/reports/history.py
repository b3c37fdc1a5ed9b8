"""The newest readings of one report of one app, packed: ten thousand apps have one for each report.

A row of doubles for each period, the newest first, NaN where a figure or a whole period is not known. 26 weeks of seven
figures take 1.5 kB; as objects they took 12.
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
    """A reading and when the exporter first had its period, Unix seconds."""

    reading: Reading
    first_seen: float

    @property
    def period(self) -> Period:
        """The period it is about."""
        return self.reading.period


@dataclass(frozen=True, slots=True)
class History:
    """The live period of a report and those before it, as far back as ``report.lookback``."""

    report: Report
    live: Period | None = None
    """The latest period that WeChat has published; None while there is none."""
    first_seen: float = 0.0
    """When the exporter first had the live period, Unix seconds."""
    packed: bytes = b""

    @classmethod
    def of(cls, report: Report, stored: Iterable[StoredReading]) -> History:
        """Return the history that these readings make."""
        history = cls(report)
        for each in sorted(stored, key=lambda each: each.period):
            history = history.with_reading(each)
        return history

    def with_reading(self, stored: StoredReading) -> History:
        """Return the history with one more period, or with another reading of a known one."""
        row = _row(stored.reading.values)
        distance = 1 if self.live is None else stored.period.periods_since(self.live)
        if distance > 0:
            packed = row + _unknown(self.report) * (distance - 1 if self.packed else 0) + self.packed
            packed = packed[: len(row) * (self.report.lookback + 1)]
            return History(self.report, stored.period, stored.first_seen, _trimmed(packed, _unknown(self.report)))
        place = -distance
        if place > self.report.lookback:
            return self
        padded = self.packed + _unknown(self.report) * (place + 1 - len(self.packed) // len(row))
        packed = padded[: len(row) * place] + row + padded[len(row) * (place + 1) :]
        return History(self.report, self.live, self.first_seen if place else stored.first_seen, packed)

    @property
    def periods(self) -> list[Period]:
        """Every period from the live one to the oldest that is known within reach, known or not, the newest first."""
        if self.live is None:
            return []
        return [self.live.before(number) for number in range(len(self.packed) // (8 * len(self.report.fields)))]

    def reading(self, period: Period) -> Reading | None:
        """Return the reading of a period; None where it is not known."""
        values = self._row(period)
        return None if all(value is None for value in values) else Reading(self.report, period, values)

    def value(self, period: Period | None, figure: Field) -> float | None:
        """Return a figure of a period; None where it is not known."""
        if period is None or self.live is None:
            return None
        return self._value(self.live.periods_since(period), self.report.fields.index(figure), figure)

    def live_value(self, figure: Field) -> float | None:
        """Return a figure of the live period."""
        return self.value(self.live, figure)

    def recent_values(self, figure: Field, length: int) -> list[float | None]:
        """Return a figure over the newest periods, oldest first, beginning with the first that is known."""
        column = self.report.fields.index(figure)
        known = min(length, len(self.packed) // (_DOUBLE.size * len(self.report.fields)))
        values = [self._value(place, column, figure) for place in reversed(range(known))]
        begin = next((place for place, value in enumerate(values) if value is not None), len(values) - 1)
        return values[max(begin, 0) :]

    def _value(self, place: int, column: int, figure: Field) -> float | None:
        """A figure of the period so many before the live one. Read singly: one rendering of days reads 900 of them."""
        offset = _DOUBLE.size * (len(self.report.fields) * place + column)
        if place < 0 or offset >= len(self.packed):
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
    """Without periods at its old end that are not known."""
    while packed.endswith(unknown):
        packed = packed[: -len(unknown)]
    return packed

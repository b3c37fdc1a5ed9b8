"""The newest readings of one report of one app, packed into bytes.

Each period is a row of doubles, the newest first; NaN is an unknown figure, a row of NaN for an unknown period. A row
has the fields of the report, then one column for each part of a figure that any of the periods had (``columns``).
With 10,000 apps the histories are most of the memory: 26 weeks of seven figures are 1.5 kB, as objects they were 12 kB.

Histories are immutable: the poller replaces a history, while web threads read the previous one without a lock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import chain
from math import isnan, nan
from struct import Struct
from typing import TYPE_CHECKING

from exporter.reports.model import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.periods import Period
    from exporter.reports.figure_types import Field
    from exporter.reports.model import Report


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
    columns: tuple[tuple[str, str], ...] = ()
    """The parts of figures, sorted: WeChat's name of the field, key."""

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
        needed = {(name, key) for name, key, _ in stored.reading.by_dimension}
        if not needed.issubset(self.columns):
            return self._with_columns(needed).with_reading(stored)
        unknown = self._unknown_row
        row = self._row_of(stored.reading)
        # The distance is positive for a newer period, 0 for a revision of the live one, negative for an older one.
        distance = 1 if self.live is None else stored.period.periods_since(self.live)
        if distance > 0:
            # Periods between the previous live one and this one were not published, or not fetched: unknown rows.
            packed = row + unknown * (distance - 1 if self.packed else 0) + self.packed
            packed = _trimmed(packed[: len(row) * (self.report.lookback + 1)], unknown)
            return replace(self, live=stored.period, first_seen=stored.first_seen, packed=packed)
        index = -distance
        if index > self.report.lookback:
            return self
        padded = self.packed + unknown * (index + 1 - len(self.packed) // len(row))
        packed = padded[: len(row) * index] + row + padded[len(row) * (index + 1) :]
        return replace(self, first_seen=self.first_seen if index else stored.first_seen, packed=packed)

    @property
    def periods(self) -> list[Period]:
        """Every period from the live one back to the oldest known one, including unknown ones in between."""
        if self.live is None:
            return []
        return [self.live.before(number) for number in range(len(self.packed) // self._row_bytes)]

    def reading(self, period: Period) -> Reading | None:
        """Return the reading of a period; None if it is unknown."""
        values = tuple(self.value(period, figure) for figure in self.report.fields)
        by_name = {figure.wechat: figure for figure in self.report.fields}
        parts = tuple(
            (name, key, value)
            for column, (name, key) in enumerate(self.columns, len(self.report.fields))
            if self.live is not None
            and (value := self._value(self.live.periods_since(period), column, by_name[name])) is not None
        )
        if not parts and all(value is None for value in values):
            return None
        return Reading(self.report, period, values, parts)

    def value(self, period: Period | None, figure: Field, key: str = "") -> float | None:
        """Return a figure of a period, or its part with a key; None if it is unknown."""
        if period is None or self.live is None:
            return None
        index = self.live.periods_since(period)
        if not key:
            return self._value(index, self.report.fields.index(figure), figure)
        column = self._column(figure, key)
        value = None if column is None else self._value(index, column, figure)
        if value is None and figure.dimension is not None and figure.dimension.absent_is_zero:
            # Zero parts are left out by WeChat; the total is known exactly if it sent the figure at all.
            return None if self.value(period, figure) is None else 0
        return value

    def keys(self, figure: Field, last: Period, number: int) -> tuple[str, ...]:
        """Return the keys of the parts that are above 0 in any of ``number`` periods up to ``last``."""
        if self.live is None:
            return ()
        newest = self.live.periods_since(last)
        size = self._row_bytes
        # One slice for each column: single values would be hundreds of calls for each app in each rendering.
        rows = array("d", self.packed[size * max(newest, 0) : size * max(newest + number, 0)])
        first, width = len(self.report.fields), size // _DOUBLE.size
        return tuple(
            key
            for column, (name, key) in enumerate(self.columns, first)
            if name == figure.wechat and any(value > 0 for value in rows[column::width])
        )

    def live_value(self, figure: Field) -> float | None:
        """Return a figure of the live period."""
        return self.value(self.live, figure)

    def change(self, figure: Field) -> float | None:
        """Return the relative change of the live value against the first comparison of the field.

        None if there is none, one of the two values is unknown, or the earlier one is zero.
        """
        comparison = next((each for each in self.report.comparisons if each.applies_to(figure)), None)
        before = comparison.value(self, figure) if comparison else None
        now = self.live_value(figure)
        return None if now is None or not before else now / before - 1

    def recent_values(self, figure: Field, length: int) -> list[float | None]:
        """Return a figure of up to ``length`` newest periods, oldest first, starting with the first known value."""
        column = self.report.fields.index(figure)
        known = min(length, len(self.packed) // self._row_bytes)
        values = [self._value(index, column, figure) for index in reversed(range(known))]
        start = next((index for index, value in enumerate(values) if value is not None), len(values) - 1)
        return values[max(start, 0) :]

    def _value(self, index: int, column: int, figure: Field) -> float | None:
        """Return a figure of the period that is ``index`` periods before the live one."""
        # Unpacks one double instead of a row: the comparisons of one app with daily figures read 900 single values.
        offset = self._row_bytes * index + _DOUBLE.size * column
        if index < 0 or offset >= len(self.packed):
            return None
        (value,) = _DOUBLE.unpack_from(self.packed, offset)
        return None if isnan(value) else figure.typed(value)

    @property
    def _row_bytes(self) -> int:
        return _DOUBLE.size * (len(self.report.fields) + len(self.columns))

    @property
    def _unknown_row(self) -> bytes:
        return _packed([None] * (self._row_bytes // _DOUBLE.size))

    def _row_of(self, reading: Reading) -> bytes:
        parts = {(name, key): value for name, key, value in reading.by_dimension}
        return _packed([*reading.values, *(parts.get(column) for column in self.columns)])

    def _column(self, figure: Field, key: str) -> int | None:
        # Not a dict: its key would be the columns, and hashing them costs more than this search.
        place = bisect_left(self.columns, (figure.wechat, key))
        found = self.columns[place : place + 1] == ((figure.wechat, key),)
        return len(self.report.fields) + place if found else None

    def _with_columns(self, needed: Iterable[tuple[str, str]]) -> History:
        """Return the history with these columns and those of parts that any of its periods has."""
        plain, width = len(self.report.fields), self._row_bytes // _DOUBLE.size
        rows = array("d", self.packed)
        values = [rows[place::width] for place in range(width)]
        # Without this, each entrance that the app ever had would need memory until the next start.
        known = {column: of for column, of in zip(self.columns, values[plain:], strict=True) if not all(map(isnan, of))}
        columns = tuple(sorted({*known, *needed}))
        unknown = array("d", [nan]) * (len(rows) // width)
        of_rows = zip(*values[:plain], *(known.get(column, unknown) for column in columns), strict=True)
        return replace(self, columns=columns, packed=array("d", chain.from_iterable(of_rows)).tobytes())


def _packed(values: Iterable[float | None]) -> bytes:
    return array("d", [nan if value is None else value for value in values]).tobytes()


def _trimmed(packed: bytes, unknown: bytes) -> bytes:
    """Return the rows without unknown periods at the old end."""
    # They carry no information, and would make equal histories unequal.
    while packed.endswith(unknown):
        packed = packed[: -len(unknown)]
    return packed

"""A checksum over one reading: SQLite notices neither a flipped bit in a value nor one in a key.

It covers the host, appid, report and period that the figures belong to, so that a flipped bit can neither change a
figure nor give it to another app or period. CRC-32 finds every error of up to 32 neighbouring bits.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

Figure = tuple[str, str, float]
"""Field as WeChat names it, dimension, value."""


def reading_checksum(owner: tuple[str, str, str], period: int, first_seen: float, figures: Iterable[Figure]) -> int:
    """Return the checksum of a reading; the order of its figures does not matter.

    Args:
        owner: API host, appid and name of the report.
        period: the first day, 20261116.
        first_seen: Unix seconds.
        figures: all of them.
    """
    lines = sorted(f"{field}\t{dimension}\t{_canonical(value)}" for field, dimension, value in figures)
    text = "\n".join((*owner, str(period), _canonical(first_seen), *lines))
    return zlib.crc32(text.encode("utf-8", "replace"))


def register(db: sqlite3.Connection) -> None:
    """Let a database's SQL call it: ``reading_checksum(host, appid, report, period, first_seen, field, ...)``."""
    db.create_aggregate("reading_checksum", 8, _Aggregate)  # type: ignore[arg-type]  # the stubs know one argument


class _Aggregate:
    """The checksum of the figures of one reading, a row each."""

    def __init__(self) -> None:
        self._figures: list[Figure] = []
        self._owner = ("", "", "")
        self._period, self._first_seen = 0, 0.0

    def step(  # noqa: PLR0913, PLR0917 (the columns)
        self,
        host: str,
        appid: str,
        report: str,
        period: int,
        first_seen: float,
        field: str,
        dimension: str,
        value: float,
    ) -> None:
        self._owner, self._period, self._first_seen = (host, appid, report), period, first_seen
        self._figures.append((field, dimension, value))

    def finalize(self) -> int | None:
        return reading_checksum(self._owner, self._period, self._first_seen, self._figures) if self._figures else None


def _canonical(value: object) -> str:
    """The same text for the same number, which SQLite may give back as an integer or as a float."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

"""The checksum of a reading, because SQLite notices no flipped bit in a value or in a key.

It covers the host, appid, report and period that the figures belong to, so that a flipped bit can neither change a
figure nor move it to another app or period. CRC-32 finds every burst of errors of up to 32 bits.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

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


def readings_with_checksums(db: sqlite3.Connection) -> Iterator[tuple[tuple[int, int, int], int | None, int | None]]:
    """Yield each reading's key (app, report, period), its stored checksum, and the one that it should have.

    Computed in Python, not by a function within SQL: that fails for the entire table at one text that is not UTF-8.
    """
    owners = {row[0]: (row[1], row[2]) for row in db.execute("SELECT id, host, appid FROM subject")}
    names = dict(db.execute("SELECT id, name FROM term"))
    rows = db.execute("SELECT subject, report, period, first_seen, checksum FROM reading").fetchall()
    for subject, report, period, first_seen, stored in rows:
        figures = [
            (str(names.get(field)), str(dimension), value)
            for field, dimension, value in db.execute(
                "SELECT field, dimension, value FROM figure WHERE subject = ? AND report = ? AND period = ?",
                (subject, report, period),
            )
        ]
        host, appid = owners.get(subject, ("", ""))
        owner = (str(host), str(appid), str(names.get(report)))
        yield (
            (subject, report, period),
            stored,
            reading_checksum(owner, period, first_seen, figures) if figures else None,
        )


def add_checksums(db: sqlite3.Connection) -> None:
    """Add its checksum to each reading of a database of schema version 1."""
    found = [(checksum, *key) for key, _, checksum in readings_with_checksums(db)]
    db.executemany("UPDATE reading SET checksum = ? WHERE subject = ? AND report = ? AND period = ?", found)


def delete_damaged(db: sqlite3.Connection) -> None:
    """Delete damaged readings, so that intact ones can replace them."""
    damaged = [key for key, stored, checksum in readings_with_checksums(db) if stored is None or stored != checksum]
    for table in ("figure", "reading"):
        db.executemany(f"DELETE FROM {table} WHERE subject = ? AND report = ? AND period = ?", damaged)  # noqa: S608 (two names)


def _canonical(value: object) -> str:
    """Return the same text for 1 and 1.0: SQLite returns either for the same number."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)

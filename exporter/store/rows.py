"""What the store keeps, as values, and the SQL that writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.periods import BEIJING, Week
from exporter.status import Answer, Kept, Recent
from exporter.store.checksum import reading_checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from exporter.reports import Report

_LAST_YEAR = 2999  # beyond it no clock was right


@dataclass(frozen=True, slots=True)
class Miss:
    """A week without data and when it was requested; a ``final`` one is requested again only after a month."""

    week: Week
    at: float
    final: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to keep about one app. A reading replaces the whole row of its week."""

    appid: str
    report: Report
    kept: Kept | Miss | Answer

    @property
    def key(self) -> tuple[str, str, str, Week | None]:
        """What a later change of the same key makes obsolete."""
        week = None if isinstance(self.kept, Answer) else self.kept.week
        return self.appid, self.report.name, type(self.kept).__name__, week


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one app's report."""

    answer: Answer | None = None
    recent: Recent = Recent()  # noqa: RUF009 (a frozen value)
    held: frozenset[Week] = frozenset()
    """The newest weeks there are, at least as many as were asked for."""
    misses: tuple[Miss, ...] = ()
    damaged: tuple[str, ...] = ()
    """What cannot be what was written, in the words of the log: it counts as missing, so it is requested again."""


def write(db: sqlite3.Connection, host: str, changes: Iterable[Change]) -> None:
    """Writes all changes in one transaction, or none of them."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        terms = Terms(db)
        for change in changes:
            subject = _subject(db, host, change.appid)
            report = terms.number(change.report.name)
            match change.kept:
                case Kept():
                    _write_reading(db, (subject, report), (host, change.appid), change.kept, terms)
                case Miss():
                    _write_miss(db, (subject, report), change.kept)
                case Answer():
                    _write_answer(db, (subject, report), change.kept)


class Terms:
    """The numbers of the names of reports and fields."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = dict(db.execute("SELECT name, id FROM term"))

    @property
    def names(self) -> dict[object, str]:
        """The name of each number."""
        return {number: name for name, number in self._numbers.items()}

    def find(self, name: str) -> int | None:
        """The number of a name; None if it has none yet."""
        return self._numbers.get(name)

    def number(self, name: str) -> int:
        """The number of a name, given to it now if it has none yet."""
        if name not in self._numbers:
            cursor = self._db.execute("INSERT INTO term (name) VALUES (?) RETURNING id", (name,))
            (self._numbers[name],) = cursor.fetchone()
        return self._numbers[name]


def _subject(db: sqlite3.Connection, host: str, appid: str) -> int:
    db.execute("INSERT INTO subject (host, appid) VALUES (?, ?) ON CONFLICT DO NOTHING", (host, appid))
    row = db.execute("SELECT id FROM subject WHERE host = ? AND appid = ?", (host, appid)).fetchone()
    number: int = row[0]
    return number


def _write_reading(
    db: sqlite3.Connection, key: tuple[int, int], owner: tuple[str, str], kept: Kept, terms: Terms
) -> None:
    reading = kept.reading
    period = (*key, period_number(reading.week))
    figures = [
        (field.wechat, "", value)
        for field, value in zip(reading.report.fields, reading.values, strict=True)
        if value is not None
    ]
    checksum = reading_checksum((*owner, reading.report.name), period[-1], kept.first_seen, figures)
    db.execute(
        """INSERT INTO reading (subject, report, period, first_seen, checksum) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (subject, report, period)
           DO UPDATE SET first_seen = excluded.first_seen, checksum = excluded.checksum""",
        (*period, kept.first_seen, checksum),
    )
    db.execute("DELETE FROM figure WHERE subject = ? AND report = ? AND period = ?", period)
    db.executemany(
        "INSERT INTO figure (subject, report, period, field, dimension, value) VALUES (?, ?, ?, ?, ?, ?)",
        [(*period, terms.number(field), dimension, value) for field, dimension, value in figures],
    )
    db.execute("DELETE FROM miss WHERE subject = ? AND report = ? AND period = ?", period)


def _write_miss(db: sqlite3.Connection, key: tuple[int, int], miss: Miss) -> None:
    db.execute(
        """INSERT INTO miss (subject, report, period, at, final) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET at = excluded.at, final = excluded.final""",
        (*key, period_number(miss.week), miss.at, miss.final),
    )


def _write_answer(db: sqlite3.Connection, key: tuple[int, int], answer: Answer) -> None:
    db.execute(
        "INSERT OR REPLACE INTO answer (subject, report, period, state, at, since, errcode, message, failures,"
        " retry_after, history_stopped, succeeded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            period_number(answer.week),
            answer.state.value,
            answer.at,
            answer.since,
            answer.errcode,
            answer.message,
            answer.failures,
            answer.retry_after,
            answer.history_stopped,
            answer.succeeded,
        ),
    )


def period_number(week: Week) -> int:
    """How a period is stored: its first day, 20261116."""
    return int(week.begin_date)


@lru_cache(maxsize=2048)
def week_of(period: int) -> Week:
    """The period that is stored so.

    Raises:
        ValueError: it cannot be one.
    """
    day = datetime.strptime(str(period), "%Y%m%d").replace(tzinfo=BEIJING).date()
    if day.year > _LAST_YEAR:
        raise ValueError("a week of a far future")
    return Week(day)

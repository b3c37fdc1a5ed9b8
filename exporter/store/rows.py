"""What the store keeps, as values, and the SQL that writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.apps import LastResult
from exporter.periods import Period, parse_day
from exporter.reports import History, StoredReading
from exporter.store.checksum import reading_checksum

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from exporter.reports import Report

_LAST_YEAR = 2999  # beyond it no clock was right


@dataclass(frozen=True, slots=True)
class UnavailablePeriod:
    """A period without data and when it was requested; a ``final`` one is requested again only after a month."""

    period: Period
    at: float
    final: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to keep about one report of an app. A reading replaces the whole row of its period."""

    appid: str
    report: Report
    kept: StoredReading | UnavailablePeriod | LastResult

    @property
    def key(self) -> tuple[str, str, str, Period | None]:
        """What a later change of the same key makes obsolete."""
        period = None if isinstance(self.kept, LastResult) else self.kept.period
        return self.appid, self.report.name, type(self.kept).__name__, period


@dataclass(frozen=True, slots=True)
class StoredState:
    """What the store knows of one report of an app."""

    history: History
    last_result: LastResult | None = None
    stored: frozenset[Period] = frozenset()
    """The newest periods there are, at least as many as were wanted."""
    unavailable: tuple[UnavailablePeriod, ...] = ()
    damaged: tuple[str, ...] = ()
    """What cannot be what was written, in the words of the log: it counts as missing, so it is requested again."""
    newest: StoredReading | None = field(default=None, compare=False)
    """The newest reading, whole: with the figures by dimension, which a history does not hold."""


def write(db: sqlite3.Connection, host: str, changes: Iterable[Change]) -> None:
    """Writes all changes in one transaction, or none of them."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        terms = Terms(db)
        for change in changes:
            subject = _subject(db, host, change.appid)
            report = terms.number(change.report.name)
            match change.kept:
                case StoredReading():
                    _write_reading(db, (subject, report), (host, change.appid), change.kept, terms)
                case UnavailablePeriod():
                    _write_miss(db, (subject, report), change.kept)
                case LastResult():
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
    db: sqlite3.Connection, key: tuple[int, int], owner: tuple[str, str], kept: StoredReading, terms: Terms
) -> None:
    reading = kept.reading
    period = (*key, period_number(reading.period))
    figures = [
        (figure.wechat, "", value)
        for figure, value in zip(reading.report.fields, reading.values, strict=True)
        if value is not None
    ]
    figures += reading.by_dimension
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
        [(*period, terms.number(name), dimension, value) for name, dimension, value in figures],
    )
    db.execute("DELETE FROM miss WHERE subject = ? AND report = ? AND period = ?", period)


def _write_miss(db: sqlite3.Connection, key: tuple[int, int], miss: UnavailablePeriod) -> None:
    db.execute(
        """INSERT INTO miss (subject, report, period, at, final) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET at = excluded.at, final = excluded.final""",
        (*key, period_number(miss.period), miss.at, miss.final),
    )


def _write_answer(db: sqlite3.Connection, key: tuple[int, int], answer: LastResult) -> None:
    db.execute(
        "INSERT OR REPLACE INTO answer (subject, report, period, state, at, since, errcode, message, failures,"
        " retry_after, history_stopped, succeeded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            period_number(answer.period),
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


def period_number(period: Period) -> int:
    """How a period is stored: its first day, 20261116."""
    return int(period.begin_date)


@lru_cache(maxsize=8192)
def period_of(kind: type[Period], number: int) -> Period:
    """The period that is stored so.

    Raises:
        ValueError: it cannot be one.
    """
    period = kind.of(parse_day(str(number)))
    if period.first.year > _LAST_YEAR:
        raise ValueError("a period of a far future")
    return period

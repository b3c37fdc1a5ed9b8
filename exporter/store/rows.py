"""The values that the store keeps, and the SQL that writes them."""

from __future__ import annotations

from dataclasses import dataclass
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

_LAST_YEAR = 2999  # a later period comes from damaged data or a wrong clock


@dataclass(frozen=True, slots=True)
class UnavailablePeriod:
    """A period without data and when it was requested; a ``final`` one is requested again only after a month."""

    period: Period
    at: float
    final: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One value to save for one report of an app. A reading replaces the previous one of its period."""

    appid: str
    report: Report
    value: StoredReading | UnavailablePeriod | LastResult

    @property
    def key(self) -> tuple[str, str, str, Period | None]:
        """A later change with the same key replaces this one."""
        period = None if isinstance(self.value, LastResult) else self.value.period
        return self.appid, self.report.name, type(self.value).__name__, period


@dataclass(frozen=True, slots=True)
class StoredState:
    """What is stored of one report of an app."""

    history: History
    last_result: LastResult | None = None
    stored: frozenset[Period] = frozenset()
    """The newest stored periods that are complete, as many as were requested if there are so many."""
    unavailable: tuple[UnavailablePeriod, ...] = ()
    damaged: tuple[str, ...] = ()
    """Damaged values, described for the log. They count as missing, so that they are requested again."""


def write(db: sqlite3.Connection, host: str, changes: Iterable[Change]) -> None:
    """Write all changes in one transaction.

    Raises:
        sqlite3.Error: nothing was written.
    """
    with db:
        db.execute("BEGIN IMMEDIATE")  # fails now if the file is busy, not in the middle of the writes
        terms = Terms(db)
        for change in changes:
            subject = _subject(db, host, change.appid)
            report = terms.number(change.report.name)
            match change.value:
                case StoredReading():
                    _write_reading(db, (subject, report), (host, change.appid), change.value, terms)
                case UnavailablePeriod():
                    _write_unavailable(db, (subject, report), change.value)
                case LastResult():
                    _write_last_result(db, (subject, report), change.value)


class Terms:
    """The ids of the names of reports and fields."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = dict(db.execute("SELECT name, id FROM term"))

    @property
    def names(self) -> dict[object, str]:
        """The name of each id."""
        return {number: name for name, number in self._numbers.items()}

    def find(self, name: str) -> int | None:
        """Return the id of a name; None if it has none."""
        return self._numbers.get(name)

    def number(self, name: str) -> int:
        """Return the id of a name, creating it if necessary."""
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
    db: sqlite3.Connection, key: tuple[int, int], owner: tuple[str, str], stored: StoredReading, terms: Terms
) -> None:
    reading = stored.reading
    period = (*key, period_number(reading.period))
    figures = [
        (figure.wechat, "", value)
        for figure, value in zip(reading.report.fields, reading.values, strict=True)
        if value is not None
    ]
    figures += reading.by_dimension
    checksum = reading_checksum((*owner, reading.report.name), period[-1], stored.first_seen, figures)
    db.execute(
        """INSERT INTO reading (subject, report, period, first_seen, checksum) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (subject, report, period)
           DO UPDATE SET first_seen = excluded.first_seen, checksum = excluded.checksum""",
        (*period, stored.first_seen, checksum),
    )
    # A revision may have fewer fields: the previous ones must not stay beside it.
    db.execute("DELETE FROM figure WHERE subject = ? AND report = ? AND period = ?", period)
    db.executemany(
        "INSERT INTO figure (subject, report, period, field, dimension, value) VALUES (?, ?, ?, ?, ?, ?)",
        [(*period, terms.number(name), dimension, value) for name, dimension, value in figures],
    )
    db.execute("DELETE FROM miss WHERE subject = ? AND report = ? AND period = ?", period)


def _write_unavailable(db: sqlite3.Connection, key: tuple[int, int], unavailable: UnavailablePeriod) -> None:
    db.execute(
        """INSERT INTO miss (subject, report, period, at, final) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET at = excluded.at, final = excluded.final""",
        (*key, period_number(unavailable.period), unavailable.at, unavailable.final),
    )


def _write_last_result(db: sqlite3.Connection, key: tuple[int, int], result: LastResult) -> None:
    db.execute(
        "INSERT OR REPLACE INTO answer (subject, report, period, state, at, since, errcode, message, failures,"
        " retry_after, history_stopped, succeeded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            period_number(result.period),
            result.state.value,
            result.at,
            result.since,
            result.errcode,
            result.message,
            result.failures,
            result.retry_after,
            result.history_stopped,
            result.succeeded,
        ),
    )


def period_number(period: Period) -> int:
    """Return a period as it is stored: its first day, 20261116."""
    return int(period.begin_date)


@lru_cache(maxsize=8192)
def period_of(kind: type[Period], number: int) -> Period:
    """Return the period of a stored number.

    Raises:
        ValueError: it is no period.
    """
    period = kind.of(parse_day(str(number)))
    if period.first.year > _LAST_YEAR:
        raise ValueError("a period after the year 2999")
    return period

"""What the store keeps, as values, and the SQL that writes and reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from exporter.periods import BEIJING, Week
from exporter.reports import Reading, Report
from exporter.status import BASELINE_WEEKS, TRAIL_WEEKS, Answer, Kept, Recent, State, Trail

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


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


class UnreadableRow(Exception):
    """A row holds what this program never wrote."""


def write(db: sqlite3.Connection, host: str, changes: Iterable[Change]) -> None:
    """Writes all changes in one transaction, or none of them."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        terms = _Terms(db)
        for change in changes:
            subject = _subject(db, host, change.appid)
            report = terms.number(change.report.name)
            match change.kept:
                case Kept():
                    _write_reading(db, (subject, report), change.kept, terms)
                case Miss():
                    _write_miss(db, (subject, report), change.kept)
                case Answer():
                    _write_answer(db, (subject, report), change.kept)


def read(db: sqlite3.Connection, host: str, appid: str, report: Report, newest_weeks: int) -> Known:
    """Reads what is known of one app's report: which of the newest weeks, and the figures of the recent ones.

    Raises:
        UnreadableRow: somebody else wrote into the database.
        sqlite3.Error: it cannot be read.
    """
    try:
        return _read(db, host, appid, report, newest_weeks)
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableRow(str(error)) from None


def _read(db: sqlite3.Connection, host: str, appid: str, report: Report, newest_weeks: int) -> Known:
    terms = _Terms(db)
    row = db.execute("SELECT id FROM subject WHERE host = ? AND appid = ?", (host, appid)).fetchone()
    number = terms.find(report.name)
    if row is None or number is None:
        return Known()
    key = (row[0], number)
    weeks = {
        _week(period): float(first_seen)
        for period, first_seen in db.execute(
            "SELECT period, first_seen FROM reading WHERE subject = ? AND report = ? ORDER BY period DESC LIMIT ?",
            (*key, max(newest_weeks, 1 + BASELINE_WEEKS)),
        )
    }
    return Known(
        answer=_read_answer(db, key),
        recent=_read_recent(db, key, report, weeks, terms),
        held=frozenset(weeks),
        misses=tuple(
            Miss(_week(period), float(at), bool(final))
            for period, at, final in db.execute(
                "SELECT period, at, final FROM miss WHERE subject = ? AND report = ?", key
            )
        ),
    )


class _Terms:
    """The numbers of the names of reports and fields."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = dict(db.execute("SELECT name, id FROM term"))

    def find(self, name: str) -> int | None:
        return self._numbers.get(name)

    def number(self, name: str) -> int:
        if name not in self._numbers:
            cursor = self._db.execute("INSERT INTO term (name) VALUES (?) RETURNING id", (name,))
            (self._numbers[name],) = cursor.fetchone()
        return self._numbers[name]


def _subject(db: sqlite3.Connection, host: str, appid: str) -> int:
    db.execute("INSERT INTO subject (host, appid) VALUES (?, ?) ON CONFLICT DO NOTHING", (host, appid))
    row = db.execute("SELECT id FROM subject WHERE host = ? AND appid = ?", (host, appid)).fetchone()
    number: int = row[0]
    return number


def _write_reading(db: sqlite3.Connection, key: tuple[int, int], kept: Kept, terms: _Terms) -> None:
    reading = kept.reading
    period = (*key, _period(reading.week))
    db.execute(
        """INSERT INTO reading (subject, report, period, first_seen) VALUES (?, ?, ?, ?)
           ON CONFLICT (subject, report, period) DO UPDATE SET first_seen = excluded.first_seen""",
        (*period, kept.first_seen),
    )
    db.execute("DELETE FROM figure WHERE subject = ? AND report = ? AND period = ?", period)
    db.executemany(
        "INSERT INTO figure (subject, report, period, field, value) VALUES (?, ?, ?, ?, ?)",
        [
            (*period, terms.number(field.wechat), value)
            for field, value in zip(reading.report.fields, reading.values, strict=True)
            if value is not None
        ],
    )
    db.execute("DELETE FROM miss WHERE subject = ? AND report = ? AND period = ?", period)


def _write_miss(db: sqlite3.Connection, key: tuple[int, int], miss: Miss) -> None:
    db.execute(
        """INSERT INTO miss (subject, report, period, at, final) VALUES (?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET at = excluded.at, final = excluded.final""",
        (*key, _period(miss.week), miss.at, miss.final),
    )


def _write_answer(db: sqlite3.Connection, key: tuple[int, int], answer: Answer) -> None:
    db.execute(
        "INSERT OR REPLACE INTO answer (subject, report, period, state, at, since, errcode, message, failures,"
        " retry_after, history_stopped, succeeded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *key,
            _period(answer.week),
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


def _read_answer(db: sqlite3.Connection, key: tuple[int, int]) -> Answer | None:
    row = db.execute(
        "SELECT period, state, at, since, errcode, message, failures, retry_after, history_stopped, succeeded"
        " FROM answer WHERE subject = ? AND report = ?",
        key,
    ).fetchone()
    if row is None:
        return None
    period, state, at, since, errcode, message, failures, retry_after, stopped, succeeded = row
    return Answer(
        week=_week(period),
        state=State(state),
        at=float(at),
        since=float(since),
        errcode=str(errcode),
        message=str(message),
        failures=int(failures),
        retry_after=float(retry_after),
        history_stopped=bool(stopped),
        succeeded=None if succeeded is None else float(succeeded),
    )


def _read_recent(
    db: sqlite3.Connection, key: tuple[int, int], report: Report, weeks: dict[Week, float], terms: _Terms
) -> Recent:
    """The newest weeks with their figures; ``weeks`` says when each was first seen, newest first."""
    if not weeks:
        return Recent()
    oldest = max(weeks).before(BASELINE_WEEKS)
    figures: dict[Week, dict[int | None, float]] = {week: {} for week in weeks}
    for period, field, value in db.execute(
        "SELECT period, field, value FROM figure WHERE subject = ? AND report = ? AND period >= ? AND dimension = ''",
        (*key, _period(oldest)),
    ):
        if not isinstance(value, int | float):
            raise UnreadableRow("a figure is not a number")
        figures.setdefault(_week(period), {})[field] = value
    numbers = [terms.find(field.wechat) for field in report.fields]
    return Recent(
        tuple(
            Kept(Reading(report, week, tuple(figures[week].get(number) for number in numbers)), weeks[week])
            for week in weeks
            if week >= oldest
        ),
        _read_trail(db, key, max(weeks), terms.find(report.leading.wechat)),
    )


def _read_trail(db: sqlite3.Connection, key: tuple[int, int], newest: Week, field: int | None) -> Trail:
    rows = db.execute(
        "SELECT period, value FROM figure WHERE subject = ? AND report = ? AND period >= ? AND field = ?"
        " AND dimension = ''",
        (*key, _period(newest.before(TRAIL_WEEKS - 1)), field),
    )
    return Trail.of({newest: None} | {_week(period): float(value) for period, value in rows})


def _period(week: Week) -> int:
    return int(week.begin_date)


@lru_cache(maxsize=2048)
def _week(period: int) -> Week:
    day = datetime.strptime(str(period), "%Y%m%d").replace(tzinfo=BEIJING).date()
    if day.year > _LAST_YEAR:
        raise ValueError("a week of a far future")
    return Week(day)

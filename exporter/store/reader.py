"""The SQL that reads the store. Every value is validated: a file may be damaged, or edited by hand."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.apps import LastResult, State
from exporter.reports import History, Reading, Report, StoredReading, is_figure, is_key
from exporter.store.checksum import Figure, reading_checksum
from exporter.store.rows import StoredState, Terms, UnavailablePeriod, period_number, period_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from exporter.periods import Period

_LAST_INSTANT = (
    32_503_680_000.0  # the end of the year 2999, Unix seconds; a later instant comes from damaged data or a wrong clock
)
_NO_LIMIT = 99_999_999
"""After every period number."""
Row = tuple[int, float, int]
"""Period, first seen and checksum, as the database has them: any of them may be damaged."""


def read(db: sqlite3.Connection, host: str, appid: str, report: Report, newest: int) -> StoredState:
    """Return what is stored of one report of an app.

    A row with an impossible value or a wrong checksum counts as missing. ``newest`` is how many periods are wanted, the
    newest included.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    terms = Terms(db)
    key = _key(db, host, appid, report, terms)
    if key is None:
        return StoredState(History(report))
    damaged: list[str] = []
    rows = _newest_rows(db, key, max(newest, report.lookback + 1))
    readings = _readings(db, key, (host, appid, report), rows, terms, damaged)
    return StoredState(
        history=History.of(report, readings),
        last_result=_read_last_result(db, key, report, damaged),
        stored=frozenset(each.period for each in readings if each.reading.is_complete),
        unavailable=_read_unavailable(db, key, report, damaged),
        damaged=tuple(damaged),
    )


def read_periods(
    db: sqlite3.Connection, host: str, appid: str, report: Report, between: tuple[Period | None, Period | None]
) -> tuple[StoredReading, ...]:
    """Return every undamaged reading of one report of an app, the oldest first.

    ``between`` are the first and the last period to return; None is no limit.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    terms = Terms(db)
    key = _key(db, host, appid, report, terms)
    if key is None:
        return ()
    first, last = between
    begin = 0 if first is None else period_number(first)
    end = _NO_LIMIT if last is None else period_number(last)
    rows = db.execute(
        "SELECT period, first_seen, checksum FROM reading WHERE subject = ? AND report = ? AND period BETWEEN ? AND ?"
        " ORDER BY period DESC",
        (*key, begin, end),
    ).fetchall()
    return tuple(reversed(_readings(db, key, (host, appid, report), rows, terms, [])))


def _key(db: sqlite3.Connection, host: str, appid: str, report: Report, terms: Terms) -> tuple[int, int] | None:
    """Return the ids of the app and the report; None if the store has nothing of either."""
    row = db.execute("SELECT id FROM subject WHERE host = ? AND appid = ?", (host, appid)).fetchone()
    number = terms.find(report.name)
    return None if row is None or number is None else (row[0], number)


def _read_last_result(
    db: sqlite3.Connection, key: tuple[int, int], report: Report, damaged: list[str]
) -> LastResult | None:
    row = db.execute(
        "SELECT period, state, at, since, errcode, message, failures, retry_after, history_stopped, succeeded"
        " FROM answer WHERE subject = ? AND report = ?",
        key,
    ).fetchone()
    if row is None:
        return None
    period, state, at, since, errcode, message, failures, retry_after, stopped, succeeded = row
    try:
        return LastResult(
            period=period_of(report.period, period),
            state=State(state),
            at=_instant(at),
            since=_instant(since),
            errcode=str(errcode),
            message=str(message),
            failures=int(_number(failures)),
            retry_after=_number(retry_after),
            history_stopped=bool(stopped),
            succeeded=None if succeeded is None else _instant(succeeded),
        )
    except (ValueError, TypeError, OverflowError):
        damaged.append("last result")
        return None


def _read_unavailable(
    db: sqlite3.Connection, key: tuple[int, int], report: Report, damaged: list[str]
) -> tuple[UnavailablePeriod, ...]:
    found = []
    for period, at, final in db.execute("SELECT period, at, final FROM miss WHERE subject = ? AND report = ?", key):
        try:
            found.append(UnavailablePeriod(period_of(report.period, period), _instant(at), bool(final)))
        except (ValueError, TypeError, OverflowError):
            damaged.append(f"missing period {period}")
    return tuple(found)


def _newest_rows(db: sqlite3.Connection, key: tuple[int, int], newest: int) -> list[Row]:
    return db.execute(
        "SELECT period, first_seen, checksum FROM reading WHERE subject = ? AND report = ?"
        " ORDER BY period DESC LIMIT ?",
        (*key, newest),
    ).fetchall()


def _readings(  # noqa: PLR0913, PLR0917 (what identifies them)
    db: sqlite3.Connection,
    key: tuple[int, int],
    owner: tuple[str, str, Report],
    rows: list[Row],
    terms: Terms,
    damaged: list[str],
) -> list[StoredReading]:
    """Return the undamaged readings of these rows, which are the newest first and leave none out."""
    host, appid, report = owner
    if not rows:
        return []
    # One query for all periods, not one for each: a start reads every report of 10,000 apps.
    figures: dict[object, list[Figure]] = defaultdict(list)
    names = terms.names
    for period, field, dimension, value in db.execute(
        "SELECT period, field, dimension, value FROM figure"
        " WHERE subject = ? AND report = ? AND period BETWEEN ? AND ?",
        (*key, rows[-1][0], rows[0][0]),
    ):
        figures[period].append((names.get(field, ""), dimension, value))
    readings = []
    for period, first_seen, checksum in rows:
        found = figures[period]
        try:
            intact = checksum == reading_checksum((host, appid, report.name), period, first_seen, found)
            reading = _reading(report, period_of(report.period, period), found if intact else [])
            readings.append(StoredReading(reading, _instant(first_seen)))
        except (ValueError, TypeError, OverflowError):
            damaged.append(f"period {period}")
    return readings


def _reading(report: Report, period: Period, figures: Collection[Figure]) -> Reading:
    """Return the reading with these figures; ValueError if there are none or one is impossible."""
    known = {field: value for field, dimension, value in figures if not dimension}
    values = tuple(known.get(field.wechat) for field in report.fields)
    for field, value in zip(report.fields, values, strict=True):
        if value is not None and not field.is_possible(value):
            raise ValueError(f"{field.wechat} has an impossible value")
    by_dimension = sorted((field, dimension, value) for field, dimension, value in figures if dimension)
    if not known and not by_dimension:
        raise ValueError("no figures, or a wrong checksum")
    parts = {field.wechat: field for field in report.fields if field.dimension is not None}
    if not all(name in parts and is_key(key) and parts[name].is_possible(value) for name, key, value in by_dimension):
        raise ValueError("a part of a figure has an impossible value")
    return Reading(report, period, values, tuple(by_dimension))


def _instant(value: object) -> float:
    """Return plausible Unix seconds; else ValueError."""
    instant = _number(value)
    if instant > _LAST_INSTANT:
        raise ValueError("an instant after the year 2999")
    return instant


def _number(value: object) -> float:
    """Return a finite number that is not negative; else ValueError."""
    if not is_figure(value):
        raise ValueError("not a number, infinite or negative")
    return float(value)

"""The SQL that reads what the store keeps. Nothing is believed that cannot be what was written."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from exporter.reports import Reading, Report, is_figure
from exporter.status import BASELINE_WEEKS, TRAIL_WEEKS, Answer, Kept, Recent, State, Trail
from exporter.store.checksum import Figure, reading_checksum
from exporter.store.rows import Known, Miss, Terms, week_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from exporter.periods import Week

_LAST_INSTANT = 32_503_680_000.0  # the end of the year 2999, Unix seconds: no clock was right beyond it


def read(db: sqlite3.Connection, host: str, appid: str, report: Report, newest_weeks: int) -> Known:
    """Read what is known of one app's report: which of the newest weeks, and the figures of the recent ones.

    A row that cannot be what was written (an impossible value, a wrong checksum) counts as missing.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    terms = Terms(db)
    row = db.execute("SELECT id FROM subject WHERE host = ? AND appid = ?", (host, appid)).fetchone()
    number = terms.find(report.name)
    if row is None or number is None:
        return Known()
    key = (row[0], number)
    damaged: list[str] = []
    wanted = max(newest_weeks, 1 + BASELINE_WEEKS)
    kept = _read_readings(db, key, (host, appid, report), max(wanted, TRAIL_WEEKS), terms, damaged)
    return Known(
        answer=_read_answer(db, key, damaged),
        recent=_recent(kept, report),
        held=frozenset(each.week for each in kept[:wanted]),
        misses=_read_misses(db, key, damaged),
        damaged=tuple(damaged),
    )


def _read_answer(db: sqlite3.Connection, key: tuple[int, int], damaged: list[str]) -> Answer | None:
    row = db.execute(
        "SELECT period, state, at, since, errcode, message, failures, retry_after, history_stopped, succeeded"
        " FROM answer WHERE subject = ? AND report = ?",
        key,
    ).fetchone()
    if row is None:
        return None
    period, state, at, since, errcode, message, failures, retry_after, stopped, succeeded = row
    try:
        return Answer(
            week=week_of(period),
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


def _read_misses(db: sqlite3.Connection, key: tuple[int, int], damaged: list[str]) -> tuple[Miss, ...]:
    misses = []
    for period, at, final in db.execute("SELECT period, at, final FROM miss WHERE subject = ? AND report = ?", key):
        try:
            misses.append(Miss(week_of(period), _instant(at), bool(final)))
        except (ValueError, TypeError, OverflowError):
            damaged.append(f"missing period {period}")
    return tuple(misses)


def _read_readings(  # noqa: PLR0913, PLR0917 (what identifies them)
    db: sqlite3.Connection,
    key: tuple[int, int],
    owner: tuple[str, str, Report],
    newest_weeks: int,
    terms: Terms,
    damaged: list[str],
) -> list[Kept]:
    """The newest readings that are as they were written, the newest first."""
    host, appid, report = owner
    rows = db.execute(
        "SELECT period, first_seen, checksum FROM reading WHERE subject = ? AND report = ?"
        " ORDER BY period DESC LIMIT ?",
        (*key, newest_weeks),
    ).fetchall()
    if not rows:
        return []
    figures: dict[object, list[Figure]] = defaultdict(list)
    names = terms.names
    for period, field, dimension, value in db.execute(
        "SELECT period, field, dimension, value FROM figure WHERE subject = ? AND report = ? AND period >= ?",
        (*key, rows[-1][0]),
    ):
        figures[period].append((names.get(field, ""), dimension, value))
    kept = []
    for period, first_seen, checksum in rows:
        found = figures[period]
        try:
            intact = checksum == reading_checksum((host, appid, report.name), period, first_seen, found)
            kept.append(Kept(_reading(report, week_of(period), found if intact else []), _instant(first_seen)))
        except (ValueError, TypeError, OverflowError):
            damaged.append(f"period {period}")
    return kept


def _reading(report: Report, week: Week, figures: Iterable[Figure]) -> Reading:
    """The reading with these figures; ValueError unless there is one and each is possible."""
    known = {field: value for field, dimension, value in figures if not dimension}
    values = tuple(known.get(field.wechat) for field in report.fields)
    for field, value in zip(report.fields, values, strict=True):
        if value is not None and not field.is_possible(value):
            raise ValueError(f"{field.wechat} has an impossible value")
    if not known:
        raise ValueError("no figures, or not those that were written")
    return Reading(report, week, values)


def _recent(kept: list[Kept], report: Report) -> Recent:
    """The newest of the readings; they come newest first."""
    if not kept:
        return Recent()
    newest = kept[0].week
    trail = {each.week: each.reading.value(report.leading) for each in kept if each.week > newest.before(TRAIL_WEEKS)}
    return Recent(tuple(each for each in kept if each.week >= newest.before(BASELINE_WEEKS)), Trail.of(trail))


def _instant(value: object) -> float:
    """Unix seconds that a clock may have shown; else ValueError."""
    instant = _number(value)
    if instant > _LAST_INSTANT:
        raise ValueError("an instant of a far future")
    return instant


def _number(value: object) -> float:
    """A finite number that is not negative; else ValueError."""
    if not is_figure(value):
        raise ValueError("not a number, or not a possible one")
    return float(value)

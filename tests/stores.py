"""Readings of an app, and a store as an earlier version wrote it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

from exporter.periods import Week
from exporter.reports import WEEKLY, Reading, StoredReading
from exporter.store.files import DATABASE
from exporter.store.schema import APPLICATION_ID, MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

HOST = "api.weixin.qq.com"
APPID = "wx0123456789abcdef"
W3 = Week(date(2026, 11, 16))
W2, W1 = W3.before(), W3.before(2)


def reading(week: Week, visitors: float | None = 754, first_seen: float = 1.0) -> StoredReading:
    return StoredReading(Reading(WEEKLY, week, (2470, 8913, visitors, None, 226.4748, 69.5, 0)), first_seen)


def version_1(folder: Path, weeks: int, host: str = HOST, appid: str = APPID) -> list[StoredReading]:
    """Create a store as the first version wrote it: its tables, no checksums, weeks only."""
    written = [reading(W3.before(back), 700 + back, first_seen=float(back)) for back in range(weeks)]
    with closing(sqlite3.connect(folder / DATABASE)) as db, db:
        for step in MIGRATIONS[0]:
            assert isinstance(step, str)
            db.execute(step)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO subject VALUES (1, 'elsewhere', ?), (2, ?, ?)", (appid, host, appid))
        names = ("weekly", *(field.wechat for field in WEEKLY.fields))
        terms = {name: number for number, name in enumerate(names, 1)}
        db.executemany("INSERT INTO term (name, id) VALUES (?, ?)", terms.items())
        for each in written:
            key = (2, terms["weekly"], int(each.period.begin_date))
            db.execute("INSERT INTO reading VALUES (?, ?, ?, ?)", (*key, each.first_seen))
            figures = zip(WEEKLY.fields, each.reading.values, strict=True)
            db.executemany(
                "INSERT INTO figure VALUES (?, ?, ?, ?, '', ?)",
                [(*key, terms[field.wechat], value) for field, value in figures if value is not None],
            )
        db.execute("INSERT INTO miss VALUES (2, 1, ?, 7.0, 1)", (int(W3.before(weeks).begin_date),))
        db.execute("INSERT INTO answer VALUES (2, 1, 20261116, 'ok', 5.0, 4.0, '', '', 0, 0.0, 0, 5.0)")
    return written

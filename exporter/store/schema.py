"""The tables of the store, and how an older file becomes a newer one.

A figure is keyed by app, report, period, field and dimension, so that a further report, or a field that has
a value for each retention day or page, is more rows and no new table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x776D7065  # "wmpe": tells `file` and us that a database is ours

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # An app as one API host knows it: a simulator's figures never mix with WeChat's.
        """CREATE TABLE subject (
            id INTEGER PRIMARY KEY,
            host TEXT NOT NULL,
            appid TEXT NOT NULL,
            UNIQUE (host, appid))""",
        # Names of reports and of fields, once each.
        "CREATE TABLE term (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # A period that WeChat published. `period` is its first day, 20261116; times are Unix seconds.
        """CREATE TABLE reading (
            subject INTEGER NOT NULL REFERENCES subject,
            report INTEGER NOT NULL REFERENCES term,
            period INTEGER NOT NULL,
            first_seen REAL NOT NULL,
            PRIMARY KEY (subject, report, period)) WITHOUT ROWID""",
        # `dimension` is empty for a field with one value, else the retention day or the page path.
        """CREATE TABLE figure (
            subject INTEGER NOT NULL,
            report INTEGER NOT NULL,
            period INTEGER NOT NULL,
            field INTEGER NOT NULL REFERENCES term,
            dimension TEXT NOT NULL DEFAULT '',
            value NUMERIC NOT NULL,
            PRIMARY KEY (subject, report, period, field, dimension),
            FOREIGN KEY (subject, report, period) REFERENCES reading ON DELETE CASCADE) WITHOUT ROWID""",
        # A period without data; `final` ones are requested again only after a month.
        """CREATE TABLE miss (
            subject INTEGER NOT NULL REFERENCES subject,
            report INTEGER NOT NULL REFERENCES term,
            period INTEGER NOT NULL,
            at REAL NOT NULL,
            final INTEGER NOT NULL,
            PRIMARY KEY (subject, report, period)) WITHOUT ROWID""",
        # The last answer about the newest wanted period.
        """CREATE TABLE answer (
            subject INTEGER NOT NULL REFERENCES subject,
            report INTEGER NOT NULL REFERENCES term,
            period INTEGER NOT NULL,
            state TEXT NOT NULL,
            at REAL NOT NULL,
            since REAL NOT NULL,
            errcode TEXT NOT NULL,
            message TEXT NOT NULL,
            failures INTEGER NOT NULL,
            retry_after REAL NOT NULL,
            history_stopped INTEGER NOT NULL,
            succeeded REAL,
            PRIMARY KEY (subject, report)) WITHOUT ROWID""",
        # For people with sqlite3 and a question.
        """CREATE VIEW figures AS
            SELECT host, appid, r.name AS report, period, f.name AS field, dimension, value
            FROM figure
            JOIN subject ON subject.id = figure.subject
            JOIN term AS r ON r.id = figure.report
            JOIN term AS f ON f.id = figure.field""",
    ),
)
VERSION = len(MIGRATIONS)


class NewerSchema(Exception):
    """The file was written by a newer version of the exporter."""

    def __init__(self, found: int) -> None:
        super().__init__(f"its schema version is {found}, this exporter knows up to {VERSION}")


def migrate(db: sqlite3.Connection) -> None:
    """Brings a database to ``VERSION``; each step and its record are one transaction.

    Raises:
        NewerSchema: it is beyond that already.
        sqlite3.Error: the file takes no writes, or is no database.
    """
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise NewerSchema(found)
    for version in range(found, VERSION):
        with db:
            db.execute("BEGIN IMMEDIATE")
            (now,) = db.execute("PRAGMA user_version").fetchone()
            if now > version:
                continue  # another process was faster
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            db.execute(f"PRAGMA user_version = {version + 1:d}")

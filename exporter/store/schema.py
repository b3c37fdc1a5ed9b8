"""The tables of the store and their migrations.

A figure is keyed by app, report, period, field and dimension, so that a new report, or a field with
a value per retention day or page, needs no migration. The tables "miss" and "answer" contain unavailable periods and
last results; a rename would cost a migration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from exporter.store.checksum import add_checksums

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x776D7065  # "wmpe": identifies the database, also to file(1)

Step = str | Callable[["sqlite3.Connection"], None]

MIGRATIONS: tuple[tuple[Step, ...], ...] = (
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
        # `dimension` is empty for a field's own value, else WeChat's key of a part: of an entrance, or the weeks later.
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
        # The last result of the newest wanted period.
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
        # For queries by hand with sqlite3.
        """CREATE VIEW figures AS
            SELECT host, appid, r.name AS report, period, f.name AS field, dimension, value
            FROM figure
            JOIN subject ON subject.id = figure.subject
            JOIN term AS r ON r.id = figure.report
            JOIN term AS f ON f.id = figure.field""",
    ),
    (
        # Over everything that a reading is: SQLite does not notice a flipped bit in a figure or a key.
        "ALTER TABLE reading ADD COLUMN checksum INTEGER",
        add_checksums,
    ),
)
VERSION = len(MIGRATIONS)


class UnusableDatabase(Exception):
    """The file is intact but belongs to another program or version. The message follows its path."""


def check_owner(db: sqlite3.Connection) -> None:
    """Reject the database of another program or of a newer version, before anything is written to it.

    A database with our tables is accepted despite a wrong ``application_id``, which a flipped bit may have changed.

    Raises:
        UnusableDatabase: it belongs to another program or version.
        sqlite3.Error: it cannot be read.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    is_new = not (application or version or tables)
    if not (is_new or application == APPLICATION_ID or {"subject", "reading", "figure"} <= tables):
        raise UnusableDatabase("is the database of another program: move it, or set another --storage.path")
    if version > VERSION:
        raise UnusableDatabase(
            f"was written by a newer version (its schema version is {version}, this exporter supports up to {VERSION}):"
            " upgrade, or set another --storage.path"
        )


def migrate(db: sqlite3.Connection) -> None:
    """Migrate a database to ``VERSION``; each version is one transaction.

    Raises:
        UnusableDatabase: it belongs to another program or version.
        sqlite3.Error: the file is read-only, or no database.
    """
    check_owner(db)
    (found,) = db.execute("PRAGMA user_version").fetchone()
    for version in range(found, VERSION):
        with db:
            db.execute("BEGIN IMMEDIATE")
            (now,) = db.execute("PRAGMA user_version").fetchone()
            if now > version:
                continue  # another process was faster
            for step in MIGRATIONS[version]:
                if isinstance(step, str):
                    db.execute(step)
                else:
                    step(db)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID:d}")
            db.execute(f"PRAGMA user_version = {version + 1:d}")

"""Copy rows that a database lacks from another one, after another file replaced the open one.

Rows that both have stay as they are in the target: an operator put that file there on purpose. Ids of apps,
reports and fields differ between the two, so each row is translated by name.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from uuid import uuid4

from exporter.store.checksum import delete_damaged

_READINGS = """INSERT INTO main.reading (subject, report, period, first_seen, checksum)
    SELECT app, report, period, first_seen, checksum FROM temp.added"""

_STATEMENTS = (
    # Ids of apps, reports and fields differ between the databases.
    "INSERT OR IGNORE INTO main.subject (host, appid) SELECT host, appid FROM lacking.subject",
    "INSERT OR IGNORE INTO main.term (name) SELECT name FROM lacking.term",
    """CREATE TEMP TABLE app_number AS SELECT theirs.id AS their, ours.id AS our
        FROM lacking.subject AS theirs JOIN main.subject AS ours USING (host, appid)""",
    """CREATE TEMP TABLE term_number AS SELECT theirs.id AS their, ours.id AS our
        FROM lacking.term AS theirs JOIN main.term AS ours USING (name)""",
    """CREATE TEMP TABLE added AS
        SELECT a.their AS their_app, r.their AS their_report, a.our AS app, r.our AS report,
            period, first_seen, checksum
        FROM lacking.reading
        JOIN temp.app_number AS a ON a.their = lacking.reading.subject
        JOIN temp.term_number AS r ON r.their = lacking.reading.report
        WHERE (a.our, r.our, period) NOT IN (SELECT subject, report, period FROM main.reading)""",
    _READINGS,
    # Figures without a reading, as a flipped bit in the key of the reading leaves them.
    "DELETE FROM main.figure WHERE (subject, report, period) IN (SELECT app, report, period FROM temp.added)",
    """INSERT INTO main.figure (subject, report, period, field, dimension, value)
        SELECT added.app, added.report, added.period, f.our, theirs.dimension, theirs.value
        FROM temp.added
        JOIN lacking.figure AS theirs ON theirs.subject = their_app AND theirs.report = their_report
            AND theirs.period = added.period
        JOIN temp.term_number AS f ON f.their = theirs.field""",
    """INSERT OR IGNORE INTO main.miss (subject, report, period, at, final)
        SELECT a.our, r.our, period, at, final
        FROM lacking.miss
        JOIN temp.app_number AS a ON a.their = lacking.miss.subject
        JOIN temp.term_number AS r ON r.their = lacking.miss.report
        WHERE (a.our, r.our, period) NOT IN (SELECT subject, report, period FROM main.reading)""",
    """INSERT OR IGNORE INTO main.answer
        SELECT a.our, r.our, period, state, at, since, errcode, message, failures, retry_after, history_stopped,
            succeeded
        FROM lacking.answer
        JOIN temp.app_number AS a ON a.their = lacking.answer.subject
        JOIN temp.term_number AS r ON r.their = lacking.answer.report""",
    "DROP TABLE temp.app_number",
    "DROP TABLE temp.term_number",
    "DROP TABLE temp.added",
)


def add_missing(db: sqlite3.Connection, source: sqlite3.Connection) -> int:
    """Add every reading, unavailable period and last result that ``db`` lacks, in one transaction.

    What it has stays, unless it is damaged.

    Returns:
        How many readings were added.

    Raises:
        sqlite3.Error: nothing was added.
    """
    added = 0
    name = (
        f"file:lacking-{uuid4()}?mode=memory&cache=shared"  # ATTACH needs a name; the source is an anonymous database
    )
    with closing(sqlite3.connect(name, uri=True)) as copy:
        source.backup(copy)
        db.execute("ATTACH ? AS lacking", (name,))
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")
                delete_damaged(db)
                for statement in _STATEMENTS:
                    cursor = db.execute(statement)
                    if statement == _READINGS:
                        added = cursor.rowcount
        finally:
            db.execute("DETACH lacking")
    return added

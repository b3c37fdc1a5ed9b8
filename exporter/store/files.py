"""The database file: opened and checked, copied to memory, and moved aside if it is corrupt.

A database is checked before it is used: regular file, application id and version, ``quick_check``, the statements that
created its tables. Each of these was a way to lose data: a foreign database was migrated, a pipe blocked the start, a
broken page was found in the middle of a write.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING

import structlog

from exporter.periods import format_utc_compact
from exporter.store.schema import UnusableDatabase, check_owner, migrate

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = "store.sqlite3"

_COMPANIONS = ("-wal", "-shm", "-journal")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_SECONDS = 5.0
_COPY_BUSY_SECONDS = 0.2  # the file was busy for five seconds just before: do not wait as long again


Identity = tuple[int, int]
"""Device and inode of a file."""

log = structlog.get_logger()


def open_database(directory: Path) -> sqlite3.Connection:
    """Open the database, created and migrated if necessary; readable by its owner alone.

    Raises:
        OSError: the directory or file cannot be created.
        sqlite3.Error: the file cannot be used (``is_corrupt`` distinguishes the causes).
        UnusableDatabase: it belongs to another program or version.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / DATABASE
    _require_regular_files(directory)
    # SQLite creates files with the umask; others could read the figures. O_RDWR finds a read-only file now.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _refuse_foreign(path)
    with ExitStack() as undo:
        db = undo.enter_context(closing(connect(path.absolute().as_uri())))
        try:
            check_owner(db)
            _use_rollback_journal(db)
            migrate(db)
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        except UnicodeDecodeError:  # SQLite's own message quotes what it found
            raise _corrupt("its schema cannot be read") from None
        if verdict != "ok":
            raise _corrupt(verdict)
        with closing(open_memory()) as fresh:
            if not _tables(fresh) <= _tables(db):
                raise _corrupt("its tables differ from those of this version")
        undo.pop_all()
    return db


def open_memory() -> sqlite3.Connection:
    """Return an empty database that lives in this process."""
    db = connect("file::memory:")
    migrate(db)
    return db


def open_or_recreate(directory: Path, now: float) -> sqlite3.Connection:
    """Open the database; move a corrupt one aside and create a new one.

    Raises:
        OSError: the directory or file cannot be created.
        sqlite3.Error: the file cannot be used; ``is_corrupt`` if it could not be moved aside.
        UnusableDatabase: it belongs to another program or version.
    """
    try:
        return open_database(directory)
    except sqlite3.Error as error:
        if not is_corrupt(error):
            raise
        return recreate(directory, now, error)


def recreate(directory: Path, now: float, reason: sqlite3.Error) -> sqlite3.Connection:
    """Move a corrupt database aside and create a new one.

    Raises:
        sqlite3.Error: ``reason`` if the old file could not be moved, else why the new one cannot be used.
    """
    try:
        aside = move_aside(directory, now)
    except OSError:
        raise reason from None
    log.error("corrupt store moved aside", path=str(directory), moved_to=str(aside), error=str(reason))
    return open_database(directory)


def read_only_copy(directory: Path) -> sqlite3.Connection:
    """Return a database in memory with the content of a file that cannot be written; empty if it cannot be read.

    If the file is locked by another process, or has a journal that cannot be replayed in a read-only directory, it is
    read without locks and without its journal. Its pages may then be of different moments; the checksum of each period
    tells which can be used.
    """
    uri = f"{(directory / DATABASE).absolute().as_uri()}?mode=ro"
    for mode in ("", "&immutable=1"):
        with suppress(OSError, sqlite3.Error, UnusableDatabase, UnicodeDecodeError):
            _require_regular_files(directory)
            with closing(connect(uri + mode, _COPY_BUSY_SECONDS)) as source:
                return copy_to_memory(source)
    return open_memory()


def copy_to_memory(source: sqlite3.Connection) -> sqlite3.Connection:
    """Return a database in memory with the content of another one.

    Raises:
        sqlite3.Error: it cannot be read.
        UnusableDatabase: it belongs to another program or version.
    """
    with ExitStack() as undo:
        memory = undo.enter_context(closing(connect("file::memory:")))
        # The read transaction fails on a busy file; `backup` alone would retry it forever.
        source.execute("BEGIN")
        try:
            check_owner(source)
            source.backup(memory)
        finally:
            source.rollback()
        migrate(memory)
        undo.pop_all()
    return memory


def connect(uri: str, busy_seconds: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself, and that several threads may use in turn."""
    db = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda text: text.decode(
        "utf-8", "replace"
    )  # the checksum finds it; an error would end the query
    db.execute("PRAGMA foreign_keys = ON")
    return db


def identity(directory: Path) -> Identity | None:
    """Return device and inode of the database file; None if there is none."""
    return identity_at(directory / DATABASE)


def _companions_of(directory: Path) -> list[Path]:
    return [directory / f"{DATABASE}{companion}" for companion in _COMPANIONS]


def identity_at(path: Path) -> Identity | None:
    """Return device and inode of the file at a path; None if there is none."""
    try:
        return identity_of(path.stat())
    except OSError:
        return None


def identity_of(found: os.stat_result) -> Identity:
    """Return device and inode from the result of ``stat``."""
    return found.st_dev, found.st_ino


def _use_rollback_journal(db: sqlite3.Connection) -> None:
    """Use a journal that leaves no file behind between two transactions.

    A write-ahead log stays at the path when another file is moved there; SQLite then replays it into that file, page by
    page, and considers the result intact: of a restored backup of 60 weeks, 4 remained. Writes are few, so that the
    slower journal is not noticeable.
    """
    (mode,) = db.execute("PRAGMA journal_mode = DELETE").fetchone()
    if mode != "delete":
        raise sqlite3.OperationalError("another process has it open with a write-ahead log")


def _refuse_foreign(path: Path) -> None:
    """Check the owner on a read-only connection: SQLite would recover the journal of any file it opens for writing."""
    if path.stat().st_size:
        with (
            suppress(sqlite3.Error, UnicodeDecodeError),
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db,
        ):
            check_owner(db)


def _require_regular_files(directory: Path) -> None:
    """Refuse pipes and devices: SQLite would wait on them forever."""
    for path in (directory / DATABASE, *_companions_of(directory)):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnusableDatabase("is not a regular file: move it, or set another --storage.path")


def is_corrupt(error: BaseException) -> bool:
    """Return whether an error means that the content of the file is broken, unlike a busy file or a failed read."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_ERROR:
        return str(error).startswith("no such")  # a missing table or column; anything else is a bug
    return code is not None and code & 0xFF in _CORRUPT


def move_aside(directory: Path, now: float) -> Path:
    """Rename the database and its companions, so that they can be examined; return the new name.

    Raises:
        OSError: the directory is not writable.
    """
    aside = directory / f"{DATABASE}.corrupt-{format_utc_compact(now)}"
    number = 1
    # Two in one second: rename would replace the first one.
    while aside.exists():
        number += 1
        aside = directory / f"{DATABASE}.corrupt-{format_utc_compact(now)}-{number}"
    (directory / DATABASE).rename(aside)
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            (directory / (DATABASE + companion)).rename(f"{aside}{companion}")
    return aside


def _tables(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Return the statements that created the tables and views of a database."""
    return set(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _corrupt(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error

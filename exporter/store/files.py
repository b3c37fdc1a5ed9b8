"""The store's folder: its database file, its lock, and where a corrupt file goes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.periods import utc_stamp
from exporter.store.rows import UnreadableRow
from exporter.store.schema import NewerSchema, migrate

DATABASE = "store.sqlite3"
LOCK = "exporter.lock"

_COMPANIONS = ("-wal", "-shm", "-journal")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_SECONDS = 5.0


class Locked(Exception):
    """Another exporter runs on the same folder."""


class Lock:
    """The right to be the one long-running exporter of a folder, until closed or until the process ends.

    Raises:
        Locked: another process has it.
        OSError: the folder takes no lock file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise Locked(
                    f"another exporter runs on {folder}: stop it, or give one another --storage.path"
                ) from None
            raise

    def close(self) -> None:
        """Lets the next exporter have the folder."""
        os.close(self._file)


def open_database(folder: Path) -> sqlite3.Connection:
    """Opens the database, made and migrated if need be; it is readable by its owner alone.

    Raises:
        OSError: the folder or file cannot be made.
        sqlite3.Error: the file cannot be used (``is_corrupt`` tells the kind).
        NewerSchema: a newer exporter wrote it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / DATABASE
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with ExitStack() as undo:
        db = undo.enter_context(closing(connect(path.absolute().as_uri())))
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            migrate(db)
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        except UnicodeDecodeError:  # SQLite's own message quotes what it found
            raise _corrupt("its schema cannot be read") from None
        if verdict != "ok":
            raise _corrupt(verdict)
        with closing(open_memory()) as fresh:
            if not _tables(fresh) <= _tables(db):
                raise _corrupt("its tables are not as the exporter made them")
        undo.pop_all()
    return db


def open_memory() -> sqlite3.Connection:
    """An empty database that is gone with the process."""
    db = connect("file::memory:")
    migrate(db)
    return db


def rescue(folder: Path) -> sqlite3.Connection:
    """A database in memory, with everything that can still be read from the file."""
    uri = (folder / DATABASE).absolute().as_uri()
    for carried in (
        partial(_carried, f"{uri}?mode=ro"),
        partial(_carried_from_copy, folder),
        partial(_carried, f"{uri}?mode=ro&immutable=1"),
    ):
        with suppress(sqlite3.Error, OSError, NewerSchema, UnicodeDecodeError):
            return carried()
    return open_memory()


def _carried_from_copy(folder: Path) -> sqlite3.Connection:
    """The same from a copy elsewhere: a folder that takes no writes cannot replay its log of late ones."""
    with TemporaryDirectory() as elsewhere:
        for name in (DATABASE, DATABASE + "-wal"):
            shutil.copyfile(folder / name, Path(elsewhere) / name)
        return _carried((Path(elsewhere) / DATABASE).as_uri())


def _carried(uri: str) -> sqlite3.Connection:
    """A copy in memory of a database that is one of ours."""
    with ExitStack() as undo:
        db = undo.enter_context(closing(connect("file::memory:")))
        with closing(connect(uri)) as source:
            if not source.execute("PRAGMA user_version").fetchone()[0]:
                raise _corrupt("it is empty")
            source.backup(db)
        migrate(db)
        undo.pop_all()
    return db


def connect(uri: str) -> sqlite3.Connection:
    """A connection that begins transactions only when told, and may travel between threads."""
    db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def identity(folder: Path) -> tuple[int, int] | None:
    """Which file the database is just now; None if there is none."""
    try:
        found = (folder / DATABASE).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_corrupt(error: BaseException) -> bool:
    """Whether an error says that the file's content is broken; being busy or failing to read is not that."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # what Python could not read of a row: text that is none, a number out of range
        unreadable = isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode")
        return unreadable or isinstance(error, UnreadableRow)
    if code == sqlite3.SQLITE_ERROR:
        return str(error).startswith("no such")  # a table or a column; anything else is a mistake of ours
    return code & 0xFF in _CORRUPT


def move_aside(folder: Path, now: float) -> Path:
    """Renames the database and its companions, so that a person can look at them; returns the new name.

    Raises:
        OSError: the folder does not let go of them.
    """
    aside = folder / f"{DATABASE}.corrupt-{utc_stamp(now)}"
    number = 1
    while aside.exists():
        number += 1
        aside = folder / f"{DATABASE}.corrupt-{utc_stamp(now)}-{number}"
    (folder / DATABASE).rename(aside)
    for companion in _COMPANIONS:
        with suppress(FileNotFoundError):
            (folder / (DATABASE + companion)).rename(f"{aside}{companion}")
    return aside


def _tables(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """How a database's tables and views were made."""
    return set(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _corrupt(verdict: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(verdict)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error

"""The store's folder: its database file, its lock, and where a corrupt file goes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from exporter.periods import format_utc_compact
from exporter.store.schema import UnusableDatabase, check_owner, migrate

DATABASE = "store.sqlite3"
LOCK = "exporter.lock"

_COMPANIONS = ("-wal", "-shm", "-journal")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY_SECONDS = 5.0
_RESCUE_BUSY_SECONDS = 0.2  # a file that was just found busy for five seconds is copied, not waited for again


Identity = tuple[int, int]
"""Device and inode: which file it is, whatever its name."""

log = structlog.get_logger()


class Locked(Exception):
    """Another exporter runs on the same folder."""


class Lock:
    """The right to be the one long-running exporter of a folder, until closed or until the process ends.

    A directory in which no lock file can be created (read-only, full) is used without one; the store reports why.

    Raises:
        Locked: another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._file: int | None = None
        try:
            self.renew()
        except OSError as error:
            log.warning("storage takes no lock", path=str(folder), error=error.strerror)

    @property
    def is_held(self) -> bool:
        """Whether there is a lock at all: a folder may take none."""
        return self._file is not None

    @property
    def is_current(self) -> bool:
        """Whether the file at the path is the one that is locked, or there is none to lock."""
        return self._file is None or _identity_of(os.fstat(self._file)) == _identity_at(self._path)

    def renew(self) -> None:
        """Lock the file that is at the path now, if that is another one.

        Raises:
            Locked: another process has it.
            OSError: the folder takes no lock file.
        """
        if self.is_held and self.is_current:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise Locked(
                    f"another exporter runs on {self._path.parent}: stop it, or give one another --storage.path"
                ) from None
            raise
        self.close()
        self._file = file

    def close(self) -> None:
        """Let the next exporter have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def open_database(folder: Path) -> sqlite3.Connection:
    """Opens the database, made and migrated if need be; it is readable by its owner alone.

    Raises:
        OSError: the folder or file cannot be made.
        sqlite3.Error: the file cannot be used (``is_corrupt`` tells the kind).
        UnusableDatabase: it is not ours to use.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / DATABASE
    _require_regular_files(folder)
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
        with suppress(sqlite3.Error, OSError, UnusableDatabase, UnicodeDecodeError):
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
        with closing(connect(uri, _RESCUE_BUSY_SECONDS)) as source:
            check_owner(source)
            if not source.execute("PRAGMA user_version").fetchone()[0]:
                raise _corrupt("it is empty")
            source.backup(db)
        migrate(db)
        undo.pop_all()
    return db


def connect(uri: str, busy_seconds: float = _BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that begins transactions only when told, and may travel between threads."""
    db = sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda text: text.decode("utf-8", "replace")  # a broken text is a wrong one, no error
    db.execute("PRAGMA foreign_keys = ON")
    return db


def identity(folder: Path) -> Identity | None:
    """Which file the database is just now; None if there is none."""
    return _identity_at(folder / DATABASE)


def _companions_of(folder: Path) -> list[Path]:
    return [folder / f"{DATABASE}{companion}" for companion in _COMPANIONS]


def _identity_at(path: Path) -> Identity | None:
    try:
        return _identity_of(path.stat())
    except OSError:
        return None


def _identity_of(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _use_rollback_journal(db: sqlite3.Connection) -> None:
    """Leave nothing beside the file between two transactions.

    A write-ahead log stays at the path when another file is moved there, and SQLite replays it into that one, page by
    page, and calls the result intact: of a restored backup of 60 weeks 4 remained. Writes are few, so that the slower
    journal costs nothing that anyone would notice.
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


def _require_regular_files(folder: Path) -> None:
    """SQLite would wait for ever on a pipe."""
    for path in (folder / DATABASE, *_companions_of(folder)):
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnusableDatabase("is not a regular file: move it away, or set another --storage.path")


def is_corrupt(error: BaseException) -> bool:
    """Whether an error says that the file's content is broken; being busy or failing to read is not that."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # what Python could not read of a row: text that is none, a number out of range
        return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode")
    if code == sqlite3.SQLITE_ERROR:
        return str(error).startswith("no such")  # a table or a column; anything else is a mistake of ours
    return code & 0xFF in _CORRUPT


def move_aside(folder: Path, now: float) -> Path:
    """Renames the database and its companions, so that a person can look at them; returns the new name.

    Raises:
        OSError: the folder does not let go of them.
    """
    aside = folder / f"{DATABASE}.corrupt-{format_utc_compact(now)}"
    number = 1
    while aside.exists():
        number += 1
        aside = folder / f"{DATABASE}.corrupt-{format_utc_compact(now)}-{number}"
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

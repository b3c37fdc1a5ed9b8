"""Stores readings and last results in SQLite: the only SQL of the project.

``Store`` never fails its caller. It is in one of two modes:

* On the file: each ``save`` is one transaction. Before it, and once per ``reopen_if_due``, the inode at the path is
  compared with the one that was opened: a restored backup or a removed directory would otherwise go unnoticed, since
  SQLite keeps writing to the unlinked file.
* In memory, with ``problem`` set: after an error, or when the file was replaced, everything is copied to a database in
  memory. ``_unsaved`` collects the changes since. Once a minute the file is opened again (recreated if it is missing,
  moved aside if it is corrupt), completed with the periods that it lacks, and the unsaved changes are written to it.

A file that replaced the open one is only completed, never overwritten: overwriting it, as the first version did, lost
a restored backup within a minute. The directory lock is renewed first, because a removed directory takes it along.
One lock serializes all use: the poller thread reads and saves, web threads read the periods of an app, the main thread
closes; any thread reads ``problem``.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from exporter.reports import History
from exporter.store.files import (
    DATABASE,
    Identity,
    copy_to_memory,
    identity,
    identity_at,
    is_corrupt,
    open_memory,
    open_or_recreate,
    read_only_copy,
    recreate,
)
from exporter.store.lock import Lock, Locked
from exporter.store.merge import add_missing
from exporter.store.reader import read, read_periods
from exporter.store.rows import Change, StoredState, UnavailablePeriod, write
from exporter.store.schema import UnusableDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.periods import Period
    from exporter.reports import Report, StoredReading

__all__ = ["MEMORY", "Change", "Lock", "Locked", "Store", "StoredState", "UnavailablePeriod"]

MEMORY = ":memory:"

_RETRY_SECONDS = 60.0
_UNAVAILABLE = (sqlite3.Error, OSError, UnusableDatabase, Locked)

log = structlog.get_logger()


class Store:
    """The readings and last results of all apps, per API host. Safe for use from any thread.

    Args:
        directory: where the database is, or ``:memory:``.
        host: the API host that readings come from; it is part of every key.
        clock: the wall clock, Unix seconds.
        lock: the lock of the directory; None for a process that runs beside an exporter, such as ``fetch``.
    """

    def __init__(self, directory: str, host: str, clock: Callable[[], float], lock: Lock | None = None) -> None:
        self._directory = None if directory == MEMORY else Path(directory)
        self._host = host
        self._clock = clock
        self._directory_lock = lock
        self._lock = threading.Lock()
        self._unsaved: dict[str, dict[object, Change]] = defaultdict(dict)
        """By host, the changes that the file lacks."""
        self._db: sqlite3.Connection
        self._identity: Identity | None = None
        self._closed = False
        self.problem = ""
        """Why data is kept in memory only, for people; empty while the file is usable."""
        self._tried = -math.inf
        """When the file was last opened or failed; Unix seconds."""
        if self._directory is None:
            self._db = open_memory()
        else:
            self._open(self._directory)

    def use_host(self, host: str) -> None:
        """Save from now on under another API host."""
        with self._lock:
            self._host = host

    def read(self, appid: str, report: Report, newest: int, host: str = "") -> StoredState:
        """Return what is stored of one report of an app; nothing after ``close``.

        Args:
            appid: of the app.
            report: the report.
            newest: how many periods are wanted, the newest included.
            host: the API host they came from, if it is not the current one.
        """
        with self._lock:
            if self._closed:
                return StoredState(History(report))
            try:
                known = read(self._db, host or self._host, appid, report, newest)
            except sqlite3.Error as error:
                self._leave_file(error)
                known = read(self._db, host or self._host, appid, report, newest)
        if known.damaged:
            log.error("stored data damaged", appid=appid, report=report.name, damaged=", ".join(known.damaged[:5]))
        return known

    def periods(
        self, appid: str, report: Report, first: Period | None = None, last: Period | None = None
    ) -> tuple[StoredReading, ...]:
        """Return every stored reading of one report of an app, the oldest first; none after ``close``.

        Damaged ones are left out; ``read`` reports them.

        Args:
            appid: of the app.
            report: the report.
            first: the oldest period to return; None: no limit.
            last: the newest period to return; None: no limit.
        """
        with self._lock:
            if self._closed:
                return ()
            try:
                return read_periods(self._db, self._host, appid, report, (first, last))
            except sqlite3.Error as error:
                self._leave_file(error)
                return read_periods(self._db, self._host, appid, report, (first, last))

    def save(self, changes: Iterable[Change]) -> None:
        """Write all changes to the file; to memory while the file is unavailable."""
        with self._lock:
            changes = tuple(changes)
            if self._closed:
                return
            if not self.problem and self._is_replaced():
                self._leave_replaced_file()
            if self.problem:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                write(self._db, self._host, changes)
                return
            try:
                write(self._db, self._host, changes)
            except sqlite3.Error as error:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                self._leave_file(error)

    def reopen_if_due(self) -> bool:
        """Reopen the file: at once if it or its lock was replaced, once a minute while it is unavailable.

        Returns:
            Whether a file was opened, which may hold more than was known.
        """
        with self._lock:
            if self._closed or self._directory is None:
                return False
            if not self.problem:
                if not self._is_replaced() and (self._directory_lock is None or self._directory_lock.is_current):
                    return False
                self._leave_replaced_file()
            elif abs(self._clock() - self._tried) < _RETRY_SECONDS:  # abs: the clock may have been set back
                return False
            return self._reopen(self._directory)

    def close(self) -> None:
        """Close the database; later changes are discarded."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _open(self, directory: Path) -> None:
        try:
            self._use(open_or_recreate(directory, self._clock()), directory)
        except _UNAVAILABLE as error:
            self._db = open_memory() if is_corrupt(error) else read_only_copy(directory)
            self._report(error, directory)

    def _use(self, db: sqlite3.Connection, directory: Path) -> None:
        self._db = db
        self._identity = identity(directory)
        self.problem = ""
        self._unsaved.clear()

    def _is_replaced(self) -> bool:
        """Return whether the file at the path is not the one that was opened."""
        return self._directory is not None and identity(self._directory) != self._identity

    def _leave_replaced_file(self) -> None:
        """Continue in memory until the file at the path is opened, which is due at once."""
        self._copy_to_memory()
        self.problem = f"the store in {self._directory} was replaced"
        self._tried = -math.inf

    def _leave_file(self, error: sqlite3.Error) -> None:
        """Continue in memory after an error; a corrupt file is moved aside and recreated at once."""
        if self._directory is None:
            raise error
        if is_corrupt(error):
            self._db.close()
            self._db = open_memory()
            self._write_unsaved(self._db)
            self._reopen(self._directory, error)
        else:
            self._db.close()
            self._db = read_only_copy(self._directory)
            self._write_unsaved(self._db)
            self._report(error, self._directory)

    def _copy_to_memory(self) -> None:
        """Replace the database by a copy in memory; what cannot be read is lost, and fetched again."""
        try:
            memory = copy_to_memory(self._db)
        except (sqlite3.Error, UnusableDatabase, UnicodeDecodeError) as error:
            log.error("stored data damaged", damaged=str(error))  # noqa: TRY400 (a message, no traceback)
            memory = open_memory()
        self._db.close()
        self._db = memory

    def _reopen(self, directory: Path, corrupt: sqlite3.Error | None = None) -> bool:
        """Open the file at the path and add what it lacks of the database in memory; False if it is unavailable."""
        memory = self._db
        try:
            if self._directory_lock is not None:
                self._directory_lock.renew()
            now = self._clock()
            db = recreate(directory, now, corrupt) if corrupt else open_or_recreate(directory, now)
            try:
                added = add_missing(db, memory)
                self._write_unsaved(db)
            except sqlite3.Error:
                db.close()
                raise
        except _UNAVAILABLE as error:
            self._report(error, directory)
            return False
        memory.close()
        self._use(db, directory)
        log.warning("store reopened", path=str(directory), added=added)
        return True

    def _write_unsaved(self, db: sqlite3.Connection) -> None:
        for host, changes in self._unsaved.items():
            write(db, host, changes.values())

    def _report(self, error: Exception, directory: Path) -> None:
        """Set ``problem``, and log it once for each reason."""
        self._tried = self._clock()
        problem = _describe(error, directory)
        if problem != self.problem:
            self.problem = problem
            log.error("store unavailable, continuing in memory", path=str(directory), error=problem)


def _describe(error: Exception, directory: Path) -> str:
    """What is wrong and what to do, for people."""
    path = directory / DATABASE
    if isinstance(error, UnusableDatabase):
        return f"{path} {error}"
    if isinstance(error, Locked):
        return str(error)
    if is_corrupt(error):
        return f"{path} is corrupt and cannot be renamed: move or delete it"
    if isinstance(error, OSError):
        # The directory may be fine, and only the file in it belongs to another user, such as a restored backup.
        file = Path(error.filename or directory)
        unavailable = file if file != directory and identity_at(file) else f"storage directory {directory}"
        return f"{unavailable} is unavailable: {error.strerror}"
    return f"the store in {directory} is unavailable: {error}"

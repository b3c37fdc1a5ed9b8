"""Keeps what was fetched, in SQLite: the only SQL of the project.

``Store`` never fails its caller. While its file cannot be used (read-only, full disk, written by a newer version) it
goes on in memory, says why in ``problem``, remembers what the file lacks, and returns to the file when
that takes writes again.
"""

from __future__ import annotations

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
    Lock,
    Locked,
    identity,
    is_corrupt,
    move_aside,
    open_database,
    open_memory,
    rescue,
)
from exporter.store.merge import add_missing
from exporter.store.reader import read
from exporter.store.rows import Change, StoredState, UnavailablePeriod, write
from exporter.store.schema import UnusableDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.reports import Report

__all__ = ["MEMORY", "Change", "Lock", "Locked", "Store", "StoredState", "UnavailablePeriod"]

MEMORY = ":memory:"

_RETRY_SECONDS = 60.0

log = structlog.get_logger()


class Store:
    """The figures and answers of all apps, as one API host gave them.

    A file that could not be used is tried again once a minute. Where another file, or none, is at the path (a restored
    backup, a removed directory), the store locks the directory again, opens the file or creates it, and adds the
    periods that are missing in it; a corrupt one is moved aside. Overwriting it from memory, as the first version did,
    lost a restored backup within a minute.

    Args:
        folder: where the database is, or ``:memory:``.
        host: the API host that figures come from; it is part of every key. Another one may take its place.
        clock: the wall clock, Unix seconds.
        lock: the right to be the one exporter of the folder; None for a process that runs beside one.
    """

    def __init__(self, folder: str, host: str, clock: Callable[[], float], lock: Lock | None = None) -> None:
        self._folder = None if folder == MEMORY else Path(folder)
        self._host = host
        self._clock = clock
        self._folder_lock = lock
        self._lock = threading.Lock()
        self._unsaved: dict[str, dict[object, Change]] = defaultdict(dict)
        """By host, what the file lacks."""
        self._db: sqlite3.Connection
        self._identity: Identity | None = None
        self._closed = False
        self._was_replaced = False
        """Whether another file took the place of the one that was open, and has not been opened yet."""
        self.problem = ""
        """Why data is kept in memory only, for people; empty while the file is usable."""
        self._tried = clock()
        if self._folder is None:
            self._db = open_memory()
        else:
            self._open(self._folder)

    def turn_to(self, host: str) -> None:
        """What is saved from now on comes from another API host."""
        with self._lock:
            self._host = host

    def read(self, appid: str, report: Report, newest: int, host: str = "") -> StoredState:
        """What is known of one report of an app; nothing after ``close``.

        ``newest`` is how many periods are wanted, the newest included; ``host`` the API host that they came from, if
        it is not the current one.
        """
        with self._lock:
            if self._closed:
                return StoredState(History(report))
            try:
                known = read(self._db, host or self._host, appid, report, newest)
            except sqlite3.Error as error:
                self._go_on_from_memory(error)
                known = read(self._db, host or self._host, appid, report, newest)
        if known.damaged:
            log.error("stored data damaged", appid=appid, report=report.name, damaged=", ".join(known.damaged[:5]))
        return known

    def save(self, changes: Iterable[Change]) -> None:
        """Keeps all changes, in the file if it takes them, else in memory until it does."""
        with self._lock:
            changes = tuple(changes)
            if self._closed:
                return
            if not self.problem and self._folder is not None and self._is_replaced(self._folder):
                self._take_to_memory(self._folder)
            if self.problem:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                write(self._db, self._host, changes)
                return
            try:
                write(self._db, self._host, changes)
            except sqlite3.Error as error:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                self._go_on_from_memory(error)

    def mend(self) -> bool:
        """Reopen the file: at once if it was replaced, once a minute while it is unavailable.

        Returns:
            Whether another file was opened, which may hold more than was known.
        """
        with self._lock:
            if self._closed or self._folder is None:
                return False
            if not self.problem:
                if not self._is_replaced(self._folder):
                    return self._keep_lock(self._folder)
                self._take_to_memory(self._folder)
            elif not self._was_replaced and abs(self._clock() - self._tried) < _RETRY_SECONDS:
                return False
            self._tried = self._clock()
            return self._reopen(self._folder)

    def close(self) -> None:
        """Closes the database; what comes afterwards is not kept."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _open(self, folder: Path) -> None:
        try:
            self._use(open_database(folder), folder)
        except (sqlite3.Error, OSError, UnusableDatabase) as error:
            self._db = open_memory()
            self._go_on_from_memory(error)

    def _use(self, db: sqlite3.Connection, folder: Path) -> None:
        self._db = db
        self._identity = identity(folder)
        self.problem = ""
        self._was_replaced = False
        self._unsaved.clear()

    def _is_replaced(self, folder: Path) -> bool:
        """Whether the file at the path is no longer the one that was opened."""
        return identity(folder) != self._identity

    def _keep_lock(self, folder: Path) -> bool:
        """Lock the folder again if its lock was removed; an exporter that was faster has the file from now on."""
        try:
            if self._folder_lock is not None and not self._folder_lock.is_current:
                self._folder_lock.renew()
        except (OSError, Locked) as error:
            self._take_to_memory(folder)
            self._was_replaced = False
            self._report(error, folder)
        return False

    def _take_to_memory(self, folder: Path) -> None:
        """Leave a file with all that it holds; what cannot be read any more is lost with it."""
        gone, memory = self._db, open_memory()
        try:
            gone.backup(memory)
        except sqlite3.Error as error:
            log.error("stored data damaged", damaged=str(error))  # noqa: TRY400 (a message, no traceback)
        gone.close()
        self._db = memory
        self._was_replaced = True
        self.problem = f"the store in {folder} was replaced"

    def _reopen(self, folder: Path) -> bool:
        """Open what is at the path and add what it lacks of the database in memory."""
        memory, moved_to = self._db, ""
        try:
            self._renew_lock()
            try:
                db = open_database(folder)
            except sqlite3.Error as error:
                if not is_corrupt(error):
                    raise
                moved_to = str(move_aside(folder, self._clock()))
                db = open_database(folder)
            added = self._fill(db, memory)
        except (sqlite3.Error, OSError, UnusableDatabase, Locked) as error:
            self._report(error, folder)
            return False
        memory.close()
        event = "store replaced, opened again" if self._was_replaced else "store available again"
        self._use(db, folder)
        log.warning(event, path=str(folder), added=added, **({"moved_to": moved_to} if moved_to else {}))
        return True

    def _renew_lock(self) -> None:
        """A folder that never took a lock is used without one, as at the start."""
        if self._folder_lock is not None:
            try:
                self._folder_lock.renew()
            except OSError:
                if self._folder_lock.is_held:
                    raise

    def _fill(self, db: sqlite3.Connection, memory: sqlite3.Connection) -> int:
        """Add to a file what it lacks; returns how many readings were added."""
        try:
            added = add_missing(db, memory)
            self._write_unsaved(db)
        except sqlite3.Error:
            db.close()
            raise
        return added

    def _go_on_from_memory(self, error: Exception) -> None:
        """Leaves the file: a corrupt one is moved aside for a fresh one, else its content is carried into memory."""
        folder = self._folder
        if folder is None:
            raise error
        self._db.close()
        if is_corrupt(error) and self._start_afresh(folder, error):
            return
        self._db = open_memory() if is_corrupt(error) or isinstance(error, UnusableDatabase) else rescue(folder)
        self._write_unsaved(self._db)
        self._report(error, folder)

    def _write_unsaved(self, db: sqlite3.Connection) -> None:
        for host, changes in self._unsaved.items():
            write(db, host, changes.values())

    def _report(self, error: Exception, folder: Path) -> None:
        """Say why data is kept in memory only, once for each reason."""
        self._tried = self._clock()
        self._was_replaced = False
        problem = _words(error, folder)
        if problem != self.problem:
            self.problem = problem
            log.error("store unavailable, continuing in memory", path=str(folder), error=problem)

    def _start_afresh(self, folder: Path, error: Exception) -> bool:
        try:
            aside = move_aside(folder, self._clock())
            db = open_database(folder)
            self._write_unsaved(db)
        except (sqlite3.Error, OSError, UnusableDatabase):
            return False
        self._use(db, folder)
        log.error("store was corrupt: moved aside, a new one begun", moved_to=str(aside), error=str(error))
        return True


def _words(error: Exception, folder: Path) -> str:
    """What is wrong and what to do, for people."""
    if isinstance(error, UnusableDatabase):
        return f"{folder / DATABASE} {error}"
    if isinstance(error, Locked):
        return str(error)
    if is_corrupt(error):
        return f"the store in {folder} is corrupt and cannot be moved aside: move it away by hand"
    if isinstance(error, OSError):
        return f"{folder} cannot be used: {error.strerror}"
    return f"the store in {folder} takes no writes: {error}"

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

from exporter.store.files import (
    Lock,
    Locked,
    identity,
    is_corrupt,
    move_aside,
    open_database,
    open_memory,
    rescue,
)
from exporter.store.rows import Change, Known, Miss, UnreadableRow, read, write
from exporter.store.schema import NewerSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.reports import Report

__all__ = ["MEMORY", "Change", "Known", "Lock", "Locked", "Miss", "Store"]

MEMORY = ":memory:"

_RETRY_SECONDS = 60.0

log = structlog.get_logger()


class Store:
    """The figures and answers of all apps, as one API host gave them.

    Args:
        folder: where the database stands, or ``:memory:``.
        host: the API host that figures come from; it is part of every key. Another one may take its place.
        clock: the wall clock, Unix seconds.
    """

    def __init__(self, folder: str, host: str, clock: Callable[[], float]) -> None:
        self._folder = None if folder == MEMORY else Path(folder)
        self._host = host
        self._clock = clock
        self._lock = threading.Lock()
        self._unsaved: dict[str, dict[object, Change]] = defaultdict(dict)
        """By host, what the file lacks."""
        self._db: sqlite3.Connection
        self._identity: tuple[int, int] | None = None
        self._closed = False
        self.problem = ""
        """Why the store goes on from memory, for people; empty while it takes and gives."""
        self._tried = clock()
        if self._folder is None:
            self._db = open_memory()
        else:
            self._open(self._folder)

    def turn_to(self, host: str) -> None:
        """What is saved from now on comes from another API host."""
        with self._lock:
            self._host = host

    def read(self, appid: str, report: Report, newest_weeks: int, host: str = "") -> Known:
        """What is known of one app's report; nothing after ``close``. ``host``: as another API host gave it."""
        with self._lock:
            if self._closed:
                return Known()
            try:
                return read(self._db, host or self._host, appid, report, newest_weeks)
            except (sqlite3.Error, UnreadableRow) as error:
                self._go_on_from_memory(error)
                return read(self._db, host or self._host, appid, report, newest_weeks)

    def save(self, changes: Iterable[Change]) -> None:
        """Keeps all changes, in the file if it takes them, else in memory until it does."""
        with self._lock:
            changes = tuple(changes)
            if self._closed:
                return
            if self.problem:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                write(self._db, self._host, changes)
                return
            try:
                write(self._db, self._host, changes)
            except sqlite3.Error as error:
                self._unsaved[self._host] |= {change.key: change for change in changes}
                self._go_on_from_memory(error)

    def mend(self) -> None:
        """Once a minute, tries to return to a file that could not be used, or that was taken away."""
        with self._lock:
            if self._closed or self._folder is None or abs(self._clock() - self._tried) < _RETRY_SECONDS:
                return
            self._tried = self._clock()
            if self.problem:
                self._return_to(self._folder)
            elif identity(self._folder) != self._identity:
                self._write_anew(self._folder)

    def close(self) -> None:
        """Closes the database; what comes afterwards is not kept."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _open(self, folder: Path) -> None:
        try:
            self._use(open_database(folder), folder)
        except (sqlite3.Error, OSError, NewerSchema) as error:
            self._db = open_memory()
            self._go_on_from_memory(error)

    def _use(self, db: sqlite3.Connection, folder: Path) -> None:
        self._db = db
        self._identity = identity(folder)
        self.problem = ""
        self._unsaved.clear()

    def _return_to(self, folder: Path) -> None:
        memory, saved = self._db, sum(map(len, self._unsaved.values()))
        try:
            db = open_database(folder)
            self._write_unsaved(db)
        except (sqlite3.Error, OSError, NewerSchema):
            return
        memory.close()
        self._use(db, folder)
        log.info("store is back", path=str(folder), saved=saved)

    def _write_anew(self, folder: Path) -> None:
        """Somebody took the file away; what it held is still open here."""
        taken = self._db
        try:
            db = open_database(folder)
            taken.backup(db)
        except (sqlite3.Error, OSError, NewerSchema) as error:
            self._db = open_memory()
            taken.backup(self._db)
            self._say(error, folder)
        else:
            self._use(db, folder)
            log.error("store was taken away while running: written anew", path=str(folder))
        taken.close()

    def _go_on_from_memory(self, error: Exception) -> None:
        """Leaves the file: a corrupt one is moved aside for a fresh one, else its content is carried into memory."""
        folder = self._folder
        if folder is None:
            raise error
        self._db.close()
        if is_corrupt(error) and self._start_afresh(folder, error):
            return
        self._db = open_memory() if is_corrupt(error) else rescue(folder)
        self._write_unsaved(self._db)
        self._say(error, folder)

    def _write_unsaved(self, db: sqlite3.Connection) -> None:
        for host, changes in self._unsaved.items():
            write(db, host, changes.values())

    def _say(self, error: Exception, folder: Path) -> None:
        self._tried = self._clock()
        self.problem = _words(error, folder)
        log.error("store is out of order, going on from memory", path=str(folder), error=self.problem)

    def _start_afresh(self, folder: Path, error: Exception) -> bool:
        try:
            aside = move_aside(folder, self._clock())
            db = open_database(folder)
            self._write_unsaved(db)
        except (sqlite3.Error, OSError):
            return False
        self._use(db, folder)
        log.error("store was corrupt: moved aside, a new one begun", moved_to=str(aside), error=str(error))
        return True


def _words(error: Exception, folder: Path) -> str:
    """What is wrong and what to do, for people."""
    if isinstance(error, NewerSchema):
        return (
            f"the store in {folder} was written by a newer version ({error}): upgrade, or give another --storage.path"
        )
    if is_corrupt(error):
        return f"the store in {folder} is corrupt and cannot be moved aside: move it away by hand"
    if isinstance(error, OSError):
        return f"{folder} cannot be used: {error.strerror}"
    return f"the store in {folder} takes no writes: {error}"

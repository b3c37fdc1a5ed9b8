"""The lock of the storage directory: one long-running exporter at a time.

``flock`` on a file of its own: it ends with the process, also after SIGKILL, and SQLite's own locks on the database
stay free for ``fetch`` and for people with sqlite3. It belongs to the inode: a lock file that was removed locks nothing
any more, and a second exporter would start on the same directory. ``Lock.is_current`` notices that.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import structlog

from exporter.store.files import identity_at, identity_of

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "exporter.lock"

log = structlog.get_logger()


class Locked(Exception):
    """Another exporter runs on the same directory."""


class Lock:
    """The lock of a directory, held by the one long-running exporter on it until closed or until the process ends.

    A directory in which no lock file can be created (read-only, full) is used without one; the store reports why.

    Raises:
        Locked: another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._file: int | None = None
        try:
            self._acquire()
        except OSError as error:
            log.warning("storage lock unsupported", path=str(directory), error=error.strerror)

    @property
    def is_current(self) -> bool:
        """Whether the file at the path is the one that is locked; also true without a lock."""
        return self._file is None or identity_of(os.fstat(self._file)) == identity_at(self._path)

    def renew(self) -> None:
        """Lock the file that is at the path now, if it was replaced.

        Raises:
            Locked: another process holds it.
            OSError: there was a lock, and now no lock file can be created.
        """
        if self._file is not None and self.is_current:
            return
        try:
            self._acquire()
        except OSError:
            if self._file is not None:
                raise

    def close(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _acquire(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # O_NONBLOCK: opening a named pipe would wait for a writer.
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise Locked(
                    f"another exporter runs on {self._path.parent}: stop it, or set another --storage.path"
                ) from None
            raise
        self.close()
        self._file = file

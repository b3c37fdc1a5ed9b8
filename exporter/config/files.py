"""Reading a file that an operator names: whole, in memory, never hanging on what is no file."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS_MAY_READ = 0o004


class FileUnreadableError(Exception):
    """A file cannot be had. The words go after the subject: ``is a folder``; no path is in them."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line
        """The line at which it goes wrong, where there is one."""


def read_text(path: Path, limit: int) -> str:
    """Reads a UTF-8 file, with or without a byte order mark, of at most ``limit`` bytes.

    Raises:
        FileUnreadableError: missing, a folder, not readable, too large or not UTF-8.
    """
    data = _read_bytes(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnreadableError("is not UTF-8 text", data[: error.start].count(b"\n") + 1) from None


def readable_by_others(path: Path) -> bool:
    """Whether the file's mode lets every user of the machine read it."""
    try:
        return bool(path.stat().st_mode & _OTHERS_MAY_READ)
    except OSError:
        return False


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        _demand_file(path.stat().st_mode)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise FileUnreadableError(_reason(error)) from None
    if len(data) > limit:
        raise FileUnreadableError(f"is larger than {_size_words(limit)}")
    return data


def _demand_file(mode: int) -> None:
    """Opening a pipe that nobody writes to would hold up the start for ever."""
    if stat.S_ISDIR(mode):
        raise FileUnreadableError("is a folder")
    if not stat.S_ISREG(mode):
        raise FileUnreadableError("is a pipe or a device, not a file")


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "does not exist"
    if error.errno == errno.EACCES:
        return "cannot be read: permission denied"
    return f"cannot be read: {os.strerror(error.errno or 0).lower()}"


def _size_words(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"

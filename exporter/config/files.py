"""Reading a file that an operator names: whole, in memory, never hanging on what is no file."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

FileSignature = tuple[int, ...]
"""What of a file changes with its content: none of it for one that is not there."""

_OTHERS_MAY_READ = 0o004


class FileUnreadableError(Exception):
    """A file cannot be had. The words go after the subject: ``is a folder``; no path is in them."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(words)
        self.line = line
        """The line at which it goes wrong, where there is one."""


def file_signature(path: Path) -> FileSignature:
    """How a file looks at this moment; links are followed."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


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


def write_private(path: Path, text: str) -> None:
    """Replaces a file's content, whole or not at all; only its owner can read it. Follows links.

    Raises:
        OSError: the file or its folder takes no writes.
    """
    try:
        place = path.resolve()
    except RuntimeError:  # what Python 3.11 and 3.12 raise for links that lead to each other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    if place.exists() and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with tempfile.NamedTemporaryFile(
        "w", dir=place.parent, prefix=f".{place.name}.", delete=False, encoding="utf-8"
    ) as file:
        beside = Path(file.name)  # made with mode 0600
        try:
            if place.exists():
                with suppress(PermissionError):
                    os.fchown(file.fileno(), place.stat().st_uid, place.stat().st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            beside.replace(place)
        except OSError:
            beside.unlink()
            raise


def parse_path(text: str) -> str:
    """Checks that a text can name a file.

    Raises:
        ValueError: it is empty or holds what no file name should.
    """
    if not text:
        raise ValueError("is empty")
    if not text.isprintable():
        raise ValueError("holds characters that cannot be shown")
    return text


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        _require_regular_file(path.stat().st_mode)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise FileUnreadableError(_reason(error)) from None
    if len(data) > limit:
        raise FileUnreadableError(f"is larger than {_size_words(limit)}")
    return data


def _require_regular_file(mode: int) -> None:
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

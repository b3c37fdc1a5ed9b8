"""Read and replace files that an operator names.

A path in a configuration can lead anywhere, so a read never blocks and never exhausts memory: only regular files are
opened (opening a pipe without a writer blocks forever, reading /dev/zero never ends), and at most a given number of
bytes is read. A change is noticed by the file's signature (device, inode, size, mtime, ctime) without reading it: the
inode because editors and Kubernetes replace files, ctime because a copy can set the mtime back.

A file is replaced by renaming a temporary file of the same directory: a reader sees the old or the new content, never
a part, also after a crash. The temporary file is synced before the rename, since some file systems would otherwise
show an empty file after a power failure.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FileSignature = tuple[int, ...]
"""Device, inode, size, mtime and ctime of a file; empty if it does not exist."""

_READABLE_BY_OTHERS = 0o004
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._-]*(/[A-Za-z0-9._-]*)+")
_SECRET_LENGTH = 16
"""A part of a path that has this many characters and a digit may be a secret: an AppSecret has 32."""


class FileUnreadableError(Exception):
    """A file cannot be read. The message continues a sentence (``is a directory``) and does not name the path."""

    def __init__(self, message: str, line: int | None = None, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.line = line
        """The line of the error, if there is one."""
        self.is_missing = is_missing
        """Whether there is no such file; ``no_such_file`` makes a message that names it."""


def file_signature(path: Path) -> FileSignature:
    """Return the current signature of a file; links are followed."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_text(path: Path, limit: int) -> str:
    """Read a UTF-8 file, with or without a byte order mark, of at most ``limit`` bytes.

    Raises:
        FileUnreadableError: missing, a directory, not readable, too large or not UTF-8.
    """
    data = _read_bytes(path, limit)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnreadableError("is not UTF-8 text", data[: error.start].count(b"\n") + 1) from None


def readable_by_others(path: Path) -> bool:
    """Return whether the file's mode lets every user of the machine read it."""
    try:
        return bool(path.stat().st_mode & _READABLE_BY_OTHERS)
    except OSError:
        return False


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file's content, as ``replacing`` does."""
    with replacing(path, mode) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """Yield a file that replaces another one at the end; on an error the previous content stays. Follows links.

    Args:
        path: the file, which need not exist.
        mode: its permissions. The owner stays the same if the process may give files away.

    Raises:
        OSError: the directory is not writable. The file may be read-only: a rename needs no permission for it.
    """
    target = resolve_links(path)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        temporary = Path(file.name)  # created with mode 0600
        try:
            if target.exists():
                # EPERM for a user without privileges; EINVAL in a user namespace without the owner (PrivateUsers=yes).
                with suppress(OSError):
                    os.fchown(file.fileno(), target.stat().st_uid, target.stat().st_gid)
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:  # an interrupt must not leave the temporary file behind either
            temporary.unlink(missing_ok=True)
            raise


def resolve_links(path: Path) -> Path:
    """Return the file that a path leads to; it need not exist.

    Raises:
        OSError: its links form a loop.
    """
    try:
        target = path.resolve()
    except RuntimeError:  # Python 3.11 and 3.12 raise this for a loop; 3.13 returns a path with the link in it
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    if any(each.is_symlink() for each in (target, *target.parents)):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def parse_path(text: str) -> str:
    """Check that a text can name a file.

    Raises:
        ValueError: it is empty or contains non-printable characters.
    """
    if not text:
        raise ValueError("is empty")
    if not text.isprintable():
        raise ValueError("contains non-printable characters")
    return text


def no_such_file(text: str) -> str:
    """Return the message about a missing file, with its path unless that could be a secret in the wrong place."""
    is_shown = _PLAIN_PATH.fullmatch(text) and not any(map(_may_be_secret, text.split("/")))
    start = "" if text.startswith("/") else " (relative paths start at this file's directory)"
    return f"no such file {text if is_shown else ''}".rstrip() + start


def _may_be_secret(part: str) -> bool:
    return len(part) >= _SECRET_LENGTH and any(map(str.isdigit, part))


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        _require_regular_file(path.stat().st_mode)
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        is_missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        raise FileUnreadableError(_reason(error), is_missing=is_missing) from None
    if len(data) > limit:
        raise FileUnreadableError(f"is larger than {_format_size(limit)}")
    return data


def _require_regular_file(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileUnreadableError("is a directory")
    if not stat.S_ISREG(mode):
        raise FileUnreadableError("is not a regular file but a pipe or a device")


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "does not exist"
    if error.errno == errno.EACCES:
        return "cannot be read: permission denied"
    return f"cannot be read: {os.strerror(error.errno or 0).lower()}"


def _format_size(size: int) -> str:
    return f"{size >> 20} MiB" if size >> 20 else f"{size >> 10} KiB"

"""Sources of secrets (AppSecrets, tokens, header values): read again whenever they are needed, never shown.

A secret is read at each use, so that a rotated secret takes effect without a reload, and only its fingerprint is kept
from the load: a keyed hash by which a reload notices that the value behind the same path or variable changed, which
makes two configurations unequal. The key is random for each process, so a fingerprint is worthless outside of it.

A file can be read while another program is writing it, and half a secret sent to WeChat counts as a wrong one. If the
content differs from what was read at load, the file is therefore read again once a second, at most ten times, until
two reads in a row are equal. The result is remembered in ``_settled``, so that this wait happens once for each change.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from exporter.config.files import FileUnreadableError, read_text, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 64 << 10
_SETTLE_SECONDS = 1.0
_SETTLE_TRIES = 10

_KEY = secrets.token_bytes(32)
_settled: dict[Path, bytes] = {}
"""Fingerprints of files that changed since the load and whose content was equal in two reads."""


class SecretUnavailable(Exception):
    """A secret cannot be read. The message is the reason, without the secret, its path or the variable's name."""

    def __init__(self, message: str, *, is_missing_file: bool = False) -> None:
        super().__init__(message)
        self.is_missing_file = is_missing_file


@dataclass(frozen=True, slots=True, repr=False)
class Secret(ABC):
    """One source of a secret. Equal to another of the same place that found the same value at load."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """The subject of error messages: ``the secret file``."""

    @abstractmethod
    def _fetch(self) -> str:
        """Return the current text; raise SecretUnavailable if there is none."""

    @abstractmethod
    def fingerprinted(self) -> Self:
        """Return the same source with a fingerprint of its current value, so that a reload notices a change.

        Raises:
            SecretUnavailable: it cannot be read now.
        """

    def read(self) -> str:
        """Return the current secret without surrounding white space.

        Raises:
            SecretUnavailable: it cannot be read now, is empty or has more than one line.
        """
        text = self._fetch().strip()
        if not text:
            raise SecretUnavailable(f"{self.subject} is empty")
        # A file of several lines is usually the wrong file, and a line feed in a header would end it.
        if len(text.splitlines()) > 1:
            raise SecretUnavailable(f"{self.subject} has more than one line")
        return text

    def __repr__(self) -> str:
        return "<SECRET>"


# The values are excluded from the hashes: a hash of an AppSecret must not reach a log or a traceback.
@dataclass(frozen=True, slots=True, repr=False)
class LiteralSecret(Secret):
    """A secret written in the configuration itself."""

    value: str = field(hash=False)

    @property
    def subject(self) -> str:
        """The secret itself: there is no file or variable to name."""
        return "the secret"

    def _fetch(self) -> str:
        return self.value

    def fingerprinted(self) -> Self:
        """Return itself: values are compared directly."""
        self.read()
        return self


@dataclass(frozen=True, slots=True, repr=False)
class FileSecret(Secret):
    """A secret that is the entire content of a file; ``subject`` names the file's purpose in messages."""

    path: Path = field(hash=False)
    fingerprint: bytes = field(default=b"", hash=False)
    subject: str = field(default="the secret file", compare=False)

    def _fetch(self) -> str:
        try:
            text = read_text(self.path, MAX_BYTES)
            known = {self.fingerprint, _settled.get(self.path, b"")}
            for _ in range(_SETTLE_TRIES if self.fingerprint and _fingerprint(text.strip()) not in known else 0):
                time.sleep(_SETTLE_SECONDS)
                previous, text = text, read_text(self.path, MAX_BYTES)
                if text == previous and text.strip():
                    _settled[self.path] = _fingerprint(text.strip())
                    break
        except FileUnreadableError as error:
            raise SecretUnavailable(f"{self.subject} {error}", is_missing_file=error.is_missing) from None
        return text

    def fingerprinted(self) -> Self:
        """Return the same file with a fingerprint of its current content."""
        return replace(self, fingerprint=_fingerprint(self.read()))

    def save(self, secret: str) -> None:
        """Replace the file's content atomically; only its owner can read it afterwards.

        Raises:
            SecretUnavailable: the file or its directory is not writable.
        """
        try:
            # A read-only file stays as it is, although a rename needs write permission for its directory only.
            if self.path.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            write_atomically(self.path, f"{secret}\n".encode())
        except OSError as error:
            raise SecretUnavailable(f"{self.subject} is not writable: {error.strerror}") from None


@dataclass(frozen=True, slots=True, repr=False)
class EnvSecret(Secret):
    """A secret that is the value of an environment variable."""

    variable: str = field(hash=False)
    environ: Mapping[str, str] = field(compare=False)
    fingerprint: bytes = field(default=b"", hash=False)

    @property
    def subject(self) -> str:
        """The variable without its name, which may be a secret written in the wrong place."""
        return "the environment variable"

    def _fetch(self) -> str:
        value = self.environ.get(self.variable)
        if value is None:
            raise SecretUnavailable(f"{self.subject} is not set")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SecretUnavailable(f"{self.subject} is not UTF-8 text") from None
        return value

    def fingerprinted(self) -> Self:
        """Return the same variable with a fingerprint of its current value."""
        return replace(self, fingerprint=_fingerprint(self.read()))


def _fingerprint(secret: str) -> bytes:
    """Return a keyed hash: it distinguishes two secrets within this process and is worthless outside of it."""
    return hashlib.blake2b(secret.encode(), key=_KEY, digest_size=16).digest()

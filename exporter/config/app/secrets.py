"""Where secrets stand: AppSecrets, tokens, headers. Each is read anew whenever it is needed and never shows itself."""

from __future__ import annotations

import hashlib
import secrets
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from exporter.config.files import FileUnreadableError, read_text, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 64 << 10
_SETTLE_SECONDS = 1.0
_SETTLE_TRIES = 10

_KEY = secrets.token_bytes(32)
_settled: dict[Path, bytes] = {}
"""What a file that changed since the load was last found to hold, so that it is waited for once."""


class SecretUnavailable(Exception):
    """A secret cannot be had; the words say why and hold neither the secret nor where it was sought."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret(ABC):
    """One way to an AppSecret. Equal if it leads to the same place and found the same there at load."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What the words of a failure are about."""

    @abstractmethod
    def _fetch(self) -> str:
        """The text as it stands there now; ``SecretUnavailable`` if there is none."""

    @abstractmethod
    def fingerprinted(self) -> Self:
        """The same secret with a fingerprint of what it reads now, so that a reload notices a change.

        Raises:
            SecretUnavailable: it cannot be read now.
        """

    def read(self) -> str:
        """The secret as it is now, without white space around it.

        Raises:
            SecretUnavailable: it cannot be read now, is empty or more than one line.
        """
        text = self._fetch().strip()
        if not text:
            raise SecretUnavailable(f"{self.subject} is empty")
        if len(text.splitlines()) > 1:
            raise SecretUnavailable(f"{self.subject} holds more than one line")
        return text

    def __repr__(self) -> str:
        return "<SECRET>"


@dataclass(frozen=True, slots=True, repr=False)
class LiteralSecret(Secret):
    """The secret stands in the configuration itself."""

    value: str = field(hash=False)

    @property
    def subject(self) -> str:
        """Nobody but the configuration holds it."""
        return "the secret"

    def _fetch(self) -> str:
        return self.value

    def fingerprinted(self) -> Self:
        """The value is its own fingerprint."""
        self.read()
        return self


@dataclass(frozen=True, slots=True, repr=False)
class FileSecret(Secret):
    """The secret is all that a file holds; ``subject`` is what the file is called in words."""

    path: Path = field(hash=False)
    fingerprint: bytes = field(default=b"", hash=False)
    subject: str = field(default="the secret file", compare=False)

    def _fetch(self) -> str:
        try:
            text = read_text(self.path, MAX_BYTES)
            # Changed since the load, so perhaps half-written: use it once two reads in a row are equal.
            known = {self.fingerprint, _settled.get(self.path, b"")}
            for _ in range(_SETTLE_TRIES if self.fingerprint and _fingerprint(text.strip()) not in known else 0):
                time.sleep(_SETTLE_SECONDS)
                before, text = text, read_text(self.path, MAX_BYTES)
                if text == before and text.strip():
                    _settled[self.path] = _fingerprint(text.strip())
                    break
        except FileUnreadableError as error:
            raise SecretUnavailable(f"{self.subject} {error}") from None
        return text

    def fingerprinted(self) -> Self:
        """With a fingerprint of what the file holds now."""
        return replace(self, fingerprint=_fingerprint(self.read()))

    def save(self, secret: str) -> None:
        """Replaces what the file holds, whole or not at all, for its owner's eyes alone.

        Raises:
            SecretUnavailable: the file or its folder takes no writes.
        """
        try:
            write_private(self.path, f"{secret}\n")
        except OSError as error:
            raise SecretUnavailable(f"{self.subject} takes no writes: {error.strerror}") from None


@dataclass(frozen=True, slots=True, repr=False)
class EnvSecret(Secret):
    """The secret is the value of an environment variable."""

    variable: str = field(hash=False)
    environ: Mapping[str, str] = field(compare=False)
    fingerprint: bytes = field(default=b"", hash=False)

    @property
    def subject(self) -> str:
        """The variable's name may tell too much."""
        return "the secret variable"

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
        """With a fingerprint of what the variable holds now."""
        return replace(self, fingerprint=_fingerprint(self.read()))


def _fingerprint(secret: str) -> bytes:
    """Tells two secrets apart within this process and is worth nothing outside of it."""
    return hashlib.blake2b(secret.encode(), key=_KEY, digest_size=16).digest()

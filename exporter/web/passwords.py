"""Basic authentication against bcrypt hashes."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING

import bcrypt

from exporter.httpd import text_response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.httpd import Response

_LONGEST = 72
"""Bytes of a password that bcrypt looks at; what follows is ignored, as by htpasswd and by Go."""
_QUEUE = 32
"""Passwords that may wait to be checked: at a cost of 10 the last one waits two seconds."""


class BusyError(Exception):
    """Too many passwords wait to be checked."""


class Passwords:
    """Who may come in.

    A right password is remembered, so that a scrape costs no bcrypt: for each user the keyed hash of the one that was
    last found right. Nothing else is, so that no request can put anything there (CVE-2022-46146). The others are
    checked one at a time, and only so many wait: a flood of wrong ones leaves the other processor, and those who are
    known, alone.

    Args:
        users: names and bcrypt hashes; at least one.
        key: of the hashes of passwords that are remembered.
        right: those hashes, by user.
    """

    def __init__(
        self, users: Iterable[tuple[str, str]], key: bytes = b"", right: Mapping[bytes, bytes] = MappingProxyType({})
    ) -> None:
        self._hashes = {name.encode(): hash_.encode() for name, hash_ in users}
        self._key = key or secrets.token_bytes(32)
        self._right = dict(right)
        self._turn = threading.Lock()
        self._queue = threading.BoundedSemaphore(_QUEUE)

    def with_users(self, users: Iterable[tuple[str, str]]) -> Passwords:
        """Who may come in from now on; the password of a user whose hash is the same stays known."""
        users = tuple(users)
        same = {name.encode() for name, hash_ in users if self._hashes.get(name.encode()) == hash_.encode()}
        return Passwords(
            users, self._key, {user: digest for user, digest in self._right.copy().items() if user in same}
        )

    def challenge(self, authorization: str) -> Response | None:
        """The answer to one who may not come in.

        Args:
            authorization: the header of that name; empty without one.
        """
        credentials = _credentials(authorization)
        try:
            if credentials is not None and self._fits(*credentials):
                return None
        except BusyError:
            return text_response(503, "too many passwords wait to be checked; try again", ("Retry-After", "1"))
        challenge = ("WWW-Authenticate", 'Basic realm="exporter", charset="UTF-8"')
        return text_response(401, "a user name and its password are needed", challenge)

    def _fits(self, user: bytes, password: bytes) -> bool:
        password = password[:_LONGEST]
        digest = blake2b(password, key=self._key).digest()
        if self._remembered(user, digest):
            return True
        if not self._queue.acquire(blocking=False):
            raise BusyError
        try:
            with self._turn:
                # Somebody before us in the queue may have brought the same one.
                fits = self._remembered(user, digest) or bcrypt.checkpw(password, self._hash_for(user))
        finally:
            self._queue.release()
        if not fits or user not in self._hashes:
            return False
        self._right[user] = digest
        return True

    def _remembered(self, user: bytes, digest: bytes) -> bool:
        return hmac.compare_digest(self._right.get(user, b""), digest)

    def _hash_for(self, user: bytes) -> bytes:
        """The hash of a user; for an unknown one, always the same user's: it takes as long, and never lets in."""
        if user in self._hashes:
            return self._hashes[user]
        number = int.from_bytes(blake2b(user, key=self._key).digest())
        return list(self._hashes.values())[number % len(self._hashes)]


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """User name and password of an Authorization header; None if it holds none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None

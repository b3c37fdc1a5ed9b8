"""Basic authentication against bcrypt hashes.

A check takes 60 ms of CPU at bcrypt's cost 10, so clients could use up the machine by sending wrong passwords. Three
rules limit that:

* The last correct password of each user is remembered as a keyed hash; Prometheus, which sends it with every scrape,
  costs no bcrypt. Wrong passwords are never remembered, and the key of the table is the user name alone: a cache keyed
  by concatenated user and password let a client in with crafted input (CVE-2022-46146).
* Other passwords are checked one at a time, so that a flood leaves all but one core free.
* At most 32 requests wait for their check, which takes about two seconds for the last one. Further ones get 503.

An unknown user name costs a check against some user's hash, so that the duration does not reveal which names exist.
``_bcrypt_lock`` is held during one check; the table of verified passwords is written under it and read without it.
"""

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

_MAX_BYTES = 72
"""Bytes of a password that bcrypt uses; the rest is ignored, as by htpasswd and by Go."""
_MAX_WAITING = 32


class BusyError(Exception):
    """Too many requests wait for the check of their password."""


class Passwords:
    """The users and their passwords; safe for use from any thread.

    Args:
        users: names and bcrypt hashes; at least one.
        key: key of the hashes of verified passwords.
        verified: the hash of the last correct password of each user.
    """

    def __init__(
        self,
        users: Iterable[tuple[str, str]],
        key: bytes = b"",
        verified: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        self._hashes = {name.encode(): hash_.encode() for name, hash_ in users}
        self._key = key or secrets.token_bytes(32)
        self._verified = dict(verified)
        self._bcrypt_lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING)

    def with_users(self, users: Iterable[tuple[str, str]]) -> Passwords:
        """Return the passwords after a change of users; those with an unchanged hash stay verified."""
        users = tuple(users)
        same = {name.encode() for name, hash_ in users if self._hashes.get(name.encode()) == hash_.encode()}
        return Passwords(
            users, self._key, {user: digest for user, digest in self._verified.copy().items() if user in same}
        )

    def challenge(self, authorization: str) -> Response | None:
        """Return the response to a request without valid credentials; None if they are valid.

        Args:
            authorization: the Authorization header; empty without one.
        """
        credentials = _credentials(authorization)
        try:
            if credentials is not None and self._verify(*credentials):
                return None
        except BusyError:
            return text_response(503, "too many passwords are being checked, try again", ("Retry-After", "1"))
        challenge = ("WWW-Authenticate", 'Basic realm="exporter", charset="UTF-8"')
        return text_response(401, "user name and password required", challenge)

    def _verify(self, user: bytes, password: bytes) -> bool:
        password = password[:_MAX_BYTES]
        digest = blake2b(password, key=self._key).digest()
        if self._is_verified(user, digest):
            return True
        if not self._waiting.acquire(blocking=False):
            raise BusyError
        try:
            with self._bcrypt_lock:
                # An earlier request in the queue may have verified the same password: after a restart, Prometheus and
                # people arrive together.
                correct = self._is_verified(user, digest) or bcrypt.checkpw(password, self._hash_of(user))
                if correct and user in self._hashes:
                    self._verified[user] = digest
                    return True
                return False
        finally:
            self._waiting.release()

    def _is_verified(self, user: bytes, digest: bytes) -> bool:
        return hmac.compare_digest(self._verified.get(user, b""), digest)

    def _hash_of(self, user: bytes) -> bytes:
        """Return the hash of a user; for an unknown name always the same user's, so that costs do not reveal it."""
        if user in self._hashes:
            return self._hashes[user]
        number = int.from_bytes(blake2b(user, key=self._key).digest())
        return list(self._hashes.values())[number % len(self._hashes)]


def _credentials(authorization: str) -> tuple[bytes, bytes] | None:
    """Return user name and password of an Authorization header; None if it has none (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None

"""What goes over the wire and what comes back, as values: neither knows of sockets nor of WeChat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ErrorKind = Literal["timeout", "connection", "malformed"]
"""What can go wrong on the way, in the words of the ``errcode`` label."""


JSON = (("Content-Type", "application/json"),)
"""The headers of a request whose body is JSON."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request. Query, headers and body may hold secrets, so ``repr`` shows none of them."""

    endpoint: str
    """The ``endpoint`` label of its duration: ``stable_token``."""
    method: str
    url: str = field(repr=False)
    """Absolute; that of another service may have a query, and in it a key."""
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One HTTP answer that arrived whole and in time. The body may hold a token, so ``repr`` hides it."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    """The ``Retry-After`` header as it came."""
    date: str = ""
    """The ``Date`` header as it came: the server's clock."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What was sent and must not be shown, should the server repeat it in an error text."""


class TransportError(Exception):
    """No usable answer came. The text is for people and never holds a URL, a token or a secret."""

    def __init__(self, fault: ErrorKind, words: str) -> None:
        super().__init__(words)
        self.kind = fault

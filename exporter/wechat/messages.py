"""Requests to WeChat and other services, their responses, and errors of the transport, as values.

Neither a socket nor the meaning of a body is known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ErrorKind = Literal["timeout", "connection", "malformed"]
"""The kinds of transport errors, as values of the ``errcode`` label."""


JSON = (("Content-Type", "application/json"),)
"""The headers of a request with a JSON body."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request. Query, headers and body may contain secrets, so ``repr`` hides them."""

    endpoint: str
    """The ``endpoint`` label of its duration, for example ``stable_token``."""
    method: str
    url: str = field(repr=False)
    """Absolute. The URL of another service may have a query of its own, which may contain a key."""
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """One complete HTTP response. The body may contain a token, so ``repr`` hides it."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    """The ``Retry-After`` header, not parsed."""
    date: str = ""
    """The ``Date`` header, not parsed: the server's clock."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What was sent and must be removed from an error text that repeats it."""


class TransportError(Exception):
    """There is no usable response. The message is for people and contains no URL, token or secret."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

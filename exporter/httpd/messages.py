"""A request as it came in, and what is sent back: values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request."""

    method: str
    path: str
    """As it came, without the query."""
    query: str
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. A body in pieces, and no Content-Length among the headers, ends with the connection.

    ``raw``: the pieces are all that is written, without a head; then the connection is closed.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""
    raw: bool = False


Handler = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: sizes in bytes, times in seconds."""

    connections: int = 512
    head_seconds: float = 10.0
    """For request line and headers together, and again for the body."""
    idle_seconds: float = 120.0
    """Between two requests on one connection."""
    write_seconds: float = 30.0
    """For a whole response."""
    head_bytes: int = 32 << 10
    body_bytes: int = 1 << 20

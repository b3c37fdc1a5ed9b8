"""Requests and responses as values; no socket and no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)


class Headers(Mapping[str, str]):
    """The headers of a request: read-only, case-insensitive, repeated ones joined by a comma (RFC 9110, 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        collected: dict[str, list[str]] = {}
        for name, value in fields:
            collected.setdefault(name.lower(), []).append(value)
        self._values = {name: ", ".join(values) for name, values in collected.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request. Query, headers and body may contain secrets, so ``repr`` shows none of them."""

    method: str
    """As sent; any token."""
    path: str
    """As sent, still percent-encoded, without the query."""
    query: str = field(default="", repr=False)
    """The part after ``?``; empty without one."""
    headers: Headers = field(default_factory=Headers, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What a handler returns. The server adds Date if it is missing, and Content-Length if the length is known."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[bytes, ...] | Iterable[bytes] = field(default=b"", repr=False)
    """An iterable that is not a tuple is sent chunk by chunk while it is produced."""
    raw: bool = False
    """Send the body alone, without status line and headers, then close the connection."""

    @property
    def chunks(self) -> Iterable[bytes]:
        """The body in chunks."""
        return (self.body,) if isinstance(self.body, bytes) else self.body

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if it is still being produced."""
        return sum(map(len, self.chunks)) if isinstance(self.body, bytes | tuple) else None


Handler = Callable[[Request], Response]
"""Responds to one request; called from many threads at the same time."""


def text_response(status: int, message: str, *headers: tuple[str, str]) -> Response:
    """Return a plain text response; ``message`` must not repeat what the client sent, which may be a secret."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), f"{message}\n".encode())


def split_target(target: str) -> tuple[str, str]:
    """Return path and query of a request target, which may be an absolute URL (RFC 9112, 3.2.2)."""
    path, _, query = _ABSOLUTE.sub("", target, count=1).partition("?")
    return path or "/", query

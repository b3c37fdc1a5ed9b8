"""A request as it came in and an answer as it goes out: values; no socket and no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http import HTTPStatus

_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)


class Headers(Mapping[str, str]):
    """The headers of a request: read-only, names in any case, repeated ones joined by a comma."""

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
    """One whole request. Query, headers and body may hold secrets, so ``repr`` shows none of them."""

    method: str
    """As it was sent; any token."""
    path: str
    """As it was sent, still percent-encoded, without the query."""
    query: str = field(default="", repr=False)
    """What follows the ``?``; empty without one."""
    headers: Headers = field(default_factory=Headers, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What a handler answers. Date is added if it is missing, and Content-Length where the whole body is there."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[bytes, ...] | Iterable[bytes] = field(default=b"", repr=False)
    """Pieces are sent as they are made; those of a tuple are all there."""
    raw: bool = False
    """The body is everything that is sent, no status line and no headers; then the connection is closed."""

    @property
    def pieces(self) -> Iterable[bytes]:
        """The body, piece by piece."""
        return (self.body,) if isinstance(self.body, bytes) else self.body

    @property
    def length(self) -> int | None:
        """Bytes of the body; None while it is not all there."""
        return sum(map(len, self.pieces)) if isinstance(self.body, bytes | tuple) else None


Handler = Callable[[Request], Response]
"""Answers one request; called from many threads at once."""


class RequestError(Exception):
    """A request that is answered with an error here, before any handler sees it; the connection ends."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.response = plain(status, words)


def plain(status: HTTPStatus, words: str) -> Response:
    """An error in one line of text; ``words`` must hold nothing that the client sent."""
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
    return Response(status, headers, f"{status.value} {status.phrase}: {words}\n".encode())


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which may name the host, too."""
    path, _, query = _ABSOLUTE.sub("", target, count=1).partition("?")
    return path or "/", query

"""What a broken, slow or hostile WeChat answers, on demand."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from exporter.wechat.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from exporter.periods import Period

EGRESS_IP = "203.0.113.7"
"""The address that the pretended WeChat sees us come from."""

_TRICKLE_SECONDS = 0.2
_PATIENCE = 60.0
"""Seconds after which even the slowest answer ends."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the client; a ``raw`` body is written to the socket as it is, without a head."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""
    raw: bool = False


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """Something wrong with one app's answers.

    Args:
        kind: an ``errcode`` as text, or a name from ``KINDS``.
        endpoint: the ``endpoint`` label of the call that is injected.
        periods: the only periods it holds for; empty for all.

    Raises:
        ValueError: there is no such kind.
    """

    kind: str
    endpoint: str = "weekly"
    periods: frozenset[Period] = frozenset()

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not self.kind.lstrip("-").isdigit():
            raise ValueError(f"no such fault; there are: an errcode, {', '.join(sorted(KINDS))}")

    def answer(self, good: Mapping[str, object], now: float) -> Answer:
        """What comes in place of a good answer."""
        if self.kind in KINDS:
            return KINDS[self.kind](dict(good))
        return error(int(self.kind), now)


def as_json(content: object) -> Answer:
    """A well-formed answer."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(headers=(("Content-Type", "application/json; encoding=utf-8"),), body=body)


def error(number: int, now: float) -> Answer:
    """An error as WeChat words it: HTTP 200, and a request id that begins with the time."""
    code = CODES.get(number)
    words = code.errmsg.format(ip=EGRESS_IP) if code else "unknown error"
    rid = f"{int(now):08x}-00000000-00000000"
    return as_json({"errcode": number, "errmsg": f"{words} rid: {rid}"})


def _row(good: dict[str, object], **changes: object) -> Answer:
    rows = good.get("list") or [{}]
    first = rows[0] if isinstance(rows, list) else {}
    return as_json({"list": [{**first, **changes}]})


def _body(good: dict[str, object]) -> bytes:
    return json.dumps(good).encode()


def _trickle(data: bytes) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])
        time.sleep(_TRICKLE_SECONDS)


def _silence() -> Iterator[bytes]:
    time.sleep(_PATIENCE)
    yield b""


def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


KINDS: dict[str, Callable[[dict[str, object]], Answer]] = {
    "compressed": lambda good: Answer(headers=(("Content-Encoding", "gzip"),), body=gzip.compress(_body(good))),
    "deep": lambda _: Answer(body=b"[" * 100_000),
    "empty": lambda _: Answer(),
    "endless": lambda _: Answer(body=repeat(b" " * 65536)),
    "fraction": lambda good: _row(good, visit_uv=0.5),
    "hang": lambda _: Answer(body=_silence(), raw=True),
    "html": lambda _: Answer(body=b"<!doctype html><title>Portal</title>"),
    "http_403": lambda _: Answer(403, body=b"forbidden"),
    "http_429": lambda _: Answer(429, (("Retry-After", "7200"),), b"slow down"),
    "http_500": lambda _: Answer(500, body=b"oops"),
    "http_502": lambda _: Answer(502, body=b"bad gateway"),
    "huge_number": lambda good: Answer(body=_body(good).replace(b'"visit_uv": ', b'"visit_uv": ' + b"9" * 5000)),
    "infinite": lambda good: Answer(body=_body(good).replace(b'"visit_uv": ', b'"visit_uv": 1e400, "_": ')),
    "nan": lambda good: _row(good, visit_uv=float("nan")),
    "negative": lambda good: _row(good, visit_uv=-1),
    "no_figures": lambda good: _row({}, ref_date=(good["list"][0]["ref_date"])),  # type: ignore[index]
    "no_list": lambda _: as_json({"lists": []}),
    "no_rows": lambda _: as_json({"list": []}),
    "not_utf8": lambda _: Answer(body=b'{"list":[{"ref_date":"\xff"}]}'),
    "redirect": lambda _: Answer(302, (("Location", "http://127.0.0.1:9/"),), b"elsewhere"),
    "reset": lambda _: Answer(raw=True),
    "short": lambda good: Answer(body=[_head(len(_body(good)) + 10), _body(good)], raw=True),
    "text_figure": lambda good: _row(good, visit_uv="many"),
    "trickled_body": lambda good: Answer(body=_trickle(_body(good))),
    "trickled_head": lambda good: Answer(body=_trickle(_head(len(_body(good)))), raw=True),
    "truncated": lambda good: Answer(body=_body(good)[:-10]),
    "two_rows": lambda good: as_json({"list": [*good["list"], *good["list"]]}),  # type: ignore[misc]
    "wrong_period": lambda good: _row(good, ref_date="20170306-20170312"),
}
"""What can go wrong, by the name that the command line knows it by."""

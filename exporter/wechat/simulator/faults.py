"""Faults that can be injected: what a broken, slow or hostile WeChat sends in place of a valid response."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from exporter.httpd import Response
from exporter.wechat.simulator.messages import error_response, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from exporter.periods import Period

_TRICKLE_SECONDS = 0.2
"""Between two bytes: each one arrives well within a read timeout, the complete response never within a deadline."""
_HANG_SECONDS = 60.0
"""Longer than any timeout under test, and finite, so that the server's threads end."""


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault in the responses to one app.

    Args:
        kind: an ``errcode`` as text, or a name in ``KINDS``.
        endpoint: the ``endpoint`` label of the affected requests.
        periods: the affected periods; empty for all.

    Raises:
        ValueError: the kind is unknown.
    """

    kind: str
    endpoint: str = "weekly"
    periods: frozenset[Period] = frozenset()

    def __post_init__(self) -> None:
        if self.kind not in KINDS and not self.kind.lstrip("-").isdigit():
            raise ValueError(f"unknown fault: use an errcode or one of {', '.join(sorted(KINDS))}")

    def response(self, good: Mapping[str, object], now: float) -> Response:
        """Return what is sent in place of a valid response."""
        if self.kind in KINDS:
            return KINDS[self.kind](dict(good))
        return error_response(int(self.kind), now)


def _row(good: dict[str, object], **changes: object) -> Response:
    rows = good.get("list") or [{}]
    first = rows[0] if isinstance(rows, list) else {}
    return json_response({"list": [{**first, **changes}]})


def _with_values(content: Any, change: Callable[[int, int], object]) -> Any:  # noqa: ANN401 (any JSON)
    """Return a cohort or distribution in which each value is changed, given its key and itself."""
    if isinstance(content, list):
        return [_with_values(each, change) for each in content]
    if not isinstance(content, dict):
        return content
    if content.keys() == {"key", "value"}:
        return {"key": content["key"], "value": change(content["key"], content["value"])}
    return {name: _with_values(value, change) for name, value in content.items()}


def _without_later_keys(good: dict[str, object]) -> Response:
    lists = {name: entries[:1] if isinstance(entries, list) else entries for name, entries in good.items()}
    return json_response(lists)


def _body(good: dict[str, object]) -> bytes:
    return json.dumps(good).encode()


def _trickle(data: bytes) -> Iterator[bytes]:
    for byte in data:
        yield bytes([byte])
        time.sleep(_TRICKLE_SECONDS)


def _silence() -> Iterator[bytes]:
    time.sleep(_HANG_SECONDS)
    yield b""


def _head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


def _ok(body: bytes) -> Response:
    return Response(200, body=body)


KINDS: dict[str, Callable[[dict[str, object]], Response]] = {
    "compressed": lambda good: Response(200, (("Content-Encoding", "gzip"),), gzip.compress(_body(good))),
    "deep": lambda _: _ok(b"[" * 100_000),
    "empty": lambda _: _ok(b""),
    "endless": lambda _: Response(200, body=repeat(b" " * 65536)),
    "fraction": lambda good: _row(good, visit_uv=0.5),
    "hang": lambda _: Response(200, body=_silence(), raw=True),
    "html": lambda _: _ok(b"<!doctype html><title>Portal</title>"),
    "http_403": lambda _: Response(403, body=b"forbidden"),
    "http_429": lambda _: Response(429, (("Retry-After", "7200"),), b"slow down"),
    "http_500": lambda _: Response(500, body=b"oops"),
    "http_502": lambda _: Response(502, body=b"bad gateway"),
    "huge_number": lambda good: _ok(_body(good).replace(b'"visit_uv": ', b'"visit_uv": ' + b"9" * 5000)),
    "infinite": lambda good: _ok(_body(good).replace(b'"visit_uv": ', b'"visit_uv": 1e400, "_": ')),
    "nan": lambda good: _row(good, visit_uv=float("nan")),
    "negative": lambda good: _row(good, visit_uv=-1),
    "no_figures": lambda good: _row({}, ref_date=(good["list"][0]["ref_date"])),  # type: ignore[index]
    "no_later_keys": _without_later_keys,
    "no_list": lambda _: json_response({"lists": []}),
    "no_size": lambda good: json_response(_with_values(good, lambda key, value: value if key else 0)),
    "no_rows": lambda _: json_response({"list": []}),
    "not_utf8": lambda _: _ok(b'{"list":[{"ref_date":"\xff"}]}'),
    "redirect": lambda _: Response(302, (("Location", "http://127.0.0.1:9/"),), b"elsewhere"),
    "reset": lambda _: Response(200, raw=True),
    "short": lambda good: Response(200, body=(_head(len(_body(good)) + 10), _body(good)), raw=True),
    "text_figure": lambda good: _row(good, visit_uv="many"),
    "trickled_body": lambda good: Response(200, body=_trickle(_body(good))),
    "trickled_head": lambda good: Response(200, body=_trickle(_head(len(_body(good)))), raw=True),
    "truncated": lambda good: _ok(_body(good)[:-10]),
    "two_rows": lambda good: json_response({"list": [*good["list"], *good["list"]]}),  # type: ignore[misc]
    "wrong_period": lambda good: _row(good, ref_date="20170306-20170312"),
    "zeros": lambda good: json_response(_with_values(good, lambda _key, _value: 0)),
}
"""The faults beside error codes, by their names on the command line. Each makes a response from the valid content."""

"""Families become bytes: the large part once when data changes, the small live part at each scrape."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics

from exporter.metrics.families import families
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client.core import Metric
    from prometheus_client.registry import Collector

    from exporter.apps import AppStatus
    from exporter.reports import Report

_EOF = b"# EOF\n"
_LINES_BEFORE = 2  # HELP and TYPE
_SHARD = 20  # apps
_LEVEL = 6  # 9 is three times slower for 6 % less
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # RFC 1952: deflate, no name, no time, Unix


class Format(Enum):
    """The exposition formats, each with its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Part:
    """The cached part of a page in one format, and what is needed to gzip on from there."""

    plain: bytes
    deflated: bytes
    """Raw deflate, closed with a full flush on a byte boundary: more of the stream can follow."""
    crc: int


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that was rendered when data last changed."""

    parts: dict[Format, Part]


class Renderer:
    """Renders the families of all apps, anew only where an app changed since the last time.

    Apps are rendered in shards. Both formats write a sample in the same bytes and differ only in the lines
    before a family, so that every sample is rendered once. For use by one thread.
    """

    def __init__(self) -> None:
        self._reports: tuple[Report, ...] = ()
        self._shards: list[_Shard] = []

    def render(self, statuses: Sequence[AppStatus]) -> Page:
        """The page of these apps, in every format."""
        fetched = {of.report.name for status in statuses for of in status.reports}
        reports = tuple(report for name, report in REPORTS.items() if name in fetched)
        if reports != self._reports:
            self._reports, self._shards = reports, []
        chunks = [tuple(statuses[start : start + _SHARD]) for start in range(0, max(len(statuses), 1), _SHARD)]
        before = (*self._shards, *[None] * len(chunks))
        self._shards = [
            shard if shard is not None and shard.statuses == chunk else self._shard(chunk)
            for shard, chunk in zip(before, chunks, strict=False)
        ]
        samples = [b"".join(parts) for parts in zip(*(shard.samples for shard in self._shards), strict=True)]
        return Page({format_: _part(self._interleaved(samples, format_)) for format_ in Format})

    def _shard(self, chunk: tuple[AppStatus, ...]) -> _Shard:
        texts = (_rendered(_Collected((family,)), Format.TEXT) for family in families(self._reports, chunk))
        return _Shard(chunk, tuple(text.split(b"\n", _LINES_BEFORE)[_LINES_BEFORE] for text in texts))

    def _interleaved(self, samples: list[bytes], format_: Format) -> bytes:
        empty = (_rendered(_Collected((family,)), format_).removesuffix(_EOF) for family in families(self._reports, ()))
        return b"".join(piece for pair in zip(empty, samples, strict=True) for piece in pair)


def compose(page: Page, live: Collector, format_: Format, *, gzip: bool) -> bytes:
    """The whole exposition: the cached part, then the live one. Gzipped it is one member (RFC 1952)."""
    return b"".join(pieces(page, live, format_, gzip=gzip))


def pieces(page: Page, live: Collector, format_: Format, *, gzip: bool) -> tuple[bytes, ...]:
    """The same, the cached part not copied: a thousand readers of it, however slow, hold it once."""
    part = page.parts[format_]
    tail = _rendered(live, format_)
    if not gzip:
        return part.plain, tail
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    rest = deflate.compress(tail) + deflate.flush()
    crc = zlib.crc32(tail, part.crc)
    length = (len(part.plain) + len(tail)) % 2**32
    trailer = crc.to_bytes(4, "little") + length.to_bytes(4, "little")
    return _GZIP_HEAD, part.deflated, rest + trailer


@dataclass(frozen=True, slots=True)
class _Shard:
    """Some apps, and their samples of each family."""

    statuses: tuple[AppStatus, ...]
    samples: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Collected:
    """Families that were collected before: what prometheus_client calls a collector."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _rendered(collector: Collector, format_: Format) -> bytes:
    """The exposition of a collector's families; OpenMetrics with its end mark."""
    if format_ is Format.OPENMETRICS:
        rendered: bytes = openmetrics.generate_latest(collector)  # type: ignore[no-untyped-call]  # the library has no type here
        return rendered
    return exposition.generate_latest(collector)


def _part(plain: bytes) -> Part:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)
    return Part(plain, deflated, zlib.crc32(plain))

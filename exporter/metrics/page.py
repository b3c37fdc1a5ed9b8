"""Renders metric families to bytes: the part about apps when data changes, the part about the exporter at each scrape.

The page of 10,000 apps took over five seconds in each format when it was rendered at once; the contract allows two
between a response of WeChat and the scrape that shows it. So apps are rendered in blocks of 20, and a block is rendered
again only if the status of one of its apps changed. Text and OpenMetrics differ only in the HELP and TYPE lines, since
apps have only gauges and counters, so that each sample is rendered once for both.

A gzipped exposition is one member (RFC 1952): the cached part, compressed in advance and closed with a full flush on a
byte boundary, then the compressed live part. Scrapers that read slowly share the one cached part: with a copy for each,
50 slow clients grew the process from 77 to 261 MiB at 5,000 apps.

``Renderer`` belongs to one thread; a ``Page`` is immutable and read by all.
"""

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
_BLOCK = 20  # apps; larger ones render more for one changed app, smaller ones cost more families
_LEVEL = 6  # 9 is three times slower for 6 % less
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"  # RFC 1952: deflate, no name, no time, Unix


class Format(Enum):
    """The exposition formats, each with its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Part:
    """The cached part of a page in one format, and the state to continue gzip from."""

    plain: bytes
    deflated: bytes
    """Raw deflate, closed with a full flush on a byte boundary, so that the stream can be continued."""
    crc: int


@dataclass(frozen=True, slots=True)
class Page:
    """The cached part in every format."""

    parts: dict[Format, Part]


class Renderer:
    """Renders the families of all apps, and renders again only blocks in which an app changed. Not thread-safe."""

    def __init__(self) -> None:
        self._reports: tuple[Report, ...] = ()
        self._blocks: list[_Block] = []

    def render(self, statuses: Sequence[AppStatus]) -> Page:
        """Return the page of these apps in every format."""
        fetched = {of.report.name for status in statuses for of in status.reports}
        reports = tuple(report for name, report in REPORTS.items() if name in fetched)
        # Another set of reports has other families, so that no cached block fits any more.
        if reports != self._reports:
            self._reports, self._blocks = reports, []
        groups = [tuple(statuses[start : start + _BLOCK]) for start in range(0, max(len(statuses), 1), _BLOCK)]
        before = (*self._blocks, *[None] * len(groups))
        self._blocks = [
            # Comparing statuses costs less than rendering them, and most are the same object.
            block if block is not None and block.statuses == group else self._render_block(group)
            for block, group in zip(before, groups, strict=False)
        ]
        samples = [b"".join(parts) for parts in zip(*(block.samples for block in self._blocks), strict=True)]
        return Page({format_: _compress(self._interleave(samples, format_)) for format_ in Format})

    def _render_block(self, group: tuple[AppStatus, ...]) -> _Block:
        texts = (_render(_Collected((family,)), Format.TEXT) for family in families(self._reports, group))
        return _Block(group, tuple(text.split(b"\n", _LINES_BEFORE)[_LINES_BEFORE] for text in texts))

    def _interleave(self, samples: list[bytes], format_: Format) -> bytes:
        # A family without samples renders as its HELP and TYPE lines in this format.
        empty = (_render(_Collected((family,)), format_).removesuffix(_EOF) for family in families(self._reports, ()))
        return b"".join(part for pair in zip(empty, samples, strict=True) for part in pair)


def compose(page: Page, live: Collector, format_: Format, *, gzip: bool) -> bytes:
    """Return the exposition: the cached part, then the live one."""
    return b"".join(chunks(page, live, format_, gzip=gzip))


def chunks(page: Page, live: Collector, format_: Format, *, gzip: bool) -> tuple[bytes, ...]:
    """Return the exposition in chunks; the first one is the cached part itself, not a copy."""
    part = page.parts[format_]
    tail = _render(live, format_)
    if not gzip:
        return part.plain, tail
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    rest = deflate.compress(tail) + deflate.flush()
    crc = zlib.crc32(tail, part.crc)
    # The trailer of gzip: checksum and length of the uncompressed data, which continue from the cached part.
    length = (len(part.plain) + len(tail)) % 2**32
    trailer = crc.to_bytes(4, "little") + length.to_bytes(4, "little")
    return _GZIP_HEAD, part.deflated, rest + trailer


@dataclass(frozen=True, slots=True)
class _Block:
    """Some apps, and their rendered samples of each family."""

    statuses: tuple[AppStatus, ...]
    samples: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Collected:
    """Given families in the form of a collector of prometheus_client."""

    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _render(collector: Collector, format_: Format) -> bytes:
    """Return the exposition of a collector's families; OpenMetrics ends with ``# EOF``."""
    if format_ is Format.OPENMETRICS:
        rendered: bytes = openmetrics.generate_latest(collector)  # type: ignore[no-untyped-call]  # the library has no type here
        return rendered
    return exposition.generate_latest(collector)


def _compress(plain: bytes) -> Part:
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush also resets the dictionary, so that a new compressor can continue the stream.
    deflated = deflate.compress(plain) + deflate.flush(zlib.Z_FULL_FLUSH)
    return Part(plain, deflated, zlib.crc32(plain))

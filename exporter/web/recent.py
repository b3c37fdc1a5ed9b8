"""A cache of the documents about single apps that were requested last, compressed.

The page of an app with two years of days is 0.7 MB and takes a second. Three limits keep a flood of requests harmless:

* one document is rendered at a time, so that scrapes compete with one thread, and memory is that of one rendering;
* few requests wait for their turn, further ones get 503, because a waiting one holds a thread;
* only the compressed form is kept, a few dozen of them. A client that does not accept gzip gets it decompressed while
  it reads, so that hundreds of slow clients share the compressed bytes.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

Version = TypeVar("Version")

_KEPT = 32
_WAITING = 16
_CHUNK = 64 * 1024
_LEVEL = 4
_GZIP = zlib.MAX_WBITS | 16


class TooManyRequests(Exception):
    """Too many requests wait for a document."""


@dataclass(frozen=True, slots=True)
class CompressedDocument:
    """A document, compressed."""

    gzipped: bytes
    length: int
    """Bytes of the plain form."""

    @classmethod
    def of(cls, plain: bytes) -> CompressedDocument:
        """Compress a document."""
        return cls(gzip.compress(plain, _LEVEL, mtime=0), len(plain))

    def plain(self) -> Iterator[bytes]:
        """Yield the plain form in chunks."""
        stream, rest = zlib.decompressobj(_GZIP), self.gzipped
        while not stream.eof:
            yield stream.decompress(rest, _CHUNK)
            rest = stream.unconsumed_tail


class RecentDocuments(Generic[Version]):
    """The documents that were requested last; safe for use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Of ``_documents``, never held during a rendering."""
        self._rendering = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_WAITING)
        self._documents: OrderedDict[Hashable, tuple[Version, CompressedDocument]] = OrderedDict()

    def get(
        self, key: Hashable, newest: Callable[[], Version], render: Callable[[Version], bytes]
    ) -> CompressedDocument:
        """Return a document, rendered again if its version changed.

        Args:
            key: identifies the document.
            newest: returns the current version of its content.
            render: renders a version.

        Raises:
            TooManyRequests: too many requests wait for a rendering.
        """
        if (document := self._find(key, newest())) is not None:
            return document
        if not self._waiting.acquire(blocking=False):
            raise TooManyRequests
        try:
            with self._rendering:
                # After the wait: before it, a client could get an older document than the previous client.
                version = newest()
                document = self._find(key, version)
                if document is None:
                    document = CompressedDocument.of(render(version))
                    self._keep(key, version, document)
                return document
        finally:
            self._waiting.release()

    def _find(self, key: Hashable, version: Version) -> CompressedDocument | None:
        with self._lock:
            known = self._documents.get(key)
            if known is None or known[0] != version:
                return None
            self._documents.move_to_end(key)
            return known[1]

    def _keep(self, key: Hashable, version: Version, document: CompressedDocument) -> None:
        with self._lock:
            self._documents[key] = version, document
            self._documents.move_to_end(key)
            if len(self._documents) > _KEPT:
                self._documents.popitem(last=False)

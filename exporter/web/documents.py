"""Documents about all apps (status page, JSON), rendered on request and cached.

Nothing is rendered until a client requests a document, so most changes cost nothing here. A request then renders only
the apps whose status changed: the parts of the document for all others are kept, and each compressed form is made once
and shared by all clients. The page of 1,000 apps takes 0.9 s the first time and 0.03 s after a change of one app
(``benchmarks/statuspage.py``).

Each document has a lock, held while it is rendered, so that many clients at once cost one rendering. A client that
waited for the lock then reads the statuses itself (``newest``): it never gets an older document than the client
before it.

Statuses are compared by identity first: the tuple of all statuses is a new object after any change. An app is rendered
again only if its status differs in value.
"""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.apps import AppStatus

Fragment = TypeVar("Fragment")
"""The rendered part of a document that is about one app."""

_MAX_AGE = 60.0
"""Seconds after which an unchanged document is rendered again, because it shows when it was rendered."""
_GZIP_LEVEL = 4  # level 6 takes twice as long for 5 % less


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong with the exporter itself, not with an app."""

    summary: str
    """The effect."""
    details: tuple[str, ...]
    """What to fix, one problem each."""


@dataclass(frozen=True, slots=True)
class PageContext:
    """What a document shows besides the apps."""

    telemetry_path: str
    issues: tuple[Issue, ...]
    now: float
    """Unix seconds."""
    dashboard_url: str = ""
    """The URL of the dashboard in Grafana; empty if not given."""


class DocumentRenderer(Protocol[Fragment]):
    """Renders one kind of document."""

    def render_app(self, status: AppStatus) -> Fragment:
        """Return the part about one app. It must depend on the status alone, not on the time."""
        ...

    def render_document(
        self, statuses: Sequence[AppStatus], fragments: Sequence[Fragment], context: PageContext
    ) -> Sequence[bytes]:
        """Return the document in chunks, given the parts of the apps in the order of ``statuses``."""
        ...


class CachedDocument(Generic[Fragment]):
    """The newest version of one document; safe for use from any thread."""

    def __init__(self, renderer: DocumentRenderer[Fragment]) -> None:
        self._renderer = renderer
        self._lock = threading.Lock()
        self._rendered: tuple[Sequence[AppStatus], PageContext] | None = None
        self._fragments: dict[str, tuple[AppStatus, Fragment]] = {}
        self._chunks: Sequence[bytes] = ()
        self._bodies: dict[bool, bytes] = {}

    def body(self, newest: Callable[[], tuple[Sequence[AppStatus], PageContext]], *, gzipped: bool = False) -> bytes:
        """Return the document, rendered again if something changed or a minute has passed.

        Args:
            newest: returns the statuses of all apps (the same object if nothing changed) and the context; called under
                the lock.
            gzipped: whether to return it compressed.
        """
        with self._lock:
            statuses, context = newest()
            # The time in minutes: contexts that differ by seconds only compare equal.
            rendered = (statuses, replace(context, now=context.now // _MAX_AGE))
            if self._rendered is None or self._rendered[0] is not statuses or self._rendered[1] != rendered[1]:
                self._render(statuses, context)
                self._rendered = rendered
            if gzipped not in self._bodies:
                body = b"".join(self._chunks)
                self._bodies[gzipped] = gzip.compress(body, _GZIP_LEVEL, mtime=0) if gzipped else body
            return self._bodies[gzipped]

    def _render(self, statuses: Sequence[AppStatus], context: PageContext) -> None:
        # A new dictionary, so that fragments of removed apps are freed.
        previous, self._fragments = self._fragments, {}
        fragments = []
        for status in statuses:
            entry = previous.get(status.appid)
            if entry is None or entry[0] != status:
                entry = (status, self._renderer.render_app(status))
            self._fragments[status.appid] = entry
            fragments.append(entry[1])
        self._chunks = self._renderer.render_document(statuses, fragments, context)
        self._bodies = {}

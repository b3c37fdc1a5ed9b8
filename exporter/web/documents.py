"""Documents about all apps: made when somebody asks, and anew only where what they show has changed."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.apps import AppStatus

Fragment = TypeVar("Fragment")
"""What a form makes of one app."""

_STALE = 60.0
"""Seconds after which a document is made anew though nothing changed: it says when it was made."""
_LEVEL = 4  # 6 takes twice as long for 5 % less


@dataclass(frozen=True, slots=True)
class Issue:
    """Something that is wrong with the exporter itself, not with an app."""

    summary: str
    """What it means for what is shown."""
    details: tuple[str, ...]
    """What a person should mend, one thing a line."""


@dataclass(frozen=True, slots=True)
class PageContext:
    """What documents say beside the apps."""

    telemetry_path: str
    issues: tuple[Issue, ...]
    now: float
    """Unix seconds."""


class DocumentRenderer(Protocol[Fragment]):
    """How a document is written."""

    def render_app(self, status: AppStatus) -> Fragment:
        """What it says about one app: the same for the same status, whatever the time."""
        ...

    def render_document(
        self, statuses: Sequence[AppStatus], pieces: Sequence[Fragment], context: PageContext
    ) -> Sequence[bytes]:
        """All of it, given the pieces of the apps in the order of ``statuses``."""
        ...


class CachedDocument(Generic[Fragment]):
    """One document in its newest form; for any thread, and one copy for all readers."""

    def __init__(self, form: DocumentRenderer[Fragment]) -> None:
        self._form = form
        self._lock = threading.Lock()
        self._shown: tuple[Sequence[AppStatus], PageContext] | None = None
        self._pieces: dict[str, tuple[AppStatus, Fragment]] = {}
        self._parts: Sequence[bytes] = ()
        self._bodies: dict[bool, bytes] = {}

    def body(self, newest: Callable[[], tuple[Sequence[AppStatus], PageContext]], *, gzipped: bool = False) -> bytes:
        """The document about all apps; their statuses are known again by being the same object.

        ``newest`` is asked when it is the reader's turn: who waited for another shows nothing older than that one did.
        """
        with self._lock:
            statuses, context = newest()
            shown = (statuses, replace(context, now=context.now // _STALE))
            if self._shown is None or self._shown[0] is not statuses or self._shown[1] != shown[1]:
                self._make(statuses, context)
                self._shown = shown
            if gzipped not in self._bodies:
                whole = b"".join(self._parts)
                self._bodies[gzipped] = gzip.compress(whole, _LEVEL, mtime=0) if gzipped else whole
            return self._bodies[gzipped]

    def _make(self, statuses: Sequence[AppStatus], context: PageContext) -> None:
        before, self._pieces = self._pieces, {}
        pieces = []
        for status in statuses:
            known = before.get(status.appid)
            if known is None or known[0] != status:
                known = (status, self._form.render_app(status))
            self._pieces[status.appid] = known
            pieces.append(known[1])
        self._parts = self._form.render_document(statuses, pieces, context)
        self._bodies = {}

"""The metrics page, rendered ahead of scrapes by one thread.

The poller publishes the statuses of all apps; the thread ``pages`` renders them into a new ``Snapshot`` and then
replaces ``Pages.current`` by one assignment. Scrapes therefore never wait for a rendering and always see all figures of
one moment: a scrape keeps the snapshot that it started with.

After a rendering the thread pauses, so that changes within ``COALESCE`` seconds are rendered together: with thousands
of apps the poller can publish many times a second. A response is in the metrics at most 2 seconds after it arrived.

A reload renders at once in its own thread (``render``), so that ``/-/reload`` returns only when the metrics show the
new configuration; the lock ``_rendering`` lets one rendering run at a time. ``rounds`` counts the iterations of the
thread, by which ``liveness`` recognises that it has stalled.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.metrics import Page, Renderer

if TYPE_CHECKING:
    from exporter.apps import AppStatus
    from exporter.guard import Guard

COALESCE = 0.5
"""Seconds between the starts of two renderings, at least."""
_IDLE = 1.0
COMPONENT = "pages"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The statuses of all apps at one moment, and their metrics as bytes."""

    statuses: tuple[AppStatus, ...]
    page: Page


class Pages:
    """The current snapshot, and the thread that replaces it.

    Args:
        guard: the exception barrier.
        statuses: the statuses of all apps until others are published.
    """

    def __init__(self, guard: Guard, statuses: tuple[AppStatus, ...] = ()) -> None:
        self._guard = guard
        self._renderer = Renderer()
        self._statuses = statuses
        self._changed = threading.Event()
        self._rendering = threading.Lock()
        self.rounds = 0
        """Iterations of ``run``: at least one every ``_IDLE`` seconds, fewer only during a long rendering."""
        self.current: Snapshot | None = None
        """None until the first rendering."""

    def publish(self, statuses: tuple[AppStatus, ...]) -> None:
        """Set the statuses to be rendered next; return at once."""
        self._statuses = statuses
        self._changed.set()

    def wake(self) -> None:
        """End the current wait of ``run``."""
        self._changed.set()

    def render(self) -> None:
        """Render the published statuses and replace the current snapshot; for any thread."""
        with self._rendering:
            statuses = self._statuses
            self.current = Snapshot(statuses, self._renderer.render(statuses))

    def run(self, stopping: threading.Event) -> None:
        """Render after changes until ``stopping`` is set; ``wake`` ends a wait early."""
        while True:
            is_changed = self._changed.wait(_IDLE)
            self.rounds += 1
            if stopping.is_set():
                return
            if not is_changed:
                continue
            # Cleared before the rendering: a change during it is rendered in the next iteration.
            self._changed.clear()
            began = time.monotonic()
            self._guard.run(COMPONENT, self.render)
            stopping.wait(COALESCE - (time.monotonic() - began))

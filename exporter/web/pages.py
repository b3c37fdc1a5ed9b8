"""What the web threads read: finished pages, made anew by one thread whenever data changes."""

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
"""Seconds between two renderings at the least: changes in between are rendered together."""
_IDLE = 1.0
COMPONENT = "pages"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of all apps, with its metrics as bytes."""

    statuses: tuple[AppStatus, ...]
    page: Page


class Pages:
    """The current snapshot, and the thread that replaces it.

    Args:
        guard: the exception barrier.
        statuses: the state of all apps, until others are published.
    """

    def __init__(self, guard: Guard, statuses: tuple[AppStatus, ...] = ()) -> None:
        self._guard = guard
        self._renderer = Renderer()
        self._statuses = statuses
        self._changed = threading.Event()
        self._rendering = threading.Lock()
        self.rounds = 0
        """How often ``run`` has gone round: at least once every ``_IDLE`` seconds, longer only while it renders."""
        self.current: Snapshot | None = None
        """None until the first rendering."""

    def publish(self, statuses: tuple[AppStatus, ...]) -> None:
        """Take the next state of all apps, which is rendered soon; return at once."""
        self._statuses = statuses
        self._changed.set()

    def wake(self) -> None:
        """End the current wait of ``run``."""
        self._changed.set()

    def render(self) -> None:
        """Makes the next snapshot, then swaps it in; for any thread."""
        with self._rendering:
            statuses = self._statuses
            self.current = Snapshot(statuses, self._renderer.render(statuses))

    def run(self, stopping: threading.Event) -> None:
        """Renders after changes until told to stop; ``wake`` makes it notice that at once."""
        while True:
            is_changed = self._changed.wait(_IDLE)
            self.rounds += 1
            if stopping.is_set():
                return
            if not is_changed:
                continue
            self._changed.clear()
            began = time.monotonic()
            self._guard.run(COMPONENT, self.render)
            stopping.wait(COALESCE - (time.monotonic() - began))

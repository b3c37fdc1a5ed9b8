"""What the web threads read: finished pages, made anew by one thread whenever data changes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.metrics import Page, Renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.reports import Report
    from exporter.status import Status

COALESCE = 0.5
"""Seconds between two renderings at the least: changes in between are rendered together."""
_IDLE = 1.0


@dataclass(frozen=True, slots=True)
class Generation:
    """One state of all apps, with its metrics as bytes."""

    statuses: tuple[Status, ...]
    page: Page


class Pages:
    """The current generation, and the thread that replaces it.

    Args:
        report: what the figures are of.
        statuses: asked for the state of all apps at each rendering.
        guarded: does a thing so that a fault of the exporter in it is logged, counted and survived.
    """

    def __init__(
        self,
        report: Report,
        statuses: Callable[[], tuple[Status, ...]],
        guarded: Callable[[Callable[[], None]], object] = lambda action: action(),
    ) -> None:
        self.report = report
        self._guarded = guarded
        self._renderer = Renderer(report)
        self._statuses = statuses
        self._changed = threading.Event()
        self._rendering = threading.Lock()
        self.rounds = 0
        """How often ``run`` has gone round: at least once every ``_IDLE`` seconds, longer only while it renders."""
        self.current: Generation | None = None
        """None until the first rendering."""

    def changed(self) -> None:
        """Says that the state of some app changed; returns at once."""
        self._changed.set()

    def render(self) -> None:
        """Makes the next generation, then swaps it in; for any thread."""
        with self._rendering:
            statuses = self._statuses()
            self.current = Generation(statuses, self._renderer.render(statuses))

    def run(self, stopping: threading.Event) -> None:
        """Renders after changes until told to stop; ``changed`` makes it notice that at once."""
        while True:
            is_changed = self._changed.wait(_IDLE)
            self.rounds += 1
            if stopping.is_set():
                return
            if not is_changed:
                continue
            self._changed.clear()
            began = time.monotonic()
            self._guarded(self.render)
            stopping.wait(COALESCE - (time.monotonic() - began))

"""Shows the progress of a backfill: a bar on a terminal, elsewhere one log line a minute."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog
from tqdm import tqdm

if TYPE_CHECKING:
    from typing import Self, TextIO

_LOG_INTERVAL = 60.0
"""Seconds between two log lines."""

log = structlog.get_logger()


class Progress:
    """Counts finished units. ``advance`` and ``skip`` may be called from any thread, the rest from the main thread.

    Args:
        task: its name on the bar and in the log: ``fetching``.
        total: number of units.
        unit: what is counted: ``periods``.
        stream: where the bar is drawn, if it is a terminal.
    """

    def __init__(self, task: str, total: int, unit: str, stream: TextIO) -> None:
        self._task = task
        self._total = total
        self._unit = unit
        self._done = 0
        self._lock = threading.Lock()
        self._began = self._logged = time.monotonic()
        tqdm.monitor_interval = 0  # no thread of its own: the main thread draws often enough
        self._bar = (
            tqdm(total=total, desc=task, unit=f" {unit}", file=stream, dynamic_ncols=True) if stream.isatty() else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.show()
        if self._bar is not None:
            self._bar.close()

    def advance(self, number: int = 1) -> None:
        """Count finished units."""
        with self._lock:
            self._done += number

    def skip(self, number: int) -> None:
        """Reduce the total by units that will not be done."""
        with self._lock:
            self._total -= number

    def show(self) -> None:
        """Draw the bar, or log a line if the last one was a minute ago."""
        with self._lock:
            done, total = self._done, self._total
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)
            return
        now = time.monotonic()
        if now - self._logged < _LOG_INTERVAL:
            return
        self._logged = now
        rate = done / (now - self._began)
        left = round((total - done) / rate) if rate else "unknown"
        log.info(
            "backfill in progress",
            task=self._task,
            done=done,
            total=total,
            unit=self._unit,
            per_second=round(rate, 1),
            seconds_left=left,
        )

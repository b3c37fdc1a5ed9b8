"""End the process when an essential thread has stalled, so that its supervisor restarts it.

When memory is short, a new thread can end before it signals its start, and ``Thread.start()`` then waits forever. A
full log pipe or a hanging disk blocks a thread, too. The process would keep running but serve no requests. Each
watched thread counts its iterations, at least one every few seconds. One thread compares the counts; a minute without
a change is logged, and the process ends with exit code 1.

Time is counted in checks, not by the clock, so that a process that was suspended is not ended when it continues.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

STALL_SECONDS: Final = 60.0
"""A thread without progress for this long ends the process."""
_CHECKS: Final = 12
_LOG_SECONDS: Final = 5.0

log = structlog.get_logger()


class StallDetector:
    """Compares the iterations of each thread between checks.

    Args:
        rounds: for each thread by name, a function that returns its number of iterations.
        seconds: the time without an iteration after which a thread has stalled.
        leave: ends the process.
    """

    def __init__(
        self,
        rounds: Mapping[str, Callable[[], int]],
        *,
        seconds: float = STALL_SECONDS,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._rounds = rounds
        self._seconds = seconds
        self._leave = leave
        self._nowhere = os.open(
            os.devnull, os.O_WRONLY | os.O_CLOEXEC
        )  # opened early: memory or descriptors may be used up later

    def run(self, stopping: threading.Event) -> None:
        """Check until ``stopping`` is set; if a thread has stalled, log it and end the process."""
        seen: dict[str, int] = {}
        unchanged = dict.fromkeys(self._rounds, 0)
        while not stopping.wait(self._seconds / _CHECKS):
            for name, count in self._rounds.items():
                rounds = count()
                unchanged[name] = unchanged[name] + 1 if seen.get(name) == rounds else 0
                seen[name] = rounds
                if unchanged[name] >= _CHECKS:
                    self._end(name)
                    return

    def _end(self, name: str) -> None:
        try:
            # Ends the process even if writing the log hangs. It needs a thread, which may not start without memory.
            with suppress(RuntimeError, OSError, MemoryError):
                faulthandler.dump_traceback_later(_LOG_SECONDS, exit=True, file=self._nowhere)
            log.error("thread stalled, exiting", thread=name, seconds=round(self._seconds), stack=_stacks())
        finally:
            self._leave(1)
        faulthandler.cancel_dump_traceback_later()  # a test's `leave` returns; nothing must end it later


def _stacks() -> str:
    """Return the stack of every thread."""
    return "\n".join("".join(traceback.format_stack(frame, limit=8)) for frame in sys._current_frames().values())  # noqa: SLF001 (documented, for debuggers)

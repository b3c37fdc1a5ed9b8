"""Signals of a long-running process: one thread waits for them, no handler interrupts another thread.

SIGINT, SIGTERM and SIGHUP are blocked in all threads, and the thread ``signals`` receives them with sigwait. A Python
signal handler would run in the main thread between any two instructions, possibly while that thread holds a lock that
the handler needs (logging takes one), and not at all while the main thread is blocked in C code. The mask is set
before any other thread starts, since threads inherit it: a thread started earlier could receive the signal and end
the process without a clean stop.

The signals thread puts an entry into a queue, on which the main thread waits. After a stop signal it sleeps for
``STOP_SECONDS`` and then ends the process itself: a clean stop is limited to two seconds even if the main thread is
blocked, for example by a file system that does not respond. Nothing is lost, since fetched data was stored long before.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STOP = {signal.SIGINT, signal.SIGTERM}
RELOAD = signal.SIGHUP
STOP_SECONDS = 1.8
"""Limit of a clean stop; two seconds are promised."""


def raise_interrupts() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt in the main thread, for a command that ends by itself."""
    for number in STOP:
        signal.signal(number, signal.default_int_handler)


class Signals:
    """Receives signals from ``start`` on."""

    def __init__(self) -> None:
        self._reloads: SimpleQueue[bool] = SimpleQueue()
        """One entry per signal: True for a reload, False for a stop."""

    def start(self, *, reload: bool) -> None:
        """Block the signals and start the thread that receives them. Call it before any other thread starts.

        Args:
            reload: whether SIGHUP is a reload for ``wait``; otherwise it ends the process, as when a terminal closes.
        """
        signals = STOP | {RELOAD} if reload else STOP
        for number in signals:
            signal.signal(number, signal.SIG_DFL)  # a shell starts background jobs with SIGINT ignored
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(target=self._receive, args=(signals,), name="signals", daemon=True).start()

    def wait(self, reload: Callable[[], object] = lambda: None) -> None:
        """Return at a stop signal; until then call ``reload`` for each SIGHUP since ``start``."""
        while self._reloads.get():
            reload()

    def _receive(self, signals: set[signal.Signals]) -> None:
        while signal.sigwait(signals) == RELOAD:
            self._reloads.put(True)  # noqa: FBT003 (the queue's item)
        self._reloads.put(False)  # noqa: FBT003 (the queue's item)
        time.sleep(STOP_SECONDS)
        os._exit(0)

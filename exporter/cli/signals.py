"""Signals, for a process that runs until it is told to stop: one thread waits for them, no handler interrupts any."""

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
"""Seconds for a clean stop: two are promised. What was fetched is in the store long before."""


class Signals:
    """Waits for signals from ``start`` on, so that none is lost and a stop is certain, whatever the others hang on."""

    def __init__(self) -> None:
        self._reloads: SimpleQueue[bool] = SimpleQueue()
        """One entry for each signal: whether it asks for a reload; else it is time to stop."""

    def start(self, *, reload: bool) -> None:
        """Begins to wait. Called before any other thread starts, for threads inherit what is blocked.

        A handler in place of this could meet a lock, or a thread that is not the main one.

        Args:
            reload: whether SIGHUP is for ``wait``; else it ends the process, as a closed terminal does.
        """
        signals = STOP | {RELOAD} if reload else STOP
        for number in signals:
            signal.signal(number, signal.SIG_DFL)  # a shell starts its background jobs with SIGINT ignored
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(target=self._read, args=(signals,), name="signals", daemon=True).start()

    def wait(self, reload: Callable[[], object] = lambda: None) -> None:
        """Returns when it is time to stop; until then ``reload`` is called for each SIGHUP since ``start``."""
        while self._reloads.get():
            reload()

    def _read(self, signals: set[signal.Signals]) -> None:
        while signal.sigwait(signals) == RELOAD:
            self._reloads.put(True)  # noqa: FBT003 (what the queue holds)
        self._reloads.put(False)  # noqa: FBT003 (the same)
        time.sleep(STOP_SECONDS)
        os._exit(0)

"""Limits the rate of all requests of a backfill; an interrupt ends every wait at once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from exporter.wechat.messages import TransportError

if TYPE_CHECKING:
    from exporter.wechat.client import Sender
    from exporter.wechat.messages import ApiRequest, ApiResponse


class PacedSender:
    """Sends requests, including those for tokens, at a limited rate over all threads; none after ``stop``.

    Args:
        sender: the network.
        per_second: maximum number of requests in a second.
    """

    def __init__(self, sender: Sender, per_second: float) -> None:
        self._sender = sender
        self._interval = 1 / per_second
        self._lock = threading.Lock()
        self._next = 0.0
        self._stopping = threading.Event()

    def is_stopped(self) -> bool:
        """Return whether ``stop`` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End every wait; further requests fail."""
        self._stopping.set()

    def wait(self, seconds: float) -> None:
        """Wait, at most until ``stop``."""
        self._stopping.wait(seconds)

    def send(self, request: ApiRequest, owner: str = "") -> ApiResponse:
        """Send a request when it is its turn.

        Raises:
            TransportError: from the sender, or ``connection`` after ``stop``.
        """
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        self.wait(turn - now)
        if self.is_stopped():
            raise TransportError("connection", "the backfill was interrupted")
        return self._sender.send(request, owner)

"""A deadline for a whole exchange: one thread shuts the sockets of those that are out of time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Literal

Cut = Literal["", "timeout", "closed"]
"""Why an exchange was ended from outside; empty while it was not."""


class Exchange:
    """One request under way, with a handle on whatever socket serves it just now."""

    def __init__(self, lock: threading.Condition, seconds: float) -> None:
        self.seconds = seconds
        """The time it was given."""
        self.deadline = time.monotonic() + seconds
        self.cut: Cut = ""
        self._lock = lock
        self._handle: socket.socket | None = None

    def remaining(self) -> float:
        """Seconds until the deadline; never negative.

        Raises:
            TimeoutError: none are left, or the exchange was ended.
        """
        left = self.deadline - time.monotonic()
        if self.cut or left <= 0:
            raise TimeoutError
        return left

    def adopt(self, descriptor: int) -> None:
        """Have this socket shut when the exchange is ended.

        The descriptor is duplicated: wrapping in TLS detaches the socket it came with, and http.client closes
        its own while a body without a length is still being read.

        Raises:
            TimeoutError: the exchange was ended before.
            OSError: no descriptor is left.
        """
        with self._lock:
            if self.cut:
                raise TimeoutError
            self.forget()
            self._handle = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)

    def end(self, cut: Cut) -> None:
        """Shut the socket, unless the exchange is over. The lock is held by the caller."""
        self.cut = cut
        if self._handle is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                self._handle.shutdown(socket.SHUT_RDWR)
        self.forget()

    def forget(self) -> None:
        """Let go of the socket without touching it. The lock is held by the caller."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class Watchdog:
    """Ends exchanges whose time is over, and all of them at ``close``.

    Its thread starts with the first exchange.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way: set[Exchange] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, seconds: float) -> Exchange:
        """Start the clock of an exchange, which is ended at once if this watchdog is closed."""
        with self._changed:
            exchange = Exchange(self._changed, seconds)
            if self._closed:
                exchange.cut = "closed"
                return exchange
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="transport-watchdog", daemon=True)
                thread.start()
                self._thread = thread
            self._under_way.add(exchange)
            if self._first() is exchange:
                self._changed.notify()
            return exchange

    def finish(self, exchange: Exchange) -> Cut:
        """Stop watching an exchange, after which nothing ends it any more; returns what ended it before."""
        with self._changed:
            self._under_way.discard(exchange)
            exchange.forget()
            return exchange.cut

    def close(self) -> None:
        """End every exchange now, and every later one at its beginning."""
        with self._changed:
            self._closed = True
            for exchange in self._under_way:
                exchange.end("closed")
            self._under_way.clear()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                first = self._first()
                if first is None:
                    self._changed.wait()
                elif (left := first.deadline - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    self._under_way.remove(first)
                    first.end("timeout")

    def _first(self) -> Exchange | None:
        """The one whose time is over first."""
        return min(self._under_way, key=lambda exchange: exchange.deadline, default=None)

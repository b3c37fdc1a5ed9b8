"""One deadline for a complete exchange, enforced by shutting down its socket from another thread.

A socket timeout limits a single ``recv``: a server that sends one byte at a time, or interim responses without end,
keeps a request going for hours without ever reaching it. requests and urllib3 offer nothing else. So each exchange
has one deadline from connecting to the last byte of the body. A ``Watchdog`` thread sleeps until the earliest one and
shuts down the exchange's socket, which makes the blocked call of the worker thread fail at once. ``close`` does the
same for all exchanges, so that the process stops without waiting for a slow server.

One condition guards the set of exchanges and every exchange's socket. The sending thread hands over each socket it
uses (``adopt``) and removes the exchange from the watchdog (``finish``) before the connection goes back to the pool;
otherwise a late shutdown would hit the next request on that connection. A shutdown looks like the end of a body
without a length, so the sender has to check ``cut`` before it accepts a response.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Literal

Cut = Literal["", "timeout", "closed"]
"""Why an exchange was ended by the watchdog; empty if it was not."""


class Exchange:
    """One request in flight, with a handle to the socket that serves it at the moment."""

    def __init__(self, lock: threading.Condition, seconds: float) -> None:
        self.seconds = seconds
        """The time limit."""
        self.deadline = time.monotonic() + seconds
        self.cut: Cut = ""
        self._lock = lock
        self._handle: socket.socket | None = None

    def remaining(self) -> float:
        """Return the seconds until the deadline, more than 0.

        Raises:
            TimeoutError: the deadline has passed, or the exchange was ended.
        """
        left = self.deadline - time.monotonic()
        if self.cut or left <= 0:
            raise TimeoutError
        return left

    def adopt(self, descriptor: int) -> None:
        """Shut down this socket, in place of an earlier one, when the exchange is ended.

        The descriptor is duplicated: wrapping in TLS detaches the original socket object, and http.client closes its
        own while a body without a length is still being read.

        Raises:
            TimeoutError: the exchange was ended already.
            OSError: the process has no free descriptor.
        """
        with self._lock:
            if self.cut:
                raise TimeoutError
            self.forget()
            self._handle = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)

    def end(self, cut: Cut) -> None:
        """Shut down the socket, if there is one. The caller holds the lock."""
        self.cut = cut
        if self._handle is not None:
            with contextlib.suppress(OSError):  # not connected yet, or closed by the server meanwhile
                self._handle.shutdown(socket.SHUT_RDWR)
        self.forget()

    def forget(self) -> None:
        """Close the handle without affecting the connection. The caller holds the lock."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class Watchdog:
    """Ends exchanges at their deadline, and all of them at ``close``. Its thread starts with the first exchange."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_flight: set[Exchange] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, seconds: float) -> Exchange:
        """Start the clock of an exchange; after ``close`` the exchange is ended from the beginning."""
        with self._changed:
            exchange = Exchange(self._changed, seconds)
            if self._closed:
                exchange.cut = "closed"
                return exchange
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="transport-watchdog", daemon=True)
                thread.start()  # may fail when memory is short; then the next exchange tries again
                self._thread = thread
            self._in_flight.add(exchange)
            if self._first() is exchange:  # else the thread wakes up early enough anyway
                self._changed.notify()
            return exchange

    def finish(self, exchange: Exchange) -> Cut:
        """Stop watching an exchange, so that nothing ends it later; return what ended it before, if anything did."""
        with self._changed:
            self._in_flight.discard(exchange)
            exchange.forget()
            return exchange.cut

    def close(self) -> None:
        """End every exchange now, and every later one from its beginning."""
        with self._changed:
            self._closed = True
            for exchange in self._in_flight:
                exchange.end("closed")
            self._in_flight.clear()
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
                    self._in_flight.remove(first)
                    first.end("timeout")

    def _first(self) -> Exchange | None:
        """Return the exchange with the earliest deadline. A linear search: there are at most a few hundred."""
        return min(self._in_flight, key=lambda exchange: exchange.deadline, default=None)

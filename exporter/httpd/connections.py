"""Every open connection and its deadline; who has to go when there are too many."""

from __future__ import annotations

import math
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

_LOOK_SECONDS = 0.2


@dataclass(eq=False, slots=True)
class Connection:
    """One connection of a client."""

    socket: socket.socket
    deadline: float
    """On the monotonic clock; when it passes the connection is cut."""
    complete: bool = False
    """A whole request is in and being answered."""

    def until(self, seconds: float, *, complete: bool) -> None:
        """Enters the next phase, which may last that many seconds."""
        self.complete = complete
        self.deadline = time.monotonic() + seconds

    def cut(self) -> None:
        """Ends whatever the connection's thread is waiting for."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Connections:
    """All connections of a server, oldest first.

    Args:
        most: how many there may be. One more, and the oldest without a complete request goes, never the newcomer.
        first_seconds: how long a newcomer has for its first request.
    """

    def __init__(self, most: int, first_seconds: float) -> None:
        self._most = most
        self._first_seconds = first_seconds
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Connection] = {}
        self._stopping = threading.Event()
        self._reaper = threading.Thread(target=self._reap, name="reaper", daemon=True)

    def start(self) -> None:
        """Begins to hold deadlines."""
        self._reaper.start()

    def stop(self) -> None:
        """Cuts every connection."""
        self._stopping.set()
        with self._lock:
            for connection in self._open.values():
                connection.cut()
        if self._reaper.is_alive():
            self._reaper.join()

    def admit(self, client: socket.socket) -> None:
        """Takes a newcomer in."""
        with self._lock:
            if len(self._open) >= self._most:
                waiting = (connection for connection in self._open.values() if not connection.complete)
                oldest = next(waiting, None) or next(iter(self._open.values()))
                oldest.cut()
                del self._open[oldest.socket]
            self._open[client] = Connection(client, time.monotonic() + self._first_seconds)

    def of(self, client: socket.socket) -> Connection:
        """The connection of a socket that was admitted; a spare one if it had to go meanwhile."""
        with self._lock:
            return self._open.get(client) or Connection(client, math.inf)

    def release(self, client: socket.socket) -> None:
        """Forgets a connection that is about to be closed."""
        with self._lock:
            self._open.pop(client, None)

    def __len__(self) -> int:
        return len(self._open)

    def _reap(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            now = time.monotonic()
            with self._lock:
                for connection in self._open.values():
                    if connection.deadline < now:
                        connection.cut()

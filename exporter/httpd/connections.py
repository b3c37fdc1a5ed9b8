"""The bytes and the deadline of each connection, and the register of all connections with its limit.

Each connection has a worker thread that blocks in ``recv`` and ``send`` without a socket timeout. Instead the
connection has one deadline, which the accepting thread checks (``Connections.reap``); it shuts the socket down, which
wakes the worker, and the worker closes it. A socket timeout would start again with every byte, so that a client
sending one byte a second could hold a connection forever; this deadline is for a complete head, body or response. It
also ends a connection whose worker waits for a body that is being produced, and it works the same way under TLS.

Only the worker reads, writes and closes its socket; other threads may only shut it down, under the lock of the
register and only while the connection is in it. Closing from elsewhere could hit another connection that got the same
descriptor. The one exception is a connection whose worker never started, which ``reap`` closes.

At the limit a new connection replaces an old one, first the oldest without a complete request: if the newest were
rejected instead, 512 idle clients would lock Prometheus out.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.httpd.tls import Tls, TlsStream

if TYPE_CHECKING:
    from exporter.httpd.messages import Request

_CHUNK = 16 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""``struct linger``: on, zero seconds."""
_LONGEST_TICK = 1.0


class DisconnectedError(Exception):
    """The client disconnected, or the server aborted the connection: no response is possible, nothing is logged."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on connections, seconds and bytes."""

    connections: int = 512
    """Open connections of all addresses of a server; a further one replaces an old one."""
    header_seconds: float = 10.0
    """From the first byte of a head (of the first head: from the accept) to its last."""
    body_seconds: float = 30.0
    """For a complete request body."""
    idle_seconds: float = 120.0
    """Between a response and the first byte of the next request."""
    write_seconds: float = 30.0
    """For a complete response, from the return of the handler."""
    linger_seconds: float = 1.0
    """For reading after the last response; see ``ConnectionHandler.lingering_close``."""
    header_bytes: int = 32 * 1024
    """Request line and headers together."""
    body_bytes: int = 16 * 1024
    """A body is kept in memory until it is complete, without a password: 512 clients hold at most 8 MiB."""

    @property
    def tick(self) -> float:
        """Seconds between two checks of the deadlines: they are exceeded by at most a tenth, the linger one by more."""
        shortest = min(self.header_seconds, self.body_seconds, self.idle_seconds, self.write_seconds)
        return min(shortest / 10, _LONGEST_TICK)


class Connection:
    """One accepted socket; read and written by its worker, aborted by other threads through ``Connections``."""

    def __init__(self, accepted: socket.socket, limits: Limits) -> None:
        self.method = ""
        """Of the request that is being read or responded to; empty before its first line."""
        self.request: Request | None = None
        """The complete request that is being responded to; None while the server waits for one."""
        self.responding = False
        """Whether a part of the response was sent."""
        self.aborted = False
        self.has_worker = False
        """Whether the worker has started."""
        self.deadline = 0.0
        """On the monotonic clock."""
        self._socket = accepted
        self._stream: socket.socket | TlsStream = accepted
        self.set_deadline(limits.header_seconds)

    def set_deadline(self, seconds: float = math.inf) -> None:
        """Set the deadline of the next step."""
        self.deadline = time.monotonic() + seconds

    def start_tls(self, tls: Tls) -> None:
        """Perform the TLS handshake; ``receive`` and ``send`` are encrypted from then on.

        Raises:
            PlainTextError, HandshakeError: as in ``TlsStream``.
            DisconnectedError: the client disconnected, or the connection was aborted.
        """
        stream = TlsStream(self._socket, tls)
        try:
            stream.handshake()
        except OSError:
            raise DisconnectedError from None
        self._stream = stream

    def receive(self) -> bytes:
        """Return the next bytes, at least one; raise DisconnectedError at the end."""
        if self.aborted:  # the kernel still delivers what it had received before the shutdown
            raise DisconnectedError
        try:
            received = self._stream.recv(_CHUNK)
        except OSError:
            raise DisconnectedError from None
        if not received:
            raise DisconnectedError
        return received

    def send(self, data: bytes) -> None:
        """Send all bytes or raise DisconnectedError."""
        if self.aborted:
            raise DisconnectedError
        self.responding = True
        try:
            self._stream.sendall(data)
        except OSError:
            raise DisconnectedError from None

    def drain(self) -> None:
        """Close the sending side, then read until the client closes its side or the deadline passes.

        Closing a socket with unread bytes resets the connection, and the client may lose the response.
        """
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)
            while not self.aborted and self._socket.recv(_CHUNK):
                pass

    def abort(self) -> None:
        """Shut the socket down, from any thread; the worker wakes and closes it."""
        if self.request is not None:  # or the kernel would keep the rest of the response for a client that never reads
            self.reset_on_close()
        self.aborted = True
        # Unlike close, shutdown wakes a thread that is blocked in recv or send.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset_on_close(self) -> None:
        """Discard unsent bytes and make the close a reset, so that the response does not look complete."""
        self.aborted = True
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Connections:
    """Every open connection of a server, oldest first; safe for use from any thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, accepted: socket.socket) -> None:
        """Register a connection; at the limit abort the oldest without a complete request, else the oldest."""
        with self._lock:
            others = self._active()
            # Aborted connections do not count, although their workers may need a moment to close them.
            if len(others) >= self._limits.connections:
                (_oldest_waiting(others) or others[0]).abort()
            self._open[accepted] = Connection(accepted, self._limits)

    def get(self, accepted: socket.socket) -> Connection:
        """Return the connection of a socket that was added and not removed."""
        with self._lock:
            return self._open[accepted]

    def start(self, accepted: socket.socket) -> bool:
        """Mark the connection as having a worker; return False if it was already closed."""
        with self._lock:
            connection = self._open.get(accepted)
            if connection is not None:
                connection.has_worker = True
            return connection is not None

    def remove(self, accepted: socket.socket) -> Connection | None:
        """Remove and return a connection; None if it was removed before. Close its socket only afterwards."""
        with self._lock:
            return self._open.pop(accepted, None)

    def evict_oldest(self) -> None:
        """Abort the oldest connection without a complete request, if there is one."""
        with self._lock:
            if (oldest := _oldest_waiting(self._active())) is not None:
                oldest.abort()

    def reap(self) -> None:
        """Abort every connection whose deadline has passed, and close aborted ones whose worker never started."""
        now = time.monotonic()
        with self._lock:
            for connection in self._active():
                if connection.deadline <= now:
                    connection.abort()
            # No other thread closes these. The list is made first because the loop changes the dictionary.
            for accepted in [
                each for each, connection in self._open.items() if connection.aborted and not connection.has_worker
            ]:
                del self._open[accepted]
                accepted.close()

    def abort_all(self) -> None:
        """Abort every connection."""
        with self._lock:
            for connection in self._active():
                connection.abort()

    def _active(self) -> list[Connection]:
        return [connection for connection in self._open.values() if not connection.aborted]


def _oldest_waiting(connections: list[Connection]) -> Connection | None:
    return next((connection for connection in connections if connection.request is None), None)

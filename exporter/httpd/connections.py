"""One connection's bytes and deadline, and the register of all connections with its cap.

A worker thread blocks in ``recv`` or ``send`` without a timeout of its own; whoever finds its deadline passed
(or needs its place) shuts the socket down, which wakes the worker. So a deadline is total however many bytes
trickle, holds while a body is being produced, and is the same with TLS.
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
_SLOWEST_TICK = 1.0


class DisconnectedError(Exception):
    """The client left, or the connection was cut: there is nobody to answer and nothing to report."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take, in connections, seconds and bytes."""

    connections: int = 512
    """Open at once, over all addresses of a server; one more closes an old one."""
    header_seconds: float = 10.0
    """From the first byte of a head (of the first one: from the accept) to its last."""
    body_seconds: float = 30.0
    """For the whole body of a request."""
    idle_seconds: float = 120.0
    """Between an answer and the first byte of the next request."""
    write_seconds: float = 30.0
    """For one whole answer, from the handler's return."""
    linger_seconds: float = 1.0
    """How long a client may go on sending after the last answer; closed earlier, it might never see that."""
    header_bytes: int = 32 * 1024
    """Request line and headers together."""
    body_bytes: int = 16 * 1024
    """Held in memory until the whole of it is there, whoever sends it: 512 clients may send one each."""

    @property
    def tick(self) -> float:
        """Seconds between two looks at the deadlines; only lingering is passed by more than a tenth."""
        shortest = min(self.header_seconds, self.body_seconds, self.idle_seconds, self.write_seconds)
        return min(shortest / 10, _SLOWEST_TICK)


class Connection:
    """One accepted socket; read and written by its worker alone, cut by others through ``Connections``."""

    def __init__(self, accepted: socket.socket, limits: Limits) -> None:
        self.method = ""
        """Of the request that is being read or answered; empty before its first line."""
        self.request: Request | None = None
        """The complete request that is being answered; None while the server waits for one."""
        self.answering = False
        """Whether a part of the answer is on its way."""
        self.cut = False
        self.served = False
        """Whether its worker has begun."""
        self.deadline = 0.0
        """On the monotonic clock."""
        self._socket = accepted
        self._stream: socket.socket | TlsStream = accepted
        self.allow(limits.header_seconds)

    def allow(self, seconds: float = math.inf) -> None:
        """Sets the deadline for what comes next."""
        self.deadline = time.monotonic() + seconds

    def secure(self, tls: Tls) -> None:
        """Shakes hands; from then on what is received and sent is encrypted.

        Raises:
            PlainTextError, HandshakeError: as in ``TlsStream``.
            DisconnectedError: the client left, or the connection was cut.
        """
        stream = TlsStream(self._socket, tls)
        try:
            stream.handshake()
        except OSError:
            raise DisconnectedError from None
        self._stream = stream

    def receive(self) -> bytes:
        """What comes next; at least one byte, or DisconnectedError."""
        if self.cut:  # what the kernel had already received can still be read after a shutdown
            raise DisconnectedError
        try:
            received = self._stream.recv(_CHUNK)
        except OSError:
            raise DisconnectedError from None
        if not received:
            raise DisconnectedError
        return received

    def send(self, data: bytes) -> None:
        """Sends everything or raises DisconnectedError."""
        if self.cut:
            raise DisconnectedError
        self.answering = True
        try:
            self._stream.sendall(data)
        except OSError:
            raise DisconnectedError from None

    def drain(self) -> None:
        """Ends our side and reads on until the client ends its own, or the deadline comes.

        To close with bytes unread would reset the connection, and the client might lose the answer.
        """
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)
            while not self.cut and self._socket.recv(_CHUNK):
                pass

    def abort(self) -> None:
        """Cuts the connection from any thread; its worker wakes and closes it."""
        if self.request is not None:  # a client that does not read must not keep the answer in the kernel
            self.reset_on_close()
        self.cut = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset_on_close(self) -> None:
        """Nothing more is sent, and the close will not look like the end of a whole answer."""
        self.cut = True
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


class Connections:
    """Every open connection of a server, the oldest first; safe to use from any thread."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._open: dict[socket.socket, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, accepted: socket.socket) -> None:
        """Registers a new connection; at the cap the oldest that waits goes, or the oldest of all."""
        with self._lock:
            others = self._live()
            if len(others) >= self._limits.connections:
                (_oldest_waiting(others) or others[0]).abort()
            self._open[accepted] = Connection(accepted, self._limits)

    def of(self, accepted: socket.socket) -> Connection:
        """The connection of a socket that was admitted and has not left."""
        with self._lock:
            return self._open[accepted]

    def begin(self, accepted: socket.socket) -> bool:
        """Mark the connection as served by a worker; return False if it was already closed."""
        with self._lock:
            connection = self._open.get(accepted)
            if connection is not None:
                connection.served = True
            return connection is not None

    def leave(self, accepted: socket.socket) -> Connection | None:
        """Remove and return a connection; None if it was removed before. Close its socket only afterwards."""
        with self._lock:
            return self._open.pop(accepted, None)

    def evict_oldest(self) -> None:
        """Cuts the oldest connection that has no complete request, if there is one."""
        with self._lock:
            if (oldest := _oldest_waiting(self._live())) is not None:
                oldest.abort()

    def reap(self) -> None:
        """Cuts every connection whose deadline has passed, and closes those whose worker never began."""
        now = time.monotonic()
        with self._lock:
            for connection in self._live():
                if connection.deadline <= now:
                    connection.abort()
            for accepted in [
                each for each, connection in self._open.items() if connection.cut and not connection.served
            ]:
                del self._open[accepted]
                accepted.close()

    def abort_all(self) -> None:
        """Cuts every connection."""
        with self._lock:
            for connection in self._live():
                connection.abort()

    def _live(self) -> list[Connection]:
        return [connection for connection in self._open.values() if not connection.cut]


def _oldest_waiting(connections: list[Connection]) -> Connection | None:
    return next((connection for connection in connections if connection.request is None), None)

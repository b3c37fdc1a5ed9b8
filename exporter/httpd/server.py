"""Listens and gives each connection a thread of its own, within limits."""

from __future__ import annotations

import socketserver
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import structlog

from exporter.httpd.addresses import format_address, listen
from exporter.httpd.connections import Connections
from exporter.httpd.conversation import Conversation
from exporter.httpd.messages import Limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from exporter.httpd.messages import Handler

_POLL_SECONDS = 0.1
_FAULT = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 36\r\nConnection: close\r\n\r\na fault of the exporter: see its log\n"
)

log = structlog.get_logger()


class Server:
    """Serves one handler on some addresses.

    Args:
        addresses: ``host:port``, ``:port`` or ``[::1]:port``; port 0 picks a free one.
        handler: answers each request, in the connection's thread.
        limits: what clients may take.

    Raises:
        ListenError: one of the addresses cannot be listened on; then none is.
    """

    def __init__(self, addresses: Sequence[str], handler: Handler, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._connections = Connections(limits.connections, limits.head_seconds)
        with ExitStack() as undo:
            self._listeners = []
            for address in addresses:
                listener = Listener(listen(address), handler, limits, self._connections)
                undo.callback(listener.server_close)
                self._listeners.append(listener)
            undo.pop_all()
        self._threads = [
            threading.Thread(target=listener.serve_forever, args=(_POLL_SECONDS,), name="listener", daemon=True)
            for listener in self._listeners
        ]

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it really listens."""
        return tuple(format_address(*listener.socket.getsockname()[:2]) for listener in self._listeners)

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    def start(self) -> None:
        """Begins to answer; returns at once."""
        self._connections.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops listening and cuts every connection; does not wait for handlers."""
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            if thread.is_alive():
                listener.shutdown()
            listener.server_close()
        self._connections.stop()


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One listening socket."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, handler: Handler, limits: Limits, connections: Connections) -> None:
        # TCPServer's own constructor would make another socket.
        socketserver.BaseServer.__init__(self, listening.getsockname(), Conversation)
        self.socket = listening
        self.handler = handler
        self.limits = limits
        self.connections = connections

    def get_request(self) -> tuple[socket.socket, object]:
        """Accepts a client; out of descriptors, takes a breath instead of trying without end."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(_POLL_SECONDS)
            raise

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Gives a new client its thread. A TLS handshake has its place in that thread: ``finish_request``."""
        self.connections.admit(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Closes a connection."""
        self.connections.release(request)
        super().shutdown_request(request)

    def handle_error(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Clients that go away are no news; a fault of the handler is, and is answered with 500."""
        del client_address
        error = sys.exception()
        if isinstance(error, OSError):
            return
        log.error("a fault while answering: please report it", exc_info=error)
        if self.connections.of(request).complete:
            with suppress(OSError):
                request.sendall(_FAULT)

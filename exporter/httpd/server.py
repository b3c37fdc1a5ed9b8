"""Accept connections: one thread accepts and enforces deadlines, and each connection has a worker thread.

The constructor binds all addresses, or none if one of them fails. The thread ``httpd`` waits for all listening sockets
in one selector, hands every accepted socket to a new worker, and calls ``Connections.reap`` once per tick. It never
reads from a client and does no TLS, so a slow client costs only its own worker. ``stop`` wakes it through a socket
pair and waits for no worker: workers are daemon threads whose sockets have been shut down.

Threads and not asyncio: handlers render pages and check passwords, which would block an event loop, and at most
``Limits.connections`` threads exist. Workers are started with ``_thread.start_new_thread``, because
``threading.Thread.start`` waits for a signal from the new thread; when memory is short that thread can end before it
sends the signal, and the accepting thread would then wait forever.

Without free descriptors or memory ``accept`` fails, but the connection stays in the backlog and would wake the
selector again at once. The thread then aborts the oldest waiting connection and pauses 0.1 s, which keeps it below 20 %
of one core (tests/test_httpd.py). Errors that a client can cause are logged at most once a minute per kind, so that a
client cannot fill the disk.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import selectors
import socket
import sys
import threading
import time
import traceback
from _thread import start_new_thread
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any

import structlog

from exporter.httpd.addresses import Address, BindAddress, ListenError, parse_address, resolve
from exporter.httpd.connection_handler import ConnectionHandler
from exporter.httpd.connections import Connections, Limits
from exporter.httpd.tls import HandshakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.httpd.messages import Handler
    from exporter.httpd.tls import Tls

_log = structlog.get_logger()

_BACKLOG = 1024
_NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_EXHAUSTED_PAUSE = 0.1
_LOG_INTERVAL = 60.0
_LOGGED_PATH = 200
"""Characters of a request's path that are logged."""
_IDLE = 1.0
_BIND_ERRORS = {
    errno.EADDRINUSE: "address already in use",
    errno.EADDRNOTAVAIL: "not an address of this machine",
    errno.EACCES: "permission denied (ports below 1024 require a privilege)",
}


class Server:
    """Serves a handler on every address. The constructor binds; requests are served between start and stop.

    Args:
        addresses: where to listen, in the syntax of ``parse_address``.
        handler: responds to requests.
        limits: limits of connections.
        tls: called for each connection, in its worker thread; returns None for plain HTTP.

    Raises:
        ListenError: an address cannot be bound; those already bound are released.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        handler: Handler,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        tls: Callable[[], Tls | None] = lambda: None,
    ) -> None:
        self._limits = limits
        self._connections = Connections(limits)
        self._stopping = threading.Event()
        if not addresses:
            raise ListenError("no listen address")
        service = _Service(handler, limits, tls, self._connections, self._stopping)
        with contextlib.ExitStack() as bound:
            self._listeners = [bound.enter_context(_bind(parse_address(text), service)) for text in addresses]
            self._selector = bound.enter_context(selectors.DefaultSelector())
            self._woken, self._waker = socket.socketpair()
            bound.pop_all()
        self._selector.register(self._woken, selectors.EVENT_READ)
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ, listener)
        self.rounds = 0
        """Iterations of the accepting thread, at least one every ``_IDLE`` seconds; see ``liveness``."""
        self._thread = threading.Thread(target=self._accept, name="httpd", daemon=True)
        self.addresses = tuple(str(listener.bound) for listener in self._listeners)
        """The bound addresses, ``host:port`` with the real port; IPv6 in brackets."""

    def start(self) -> None:
        """Start accepting; connections made since the constructor wait in the backlog."""
        self._thread.start()

    def stop(self) -> None:
        """Close the listening sockets and abort every connection, without waiting for handlers."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._waker.send(b"\0")
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        for listener in self._listeners:
            listener.server_close()
        self._connections.abort_all()
        self._woken.close()
        self._waker.close()

    def _accept(self) -> None:
        next_reap = 0.0
        while not self._stopping.is_set():
            self.rounds += 1
            ready = self._selector.select(self._limits.tick if self._connections else _IDLE)
            for listener in (key.data for key, _ in ready if key.data):
                listener.handle_request()
            if time.monotonic() >= next_reap:
                self._connections.reap()
                next_reap = time.monotonic() + self._limits.tick


class _Service:
    """State that all listeners of a server share."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        tls: Callable[[], Tls | None],
        connections: Connections,
        stopping: threading.Event,
    ) -> None:
        self.connections = connections
        self.stopping = stopping
        self._handler = handler
        self._limits = limits
        self._tls = tls
        self._logged: dict[str, float] = {}
        self._lock = threading.Lock()

    def handler_of(self, accepted: socket.socket) -> ConnectionHandler:
        return ConnectionHandler(self.connections.get(accepted), self._handler, self._limits)

    def serve(self, accepted: socket.socket) -> None:
        """Serve a connection in its worker; the handshake counts towards the deadline of the first head."""
        handler = self.handler_of(accepted)
        try:
            handler.run(self._tls())
        except HandshakeError as error:
            self.log_limited(f"handshake {error}", "TLS handshake failed", logging.DEBUG, error=str(error))
            handler.lingering_close()

    def log_limited(self, kind: str, message: str, level: int = logging.ERROR, **fields: object) -> None:
        """Log a message, each kind at most once a minute."""
        now = time.monotonic()
        with self._lock:
            if now - self._logged.get(kind, -math.inf) < _LOG_INTERVAL:
                return
            self._logged[kind] = now
        with contextlib.suppress(OSError, ValueError):  # a closed log pipe must not end the server
            _log.log(level, message, **fields)


class _Listener(ThreadingMixIn, TCPServer):
    """One listening socket. socketserver calls ``handle_error`` for exceptions that leave a worker."""

    daemon_threads = True
    block_on_close = False  # stop() must not wait for a handler that hangs
    allow_reuse_address = True
    request_queue_size = _BACKLOG

    def __init__(self, address: BindAddress, service: _Service) -> None:
        self._service = service
        self.address_family = address.family
        super().__init__(address.sockaddr, BaseRequestHandler)

    @property
    def bound(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address(host, port)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            ipv6_only = self.server_address[0] != "::"
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        # Inherited by accepted sockets: without it the body waits for the acknowledgement of the head (Nagle).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # noqa: FBT003 - the C API's
        # A client may disconnect between select and accept, which must not block the accepting thread.
        self.socket.setblocking(False)  # noqa: FBT003 - positional in the standard library
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            accepted, peer = super().get_request()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._service.log_limited("accept", "connection accept failed", error=error.strerror)
                self._service.connections.evict_oldest()
                self._service.stopping.wait(_EXHAUSTED_PAUSE)
            raise
        accepted.setblocking(True)  # noqa: FBT003 - positional in the standard library
        return accepted, peer

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in socketserver
        self._service.connections.add(request)
        try:
            # Returns at once, unlike Thread.start(); `reap` closes the connection if the thread never runs.
            start_new_thread(self.process_request_thread, (request, client_address))
        except (RuntimeError, MemoryError):
            self._service.log_limited("thread", "thread start failed")
            self.shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as in socketserver
        sys.settrace(threading.gettrace())  # as Thread.start() does, for debuggers and coverage; None in production
        if self._service.connections.start(request):
            self._service.serve(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as in socketserver
        connection = self._service.connections.remove(request)
        if connection is None:
            return
        if connection.aborted:  # a further shutdown would send FIN before the reset: the end of a complete response
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as in socketserver
        error = sys.exception()
        connection = self._service.connections.get(request)
        handled = connection.request
        path = handled.path[:_LOGGED_PATH] if handled else ""  # not the query, which may contain a secret
        self._service.log_limited(_origin(error), "request failed", method=connection.method, path=path, exc_info=error)
        if handled:
            self._service.handler_of(request).fail()


def _bind(address: Address, service: _Service) -> _Listener:
    reason = ""
    for candidate in resolve(address):
        try:
            return _Listener(candidate, service)
        except OSError as error:
            reason = _BIND_ERRORS.get(error.errno or 0) or error.strerror or str(error)
            if error.errno not in _NO_IPV6:
                break
    raise ListenError(f"cannot listen on {address}: {reason}")


def _origin(error: BaseException | None) -> str:
    """Return type, file and line of an exception, so that each bug is logged under its own rate limit."""
    frames = list(traceback.walk_tb(error.__traceback__)) if error else []
    return f"{type(error).__name__} {frames[-1][0].f_code.co_filename}:{frames[-1][1]}" if frames else ""

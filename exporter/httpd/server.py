"""Accepting connections: every address bound at once, one thread that accepts and cuts, a worker for each."""

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
_LOG_PAUSE = 60.0
_LOGGED_PATH = 200
_IDLE = 1.0
_WORDS = {
    errno.EADDRINUSE: "the address is already in use",
    errno.EADDRNOTAVAIL: "it is not an address of this machine",
    errno.EACCES: "not permitted (ports below 1024 need a privilege)",
}


class Server:
    """Serves a handler on every address; bound by the constructor, answering between start and stop.

    Args:
        addresses: where to listen, as ``parse_address`` reads them.
        handler: what answers.
        limits: what one client may take.
        tls: asked for each connection, in its worker thread; None: this one is plain HTTP.

    Raises:
        ListenError: an address cannot be had; those already bound are given back.
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
            raise ListenError("no address to listen on")
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
        """Where it listens, ``host:port`` with the real port; IPv6 in brackets."""

    def start(self) -> None:
        """Begins to answer; connections made since the binding have waited."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the listening sockets and cuts every connection, without waiting for any handler."""
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
        next_look = 0.0
        while not self._stopping.is_set():
            self.rounds += 1
            ready = self._selector.select(self._limits.tick if self._connections else _IDLE)
            for listener in (key.data for key, _ in ready if key.data):
                listener.handle_request()
            if time.monotonic() >= next_look:
                self._connections.reap()
                next_look = time.monotonic() + self._limits.tick


class _Service:
    """What all listeners of a server share."""

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

    def conversation(self, accepted: socket.socket) -> ConnectionHandler:
        return ConnectionHandler(self.connections.of(accepted), self._handler, self._limits)

    def serve(self, accepted: socket.socket) -> None:
        """Talks with a client, in its worker, with the deadline for the first head running."""
        conversation = self.conversation(accepted)
        try:
            conversation.run(self._tls())
        except HandshakeError as error:
            self.log_limited(f"handshake {error}", "TLS handshake failed", logging.DEBUG, err=str(error))
            conversation.lingering_close()

    def log_limited(self, kind: str, words: str, level: int = logging.ERROR, **facts: object) -> None:
        """Logs a trouble, each kind at most once a minute."""
        now = time.monotonic()
        with self._lock:
            if now - self._logged.get(kind, -math.inf) < _LOG_PAUSE:
                return
            self._logged[kind] = now
        with contextlib.suppress(OSError, ValueError):  # a log that nobody reads any more ends no server
            _log.log(level, words, **facts)


class _Listener(ThreadingMixIn, TCPServer):
    """One listening socket; socketserver starts the workers and hands us what escapes from them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = _BACKLOG

    def __init__(self, endpoint: BindAddress, service: _Service) -> None:
        self._service = service
        self.address_family = endpoint.family
        super().__init__(endpoint.place, BaseRequestHandler)

    @property
    def bound(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address(host, port)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            only = self.server_address[0] != "::"
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        # Accepted sockets inherit it: a head must not wait for its body's acknowledgement.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # noqa: FBT003 - the C API's
        self.socket.setblocking(False)  # noqa: FBT003 - positional in the standard library
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            accepted, peer = super().get_request()
        except OSError as error:
            # The waiting connection would wake the selector again at once, and for ever.
            if error.errno in _EXHAUSTED:
                self._service.log_limited("accept", "cannot accept connections", err=error.strerror)
                self._service.connections.evict_oldest()
                self._service.stopping.wait(_EXHAUSTED_PAUSE)
            raise
        accepted.setblocking(True)  # noqa: FBT003 - positional in the standard library
        return accepted, peer

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in socketserver
        self._service.connections.admit(request)
        try:
            # Thread.start() waits for a signal from the new thread. If that thread dies before, out of memory, the
            # accepting thread would wait forever. This call returns at once; `reap` closes connections never served.
            start_new_thread(self.process_request_thread, (request, client_address))
        except (RuntimeError, MemoryError):
            self._service.log_limited("thread", "cannot start thread")
            self.shutdown_request(request)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as in socketserver
        sys.settrace(threading.gettrace())  # as Thread.start() does, for debuggers and coverage; None in production
        if self._service.connections.begin(request):
            self._service.serve(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as in socketserver
        connection = self._service.connections.leave(request)
        if connection is None:
            return
        if connection.cut:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as in socketserver
        error = sys.exception()
        connection = self._service.connections.of(request)
        told = connection.request
        path = told.path[:_LOGGED_PATH] if told else ""
        self._service.log_limited(_place(error), "request failed", method=connection.method, path=path, exc_info=error)
        if told:
            self._service.conversation(request).fail()


def _bind(address: Address, service: _Service) -> _Listener:
    reason = ""
    for endpoint in resolve(address):
        try:
            return _Listener(endpoint, service)
        except OSError as error:
            reason = _WORDS.get(error.errno or 0) or error.strerror or str(error)
            if error.errno not in _NO_IPV6:
                break
    raise ListenError(f"cannot listen on {address}: {reason}")


def _place(error: BaseException | None) -> str:
    """Where in the program an exception was raised, so that two faults are two kinds."""
    frames = list(traceback.walk_tb(error.__traceback__)) if error else []
    return f"{type(error).__name__} {frames[-1][0].f_code.co_filename}:{frames[-1][1]}" if frames else ""

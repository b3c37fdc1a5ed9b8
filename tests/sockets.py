"""Clients of a served handler over real sockets, and how slow they may be before they are disconnected."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

from exporter.httpd import Limits, Request, Response, Server, Tls, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5.0
QUICK = Limits(header_seconds=0.4, body_seconds=0.4, idle_seconds=0.4, write_seconds=0.4, linger_seconds=0.3)
PATIENT = Limits(header_seconds=60, body_seconds=60, idle_seconds=60, write_seconds=60)
GOOD = b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /good HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def echo(request: Request) -> Response:
    """Return what arrived, so that a test can check where a request began and ended."""
    text = f"{request.method} {request.path}?{request.query} {request.body.decode('latin-1')};"
    return Response(200, (("Content-Type", "text/plain"),), text.encode())


def eventually(truth: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    end = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone, no paths


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    threads, files = threading.active_count(), descriptors()
    yield
    assert eventually(lambda: threading.active_count() <= threads), threading.enumerate()
    assert eventually(lambda: descriptors() <= files)


@contextlib.contextmanager
def serving(
    handler: Callable[[Request], Response] = echo,
    limits: Limits = PATIENT,
    address: str = "127.0.0.1:0",
    tls: Tls | None = None,
) -> Iterator[Server]:
    server = Server([address], handler, limits, lambda: tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        assert eventually(lambda: len(server._connections) == 0)


def port_of(server: Server) -> int:
    return parse_address(server.addresses[0]).port


def connect(server: Server, *, window: int = 0) -> socket.socket:
    client = socket.socket()
    client.settimeout(PATIENCE)
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    try:
        client.connect(("127.0.0.1", port_of(server)))
    except OSError:
        client.close()
        raise
    return client


def rest(client: socket.socket) -> bytes:
    """Return everything up to the end of the connection, which must come."""
    received = b""
    while chunk := client.recv(65536):
        received += chunk
    return received


def exchange(server: Server, sent: bytes) -> bytes:
    with connect(server) as client:
        client.sendall(sent)
        return rest(client)


class ParsedResponse(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def next_response(client: socket.socket, method: str = "GET") -> ParsedResponse:
    """Return one response, parsed by the standard library; nothing may follow it yet."""
    with http.client.HTTPResponse(client, method=method) as response:
        response.begin()
        return ParsedResponse(response.status, response.headers, response.read())


def fetch(server: Server, sent: bytes, method: str = "GET") -> ParsedResponse:
    with connect(server) as client:
        client.sendall(sent)
        return next_response(client, method)


def still_responds(server: Server) -> bool:
    return fetch(server, LAST).status == 200


def is_closed(client: socket.socket, seconds: float = PATIENCE) -> bool:
    client.settimeout(seconds)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def post(*headers: bytes) -> bytes:
    return b"\r\n".join([b"POST /<script> HTTP/1.1", b"Host: h", *headers, b"", b""])


Gone = Callable[[], bool]
"""Return whether the server has closed the connection."""
Act = Callable[[socket.socket, Gone], None]


def repeat_until_closed(act: Callable[[], object], gone: Gone) -> None:
    """Return a client that repeats bytes about thirty times a second, also over a reset connection."""
    end = time.monotonic() + PATIENCE
    while not gone() and time.monotonic() < end:
        with contextlib.suppress(OSError):
            act()
        time.sleep(0.03)


def sending(start: bytes) -> Act:
    def act(client: socket.socket, _: Gone) -> None:
        client.sendall(start)

    return act


def trickle(start: bytes, drop: bytes) -> Act:
    def act(client: socket.socket, gone: Gone) -> None:
        client.sendall(start)
        repeat_until_closed(lambda: client.sendall(drop), gone)

    return act


def request_then(sent: bytes, act: Act) -> Act:
    def both(client: socket.socket, gone: Gone) -> None:
        client.sendall(sent)
        assert next_response(client).status == 200
        act(client, gone)

    return both


def read_slowly(client: socket.socket, gone: Gone) -> None:
    client.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
    repeat_until_closed(lambda: client.recv(1), gone)


DEADLINES = [
    ("a silent client", "header_seconds", sending(b"")),
    ("a half-sent head", "header_seconds", sending(b"GET / HTTP/1.1\r\nX")),
    ("a trickled request line", "header_seconds", trickle(b"GET /", b"a")),
    ("trickled header bytes", "header_seconds", trickle(b"GET / HTTP/1.1\r\nHost: h\r\nX-Name: ", b"a")),
    ("trickled header lines", "header_seconds", trickle(b"GET / HTTP/1.1\r\nHost: h\r\n", b"a:\r\n")),
    ("a trickled second head", "header_seconds", request_then(GOOD, trickle(b"GET", b"T"))),
    ("a trickled body", "body_seconds", trickle(post(b"Content-Length: 999"), b"x")),
    ("a body withheld", "body_seconds", sending(post(b"Expect: 100-continue", b"Content-Length: 9"))),
    ("an idle client", "idle_seconds", request_then(GOOD, sending(b""))),
    ("a client that reads one byte at a time", "write_seconds", read_slowly),
    ("a client that does not read", "write_seconds", sending(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")),
    ("a body of many small chunks", "write_seconds", sending(b"GET /drops HTTP/1.1\r\nHost: h\r\n\r\n")),
    ("a client that continues to send", "linger_seconds", request_then(LAST, trickle(b"", b"x"))),
]

"""Hostile clients over real sockets, plain or TLS: each kind of attack continues while its context is open."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Attack = Callable[["Target"], AbstractContextManager[None]]

PATIENCE = 20.0
"""Seconds that a client waits for a response that must arrive at once."""
DRIP_SECONDS = 1.0
_SMALL_WINDOW = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Target:
    """An address of the exporter, and its credentials."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def open_tcp(self) -> socket.socket:
        """Open a TCP connection with a small window, without TLS."""
        client = socket.socket()
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
        try:
            client.connect((self.host, self.port))
        except OSError:
            client.close()
            raise
        return client

    def open_http(self) -> socket.socket:
        """Open a connection for HTTP."""
        client = self.open_tcp()
        return self.tls.wrap_socket(client, server_hostname="localhost") if self.tls else client

    def scrape(self) -> float:
        """Return the seconds of one scrape as by Prometheus, over a new connection."""
        began = time.perf_counter()
        if self.tls:
            client: HTTPConnection = HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=self.tls)
        else:
            client = HTTPConnection(self.host, self.port, timeout=PATIENCE)
        with contextlib.closing(client):
            client.request("GET", "/metrics", headers={"Accept-Encoding": "gzip", "Connection": "close"})
            answer = client.getresponse()
            assert len(answer.read()) == int(answer.headers["Content-Length"])
        assert answer.status == 200
        return time.perf_counter() - began


def waiting(
    clients: int, start: bytes = b"", *, drip: bytes = b"", reads: bool = False, handshake: bool = True
) -> Attack:
    """Connect clients that send a text, then wait; once a second each sends or reads one byte."""

    @contextlib.contextmanager
    def attack(target: Target) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with ThreadPoolExecutor(8) as pool:
                opened_clients = pool.map(
                    lambda _: target.open_http() if handshake else target.open_tcp(), range(clients)
                )
                sockets = [stack.enter_context(client) for client in opened_clients]
            for client in sockets:
                client.sendall(start)
            with repeated(lambda: _drip(sockets, drip, reads=reads), DRIP_SECONDS):
                yield

    return attack


def busy(act: Callable[[Target], None], pause: float = 0) -> Attack:
    """Return an attack that repeats an action of one client, checked each time; seconds in between."""

    def attack(target: Target) -> AbstractContextManager[None]:
        return repeated(lambda: act(target), pause)

    return attack


@contextlib.contextmanager
def repeated(act: Callable[[], None], pause: float = 0) -> Iterator[None]:
    """Repeat it in a thread until the context ends, at least once; its error is raised here."""
    over = threading.Event()

    def repeat() -> None:
        act()
        while not over.wait(pause):
            act()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(repeat)
        try:
            yield
        finally:
            over.set()
        done.result()


def expecting(request: bytes, answer: bytes, *, handshake: bool = True) -> Callable[[Target], None]:
    """Send a request; require a response that starts with the given bytes, and the end of the connection."""

    def act(target: Target) -> None:
        with target.open_http() if handshake else target.open_tcp() as client:
            with contextlib.suppress(OSError):  # the server may close it while more is being sent
                client.sendall(request)
            received = rest(client)
        assert received.startswith(answer), received[:200]

    return act


def endless_headers(target: Target) -> None:
    """Send header lines until the server rejects them."""
    line = b"X-Name: value\r\n" * 100
    with target.open_http() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n")
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while True:
                assert time.monotonic() < deadline, "the server accepted header lines without limit"
                client.sendall(line)
        rest(client)


def body_on_get(target: Target) -> None:
    """Send a GET whose body resembles a request: the request after it must get its own response."""
    inside = b"GET /inside HTTP/1.1\r\nHost: h\r\n\r\n"
    outer = b"GET /-/healthy HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(inside), inside)
    last = b"GET /-/ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with target.open_http() as client:
        for request, expected in (outer, b"healthy\n"), (outer, b"healthy\n"), (last, b"ready\n"):
            client.sendall(request)
            with HTTPResponse(client) as answer:
                answer.begin()
                assert (answer.status, answer.read()) == (200, expected)
        assert rest(client) == b""


def pipelined(target: Target) -> None:
    """Send a hundred requests at once: each gets its response, in order."""
    paths = [b"/-/healthy", b"/nowhere"] * 50
    requests = [b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path for path in paths]
    requests[-1] = requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with target.open_http() as client:
        client.sendall(b"".join(requests))
        statuses = re.findall(rb"HTTP/1\.1 (\d+) ", rest(client))
    assert statuses == [b"200", b"404"] * 50


STAGES = (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n")


def resets(target: Target) -> None:
    """Reset 500 connections, at every stage of a request."""
    for number in range(500):
        with target.open_http() if number % 2 else target.open_tcp() as client:
            with contextlib.suppress(OSError):
                client.sendall(STAGES[number % len(STAGES)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def no_records(target: Target) -> None:
    """Finish a handshake, then send bytes that are not TLS."""
    with target.open_http() as client:
        os.write(client.fileno(), bytes(range(256)) * 4)
        rest(client)


def open_ssl(version: str, letter: bytes, expected: bytes) -> Callable[[Target], None]:
    """Return an attack with OpenSSL's own client, which executes a command letter a hundred times and prints a text."""

    def act(target: Target) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not on this machine")
        line = ["openssl", "s_client", "-connect", f"{target.host}:{target.port}", version]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            assert client.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                for _ in range(100):
                    client.stdin.write(letter + b"\n")
                    client.stdin.flush()
                    time.sleep(0.002)  # it accepts a letter only at the start of a read
            output, _ = client.communicate(timeout=PATIENCE)
        assert expected in output, output[-500:]

    return act


def rest(client: socket.socket) -> bytes:
    """Return everything up to the end of the connection, which must come, possibly with a reset."""
    received = bytearray()
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # a connection that was broken on purpose
        while chunk := client.recv(65536):
            received += chunk
    return bytes(received)


def _drip(sockets: list[socket.socket], drip: bytes, *, reads: bool) -> None:
    for client in sockets:
        with contextlib.suppress(OSError):  # closed, as expected
            client.sendall(drip) if drip else None
            client.recv(1) if reads else None

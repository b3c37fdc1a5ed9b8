"""Clients that mean harm, over real sockets, plain or TLS: each kind of attack goes on while its context is open."""

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
"""Seconds that a client waits for what must come at once."""
DRIP_SECONDS = 1.0
_SMALL_WINDOW = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Target:
    """An address of the exporter, and how one gets in."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def open_tcp(self) -> socket.socket:
        """A TCP connection with a small window, and nothing more."""
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
        """A connection over which HTTP can be spoken."""
        client = self.open_tcp()
        return self.tls.wrap_socket(client, server_hostname="localhost") if self.tls else client

    def scrape(self) -> float:
        """Seconds for one scrape as Prometheus makes it, over a connection of its own."""
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
    """Clients that say something, then wait; once a second each adds a drip, or reads one byte."""

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
    """Something that one client does over and over, and that is checked each time; seconds in between."""

    def attack(target: Target) -> AbstractContextManager[None]:
        return repeated(lambda: act(target), pause)

    return attack


@contextlib.contextmanager
def repeated(act: Callable[[], None], pause: float = 0) -> Iterator[None]:
    """Does it in a thread until the context ends, and at least once; what it raised is raised here."""
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
    """A client that sends a request, and must get an answer that begins so, and the end of the connection."""

    def act(target: Target) -> None:
        with target.open_http() if handshake else target.open_tcp() as client:
            with contextlib.suppress(OSError):  # the server may end it while more is being sent
                client.sendall(request)
            received = rest(client)
        assert received.startswith(answer), received[:200]

    return act


def endless_headers(target: Target) -> None:
    """Header lines until the server has enough."""
    line = b"X-Name: value\r\n" * 100
    with target.open_http() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n")
        deadline = time.monotonic() + PATIENCE
        with contextlib.suppress(OSError):
            while True:
                assert time.monotonic() < deadline, "they were taken for as long as they came"
                client.sendall(line)
        rest(client)


def body_on_get(target: Target) -> None:
    """A GET whose body looks like a request: what follows it must be answered as what it is."""
    inside = b"GET /inside HTTP/1.1\r\nHost: h\r\n\r\n"
    outer = b"GET /-/healthy HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(inside), inside)
    last = b"GET /-/ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with target.open_http() as client:
        for request, words in (outer, b"healthy\n"), (outer, b"healthy\n"), (last, b"ready\n"):
            client.sendall(request)
            with HTTPResponse(client) as answer:
                answer.begin()
                assert (answer.status, answer.read()) == (200, words)
        assert rest(client) == b""


def pipelined(target: Target) -> None:
    """A hundred requests at once: each is answered, in order."""
    paths = [b"/-/healthy", b"/nowhere"] * 50
    requests = [b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path for path in paths]
    requests[-1] = requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with target.open_http() as client:
        client.sendall(b"".join(requests))
        statuses = re.findall(rb"HTTP/1\.1 (\d+) ", rest(client))
    assert statuses == [b"200", b"404"] * 50


STAGES = (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n")


def resets(target: Target) -> None:
    """500 connections that end with a reset, at every stage of a request."""
    for number in range(500):
        with target.open_http() if number % 2 else target.open_tcp() as client:
            with contextlib.suppress(OSError):
                client.sendall(STAGES[number % len(STAGES)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def no_records(target: Target) -> None:
    """A finished handshake, then bytes that are no TLS."""
    with target.open_http() as client:
        os.write(client.fileno(), bytes(range(256)) * 4)
        rest(client)


def open_ssl(version: str, letter: bytes, words: bytes) -> Callable[[Target], None]:
    """OpenSSL's own client, told a hundred times by a letter what to do to the connection; it says so in words."""

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
                    time.sleep(0.002)  # it takes a letter only at the beginning of what it reads
            said, _ = client.communicate(timeout=PATIENCE)
        assert words in said, said[-500:]

    return act


def rest(client: socket.socket) -> bytes:
    """Everything up to the end of the connection, which must come, be it with a reset."""
    received = bytearray()
    with contextlib.suppress(ConnectionError, ssl.SSLError):  # a connection that was broken on purpose
        while chunk := client.recv(65536):
            received += chunk
    return bytes(received)


def _drip(sockets: list[socket.socket], drip: bytes, *, reads: bool) -> None:
    for client in sockets:
        with contextlib.suppress(OSError):  # cut, as it should be
            client.sendall(drip) if drip else None
            client.recv(1) if reads else None

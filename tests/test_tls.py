"""The HTTP server over TLS: real handshakes, real certificates."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sockets
import structlog.testing
from certificates import Authority, Pair
from sockets import (
    DEADLINES,
    GOOD,
    LAST,
    PATIENT,
    QUICK,
    Act,
    connect,
    echo,
    eventually,
    exchange,
    is_closed,
    next_response,
    nothing_leaks,
    port_of,
    rest,
)

from exporter.httpd import Limits, Request, Response, Server, Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["nothing_leaks"]  # a fixture

SECONDS = [name for name in Limits.__slots__ if name.endswith("_seconds")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Pair:
    return authority.sign("server", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def tls(ours: Pair) -> Tls:
    return Tls(server_context(ours))


def server_context(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def client_context(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.cert))
    if pair:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def serving(
    tls: Tls | None, handler: Callable[[Request], Response] = echo, limits: Limits = PATIENT
) -> AbstractContextManager[Server]:
    return sockets.serving(handler, limits, tls=tls)


@contextlib.contextmanager
def secured(server: Server, context: ssl.SSLContext, window: int = 0) -> Iterator[ssl.SSLSocket]:
    with (
        connect(server, window=window) as raw,
        context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as client,
    ):
        yield client


def fetch_status(server: Server, context: ssl.SSLContext, sent: bytes = LAST) -> int:
    with secured(server, context) as client:
        client.sendall(sent)
        return next_response(client).status


def test_connection_serves_many_requests_and_closes_cleanly(authority: Authority, tls: Tls) -> None:
    """It ends with a close_notify."""
    with serving(tls) as server, secured(server, client_context(authority)) as client:
        for _ in range(3):
            client.sendall(GOOD)
            assert next_response(client).body == b"GET /good? ;"
        client.sendall(LAST)
        assert rest(client).endswith(b"GET /good? ;")  # an end without close_notify would have raised


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_request_and_response_bodies_arrive_completely(
    authority: Authority, tls: Tls, version: ssl.TLSVersion
) -> None:
    def handler(request: Request) -> Response:
        return Response(200, (), request.body * 20)

    body = bytes(range(256)) * 4096
    context = client_context(authority)
    context.maximum_version = version
    roomy = replace(PATIENT, body_bytes=len(body))
    with serving(tls, handler, roomy) as server, secured(server, context, window=4096) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert next_response(client).body == body * 20
        assert client.version() == f"TLSv1.{version.name[-1]}"


def test_body_that_fails_half_way_ends_without_close_notify(authority: Authority, tls: Tls) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a" * 100
        raise RuntimeError

    is_complete = threading.Event()

    def handler(_request: Request) -> Response:
        return Response(200, (), (b"a" * 100,) if is_complete.is_set() else chunks())

    # HTTP/1.0 has no chunks: the end of the connection is the end of the response, and only TLS marks it as complete.
    request = b"GET / HTTP/1.0\r\n\r\n"
    with serving(tls, handler) as server:
        with secured(server, client_context(authority)) as client:
            client.sendall(request)
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)), structlog.testing.capture_logs():
                rest(client)
        is_complete.set()
        with secured(server, client_context(authority)) as client:
            client.sendall(request)
            assert rest(client).endswith(b"\r\n\r\n" + b"a" * 100)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\x80\x2e\x01", b"\r\n"])
def test_client_without_tls_gets_an_error_in_plain_http(tls: Tls, sent: bytes) -> None:
    with serving(tls) as server:
        answer = exchange(server, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"HTTPS required on this port\n")


SHAKEN = {
    "a record cut short": b"\x16\x03\x01\x02\x00\x01",
    "a record of garbage": b"\x16\x03\x01\x00\x05\xff\xff\xff\xff\xff",
    "an unknown version": b"\x16\x09\x09\x00\x05\x01\x00\x00\x01\x00",
    "a record too long": b"\x16\x03\x01\xff\xff\x01",
    "nothing": b"",
}


@pytest.mark.parametrize("sent", SHAKEN.values(), ids=SHAKEN)
def test_failed_handshake_is_not_logged_as_an_error(
    authority: Authority, tls: Tls, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tls, limits=QUICK) as server, structlog.testing.capture_logs() as logged:
        for end in (socket.SHUT_WR, None):
            with connect(server) as client:
                client.sendall(sent)
                if end is not None:
                    client.shutdown(end)
                    assert not rest(client).startswith(b"HTTP")
        assert fetch_status(server, client_context(authority)) == 200
    assert [line for line in logged if line["log_level"] != "debug"] == []
    assert capfd.readouterr() == ("", "")


def test_failed_handshake_is_logged_at_debug_once_a_minute(authority: Authority, ours: Pair) -> None:
    tls = Tls(server_context(ours, authority.cert))
    with serving(tls) as server, structlog.testing.capture_logs() as logged:
        for _ in range(5):
            with pytest.raises(ssl.SSLError, match="certificate required"):
                fetch_status(server, client_context(authority))
    reason = "peer did not return a certificate"
    assert logged == [{"event": "TLS handshake failed", "error": reason, "log_level": "debug"}]


def test_handshakes_count_for_the_cap_and_are_closed_first(authority: Authority, tls: Tls) -> None:
    limits = Limits(connections=4)
    with serving(tls, limits=limits) as server, contextlib.ExitStack() as open_:
        silent = [open_.enter_context(connect(server)) for _ in range(6)]
        assert eventually(lambda: len(server._connections) == 4)
        assert is_closed(silent[0])
        assert is_closed(silent[1])
        assert fetch_status(server, client_context(authority)) == 200
        assert is_closed(silent[2])


def test_200_silent_clients_do_not_delay_a_handshake(authority: Authority, tls: Tls) -> None:
    with serving(tls) as server, contextlib.ExitStack() as open_:
        for _ in range(200):
            open_.enter_context(connect(server)).sendall(b"\x16\x03\x01")
        assert fetch_status(server, client_context(authority)) == 200


def test_slow_handshake_is_closed_at_the_header_deadline(tls: Tls) -> None:
    limits = Limits(header_seconds=0.4)
    with serving(tls, limits=limits) as server, connect(server) as silent, connect(server) as slow:
        begun = time.monotonic()
        assert eventually(lambda: len(server._connections) == 2)
        hello = b"\x16\x03\x01\x01\x00"
        while len(server._connections) and time.monotonic() < begun + 3:
            with contextlib.suppress(OSError):
                slow.sendall(hello[:1])
                hello = hello[1:] or b"\0"
            time.sleep(0.05)
        assert 0.3 < time.monotonic() - begun < 3
        assert is_closed(silent)


@pytest.mark.parametrize(("limit", "act"), [row[1:] for row in DEADLINES], ids=[row[0] for row in DEADLINES])
def test_deadlines_are_the_same_with_tls(limit: str, act: Act, authority: Authority, tls: Tls) -> None:
    def handler(request: Request) -> Response:
        def drops() -> Iterator[bytes]:
            for _ in range(500):
                yield b"x"
                time.sleep(0.01)

        bodies = {"/large": b"x" * 16_000_000, "/drops": drops()}
        return Response(200, (), bodies.get(request.path, b""))

    limits = Limits(**(dict.fromkeys(SECONDS, 60.0) | {limit: 0.4}))  # type: ignore[arg-type]
    with serving(tls, handler, limits) as server, secured(server, client_context(authority), 4096) as client:
        begun = time.monotonic()

        def gone() -> bool:
            return len(server._connections) == 0

        act(client, gone)
        assert eventually(gone)
        assert time.monotonic() - begun > 0.3


def test_stop_is_immediate_during_handshakes_and_responses(authority: Authority, tls: Tls) -> None:
    def handler(_request: Request) -> Response:
        return Response(200, (), b"x" * 16_000_000)

    with serving(tls, handler) as server, connect(server), secured(server, client_context(authority), 4096) as client:
        client.sendall(GOOD)
        assert client.recv(1)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 2
        with pytest.raises(OSError, match=r"EOF|reset"):
            rest(client)


def test_every_connection_uses_the_current_tls_settings(authority: Authority, ours: Pair, tls: Tls) -> None:
    now: list[Tls | None] = [tls]
    server = Server(["127.0.0.1:0"], echo, PATIENT, lambda: now[0])
    server.start()
    try:
        assert fetch_status(server, client_context(authority)) == 200
        now[0] = None
        assert b" 200 " in exchange(server, LAST)
        renewed = authority.sign("renewed", "localhost")
        assert renewed.number != ours.number
        now[0] = Tls(server_context(renewed))
        with secured(server, client_context(authority)) as client:
            shown = client.getpeercert()
            assert shown is not None
            assert int(str(shown["serialNumber"]), 16) == renewed.number
    finally:
        server.stop()


NAMES = [
    ("a DNS name", "scraper.example", "scraper.example"),
    ("one of several", "b.example", "a.example b.example"),
    ("an IPv4 address", "192.0.2.1", "192.0.2.1"),
    ("an IPv6 address", "2001:db8::1", "2001:db8:0:0:0:0:0:1"),
    ("an e-mail address", "ops@example.org", "ops@example.org"),
    ("a URI", "spiffe://example.org/prometheus", "spiffe://example.org/prometheus"),
]


@pytest.mark.parametrize(("allowed", "borne"), [row[1:] for row in NAMES], ids=[row[0] for row in NAMES])
def test_client_certificate_for_an_allowed_name_is_accepted(
    authority: Authority, ours: Pair, allowed: str, borne: str
) -> None:
    tls = Tls(server_context(ours, authority.cert), frozenset({allowed, "other.example"}))
    with serving(tls) as server:
        assert fetch_status(server, client_context(authority, authority.sign("client", *borne.split()))) == 200


@pytest.mark.parametrize(
    "borne",
    ["scraper.example.org", "*.example", "https://scraper.example/", "", "192.0.2.1"],
)
def test_client_certificate_for_another_name_gets_no_response(authority: Authority, ours: Pair, borne: str) -> None:
    tls = Tls(server_context(ours, authority.cert), frozenset({"scraper.example"}))
    client = authority.sign("client", *borne.split())
    with serving(tls) as server, secured(server, client_context(authority, client)) as client_socket:
        client_socket.sendall(LAST)
        with pytest.raises(ssl.SSLEOFError):  # no close_notify: the response does not look complete
            rest(client_socket)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_session_keeps_the_client_certificate(
    authority: Authority, ours: Pair, version: ssl.TLSVersion
) -> None:
    tls = Tls(server_context(ours, authority.cert), frozenset({"scraper.example"}))
    context = client_context(authority, authority.sign("client", "scraper.example"))
    context.maximum_version = version
    with serving(tls) as server:
        with secured(server, context) as client:
            client.sendall(LAST)
            assert next_response(client).status == 200
            session = client.session
        with (
            connect(server) as raw,
            context.wrap_socket(raw, server_hostname="localhost", session=session) as client,
        ):
            client.sendall(LAST)
            assert client.session_reused
            assert next_response(client).status == 200


def test_client_certificate_must_be_trusted_and_valid(tmp_path: Path, authority: Authority, ours: Pair) -> None:
    tls = Tls(server_context(ours, authority.cert))
    refused = {
        "unknown ca": Authority(tmp_path, "a stranger").sign("stranger", "localhost"),
        "certificate expired": authority.sign("late", "localhost", expired=True),
        "certificate required": None,
    }
    with serving(tls) as server:
        assert fetch_status(server, client_context(authority, authority.sign("client", "localhost"))) == 200
        for alert, pair in refused.items():
            with pytest.raises(ssl.SSLError, match=alert):  # it reaches the client, whose request is still unread
                fetch_status(server, client_context(authority, pair))


@pytest.mark.parametrize("program", ["openssl", "curl"])
def test_openssl_and_curl_can_connect(program: str, authority: Authority, ours: Pair) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    client = authority.sign("client", "localhost")
    with serving(Tls(server_context(ours, authority.cert))) as server:
        port = port_of(server)
        commands = {
            "openssl": f"s_client -connect 127.0.0.1:{port} -servername localhost -quiet -verify_quiet -CAfile",
            "curl": f"https://localhost:{port}/good --silent --show-error --cacert",
        }
        files = [authority.cert, "-cert" if program == "openssl" else "--cert", client.cert]
        files += ["-key" if program == "openssl" else "--key", client.key]
        arguments = [program, *commands[program].split(), *files]
        done = subprocess.run(arguments, input=LAST, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"GET /good? ;")

"""The HTTP server over real sockets: limits, deadlines, errors."""

from __future__ import annotations

import contextlib
import errno
import gc
import math
import os
import resource
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest
import structlog.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sockets import (
    DEADLINES,
    GOOD,
    LAST,
    PATIENCE,
    QUICK,
    Act,
    connect,
    descriptors,
    echo,
    eventually,
    exchange,
    fetch,
    is_closed,
    next_response,
    nothing_leaks,
    port_of,
    post,
    rest,
    serving,
    still_responds,
)

from exporter.httpd import Headers, Limits, ListenError, Request, Response, Server, parse_address
from exporter.httpd.connections import Connection
from exporter.httpd.server import _Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["nothing_leaks"]  # a fixture

# --- addresses -------------------------------------------------------------------------------------------

ADDRESSES = [
    ("localhost:9100", "localhost", 9100),
    ("192.0.2.1:80", "192.0.2.1", 80),
    (":10717", "", 10717),
    (":0", "", 0),
    ("[::1]:10717", "::1", 10717),
    ("[::]:65535", "::", 65535),
    ("a-b.example_1:1", "a-b.example_1", 1),
]
NO_ADDRESSES = [
    ("", "expected host:port"),
    ("10717", "expected host:port"),
    ("host", "expected host:port"),
    ("host:", "expected host:port"),
    ("host:http", "expected host:port"),
    ("host:-1", "expected host:port"),
    ("host:٣", "expected host:port"),
    ("::1:80", "expected host:port"),
    ("[::1]", "expected host:port"),
    ("http://host:80", "expected host:port"),
    ("ho st:80", "expected host:port"),
    ("host:80\n", "expected host:port"),
    ("host:65536", "above 65535"),
    ("[localhost]:80", "no IPv6 address"),
    ("[]:80", "no IPv6 address"),
]


@pytest.mark.parametrize(("text", "host", "port"), ADDRESSES)
def test_address_is_parsed_and_formatted_unchanged(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(("text", "message"), NO_ADDRESSES)
def test_malformed_address_is_named_in_its_error(text: str, message: str) -> None:
    with pytest.raises(ListenError, match=message) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
def test_a_port_alone_is_served_over_ipv4_and_ipv6() -> None:
    with serving(address=":0") as server:
        assert server.addresses[0].startswith("[::]:")
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port_of(server)), PATIENCE) as client:
                client.sendall(LAST)
                assert next_response(client).status == 200


@needs_ipv6
def test_an_ipv6_address_is_served_and_shown_in_brackets() -> None:
    with serving(address="[::1]:0") as server:
        assert server.addresses[0].startswith("[::1]:")
        with socket.create_connection(("::1", port_of(server)), PATIENCE) as client:
            client.sendall(LAST)
            assert next_response(client).status == 200


@pytest.mark.parametrize("missing", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_a_port_alone_is_served_over_ipv4(missing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bind = _Listener.server_bind

    def without_ipv6(listener: _Listener) -> None:
        if listener.address_family == socket.AF_INET6:
            raise OSError(missing, "no IPv6 here")
        bind(listener)

    monkeypatch.setattr(_Listener, "server_bind", without_ipv6)
    with serving(address=":0") as server:
        assert server.addresses[0].startswith("0.0.0.0:")
        assert still_responds(server)


def test_host_name_is_resolved() -> None:
    with serving(address="localhost:0") as server:
        assert server.addresses[0].startswith("127.0.0.1:")
        assert still_responds(server)


def test_every_address_of_a_server_is_served() -> None:
    server = Server(["127.0.0.1:0", "127.0.0.1:0", "localhost:0"], echo)
    server.start()
    try:
        assert len(set(server.addresses)) == 3
        for text in server.addresses:
            with socket.create_connection(("127.0.0.1", parse_address(text).port), PATIENCE) as client:
                client.sendall(LAST)
                assert next_response(client).status == 200
    finally:
        server.stop()


def test_address_in_use_is_named_and_bound_ones_are_released() -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        with pytest.raises(ListenError, match=f"^cannot listen on 127.0.0.1:{port}: .* already in use$"):
            Server(["127.0.0.1:0", f"127.0.0.1:{port}"], echo)


UNUSABLE_ADDRESSES = [
    (["192.0.2.1:0"], "not an address of this machine"),
    (["no-such-host.invalid:0"], "unknown host"),
    (["127.0.0.1:0", "nonsense"], "expected host:port"),
    ([], "no listen address"),
]


@pytest.mark.parametrize(("texts", "message"), UNUSABLE_ADDRESSES)
def test_unusable_address_is_a_clear_error(texts: list[str], message: str) -> None:
    with pytest.raises(ListenError, match=message):
        Server(texts, echo)


# --- requests that are answered --------------------------------------------------------------------------


ACCEPTED = [
    (b"GET /a%20b?c=%3F&d=?e HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /a%20b?c=%3F&d=?e ;"),
    (b"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", b"BREW /pot? ;"),
    (b"M-SEARCH!#$ / HTTP/1.1\r\nHost: h\r\n\r\n", b"M-SEARCH!#$ /? ;"),
    (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", b"OPTIONS *? ;"),
    (b"GET http://h:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /a?b ;"),
    (b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", b"GET /? ;"),
    (b"GET //elsewhere HTTP/1.1\r\nHost: h\r\n\r\n", b"GET //elsewhere? ;"),
    (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"POST /? abc;"),
    (b"GET / HTTP/1.1\r\nHost: h\r\nX-Name: a\r\n folded\r\n\r\n", b"GET /? ;"),
    (post(b"Content-Length: 2, 2") + b"ab", b"POST /<script>? ab;"),
    (b"GET /bare HTTP/1.1\nHost: h\n\n", b"GET /bare? ;"),
    (b"GET /next HTTP/1.2\r\nHost: h\r\n\r\n", b"GET /next? ;"),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", b"POST /? abc;"),
    (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"POST /? abc;"),
    (b"PUT / HTTP/1.1\r\nHOST: h\r\ncontent-LENGTH: 0002\r\n\r\nab", b"PUT /? ab;"),
    (b"GET / HTTP/1.1\r\nHost:\r\nX-Odd: \xe9\t \r\n\r\n", b"GET /? ;"),
]


@pytest.mark.parametrize(("sent", "expected"), ACCEPTED)
def test_handler_gets_the_request_and_the_connection_stays_open(sent: bytes, expected: bytes) -> None:
    with serving() as server, connect(server) as client:
        for _ in range(2):
            client.sendall(sent)
            answer = next_response(client)
            assert (answer.status, answer.body) == (200, expected)
            assert answer.headers["Content-Length"] == str(len(expected))
            assert answer.headers["Date"].endswith(" GMT")
            assert "Server" not in answer.headers
            assert "Connection" not in answer.headers


CLOSING = [
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, Close\r\n\r\n",
]


@pytest.mark.parametrize("sent", CLOSING)
def test_connection_is_closed_after_the_response_on_request(sent: bytes) -> None:
    """The client sends Connection: close or HTTP/1.0."""
    with serving() as server:
        received = exchange(server, sent)
    assert received.endswith(b"\r\n\r\nGET /? ;")
    assert b"\r\nConnection: close\r\n" in received


def test_request_headers_ignore_case_and_are_joined() -> None:
    def respond(request: Request) -> Response:
        return Response(200, (), f"{request.headers['x-ONE']}|{request.headers.get('none')}".encode())

    with serving(respond) as server:
        sent = b"GET / HTTP/1.1\r\nHost: h\r\nX-One:  a \r\nx-one: b\r\nConnection: close\r\n\r\n"
        assert fetch(server, sent).body == b"a, b|None"


def test_headers_are_a_read_only_mapping() -> None:
    headers = Headers([("A", "1"), ("b", "2")])
    assert (dict(headers), len(headers)) == ({"a": "1", "b": "2"}, 2)
    assert not hasattr(headers, "__setitem__")


def test_repr_of_a_request_shows_no_secret() -> None:
    request = Request("GET", "/", "token=hush", Headers([("Authorization", "hush")]), b"hush")
    assert "hush" not in repr(request)


def test_head_gets_the_headers_of_get_and_no_body() -> None:
    with serving() as server, connect(server) as client:
        client.sendall(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + LAST)
        received = rest(client)
    first, second, body = received.split(b"\r\n\r\n")
    assert b"\r\nContent-Length: 10" in first
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"GET /good? ;"


def test_pipelined_requests_are_answered_in_order() -> None:
    requests = [f"GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for number in range(100)]
    with serving() as server:
        received = exchange(server, b"".join(requests) + LAST)
    answers = [part.split(b"HTTP/1.1")[0] for part in received.split(b"\r\n\r\n")[1:]]
    assert answers == [*(f"GET /{number}? ;".encode() for number in range(100)), b"GET /good? ;"]


def test_a_get_with_a_body_does_not_shift_the_next_request() -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
    sent = b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(hidden), hidden)
    with serving() as server:
        received = exchange(server, sent + LAST)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"GET /a? " + hidden + b";HTTP/1.1" in received


def test_client_expecting_100_continue_gets_it_before_its_body() -> None:
    with serving() as server, connect(server) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ok")
        assert next_response(client).body == b"POST /? ok;"


def test_too_large_body_is_rejected_instead_of_100_continue() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n"
    with serving() as server:
        assert exchange(server, head).startswith(b"HTTP/1.1 413 ")


def test_head_and_body_may_arrive_byte_by_byte() -> None:
    with serving() as server, connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc":
            client.send(bytes([byte]))
            time.sleep(0.0005)
        assert next_response(client).body == b"POST /? abc;"


# --- requests that are refused ---------------------------------------------------------------------------


REFUSED = [
    ("HTTP/0.9", b"GET /<script>\r\n", 400),
    ("HTTP/0.9 with another method", b"POST /<script>\r\n", 400),
    ("garbage", b"\x00\xff<script>\xfe\r\n", 400),
    ("a TLS hello and a line end", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400),
    ("no target", b"GET  HTTP/1.1\r\n", 400),
    ("two spaces", b"GET  /<script> HTTP/1.1\r\n", 400),
    ("a target with a space", b"GET /<script> x HTTP/1.1\r\n", 400),
    ("a target with a control character", b"GET /<script>\x01 HTTP/1.1\r\n", 400),
    ("a target that is not ASCII", b"GET /<script>\xe9 HTTP/1.1\r\n", 400),
    ("no method token", b"G(T /<script> HTTP/1.1\r\n", 400),
    ("nonsense for a version", b"GET /<script> HTTP/one\r\n", 400),
    ("two digits for a version", b"GET /<script> HTTP/1.10\r\n", 400),
    ("a lower-case version", b"GET /<script> http/1.1\r\n", 400),
    ("HTTP/9.9", b"GET /<script> HTTP/9.9\r\n", 505),
    ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("no Host", b"GET /<script> HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", 400),
    ("a signed length", post(b"Content-Length: +5"), 400),
    ("a negative length", post(b"Content-Length: -5"), 400),
    ("a hexadecimal length", post(b"Content-Length: 0x5"), 400),
    ("a length with an underscore", post(b"Content-Length: 1_0"), 400),
    ("a length in other digits", post(b"Content-Length: \xb2"), 400),
    ("an empty length", post(b"Content-Length:"), 400),
    ("differing lengths", post(b"Content-Length: 5", b"Content-Length: 6"), 400),
    ("a length and a coding", post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    ("a coding and a length", post(b"Transfer-Encoding: chunked", b"Content-Length: 0"), 400),
    ("a space before the colon", post(b"X-Name : <script>"), 400),
    ("a length with a space before the colon", post(b"Content-Length : 5"), 400),
    ("no colon", post(b"<script>"), 400),
    ("no name", post(b": <script>"), 400),
    ("a null in a value", post(b"X-Name: <script>\x00"), 400),
    ("a bare carriage return", post(b"X-Name: a\rContent-Length: 5"), 400),
    ("a body above the limit", post(b"Content-Length: 1048577"), 413),
    ("a length of 5000 digits", post(b"Content-Length: " + b"9" * 5000), 400),
    ("a 70 kB request line", b"GET /<script>" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
    ("a request line without end", b"a" * 33_000, 431),
    ("an empty line for a request line", b"\r\n", 400),
    ("a 50 kB header", post(b"X-Name: " + b"a" * 50_000), 431),
    ("1 MiB of headers", post(*[b"X-Name: <script>" + b"a" * 84] * 10_400), 431),
    ("20,000 small headers", post(*[b"a:"] * 20_000), 431),
]


def test_table_of_rejected_requests_is_complete() -> None:
    assert len(REFUSED) == len({name for name, _, _ in REFUSED}) == 41


@pytest.mark.parametrize(("sent", "status"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_rejected_request_gets_a_plain_error_and_is_closed(
    sent: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    handled: list[Request] = []

    def count(request: Request) -> Response:
        handled.append(request)
        return echo(request)

    with serving(count) as server:
        request = sent if b"\r\n\r\n" in sent or len(sent) > 100 else sent + b"\r\n"
        head, body = exchange(server, request).split(b"\r\n\r\n")
        assert not handled
        assert still_responds(server)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in head
    assert b"\r\nConnection: close" in head
    assert b"Server:" not in head
    assert b"script" not in head + body
    assert body.endswith(b"\n")
    assert len(body) < 100
    assert capfd.readouterr() == ("", "")


def test_data_after_a_rejected_request_is_not_parsed() -> None:
    with serving() as server:
        received = exchange(server, b"GET / HTTP/1.1\r\n\r\n" + GOOD)
    assert received.count(b"HTTP/1.1") == 1


def test_sender_of_a_rejected_body_still_reads_the_response() -> None:
    body = b"x" * 5_000_000
    with serving() as server:
        received = exchange(server, post(b"Content-Length: %d" % len(body)) + body)
    assert received.startswith(b"HTTP/1.1 413 ")


# --- deadlines -------------------------------------------------------------------------------------------


def test_table_of_deadlines_is_complete() -> None:
    assert {row[1] for row in DEADLINES} == {name for name in Limits.__slots__ if name.endswith("_seconds")}


@pytest.mark.parametrize(("limit", "act"), [row[1:] for row in DEADLINES], ids=[row[0] for row in DEADLINES])
def test_slow_client_is_disconnected_at_its_deadline(
    limit: str, act: Act, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[Connection, float]] = []
    set_deadline = Connection.set_deadline

    def record(connection: Connection, seconds: float = math.inf) -> None:
        recorded.append((connection, seconds))
        set_deadline(connection, seconds)

    monkeypatch.setattr(Connection, "set_deadline", record)
    large = b"x" * 16_000_000

    def drops() -> Iterator[bytes]:
        for _ in range(500):
            yield b""
            yield b"x"
            time.sleep(0.01)

    def handler(request: Request) -> Response:
        bodies = {"/large": large, "/drops": drops()}
        return Response(200, (), bodies.get(request.path, b""))

    seconds = dict.fromkeys((name for name in Limits.__slots__ if name.endswith("_seconds")), 60.0)
    limits = Limits(**(seconds | {limit: 0.3}))  # type: ignore[arg-type]
    with serving(handler, limits) as server, connect(server, window=4096) as client:
        begun = time.monotonic()
        assert eventually(lambda: len(server._connections) == 1)
        (connection,) = server._connections._open.values()

        def gone() -> bool:
            return len(server._connections) == 0

        act(client, gone)
        assert eventually(gone)
        took = time.monotonic() - begun
        with contextlib.suppress(ConnectionResetError):
            rest(client)
        assert still_responds(server)
    assert took > 0.25
    # Other servers of this process, such as the dashboard's exporters, serve requests at the same time.
    deadlines = {seconds for each, seconds in recorded if each is connection}
    assert 0.3 in deadlines
    assert deadlines <= {0.3, 60.0, math.inf}, "the limits themselves"
    assert capfd.readouterr() == ("", "")


def test_client_is_disconnected_while_the_response_body_hangs() -> None:
    release = threading.Event()

    def stuck() -> Iterator[bytes]:
        yield b"x"
        release.wait(PATIENCE)

    with serving(lambda _: Response(200, (), stuck()), QUICK) as server, connect(server) as client:
        begun = time.monotonic()
        client.sendall(GOOD)
        assert rest(client).endswith(b"\r\n\r\n1\r\nx\r\n")
        assert time.monotonic() - begun < PATIENCE
        release.set()


def test_deadline_of_the_first_head_counts_from_the_accept() -> None:
    with serving(limits=Limits(header_seconds=1.5)) as server, connect(server) as client:
        begun = time.monotonic()
        time.sleep(1.2)
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert is_closed(client)
        assert time.monotonic() - begun < 2.6


def test_handler_may_take_longer_than_any_client_deadline() -> None:
    def slow(_: Request) -> Response:
        time.sleep(0.7)
        return Response(200)

    with serving(slow, QUICK) as server:
        assert still_responds(server)


def test_deadlines_restart_with_each_request() -> None:
    with serving(limits=QUICK) as server, connect(server) as client:
        for _ in range(6):
            client.sendall(GOOD)
            assert next_response(client).status == 200
            time.sleep(0.15)


def test_deadlines_are_checked_at_a_tenth_of_the_shortest() -> None:
    """They are checked at least once per second."""
    assert Limits().tick == 1.0
    assert Limits(write_seconds=2.0).tick == pytest.approx(0.2)


# --- the limit of connections
# ---------------------------------------------------------------------------------------------

EVICTIONS = [
    (("silent", "half", "idle"), 0),
    (("half", "silent", "busy"), 0),
    (("idle", "busy", "silent"), 0),
    (("busy", "silent", "half"), 1),
    (("busy", "half", "idle"), 1),
    (("busy", "busy", "idle"), 2),
    (("busy", "busy", "busy"), 0),
]


@pytest.mark.parametrize(("states", "victim"), EVICTIONS)
def test_oldest_incomplete_connection_is_closed_at_the_cap(states: tuple[str, ...], victim: int) -> None:
    """The newest connection is never closed."""
    entered, release = [], threading.Event()

    def handler(request: Request) -> Response:
        if request.path == "/hang":
            entered.append(request)
            release.wait(PATIENCE)
        return Response(200)

    sent = {"silent": b"", "half": b"GET / HTTP/1.1\r\n", "idle": GOOD}
    limits = Limits(connections=len(states))
    with serving(handler, limits) as server, contextlib.ExitStack() as stack:
        stack.callback(release.set)
        clients = []
        for state in states:
            client = stack.enter_context(connect(server))
            clients.append(client)
            client.sendall(sent.get(state, b"GET /hang HTTP/1.1\r\nHost: h\r\n\r\n"))
            if state == "idle":
                assert next_response(client).status == 200
        waiting = sum(state != "busy" for state in states)
        assert eventually(lambda: len(entered) == len(states) - waiting)
        assert eventually(lambda: sum(known.request is None for known in server._connections._open.values()) == waiting)
        assert still_responds(server)
        assert [is_closed(client, 0.05) for client in clients] == [number == victim for number in range(len(states))]


def test_flood_of_connections_is_limited_to_the_cap() -> None:
    with serving(limits=Limits(connections=20)) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(100)]
        assert still_responds(server)
        assert eventually(lambda: len(server._connections) <= 20)
        assert is_closed(clients[0])
        assert not is_closed(clients[-1], 0.05)


# --- many clients ----------------------------------------------------------------------------------------------


def test_400_incomplete_requests_do_not_delay_a_response() -> None:
    """Half of the clients send nothing, half a part of a head."""
    with serving() as server, contextlib.ExitStack() as stack:
        for sent in [b"", b"GET / HTTP/1.1\r\nX"] * 200:
            stack.enter_context(connect(server)).sendall(sent)
        assert eventually(lambda: len(server._connections) == 400)
        assert still_responds(server)


def test_clients_that_do_not_read_do_not_delay_a_response() -> None:
    """They are disconnected at the deadline."""
    large = b"x" * 16_000_000

    def handler(request: Request) -> Response:
        return Response(200, (), large if request.path == "/large" else b"")

    with serving(handler, QUICK) as server, contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(connect(server, window=4096))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
        assert still_responds(server)
        assert eventually(lambda: len(server._connections) == 0)


RESETS = [b"", b"GET / HT", GOOD, b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n", b"G\r\n"]


def test_resets_at_every_stage_log_nothing_and_leak_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    large = b"x" * 4_000_000

    def handler(request: Request) -> Response:
        return Response(200, (), large if request.path == "/large" else b"")

    with serving(handler) as server:
        for sent in RESETS * 100:
            with connect(server) as client:
                client.sendall(sent)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert still_responds(server)
        assert eventually(lambda: len(server._connections) == 0)
    assert capfd.readouterr() == ("", "")


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    gc.collect()  # or it frees descriptors meanwhile
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone, no paths
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        with contextlib.ExitStack() as hoard:
            with contextlib.suppress(OSError):
                while True:
                    hoard.enter_context(socket.socket())
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_missing_descriptors_cause_no_busy_loop_and_one_message() -> None:
    """Waiting clients are answered once descriptors are free."""
    with serving() as server, contextlib.ExitStack() as stack, structlog.testing.capture_logs() as logs:
        clients = [stack.enter_context(socket.socket()) for _ in range(3)]
        with no_descriptor_left():
            spent = time.process_time()
            for client in clients:
                client.settimeout(PATIENCE)
                client.connect(("127.0.0.1", port_of(server)))
                client.sendall(LAST)
            time.sleep(0.6)
            spent = time.process_time() - spent
        assert all(next_response(client).status == 200 for client in clients)
    assert spent < 0.2
    assert [entry["event"] for entry in logs] == ["connection accept failed"]


def test_idle_connection_is_closed_if_descriptors_run_out() -> None:
    with serving() as server, connect(server) as silent, socket.socket() as client:
        assert eventually(lambda: len(server._connections) == 1)
        with no_descriptor_left(), structlog.testing.capture_logs():
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port_of(server)))
            client.sendall(LAST)
            assert next_response(client).status == 200
            assert is_closed(silent)


# --- answers ---------------------------------------------------------------------------------------------

BODY = (b"one ", b"", b"two")
CHUNKS = list(BODY)
ENDS = [
    ("bytes", Response(200, (), b"one two"), b"\r\n\r\none two", True),
    ("bytes and Connection: close", Response(200, (("Connection", "close"),), b"one two"), b"\r\n\r\none two", False),
    ("chunks", Response(200, (), CHUNKS), b"\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n", True),
    ("chunks with their length", Response(200, (("Content-Length", "7"),), CHUNKS), b"\r\n\r\none two", True),
    ("chunks that are all there", Response(200, (), BODY), b"\r\nContent-Length: 7\r\n\r\none two", True),
]


@pytest.mark.parametrize(("response", "end", "stays"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_connection_stays_open_unless_the_response_closes_it(response: Response, end: bytes, stays: bool) -> None:
    with serving(lambda _: response) as server, connect(server) as client:
        client.sendall(GOOD)
        received = b""
        while not received.endswith(end):
            received += client.recv(65536)
        client.settimeout(0.1)
        assert is_closed(client, 0.1) is not stays


def test_body_shorter_than_its_content_length_is_reset() -> None:
    short = Response(200, (("Content-Length", "9"),), CHUNKS)
    with serving(lambda _: short) as server, structlog.testing.capture_logs() as logs:
        with pytest.raises(ConnectionResetError):
            exchange(server, GOOD)
        assert eventually(lambda: len(logs) == 1)


BODILESS = [204, 304]


@pytest.mark.parametrize("status", BODILESS)
def test_bodiless_status_is_sent_without_a_body(status: int) -> None:
    with serving(lambda _: Response(status, (), b"not sent")) as server:
        received = exchange(server, LAST)
    assert received.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in received


def test_status_without_a_reason_phrase_is_sent() -> None:
    with serving(lambda _: Response(299)) as server:
        assert exchange(server, LAST).startswith(b"HTTP/1.1 299 \r\n")


RAW = [b"", b"garbage", (b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 99\r\n\r\nshort")]


@pytest.mark.parametrize("body", RAW)
def test_raw_response_is_sent_unchanged_and_closes(body: bytes | tuple[bytes, ...]) -> None:
    with serving(lambda _: Response(0, (("not", "sent"),), body, raw=True)) as server:
        assert exchange(server, GOOD) == (body if isinstance(body, bytes) else b"".join(body))


def test_chunks_are_sent_while_the_body_is_generated() -> None:
    release = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"early"
        release.wait(PATIENCE)
        yield b"late"

    with serving(lambda _: Response(200, (), chunks())) as server, connect(server) as client:
        client.sendall(GOOD)
        received = b""
        while not received.endswith(b"early\r\n"):
            received += client.recv(65536)
        release.set()
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += client.recv(65536)
        assert b"late" in received


def test_body_iterator_is_closed_when_the_client_disconnects() -> None:
    closed = threading.Event()

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    with serving(lambda _: Response(200, (), chunks())) as server:
        with connect(server) as client:
            client.sendall(GOOD)
            client.recv(10)
        assert closed.wait(PATIENCE)


NO_HEADERS = [
    ("A", "b\r\nC: d"),
    ("A", "b\nc"),
    ("A\r\nB", "c"),
    ("", "a"),
    ("A b", "c"),
    ("A", "小"),
    ("A", "\0"),
]


@pytest.mark.parametrize("header", NO_HEADERS)
def test_invalid_response_header_is_an_error_of_the_handler(header: tuple[str, str]) -> None:
    with serving(lambda _: Response(200, (header,))) as server, structlog.testing.capture_logs() as logs:
        assert exchange(server, GOOD).startswith(b"HTTP/1.1 500 ")
    assert [entry["event"] for entry in logs] == ["request failed"]


# --- handlers that fail ----------------------------------------------------------------------------------


def fail_with(error: Exception) -> Callable[[Request], Response]:
    def handler(request: Request) -> Response:
        if request.path == "/good":
            return Response(200)
        raise error

    return handler


FAILURES = [
    ValueError("a bug"),
    OSError(errno.ENOENT, "a bug"),
    TimeoutError("a bug"),
    BrokenPipeError("a bug"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_handler_error_is_a_500_logged_without_the_query(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(fail_with(error)) as server, structlog.testing.capture_logs() as logs:
        received = exchange(server, b"GET /bad?token=hush HTTP/1.1\r\nHost: h\r\nCookie: hush\r\n\r\n")
        assert still_responds(server)
    assert received.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert received.endswith(b"\r\n\r\ninternal error, see the log of the exporter\n")
    assert b"\r\nConnection: close\r\n" in received
    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("request failed", "error")
    assert (entry["method"], entry["path"], entry["exc_info"]) == ("GET", "/bad", error)
    assert "hush" not in repr(entry)
    assert capfd.readouterr() == ("", "")


def test_same_error_is_logged_once_a_minute_and_another_at_once() -> None:
    def handler(request: Request) -> Response:
        if request.path == "/a":
            raise ValueError(request.path)
        raise ValueError(request.path)

    with serving(handler) as server, structlog.testing.capture_logs() as logs:
        for path in (b"/a", b"/a", b"/b", b"/a", b"/b"):
            assert fetch(server, b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path).status == 500
        assert eventually(lambda: len(logs) == 2)
    assert [entry["path"] for entry in logs] == ["/a", "/b"]


def test_failing_log_does_not_change_the_response(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def log(self, *_: object, **__: object) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("exporter.httpd.server._log", Broken())
    with serving(fail_with(ValueError("a bug"))) as server:
        assert exchange(server, b"GET /bad HTTP/1.1\r\nHost: h\r\n\r\n").startswith(b"HTTP/1.1 500 ")
        assert still_responds(server)


def cannot_start(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def dies_before_it_begins(*_: object) -> None:
    """If memory is short when a thread starts, no error reports that it never ran."""


@pytest.mark.parametrize(("start", "logged"), [(cannot_start, ["thread start failed"]), (dies_before_it_begins, [])])
def test_worker_that_cannot_start_affects_only_its_client(
    monkeypatch: pytest.MonkeyPatch, start: Callable[..., None], logged: list[str]
) -> None:
    """Thread.start() would block the accepting thread forever if a new thread ends before it signals its start."""
    with serving(limits=Limits(header_seconds=0.5)) as server, structlog.testing.capture_logs() as logs:
        before = descriptors()
        with monkeypatch.context() as patched:
            patched.setattr("exporter.httpd.server.start_new_thread", start)
            with connect(server) as client, connect(server) as other:
                assert is_closed(client)
                assert is_closed(other)
        assert still_responds(server)
        assert eventually(lambda: descriptors() <= before)
    assert [entry["event"] for entry in logs] == logged


def test_error_response_to_head_has_no_body() -> None:
    with serving(fail_with(ValueError("a bug"))) as server, structlog.testing.capture_logs():
        received = exchange(server, b"HEAD /bad HTTP/1.1\r\nHost: h\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 500 ")
    assert received.endswith(b"\r\n\r\n")


def test_body_that_fails_half_way_is_logged_and_reset() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("a bug")

    with serving(lambda _: Response(200, (), chunks())) as server, structlog.testing.capture_logs() as logs:
        with connect(server) as client:
            client.sendall(GOOD)
            with pytest.raises(ConnectionResetError):
                rest(client)
        assert eventually(lambda: len(logs) == 1)


# --- stopping --------------------------------------------------------------------------------------------


def test_stop_is_immediate_with_hanging_handlers() -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(_: Request) -> Response:
        entered.set()
        release.wait(PATIENCE)
        return Response(200)

    with serving(hang) as server, connect(server) as silent, connect(server) as active:
        active.sendall(GOOD)
        assert entered.wait(PATIENCE)
        begun = time.monotonic()
        server.stop()
        assert time.monotonic() - begun < 2
        assert is_closed(silent)
        assert is_closed(active)
        with pytest.raises(ConnectionRefusedError):
            connect(server).close()
        release.set()


def test_address_can_be_bound_again_after_stop() -> None:
    with serving() as server, connect(server) as client:
        client.sendall(GOOD)
        assert next_response(client).status == 200
        server.stop()
        with serving(address=server.addresses[0]) as another:
            assert still_responds(another)


def test_stop_before_start_and_twice_is_allowed() -> None:
    server = Server(["127.0.0.1:0"], echo)
    server.stop()
    server.stop()


def test_connection_made_before_the_start_is_answered() -> None:
    server = Server(["127.0.0.1:0"], echo)
    try:
        with connect(server) as client:
            client.sendall(LAST)
            server.start()
            assert next_response(client).status == 200
    finally:
        server.stop()


# --- random input -------------------------------------------------------------------------------------

FRAGMENTS = [
    b"GET",
    b"HEAD",
    b"POST",
    b" ",
    b"/",
    b"?",
    b"*",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
]
FRAGMENTS += [
    b"Host: h\r\n",
    b"Content-Length: ",
    b"7",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
]
FRAGMENTS += [b"Connection: keep-alive\r\n", b":", b"\t", b"\0", b"\xff", GOOD, b"GET / HTTP/1.1\r\nHost: h\r\n"]
ANYTHING = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=40).map(b"".join),
)


def test_no_bytes_make_the_server_raise_or_hang(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:

        @settings(max_examples=300, deadline=None)
        @given(sent=ANYTHING)
        @example(sent=GOOD * 50)
        def prove(sent: bytes) -> None:
            with connect(server) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                received = rest(client)
            assert not received or received.startswith(b"HTTP/1.1 ")
            assert still_responds(server)

        prove()
        assert eventually(lambda: len(server._connections) == 0)
    assert capfd.readouterr() == ("", "")

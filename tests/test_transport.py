from __future__ import annotations

import contextlib
import gc
import inspect
import logging
import select
import socket
import ssl
import subprocess
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from exporter import __version__
from exporter.wechat import transport as transport_module
from exporter.wechat.messages import ApiRequest, ApiResponse, TransportError
from exporter.wechat.transport import MAX_BODY, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN, SECRET, USERINFO = "TOKENMARK", "SECRETMARK", "PROXYMARK"
TIMEOUT = 0.5
BOUND = 2.0  # a machine under load may be late, but not by much
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"x" * 65536


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, stop: threading.Event, seen: list[bytes]) -> None:
        self.sock, self._stop, self._seen = sock, stop, seen

    def request(self) -> bytes:
        got = b""
        while not got.endswith(b"\r\n\r\n" + SECRET.encode()) and not (
            got.endswith(b"\r\n\r\n") and (b"\r\nContent-Length: 0\r\n" in got or got.startswith(b"CONNECT"))
        ):
            if not (chunk := self.sock.recv(65536)):
                raise ConnectionError
            got += chunk
        self._seen.append(got)
        return got

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hang(self) -> None:
        self._stop.wait()

    def repeat(self, data: bytes) -> None:
        while not self._stop.is_set():
            self.send(data)

    def trickle(self, data: bytes) -> None:
        for number in range(10_000):
            self.send(data[number % len(data) :][:1])
            if self._stop.wait(0.05):
                return


class Server:
    """Listen on 127.0.0.1 and run a script for every client."""

    def __init__(self, script: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[bytes] = []
        self.accepted = 0
        self._script, self._tls = script, tls
        self._stop = threading.Event()
        self._socks: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.accepted += 1
                self._socks.append(sock.dup())
                thread = threading.Thread(target=self._play, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _play(self, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                if self._tls:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                self._script(Peer(sock, self._stop, self.seen))
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join()


def call_to(port: int, scheme: str = "http", host: str = "127.0.0.1") -> ApiRequest:
    url = f"{scheme}://{host}:{port}/path"
    return ApiRequest("weekly", "POST", url, (("access_token", TOKEN),), body=SECRET.encode())


def failure(transport: Transport, call: ApiRequest) -> tuple[TransportError, float]:
    begin = time.monotonic()
    with pytest.raises(TransportError) as caught:
        transport.send(call)
    return caught.value, time.monotonic() - begin


def leaks_nothing(error: TransportError, log: str) -> bool:
    text = "".join(traceback.format_exception(error)) + repr(error.args) + repr(error) + log
    chain = (error.__cause__, error.__context__)
    return chain == (None, None) and not any(word in text for word in (TOKEN, SECRET, USERINFO, "/path"))


def good(peer: Peer) -> None:
    while True:
        peer.request()
        peer.send(OK)


def answers(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(data)
        peer.hang()

    return script


def closes_after(data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(data)

    return script


def trickles(head: bytes, data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(head)
        peer.trickle(data)

    return script


def floods(head: bytes, data: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(head)
        peer.repeat(data)

    return script


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NETRC",
    ]
    for name in names:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(Transport(timeout=TIMEOUT, concurrency=4)) as made:
        yield made


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "urllib3.connectionpool"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


@dataclass(frozen=True)
class Hostile:
    name: str
    script: Callable[[Peer], None]
    kind: str
    message: str
    scheme: str = "http"


LATE = "no complete response within 0.5s"
NOT_HTTP = "the response is not valid HTTP"
BROKE_OFF = "the response was cut off"
TOO_LARGE = "the response is larger than 1 MiB"
NO_ANSWER = "the connection was closed without a response"
COMPRESSED = "the response is compressed, which was not requested"
HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = HEAD + b"Content-Length: 9999999\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 99999999\r\n\r\n"
GZIP = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
ECHO = f"POST /path?access_token={TOKEN} {SECRET}\r\n\r\n".encode()
HOSTILE = (
    Hostile("silent after the connect", Peer.hang, "timeout", LATE),
    Hostile("silent after the request", answers(b""), "timeout", LATE),
    Hostile("silent instead of a TLS handshake", Peer.hang, "timeout", LATE, "https"),
    Hostile("trickled TLS handshake", lambda peer: peer.trickle(b"\x16\x03\x03\x40\0"), "timeout", LATE, "https"),
    Hostile("trickled status line", trickles(b"HTTP/1.1 200 ", b"a"), "timeout", LATE),
    Hostile("trickled header", trickles(HEAD, b"A: b\r\n"), "timeout", LATE),
    Hostile("endless interim answers", trickles(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "timeout", LATE),
    Hostile("a flood of interim answers", floods(b"", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"), "timeout", LATE),
    Hostile("only an interim answer", answers(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "timeout", LATE),
    Hostile("another protocol", answers(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "malformed", NOT_HTTP),
    Hostile("trickled body", trickles(LONG, b"x"), "timeout", LATE),
    Hostile("trickled chunks", trickles(CHUNKED, b"1\r\nx\r\n"), "timeout", LATE),
    Hostile("trickled trailer", trickles(CHUNKED + b"0\r\n", b"A: b\r\n"), "timeout", LATE),
    Hostile("trickled body that only a close would end", trickles(HEAD + b"\r\n", b"x"), "timeout", LATE),
    Hostile("trickled HTTP/1.0", trickles(b"HTTP/1.0 200 OK\r\n\r\n", b"x"), "timeout", LATE),
    Hostile("body without an end", floods(HEAD + b"\r\n", LARGE), "malformed", TOO_LARGE),
    Hostile("chunks without an end", floods(CHUNKED, b"10000\r\n" + LARGE + b"\r\n"), "malformed", TOO_LARGE),
    Hostile("body of 95 MiB", floods(MOVED.replace(b"302", b"200"), LARGE), "malformed", TOO_LARGE),
    Hostile("redirect with an endless body", floods(MOVED, LARGE), "malformed", TOO_LARGE),
    Hostile("headers without an end", floods(HEAD, b"A: b\r\n"), "malformed", NOT_HTTP),
    Hostile("one header without an end", floods(HEAD + b"A: ", LARGE), "malformed", NOT_HTTP),
    Hostile("status line without an end", floods(b"HTTP/1.1 200 ", LARGE), "malformed", NOT_HTTP),
    Hostile("garbage", closes_after(b"\0\1\2 hello\r\n\r\n"), "malformed", NOT_HTTP),
    Hostile("an echo of the request", closes_after(ECHO), "malformed", NOT_HTTP),
    Hostile("unknown HTTP version", answers(b"HTTP/7.0 200 OK\r\n\r\n"), "malformed", NOT_HTTP),
    Hostile("two lengths", answers(HEAD + b"Content-Length: 1, 2\r\n\r\nxx"), "malformed", NOT_HTTP),
    Hostile("compressed", answers(GZIP), "malformed", COMPRESSED),
    Hostile("body shorter than promised", closes_after(LONG + b"x"), "connection", BROKE_OFF),
    Hostile("no body though promised", closes_after(LONG), "connection", BROKE_OFF),
    Hostile("chunks that break off", closes_after(CHUNKED + b"5\r\nab"), "connection", BROKE_OFF),
    Hostile("chunk without a size", closes_after(CHUNKED + ECHO), "connection", BROKE_OFF),
    Hostile("closed at once", lambda _: None, "connection", "connection reset by peer"),
    Hostile("closed without a response", closes_after(b""), "connection", NO_ANSWER),
    Hostile("plain HTTP where TLS belongs", lambda p: p.send(OK), "connection", "TLS failed: ", "https"),
)


def test_the_table_of_hostile_servers_is_complete() -> None:
    assert len(HOSTILE) == len({case.name for case in HOSTILE}) == 34


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_hostile_server_ends_within_the_timeout_without_a_leak(
    case: Hostile, debug_log: pytest.LogCaptureFixture
) -> None:
    # On a loaded machine the short timeout would expire before another server is rejected.
    timeout = TIMEOUT if case.kind == "timeout" else 60
    with closing(Transport(timeout=timeout, concurrency=4)) as transport, closing(Server(case.script)) as server:
        error, took = failure(transport, call_to(server.port, case.scheme))
    if case.name == "closed at once":  # whether the request or the end comes first depends on the network
        assert str(error) in {case.message, NO_ANSWER, "broken pipe"}
    else:
        assert str(error).startswith(case.message)
    assert error.kind == case.kind
    assert case.kind != "timeout" or TIMEOUT * 0.9 < took < BOUND
    assert leaks_nothing(error, debug_log.text)
    gc.collect()  # find leaked sockets here, not in a later test


def test_reset_is_a_connection_error(transport: Transport, debug_log: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            sock, _ = listener.accept()
            Peer(sock, threading.Event(), []).request()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            sock.close()

        thread = threading.Thread(target=reset)
        thread.start()
        error, _ = failure(transport, call_to(listener.getsockname()[1]))
        thread.join()
    assert (error.kind, str(error)) == ("connection", "connection reset by peer")
    assert leaks_nothing(error, debug_log.text)


PLAIN = (
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nold", ApiResponse(200, b"old")),
    ("until it closes", b"HTTP/1.1 200 OK\r\n\r\nbody", ApiResponse(200, b"body")),
    ("chunked", CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", ApiResponse(200, b"abc")),
    ("empty", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ApiResponse(200, b"")),
    ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", ApiResponse(204, b"")),
    ("redirect", b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 1\r\n\r\nm", ApiResponse(302, b"m")),
    ("busy", b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n", ApiResponse(503, b"", "120")),
    ("declared as not compressed", HEAD + b"Content-Encoding: Identity\r\n\r\nx", ApiResponse(200, b"x")),
    ("a header that is none", HEAD + b"A: b\r\nno header\r\nContent-Length: 1\r\n\r\nx", ApiResponse(200, b"x")),
    ("as large as allowed", HEAD + b"\r\n" + b"x" * MAX_BODY, ApiResponse(200, b"x" * MAX_BODY)),
)


@pytest.mark.parametrize(("data", "reply"), [case[1:] for case in PLAIN], ids=[case[0] for case in PLAIN])
def test_complete_response_is_returned_without_a_log(
    data: bytes, reply: ApiResponse, transport: Transport, debug_log: pytest.LogCaptureFixture
) -> None:
    with closing(Server(closes_after(data))) as server:
        got = transport.send(call_to(server.port))
        assert server.accepted == 1
    assert got.status == reply.status
    assert got.retry_after == reply.retry_after
    assert reply.body == got.body or reply.body == got.body[:1]  # after a broken header the framing is lost
    assert not debug_log.text


def test_request_has_a_user_agent_and_no_compression(transport: Transport) -> None:
    with closing(Server(good)) as server:
        call = call_to(server.port)
        transport.send(ApiRequest(call.endpoint, "POST", call.url, call.query, (("X-One", "1"),), call.body))
    sent = server.seen[0].decode()
    assert sent.startswith(f"POST /path?access_token={TOKEN} HTTP/1.1\r\n")
    assert f"\r\nUser-Agent: wechat-miniprogram-exporter/{__version__}\r\n" in sent
    assert "\r\nAccept-Encoding: identity\r\n" in sent
    assert "\r\nX-One: 1\r\n" in sent
    assert sent.endswith(f"\r\n\r\n{SECRET}")


def test_one_connection_serves_many_calls(transport: Transport) -> None:
    with closing(Server(good)) as server:
        assert [transport.send(call_to(server.port)).body for _ in range(5)] == [b"ok"] * 5
        assert server.accepted == 1


def test_a_kept_connection_serves_one_owner_alone(transport: Transport) -> None:
    with closing(Server(good)) as server:
        for owner in ("one", "one", "other", "other", "one"):
            assert transport.send(call_to(server.port), owner).body == b"ok"
        assert server.accepted == 3


HOOKS = (
    (transport_module._Response, "_read_status"),  # http.client, through response_class
    (transport_module._Connection, "_new_conn"),  # urllib3, through ConnectionCls; reads _dns_host and socket_options
    (transport_module._Connection, "request"),
    (transport_module._Connection, "is_connected"),
    (transport_module._Pool, "_put_conn"),  # urllib3, through pool_classes_by_scheme
    (transport_module._Adapter, "init_poolmanager"),  # requests
    (transport_module._Adapter, "proxy_manager_for"),
    (transport_module._Session, "get_redirect_target"),
)


@pytest.mark.parametrize(("owner", "hook"), HOOKS, ids=[hook for _, hook in HOOKS])
def test_the_libraries_call_the_hook(owner: type, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport overrides private parts of its libraries; a version that no longer calls one fails this test."""
    calls: list[str] = []
    original = inspect.getattr_static(owner, hook)

    def record_call(*arguments: object, **options: object) -> object:
        calls.append(hook)
        return (original.fget if isinstance(original, property) else original)(*arguments, **options)

    monkeypatch.setattr(owner, hook, property(record_call) if isinstance(original, property) else record_call)
    with closing(Transport(timeout=TIMEOUT, concurrency=1)) as transport, closing(Server(good)) as server:
        for _ in range(2):
            assert transport.send(call_to(server.port)).body == b"ok"
        through(monkeypatch, server.port)
        with contextlib.suppress(TransportError):
            transport.send(call_to(server.port, "https", "elsewhere.test"))
    assert calls, f"{hook} is called no more: see {transport_module.__name__}"


def test_the_attributes_read_by_the_hooks_exist() -> None:
    connection = urllib3.connection.HTTPConnection("localhost")
    missing = [name for name in ("_dns_host", "socket_options", "response_class") if not hasattr(connection, name)]
    assert not missing
    assert hasattr(urllib3.PoolManager(), "pool_classes_by_scheme")
    assert urllib3.connectionpool.HTTPConnectionPool.ConnectionCls is urllib3.connection.HTTPConnection


def test_kept_connections_are_limited_to_the_concurrency() -> None:
    barrier = threading.Barrier(4)

    def together(peer: Peer) -> None:
        while True:
            peer.request()
            barrier.wait()
            peer.send(OK)

    with closing(Transport(timeout=5, concurrency=4)) as transport, closing(Server(together)) as server:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(5):
                assert len(list(pool.map(lambda _: transport.send(call_to(server.port)), range(4)))) == 4
        assert server.accepted == 4


def test_deadline_of_a_call_does_not_affect_the_next_call() -> None:
    """Both use the same connection."""

    def slow(peer: Peer) -> None:
        while True:
            peer.request()
            time.sleep(0.3)
            peer.send(OK)

    with closing(Transport(timeout=TIMEOUT, concurrency=1)) as transport, closing(Server(slow)) as server:
        for _ in range(4):
            assert transport.send(call_to(server.port)).body == b"ok"
        assert server.accepted == 1


def test_connection_that_timed_out_is_not_reused(transport: Transport) -> None:
    def first_late(peer: Peer) -> None:
        while True:
            peer.request()
            if server.accepted == 1:
                peer.hang()
            peer.send(OK)

    with closing(Server(first_late)) as server:
        assert failure(transport, call_to(server.port))[0].kind == "timeout"
        assert transport.send(call_to(server.port)).body == b"ok"
        assert server.accepted == 2


def test_kept_connection_has_a_deadline_like_a_new_one(transport: Transport) -> None:
    def good_then_slow(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        peer.send(LONG)
        peer.trickle(b"x")

    with closing(Server(good_then_slow)) as server:
        assert transport.send(call_to(server.port)).body == b"ok"
        error, took = failure(transport, call_to(server.port))
        assert server.accepted == 1
    assert error.kind == "timeout"
    assert TIMEOUT * 0.9 < took < BOUND


def test_connection_idle_for_too_long_is_not_reused(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    assert transport_module._IDLE_SECONDS == 60
    with closing(Server(good)) as server:
        transport.send(call_to(server.port))
        monkeypatch.setattr(transport_module, "_IDLE_SECONDS", 0.0)
        transport.send(call_to(server.port))
        assert server.accepted == 2


def test_connection_closed_by_the_server_is_not_reused(transport: Transport) -> None:
    with closing(Server(closes_after(OK))) as server:
        for _ in range(3):
            assert transport.send(call_to(server.port)).body == b"ok"
            time.sleep(0.1)
        assert server.accepted == 3


def test_failed_call_is_not_retried(transport: Transport) -> None:
    with closing(Server(closes_after(b""))) as server:
        failure(transport, call_to(server.port))
        time.sleep(0.1)
        assert server.accepted == 1


def test_cookies_are_not_sent_back(transport: Transport) -> None:
    def baker(peer: Peer) -> None:
        while True:
            peer.request()
            peer.send(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n"))

    with closing(Server(baker)) as server:
        transport.send(call_to(server.port))
        transport.send(call_to(server.port))
    assert len(server.seen) == 2
    assert not any(b"\r\nCookie:" in request for request in server.seen)


def test_netrc_is_not_read(transport: Transport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login someone password something\n")
        (tmp_path / name).chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with closing(Server(good)) as server:
        transport.send(call_to(server.port))
    assert b"Authorization" not in server.seen[0]


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Yield a port whose backlog is full, so that a connect hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_connect_without_a_response_ends_at_the_timeout(transport: Transport) -> None:
    with unreachable() as port:
        error, took = failure(transport, call_to(port))
    assert (error.kind, str(error)) == ("timeout", LATE)
    assert TIMEOUT * 0.9 < took < BOUND


def test_all_addresses_of_a_name_share_one_timeout(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with unreachable() as port:
        resolve_to(monkeypatch, *[port] * 8)
        error, took = failure(transport, call_to(port, host="many.example"))
    assert error.kind == "timeout"
    assert TIMEOUT * 0.9 < took < BOUND


def test_unresponsive_address_leaves_time_for_the_next(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with unreachable() as port, closing(Server(good)) as server:
        resolve_to(monkeypatch, port, server.port)
        assert transport.send(call_to(80, host="two.example")).body == b"ok"


def test_name_without_addresses_is_a_connection_error(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    assert failure(transport, call_to(80, host="none.example"))[0].kind == "connection"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


UNSENDABLE = (
    ("http://127.0.0.1:{}/path", "connection refused"),
    ("http://name.invalid:{}/path", "could not resolve host name.invalid"),
    (f"http://{'a' * 70}.example:{{}}/path", f"could not resolve host {'a' * 70}.example"),
    ("http://[::1/path", "the request could not be sent (InvalidURL)"),
    ("ftp://127.0.0.1:{}/path", "the request could not be sent (InvalidSchema)"),
)


@pytest.mark.parametrize(("url", "message"), UNSENDABLE)
def test_unsendable_request_is_a_connection_error_without_a_leak(
    url: str, message: str, transport: Transport, debug_log: pytest.LogCaptureFixture
) -> None:
    call = ApiRequest("weekly", "POST", url.format(free_port()), (("access_token", TOKEN),), body=SECRET.encode())
    error, _ = failure(transport, call)
    assert error.kind == "connection"
    assert str(error).startswith(message)
    assert leaks_nothing(error, debug_log.text)


def test_a_header_that_cannot_be_sent_is_not_quoted(transport: Transport) -> None:
    error, _ = failure(transport, ApiRequest("x", "GET", "http://127.0.0.1:1/path", (), (("A", f"{SECRET}\n"),)))
    assert str(error) == "the request could not be sent (InvalidHeader)"
    assert leaks_nothing(error, "")


def test_exception_handled_by_the_caller_is_not_the_cause(transport: Transport) -> None:
    try:
        raise TimeoutError  # noqa: TRY301 - represents an error that the caller handles
    except TimeoutError:
        with pytest.raises(TransportError, match="connection refused"):
            transport.send(call_to(free_port()))


@dataclass(frozen=True)
class Authority:
    """A self-signed certificate, with the TLS settings of a server."""

    file: str
    tls: ssl.SSLContext


def certify(folder: Path, names: str) -> Authority:
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-subj",
        "/CN=test",
        "-addext",
        f"subjectAltName={names}",
    ]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    return Authority(str(cert), tls)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return certify(tmp_path_factory.mktemp("local"), "IP:127.0.0.1,DNS:localhost")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return certify(tmp_path_factory.mktemp("elsewhere"), "DNS:elsewhere.example")


@contextlib.contextmanager
def trusting(authority: Authority, timeout: float = 2) -> Iterator[Transport]:
    with pytest.MonkeyPatch.context() as patch, closing(Transport(timeout=timeout, concurrency=2)) as transport:
        patch.setenv("REQUESTS_CA_BUNDLE", authority.file)
        yield transport


def test_trusted_server_is_called_over_one_kept_connection(local: Authority) -> None:
    with closing(Server(good, local.tls)) as server, trusting(local) as transport:
        assert [transport.send(call_to(server.port, "https")).body for _ in range(3)] == [b"ok"] * 3
        assert server.accepted == 1


def test_the_trusted_certificates_may_come_from_the_environment(
    local: Authority, monkeypatch: pytest.MonkeyPatch, transport: Transport
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", local.file)
    with closing(Server(good, local.tls)) as server:
        assert transport.send(call_to(server.port, "https")).body == b"ok"


def test_untrusted_certificate_is_rejected(
    local: Authority, transport: Transport, debug_log: pytest.LogCaptureFixture
) -> None:
    with closing(Server(good, local.tls)) as server:
        error, _ = failure(transport, call_to(server.port, "https"))
        assert not server.seen
    assert (error.kind, str(error)) == ("connection", "certificate not accepted: self-signed certificate")
    assert leaks_nothing(error, debug_log.text)


def test_certificate_for_another_host_is_rejected(elsewhere: Authority, debug_log: pytest.LogCaptureFixture) -> None:
    with closing(Server(good, elsewhere.tls)) as server, trusting(elsewhere) as transport:
        error, _ = failure(transport, call_to(server.port, "https", "localhost"))
        assert not server.seen
    assert error.kind == "connection"
    assert str(error).startswith("certificate not accepted: Hostname mismatch")
    assert "localhost" in str(error)
    assert leaks_nothing(error, debug_log.text)


def test_missing_trusted_certificates_are_named_in_the_error(tmp_path: Path, local: Authority) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name, message in (
        ("none.pem", "the CA certificate file does not exist: check REQUESTS_CA_BUNDLE"),
        ("empty.pem", "TLS"),
    ):
        with (
            closing(Server(good, local.tls)) as server,
            closing(Transport(timeout=1, concurrency=1)) as transport,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
            error, _ = failure(transport, call_to(server.port, "https"))
        assert error.kind == "connection"
        assert str(error).startswith(message)


def test_a_body_trickled_over_tls_ends_at_the_timeout(local: Authority) -> None:
    for head in (LONG, HEAD + b"\r\n"):
        with (
            closing(Server(trickles(head, b"x"), local.tls)) as server,
            trusting(local, TIMEOUT) as transport,
        ):
            error, took = failure(transport, call_to(server.port, "https"))
        assert (error.kind, str(error)) == ("timeout", LATE)
        assert TIMEOUT * 0.9 < took < BOUND


def tunnel(peer: Peer) -> None:
    target = peer.request().split()[1].decode()
    host, _, port = target.partition(":")
    with socket.create_connection((host, int(port))) as onward:
        peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        ends = {peer.sock: onward, onward: peer.sock}
        while True:
            for sock in select.select(list(ends), [], [])[0]:
                if not (data := sock.recv(65536)):
                    return
                ends[sock].sendall(data)


def through(monkeypatch: pytest.MonkeyPatch, port: int, scheme: str = "http") -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"{scheme}://{USERINFO}:{USERINFO}@127.0.0.1:{port}")


def test_https_uses_the_proxy_over_one_kept_connection(local: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is set in the environment."""
    with (
        closing(Server(good, local.tls)) as server,
        closing(Server(tunnel)) as proxy,
        trusting(local) as transport,
    ):
        through(monkeypatch, proxy.port)
        assert [transport.send(call_to(server.port, "https")).body for _ in range(3)] == [b"ok"] * 3
        assert (proxy.accepted, server.accepted) == (1, 1)
        transport.close()
    assert TOKEN.encode() not in proxy.seen[0]
    assert b"\r\nProxy-Authorization: Basic " in proxy.seen[0]


def test_proxy_may_use_tls(local: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def relay(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 407 No\r\n\r\n")

    with closing(Server(relay, local.tls)) as proxy, trusting(local) as transport:
        through(monkeypatch, proxy.port, "https")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", local.file)
        error, _ = failure(transport, call_to(1, "https"))
        assert proxy.accepted == 1
    assert error.kind == "connection"


def test_plain_http_to_this_machine_bypasses_the_proxy(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Server(good)) as server, closing(Server(good)) as proxy:
        through(monkeypatch, proxy.port)
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert transport.send(call_to(server.port)).body == b"ok"
        assert (proxy.accepted, server.accepted) == (0, 1)


def test_no_proxy_lists_the_hosts_that_bypass_the_proxy(local: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Server(good, local.tls)) as server, closing(Server(good)) as proxy, trusting(local) as transport:
        through(monkeypatch, proxy.port)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        assert transport.send(call_to(server.port, "https")).body == b"ok"
        assert (proxy.accepted, server.accepted) == (0, 1)


REFUSED = b"HTTP/1.1 407 " + USERINFO.encode() + b"\r\nContent-Length: 0\r\n\r\n"
PROXIES: tuple[tuple[str, Callable[[Peer], None], str, str], ...] = (
    ("refuses", answers(REFUSED), "connection", "the proxy refused: 407 Proxy Authentication Required"),
    ("refuses oddly", answers(b"HTTP/1.1 799 \r\n\r\n"), "connection", "the proxy refused: 799"),
    ("silent", Peer.hang, "timeout", LATE),
    ("silent after CONNECT", answers(b""), "timeout", LATE),
    ("silent after the tunnel", answers(b"HTTP/1.1 200 OK\r\n\r\n"), "timeout", LATE),
    ("trickles headers", trickles(HEAD, b"A: b\r\n"), "timeout", LATE),
    ("garbage", closes_after(b"what?\r\n\r\n"), "malformed", "the response is not valid HTTP"),
)


@pytest.mark.parametrize(("_name", "script", "kind", "message"), PROXIES, ids=[case[0] for case in PROXIES])
def test_hostile_proxy_ends_within_the_timeout_without_a_leak(  # noqa: PLR0913, PLR0917 - a table's columns
    _name: str,
    script: Callable[[Peer], None],
    kind: str,
    message: str,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    debug_log: pytest.LogCaptureFixture,
) -> None:
    with closing(Server(script)) as proxy:
        through(monkeypatch, proxy.port)
        error, took = failure(transport, call_to(1, "https"))
    assert error.kind == kind
    assert message in str(error)
    assert took < BOUND
    assert leaks_nothing(error, debug_log.text)
    gc.collect()  # find leaked sockets here, not in a later test


PROXY_ADDRESSES = (
    ("http://{}@127.0.0.1:{}", "the proxy cannot be used: connection refused"),
    ("http://{}@proxy.invalid:{}", "could not resolve host proxy.invalid"),
    ("socks5h://{}@127.0.0.1:{}", "proxy scheme socks5h not supported: use http or https"),
    ("{}x://127.0.0.1:{}", "proxy scheme not supported: use http or https"),
    ("http://{}@:{}", "the proxy address is invalid"),
)


@pytest.mark.parametrize(("address", "message"), PROXY_ADDRESSES)
def test_unusable_proxy_is_named_without_its_userinfo(
    address: str,
    message: str,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
    debug_log: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address.format(USERINFO, free_port()))
    error, _ = failure(transport, call_to(1, "https"))
    assert (error.kind, str(error)) == ("connection", message)
    assert leaks_nothing(error, debug_log.text)


def test_256_threads_share_one_transport() -> None:
    with closing(Transport(timeout=30, concurrency=256)) as transport, closing(Server(good)) as server:
        with ThreadPoolExecutor(256) as pool:
            replies = list(pool.map(lambda _: transport.send(call_to(server.port)), range(1024)))
        assert {reply.body for reply in replies} == {b"ok"}
        assert len(replies) == 1024
        assert server.accepted <= 256


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def assert_no_more_than(before: tuple[int, int]) -> None:
    """Threads of other tests may end meanwhile, so there may be fewer."""
    after = descriptors(), threading.active_count()
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)


def test_failed_calls_leak_neither_descriptors_nor_threads(local: Authority) -> None:
    before = descriptors(), threading.active_count()
    scripts = [case for case in HOSTILE if case.scheme == "http"]
    with closing(Transport(timeout=0.05, concurrency=2)) as transport:
        for number in range(100):
            case = scripts[number % len(scripts)]
            with closing(Server(case.script)) as server:
                failure(transport, call_to(server.port))
        with closing(Server(good, local.tls)) as server:
            failure(transport, call_to(server.port, "https"))
        transport.close()
        assert_no_more_than(before)


def test_close_releases_kept_connections(local: Authority) -> None:
    before = descriptors(), threading.active_count()
    with (
        closing(Server(good)) as plain,
        closing(Server(good, local.tls)) as secure,
        trusting(local) as transport,
    ):
        transport.send(call_to(plain.port))
        transport.send(call_to(secure.port, "https"))
    assert_no_more_than(before)


HANGING: tuple[tuple[str, Callable[[Peer], None], str], ...] = (
    ("in the TLS handshake", Peer.hang, "https"),
    ("before the answer", answers(b""), "http"),
    ("in the body", trickles(LONG, b"x"), "http"),
    ("in a body that only a close would end", trickles(HEAD + b"\r\n", b"x"), "http"),
)


def closed_while(transport: Transport, call: ApiRequest) -> tuple[TransportError, float]:
    timer = threading.Timer(0.2, transport.close)
    timer.start()
    try:
        return failure(transport, call)
    finally:
        timer.join()


@pytest.mark.parametrize(("_name", "script", "scheme"), HANGING, ids=[case[0] for case in HANGING])
def test_close_ends_a_hanging_call_at_once(
    _name: str,
    script: Callable[[Peer], None],
    scheme: str,
) -> None:
    with closing(Server(script)) as server:
        error, took = closed_while(Transport(timeout=30, concurrency=1), call_to(server.port, scheme))
    assert (error.kind, str(error)) == ("connection", "the exporter is stopping")
    assert took < BOUND


def test_close_ends_a_hanging_connect_at_once() -> None:
    with unreachable() as port:
        error, took = closed_while(Transport(timeout=30, concurrency=1), call_to(port))
    assert (error.kind, str(error)) == ("connection", "the exporter is stopping")
    assert took < BOUND


def test_close_twice_is_allowed_and_later_calls_fail(
    transport: Transport,
) -> None:
    """Close is also allowed before anything was sent."""
    with closing(Server(good)) as server:
        transport.close()
        transport.close()
        error, took = failure(transport, call_to(server.port))
        assert server.accepted == 0
    assert (error.kind, str(error)) == ("connection", "the exporter is stopping")
    assert took < BOUND


def test_urllib3_never_logs_a_token(transport: Transport, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler()
    names = ("", "urllib3", "urllib3.connectionpool", "urllib3.connection", "requests")
    levels: dict[str, Any] = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).addHandler(handler)
        broken_header = HEAD + b"no header\r\nContent-Length: 1\r\n\r\nx"
        with closing(Server(closes_after(broken_header))) as server:
            transport.send(call_to(server.port))
    finally:
        for name in names:
            logging.getLogger(name).setLevel(levels[name])
            logging.getLogger(name).removeHandler(handler)
    assert TOKEN not in capsys.readouterr().err

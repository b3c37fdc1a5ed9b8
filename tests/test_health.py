"""``healthcheck`` against real servers, plain and TLS, correct and broken."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from certificates import Authority

from exporter.cli.flags import parse
from exporter.cli.health import healthcheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate without the server's address, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    pair = Authority(folder).sign("server", "other.example")
    (folder / "both.pem").write_text(pair.key.read_text() + pair.cert.read_text())
    return folder / "both.pem"


def context(certificate: Path, version: ssl.TLSVersion, *, demanding: bool = False) -> ssl.SSLContext:
    """Return the TLS settings of a server; with ``demanding`` it requires a client certificate."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    made.minimum_version = made.maximum_version = version
    if demanding:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(certificate)
    return made


@contextmanager
def serving(status: int, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run an HTTP server that has one response to everything; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, client_address: object) -> None:
            try:
                if tls is not None:
                    request = tls.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
                super().finish_request(request, client_address)  # type: ignore[arg-type]
            except OSError:
                pass  # the client did not use TLS, or had no certificate
            finally:
                request.close()  # type: ignore[attr-defined]

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def sending(text: bytes | None) -> Iterator[int]:
    """Yield a port that sends this text to every client and closes; without one it keeps connections open."""
    held: list[socket.socket] = []

    def answer(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            held.append(client)
            if text is not None:
                client.recv(1024)
                client.sendall(text)
                client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for client in held:
        client.close()


def checked(port: int) -> int:
    return healthcheck(parse(["healthcheck", f"--web.listen-address=127.0.0.1:{port}"]))


OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ALIVE: dict[str, tuple[int, Callable[[Path], ssl.SSLContext] | None]] = {
    "plain 200": (200, None),
    "plain 401": (401, None),
    "plain 503": (503, None),
    "TLS 1.2 200": (200, partial(context, version=OLD)),
    "TLS 1.3 200": (200, partial(context, version=NEW)),
    "TLS 1.3 401": (401, partial(context, version=NEW)),
    "TLS 1.3 503": (503, partial(context, version=NEW)),
    "TLS 1.2 demanding a client certificate": (200, partial(context, version=OLD, demanding=True)),
    "TLS 1.3 demanding a client certificate": (200, partial(context, version=NEW, demanding=True)),
}


@pytest.mark.parametrize("kind", ALIVE)
def test_any_response_is_healthy(kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    status, tls = ALIVE[kind]
    with serving(status, tls and tls(request.getfixturevalue("certificate"))) as port:
        assert [checked(port) for _ in range(5)] == [0] * 5
    assert capsys.readouterr() == ("", "")


DEAD = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
    "binary": bytes(range(256)),
    "closes": b"",
    "half a status line": b"HTTP/1",
}


@pytest.mark.parametrize("text", DEAD.values(), ids=DEAD)
def test_server_without_http_and_tls_is_unhealthy(text: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with sending(text) as port:
        assert checked(port) == 1
    assert capsys.readouterr().err.startswith(f"127.0.0.1:{port}: no response: ")


def test_silent_port_times_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("exporter.cli.health._SECONDS", 0.2)
    with sending(None) as port:
        assert checked(port) == 1
    assert capsys.readouterr().err == f"127.0.0.1:{port}: no response: timed out\n"


def test_tls_without_http_is_unhealthy(certificate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tls = context(certificate, NEW)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):
                client, _ = listener.accept()
                with client:
                    try:
                        with tls.wrap_socket(client, server_side=True) as wrapped:
                            wrapped.recv(1024)
                            wrapped.sendall(b"* OK IMAP4rev1 ready\r\n")
                    except ssl.SSLError:
                        pass  # it used plain HTTP

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        assert checked(port) == 1
        thread.join()
    assert "IMAP4" in capsys.readouterr().err


def test_every_address_must_respond() -> None:
    with serving(200) as port, socket.create_server(("127.0.0.1", 0)) as closed:
        gone = closed.getsockname()[1]
        closed.close()
        one, other = f"--web.listen-address=127.0.0.1:{port}", f"--web.listen-address=127.0.0.1:{gone}"
        assert healthcheck(parse(["healthcheck", one, other])) == 1
        assert healthcheck(parse(["healthcheck", one, one])) == 0

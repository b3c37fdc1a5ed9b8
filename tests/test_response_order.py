from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import requests
from harness import FakeClock, Samples, exposed, served, wired

from exporter.periods import Week
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TUESDAY = 1795485600.0  # Tue 2026-11-24 10:00 Beijing
APPS = tuple(
    SimulatedApp(f"wx{number:016x}", f"secret-of-app-{number}", Audience(1000 * number)) for number in range(1, 5)
)
W47 = Week.from_ref_date("20261116-20261122")
LATE = 0.15  # seconds: the next request has been sent by then


def early_hints(client: BaseHTTPRequestHandler, final: bytes) -> None:
    client.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
    time.sleep(LATE)
    client.wfile.write(final)


def processing(client: BaseHTTPRequestHandler, final: bytes) -> None:
    client.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + final)


def sent_twice(client: BaseHTTPRequestHandler, final: bytes) -> None:
    client.wfile.write(final)
    time.sleep(LATE)
    client.wfile.write(final)


@contextmanager
def proxied(base_url: str, write: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[str]:
    """Run a reverse proxy in front of the simulator that changes responses; yield its address."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            good = requests.post(base_url + self.path, data=body, timeout=5).content
            write(self, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(good), good))

        def log_message(self, *_: object) -> None: ...

        def handle(self) -> None:
            with suppress(OSError):  # the exporter closes a connection that it does not trust
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def exposed_and_right(write: Callable[[BaseHTTPRequestHandler, bytes], None]) -> tuple[Samples, Samples]:
    """Return the exposed visitors of each app after one request each through a proxy, and those of WeChat."""
    clock = FakeClock(TUESDAY)
    with (
        served(APPS, clock) as (wechat, base_url),
        proxied(base_url, write) as address,
        wired(APPS, address, clock, concurrency=1, history_weeks=2, timeout=5.0) as engine,
    ):
        engine.poller.drain()
        right = {
            ("weekly_visitors", app.appid, week.label): wechat.row(app.appid, week)["visit_uv"]
            for app in APPS
            for week in (W47, W47.before())
        }
        return {key: value for key, value in exposed(engine).items() if key[0] == "weekly_visitors"}, right


@pytest.mark.parametrize("write", [early_hints, processing])
def test_interim_responses_are_skipped(write: Callable[[BaseHTTPRequestHandler, bytes], None]) -> None:
    found, right = exposed_and_right(write)
    assert found == {key: value for key, value in right.items() if key[-1] == W47.label}
    assert len({*right.values()}) == len(right)


def test_surplus_response_never_reaches_another_app() -> None:
    """A surplus response may fail its own app, which is retried; another app's figures never come from it."""
    found, right = exposed_and_right(sent_twice)
    assert found
    assert found.items() <= right.items()

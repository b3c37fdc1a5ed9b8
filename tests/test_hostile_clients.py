"""The exporter as a process under attack: it serves scrapes, and afterwards uses as few resources as before."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from certificates import Authority
from footprint import Footprint, at_rest, back_at
from harness import Running, running
from hostile import (
    Target,
    body_on_get,
    busy,
    endless_headers,
    expecting,
    no_records,
    open_ssl,
    pipelined,
    resets,
    waiting,
)
from scale import only_in_soak, scaled

from exporter.httpd import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostile import Attack
    from measured import Measured

APPS, REPORTS = scaled((1700, ["weekly", "daily", "monthly"]), (5000, ["weekly"]))
"""Both have a page of the same size; fewer apps load faster."""
LARGE = 3_000_000
"""Minimum bytes of the page: more than the buffers of a socket whose client does not read."""
WITHIN = scaled(5.0, 1.0)
"""Seconds that a scrape may take during any attack. Prometheus waits ten; other tests may run at the same time."""
SCRAPES = scaled(3, 5)
"""Scrapes during an attack; the median is compared, because the machine may be busy."""
BETWEEN = 0.1
"""Seconds between two of them."""
PEAK = 64.0
"""MiB that the memory may grow by meanwhile: less than sixteen copies of the page."""
LIMITS = Limits()
A_MINUTE = timedelta(seconds=59)
GRACE = 4.0
"""Seconds after a deadline: server and test check once a second."""

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: h\r\nX-Name: "
METRICS = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
BOTH_LENGTHS = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
MIB_OF_HEADERS = b"GET / HTTP/1.1\r\nHost: h\r\n" + (b"X-Name: " + b"a" * 90 + b"\r\n") * 10_486 + b"\r\n"

ATTACKS: dict[str, Attack] = {
    "200 silent connections": waiting(200),
    "200 that send one header byte a second": waiting(200, HALF, drip=b"a"),
    "50 that read one byte a second": waiting(50, METRICS, reads=True),
    "50 that do not read": waiting(50, METRICS),
    "50 that do not read the status page": waiting(50, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    "50 that pipeline and do not read": waiting(50, METRICS * 50),
    "600 silent connections, more than the limit": waiting(600),
    "endless headers": busy(endless_headers),
    "1 MiB of headers": busy(expecting(MIB_OF_HEADERS, b"HTTP/1.1 431 ")),
    "a request line of 70 kB": busy(expecting(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", b"HTTP/1.1 431 ")),
    "garbage": busy(expecting(bytes(range(256)) * 256 + b"\r\n\r\n", b"HTTP/1.1 400 ")),
    "200 requests of HTTP/0.9, which has no headers": waiting(200, b"GET /\r\n"),
    "HTTP/0.9": busy(expecting(b"GET /\r\n\r\n", b"HTTP/1.1 400 ")),
    "HTTP/9.9": busy(expecting(b"GET / HTTP/9.9\r\nHost: h\r\n\r\n", b"HTTP/1.1 505 ")),
    "no Host": busy(expecting(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 ")),
    "a length and a transfer coding": busy(expecting(BOTH_LENGTHS, b"HTTP/1.1 400 ")),
    "a GET with a body": busy(body_on_get),
    "a body of 1 MiB": busy(expecting(POST % 1024**2, b"HTTP/1.1 413 ")),
    "400 that keep the end of a body back": waiting(400, POST % LIMITS.body_bytes + bytes(LIMITS.body_bytes - 1)),
    "pipelined requests": busy(pipelined),
    "500 connections that reset": busy(resets, pause=1),
}
HELLO = bytes.fromhex("1603010200010001fc0303")
"""The start of a TLS handshake: a record of 512 bytes."""

ATTACKS_ON_TLS: dict[str, Attack] = {
    "200 silent before the handshake": waiting(200, handshake=False),
    "200 with half a ClientHello": waiting(200, HELLO + bytes(200), handshake=False),
    "200 that send a ClientHello byte by byte": waiting(200, HELLO, drip=b"\0", handshake=False),
    "plain HTTP": busy(expecting(METRICS, b"HTTP/1.1 400 ", handshake=False)),
    "garbage in place of a handshake": busy(expecting(HELLO + bytes(range(256)) * 2, b"\x15\x03", handshake=False)),
    "garbage after the handshake": busy(no_records),
    "renegotiation": busy(open_ssl("-tls1_2", b"R", b"RENEGOTIATING")),
    "a hundred new keys": busy(open_ssl("-tls1_3", b"K", b"KEYUPDATE")),
}


@dataclass(frozen=True)
class AttackedExporter:
    """Run an exporter with many apps whose requests hang: a large page, and calls in flight."""

    exporter: Running
    target: Target

    @property
    def pid(self) -> int:
        return self.exporter.process.pid

    def assert_quiet(self) -> None:
        """Require at most one log line a minute of each kind, and no internal error."""
        last: dict[str, datetime] = {}
        for line in self.exporter.log:
            moment, message = re.match(r'ts=(\S+) .*?msg=("[^"]*"|\S+)', line).groups()  # type: ignore[union-attr]
            now = datetime.fromisoformat(moment)
            assert "Traceback" not in line
            assert message not in last or now - last[message] >= A_MINUTE, self.exporter.log
            last[message] = now


@contextlib.contextmanager
def attacked_exporter(folder: Path, *, secured: bool) -> Iterator[AttackedExporter]:
    apps = [{"appid": f"wx{n:016x}", "name": f"App {n}", "secret": f"secret-of-app-{n:04x}"} for n in range(APPS)]
    with socket.create_server(("127.0.0.1", 0)) as mute:
        base_url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        main = {"fetch": {"timeout": "5m"}, "api": {"base_url": base_url}, "reports": REPORTS, "apps": apps}
        (folder / "config.yaml").write_text(json.dumps(main))
        (folder / "config.yaml").chmod(0o600)
        session, flags, context = requests.Session(), [], None
        session.trust_env = False  # or the environment sets other CAs
        if secured:
            authority = Authority(folder)
            authority.sign("server", "localhost", "127.0.0.1")
            (folder / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
            session.verify = str(authority.cert)
            flags, context = ["--web.config.file=web.yml"], ssl.create_default_context(cafile=authority.cert)
        with running(folder, "--storage.path=:memory:", *flags, session=session) as exporter:
            host, _, port = exporter.address.rpartition(":")
            attacked = AttackedExporter(exporter, Target(host, int(port), context))
            assert len(exporter.get(headers={"Accept-Encoding": "identity"}).content) > LARGE
            exporter.session.close()
            with waiting(200)(attacked.target):  # it keeps some memory for its first threads
                attacked.target.scrape()
            yield attacked
            assert exporter.stop() == 0


def test_documented_limits_are_those_of_the_server() -> None:
    promise = " ".join((Path(__file__).parent.parent / "SECURITY.md").read_text().split())
    for limit in (
        f"{LIMITS.connections} connections at once",
        f"headers ({LIMITS.header_seconds:.0f} s), bodies ({LIMITS.body_seconds:.0f} s)",
        f"reading a response ({LIMITS.write_seconds:.0f} s) and idling ({LIMITS.idle_seconds:.0f} s)",
        f"{LIMITS.header_bytes // 1024} KiB of headers, {LIMITS.body_bytes // 1024} KiB of body",
    ):
        assert limit in promise, limit


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedExporter]:
    with attacked_exporter(tmp_path_factory.mktemp("plain"), secured=False) as attacked:
        yield attacked


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedExporter]:
    with attacked_exporter(tmp_path_factory.mktemp("secured"), secured=True) as attacked:
        yield attacked


@pytest.mark.soak
@pytest.mark.parametrize("name", ATTACKS)
def test_scrapes_work_during_an_attack_and_resources_are_freed(
    plain: AttackedExporter, name: str, measured: Measured
) -> None:
    check_attack(plain, name, ATTACKS[name], measured)


@pytest.mark.soak
@pytest.mark.parametrize("name", ATTACKS_ON_TLS | ATTACKS)
def test_scrapes_work_during_an_attack_over_tls(secured: AttackedExporter, name: str, measured: Measured) -> None:
    check_attack(secured, name, (ATTACKS_ON_TLS | ATTACKS)[name], measured)


def check_attack(attacked: AttackedExporter, name: str, attack: Attack, measured: Measured) -> None:
    before = at_rest(attacked.pid)
    scrapes = []
    with attack(attacked.target):
        for _ in range(SCRAPES):
            time.sleep(BETWEEN)
            scrapes.append(attacked.target.scrape())
    after = back_at(before, attacked.pid)
    measured("Hostile clients", row(name, attacked, scrapes, before, after))
    assert statistics.median(scrapes) < WITHIN
    assert after.is_back_at(before), (before, after)
    assert after.peak < before.memory + PEAK
    attacked.assert_quiet()


LONG_ATTACKS = {
    "200 silent connections": 200,
    "200 that send one header byte a second": 200,
    "50 that read one byte a second": 50,
}


@only_in_soak
@pytest.mark.soak
def test_attackers_are_disconnected_at_their_deadline(
    plain: AttackedExporter, secured: AttackedExporter, measured: Measured
) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda attacked: check_deadlines(attacked, measured), (plain, secured)))


def check_deadlines(attacked: AttackedExporter, measured: Measured) -> None:
    before = at_rest(attacked.pid)
    scrapes: list[float] = []
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        for name in LONG_ATTACKS:
            stack.enter_context(ATTACKS[name](attacked.target))
        inside = time.monotonic()
        most = 0
        while (clients := Footprint.of(attacked.pid).descriptors - before.descriptors) > 0 or not most:
            most = max(most, clients)
            now = time.monotonic()
            assert now < inside + LIMITS.write_seconds + GRACE
            assert clients <= 50 or now < inside + LIMITS.header_seconds + GRACE
            scrapes.append(attacked.target.scrape())
            time.sleep(1)
        after = back_at(before, attacked.pid)
    assert time.monotonic() - began > LIMITS.write_seconds
    measured("Hostile clients", row("the first three together, until put out", attacked, scrapes, before, after))
    assert most >= sum(LONG_ATTACKS.values())
    assert statistics.median(scrapes) < WITHIN
    assert after.is_back_at(before), (before, after)
    attacked.assert_quiet()


@pytest.mark.soak
@pytest.mark.parametrize("tls", [False, True])
def test_exporter_stops_within_2_seconds_under_attack(tmp_path: Path, *, tls: bool) -> None:
    with attacked_exporter(tmp_path, secured=tls) as attacked, contextlib.ExitStack() as stack:
        for name in LONG_ATTACKS:
            stack.enter_context(ATTACKS[name](attacked.target))
        began = time.monotonic()
        assert attacked.exporter.stop() == 0
        assert time.monotonic() - began < 2
        attacked.assert_quiet()


def row(
    name: str, attacked: AttackedExporter, scrapes: list[float], before: Footprint, after: Footprint
) -> dict[str, object]:
    """Return the printed row of an attack."""
    return {
        "attack": name,
        "TLS": "yes" if attacked.target.tls else "no",
        "scrape (ms)": round(statistics.median(scrapes) * 1000),
        "worst": round(max(scrapes) * 1000),
        "memory (MiB)": f"{before.memory:.0f} > {after.peak:.0f} > {after.memory:.0f}",
        "threads": f"{before.threads} > {after.threads}",
        "descriptors": f"{before.descriptors} > {after.descriptors}",
    }

"""Measure the page of an app with two years of figures, and whether requests for it delay a scrape.

    .venv/bin/python benchmarks/apppage.py --weeks 104

Prints the size and time of each document, and the time of a scrape over HTTP: alone, beside requests for the page, and
while the page is rendered again and again, which the exporter does at most once a minute while nothing changes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from http.client import HTTPConnection
from itertools import count
from multiprocessing import get_context
from typing import TYPE_CHECKING

from scrape import NOW, READY_AFTER, seconds

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.guard import Guard
from exporter.httpd import Server
from exporter.metrics import Meters
from exporter.periods import DAY
from exporter.reports import REPORTS, StoredReading, Thresholds
from exporter.store import MEMORY, Change, Store
from exporter.web import PageContext, Pages, Site
from exporter.wechat.protocol.figures import parse_figures
from exporter.wechat.simulator import Audience, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.periods import Period
    from exporter.reports import Reading, Report

APPID = "wx00000000000000a1"
PAGE = f"/apps/{APPID}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=104)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each series of scrapes")
    options = parser.parse_args()
    # Clients are processes of their own: the interpreter runs one thread at a time, and must run the server's.
    with ProcessPoolExecutor(2, get_context("spawn")) as clients:
        clients.submit(time.sleep, 0).result()
        store = Store(MEMORY, "api.weixin.qq.com", lambda: NOW)
        app = _fill(store, options.weeks)
        _print_documents(app, store)
        _print_scrapes(clients, app, store, options.seconds)


def _fill(store: Store, weeks: int) -> AppStatus:
    wechat = Simulator([SimulatedApp(APPID, "", Audience())], lambda: NOW)
    for report in REPORTS.values():
        store.save(
            Change(APPID, report, StoredReading(_reading(wechat, report, period), period.end + DAY / 2))
            for period in _periods(report, weeks)
        )
    return AppStatus(APPID, "Shop", tuple(_status(store, report) for report in REPORTS.values()), Thresholds())


def _periods(report: Report, weeks: int) -> Iterator[Period]:
    newest = report.newest_wanted(NOW, READY_AFTER)
    return (newest.before(number) for number in reversed(range(report.periods_in_weeks(weeks))))


def _reading(wechat: Simulator, report: Report, period: Period) -> Reading:
    return parse_figures(dict(wechat.content(APPID, report, period)), report, period)


def _status(store: Store, report: Report) -> ReportStatus:
    result = LastResult(report.newest_wanted(NOW, READY_AFTER), State.OK, 1.0, 1.0, succeeded=1.0)
    return ReportStatus(report, State.OK, result, store.read(APPID, report, 1).history, 2.0, Counters(9))


def _site(app: AppStatus, store: Store, clock: Callable[[], float]) -> Site:
    pages = Pages(Guard(lambda _: None), (app,))
    pages.render()
    registry = Meters(lambda: True, process=True).registry
    return Site("/metrics", pages, registry, lambda: PageContext("/metrics", (), clock()), store.periods)


def _print_documents(app: AppStatus, store: Store) -> None:
    minutes = count()
    server = Server(["127.0.0.1:0"], _site(app, store, lambda: NOW + 60 * next(minutes)))
    server.start()
    address = server.addresses[0]
    reports = f"/api/v1{PAGE}/reports"
    for path in (PAGE, *(f"{reports}/{name}{form}" for name in REPORTS for form in ("", ".csv"))):
        size, packed = len(_get(address, path, "identity")), len(_get(address, path))
        print(f"{path}: {size:,} bytes, {packed:,} gzipped, {seconds(lambda path=path: _get(address, path), 3):.3f} s")
    server.stop()


def _print_scrapes(clients: ProcessPoolExecutor, app: AppStatus, store: Store, duration: float) -> None:
    minutes = count()
    for name, clock, beside in (
        ("alone", lambda: NOW, False),
        ("beside requests for the page", lambda: NOW, True),
        ("beside renderings of the page", lambda: NOW + 60 * next(minutes), True),
    ):
        server = Server(["127.0.0.1:0"], _site(app, store, clock))
        server.start()
        address = server.addresses[0]
        _get(address, PAGE)
        others = clients.submit(_durations, address, PAGE, duration, 0.0) if beside else None
        scrapes = clients.submit(_durations, address, "/metrics", duration, 0.02).result()
        server_requests = f", {len(others.result())} pages" if others else ""
        print(
            f"a scrape {name}: median {statistics.median(scrapes) * 1e3:.1f} ms,"
            f" slowest {max(scrapes) * 1e3:.1f} ms ({len(scrapes)} scrapes{server_requests})"
        )
        server.stop()


def _durations(address: str, path: str, duration: float, pause: float) -> list[float]:
    """Request a path for so many seconds; return the seconds of each request."""
    durations, end = [], time.monotonic() + duration
    while not durations or time.monotonic() < end:
        start = time.perf_counter()
        _get(address, path)
        durations.append(time.perf_counter() - start)
        time.sleep(pause)
    return durations


def _get(address: str, path: str, encoding: str = "gzip") -> bytes:
    connection = HTTPConnection(address, timeout=30)
    connection.request("GET", path, headers={"Accept-Encoding": encoding})
    response = connection.getresponse()
    if response.status != 200:  # noqa: PLR2004 (HTTP)
        raise RuntimeError(f"{path}: status {response.status}")
    body = response.read()
    connection.close()
    return body


if __name__ == "__main__":
    main()

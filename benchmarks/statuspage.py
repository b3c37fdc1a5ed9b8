"""Measure the status page and the JSON of many apps, and whether rendering them delays a scrape.

    .venv/bin/python benchmarks/statuspage.py --apps 5000

Prints the size and time of each, and the time of a scrape alone and while another thread renders the page.
"""

from __future__ import annotations

import argparse
import threading
import time
import tracemalloc
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from scrape import seconds, status

from exporter.metrics import Format, Meters, Renderer, compose
from exporter.reports import REPORTS, History
from exporter.web import PageContext
from exporter.web.appsjson import AppsJson
from exporter.web.documents import CachedDocument
from exporter.web.statuspage import StatusPage

if TYPE_CHECKING:
    from exporter.apps import AppStatus
    from exporter.reports import Report

AROUND = PageContext("/metrics", (), 1_795_000_000.0)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=5_000)
    parser.add_argument("--reports", default="weekly", help="comma-separated names of reports")
    options = parser.parse_args()
    reports = tuple(REPORTS[name] for name in options.reports.split(","))
    statuses = tuple(status(number, reports) for number in range(options.apps))
    turn = count()
    views = ((f"{name} page", StatusPage(REPORTS[name])) for name in options.reports.split(","))
    for name, form in (*views, ("JSON", AppsJson())):
        document = CachedDocument(form)
        plain, packed = (len(document.body(lambda: (statuses, AROUND), gzipped=gzipped)) for gzipped in (False, True))
        first = seconds(lambda form=form: CachedDocument(form).body(lambda: (statuses, AROUND), gzipped=True), 3)
        changed = seconds(
            lambda document=document: document.body(
                lambda: ((replace(statuses[0], name=f"Other {next(turn)}"), *statuses[1:]), AROUND), gzipped=True
            ),
            3,
        )
        print(
            f"{name} of {len(statuses)} apps: {plain:,} bytes, {packed:,} gzipped;"
            f" first rendering {first:.3f} s, after a change of one app {changed:.3f} s"
        )
    print(f"histories: {_history_bytes(statuses):,} bytes of memory")
    alone, beside = _scrapes(statuses, reports[0])
    print(f"a scrape: alone {alone * 1e3:.1f} ms, during the first rendering of the page at most {beside * 1e3:.1f} ms")


def _history_bytes(statuses: tuple[AppStatus, ...]) -> int:
    tracemalloc.start()
    copies = [replace(of.history, packed=bytes(bytearray(of.history.packed))) for app in statuses for of in app.reports]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(isinstance(copy, History) for copy in copies)  # noqa: S101 (keeps the copies alive until they are measured)
    return size


def _scrapes(statuses: tuple[AppStatus, ...], report: Report) -> tuple[float, float]:
    live = Meters(lambda: True, process=True).registry
    page = Renderer().render(statuses)

    def scrape() -> bytes:
        return compose(page, live, Format.TEXT, gzip=True)

    alone = seconds(scrape)
    rendering = threading.Thread(
        target=lambda: CachedDocument(StatusPage(report)).body(lambda: (statuses, AROUND), gzipped=True)
    )
    rendering.start()
    slowest = 0.0
    while rendering.is_alive():
        start = time.perf_counter()
        scrape()
        slowest = max(slowest, time.perf_counter() - start)
        time.sleep(0.01)
    return alone, slowest


if __name__ == "__main__":
    main()

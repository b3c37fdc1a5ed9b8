"""What the status page and the JSON of many apps cost, and whether a scrape has to wait while they are made.

    .venv/bin/python benchmarks/statuspage.py --apps 5000

Prints bytes and seconds of each, and how long a scrape takes alone and while another thread makes the page anew.
"""

from __future__ import annotations

import argparse
import threading
import time
import tracemalloc
from dataclasses import replace
from itertools import count

from scrape import WEEK, seconds, status

from exporter.metrics import Format, Meters, Renderer, compose
from exporter.reports import WEEKLY
from exporter.status import TRAIL_WEEKS, Trail
from exporter.web import Surroundings
from exporter.web.appsjson import AppsJson
from exporter.web.documents import Document
from exporter.web.statuspage import StatusPage

AROUND = Surroundings(WEEKLY, "/metrics", (), 1_795_000_000.0)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=5_000)
    statuses = tuple(status(number) for number in range(parser.parse_args().apps))
    turn = count()
    for name, form in (("page", StatusPage()), ("JSON", AppsJson())):
        document = Document(form)
        plain, packed = (len(document.body(lambda: (statuses, AROUND), gzipped=gzipped)) for gzipped in (False, True))
        first = seconds(lambda form=form: Document(form).body(lambda: (statuses, AROUND), gzipped=True), 3)
        changed = seconds(
            lambda document=document: document.body(
                lambda: ((replace(statuses[0], next_fetch=float(next(turn))), *statuses[1:]), AROUND), gzipped=True
            ),
            3,
        )
        print(
            f"{name} of {len(statuses)} apps: {plain:,} bytes, {packed:,} gzipped;"
            f" from nothing {first:.3f} s, after a change of one app {changed:.3f} s"
        )
    print(f"trails: {_trails(len(statuses)):,} bytes of memory")
    alone, beside = _scrapes(statuses)
    print(f"a scrape: alone {alone * 1e3:.1f} ms, while the page is made from nothing at most {beside * 1e3:.1f} ms")


def _trails(apps: int) -> int:
    tracemalloc.start()
    kept = [
        Trail.of({WEEK.before(weeks): 754.0 + number + weeks for weeks in range(TRAIL_WEEKS)}) for number in range(apps)
    ]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == apps  # noqa: S101 (keeps them until they are measured)
    return size


def _scrapes(statuses: tuple) -> tuple[float, float]:
    live = Meters(lambda: True, process=True).registry
    page = Renderer(WEEKLY).render(statuses)

    def scrape() -> bytes:
        return compose(page, live, Format.TEXT, gzip=True)

    alone = seconds(scrape)
    making = threading.Thread(target=lambda: Document(StatusPage()).body(lambda: (statuses, AROUND), gzipped=True))
    making.start()
    slowest = 0.0
    while making.is_alive():
        began = time.perf_counter()
        scrape()
        slowest = max(slowest, time.perf_counter() - began)
        time.sleep(0.01)
    return alone, slowest


if __name__ == "__main__":
    main()

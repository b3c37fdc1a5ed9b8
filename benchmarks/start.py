"""Measure the start with many apps: reading the store and rendering the first page.

    .venv/bin/python benchmarks/start.py --apps 1000 --reports weekly,daily,monthly

Prints the duration, the maximum resident memory, and the size of the store.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from scrape import NOW, status

from exporter.apps import LastResult, State
from exporter.config import Api, App, AppSecret, Config, Datacube, LiteralSecret
from exporter.metrics import Renderer
from exporter.reports import REPORTS, Report, StoredReading
from exporter.runtime.engine import Engine
from exporter.store import Change, Store


def fill(folder: str, config: Config, reports: tuple[Report, ...]) -> None:
    """Store every period of the reports' lookback for every app."""
    store = Store(folder, config.api.host, lambda: NOW)
    for number, app in enumerate(config.apps):
        changes = []
        for of in status(number, reports).reports:
            readings = (of.history.reading(period) for period in of.history.periods)
            changes += [Change(app.appid, of.report, StoredReading(each, 1.0)) for each in readings if each is not None]
            live = of.history.periods[0]
            changes.append(Change(app.appid, of.report, LastResult(live, State.OK, NOW, NOW, succeeded=NOW)))
        store.save(changes)
    store.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=1000)
    parser.add_argument("--reports", default="weekly", help="comma-separated names of reports")
    options = parser.parse_args()
    reports = tuple(REPORTS[name] for name in options.reports.split(","))
    access = Datacube(AppSecret(LiteralSecret("x")))
    apps = tuple(App(f"wx{number:016x}", access, reports=reports) for number in range(options.apps))
    config = Config(apps=apps, api=Api("http://127.0.0.1:9"))
    with tempfile.TemporaryDirectory() as folder:
        fill(folder, config, reports)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        start = time.perf_counter()
        engine = Engine(config, folder, lambda: NOW)
        read = time.perf_counter() - start
        Renderer().render(engine.poller.statuses())
        rendered = time.perf_counter() - start - read
        engine.close()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{len(apps)} apps, {options.reports}: store of {size / 1e6:.1f} MB read in {read:.2f} s,"
        f" first page rendered in {rendered:.2f} s; maximum resident memory {memory} MiB"
    )


if __name__ == "__main__":
    main()

"""Measure the file of a backfill: its size, and the time and memory that writing it takes.

    .venv/bin/python benchmarks/backfill.py
    .venv/bin/python benchmarks/backfill.py --apps 1000 --weeks 52 --sample-interval period

The figures come from a store that is filled before. Without options, both sizes of docs/history.md are measured. Each
one is written by a process of its own, whose peak of memory is printed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from exporter.backfill import Grid, HistoryFile, Selection, Timelines
from exporter.config import App, AppSecret, Datacube, LiteralSecret, parse_duration
from exporter.metrics import SeriesRenderer
from exporter.reports import REPORTS, Report, StoredReading
from exporter.store import Change, Store
from exporter.wechat.protocol.figures import parse_figures
from exporter.wechat.simulator import Audience
from exporter.wechat.simulator.contents import Subject, content

NOW = 1_795_000_000.0
READY_AFTER = 36_000.0
SIZES = (
    ("5", "104", "weekly,daily", "1h"),
    ("5", "104", "weekly,daily", "period"),
    ("5", "208", "weekly,daily", "period"),
    ("5", "104", "all", "period"),
    ("1000", "52", "weekly", "period"),
)
"""Apps, weeks, reports and sample interval."""
LABELS = {"job": "wechat-miniprogram", "instance": "localhost:10717"}


def apps(number: int, reports: tuple[Report, ...]) -> list[App]:
    """Return apps that fetch these reports."""
    access = Datacube(AppSecret(LiteralSecret("x")))
    return [App(f"wx{each:016x}", access, f"App {each}", reports=reports) for each in range(number)]


def fill(store: Store, fleet: list[App], weeks: int) -> None:
    """Store every period of the apps; all apps have the figures of ten, since making figures takes long."""
    for number, app in enumerate(fleet):
        changes = []
        for report in app.reports:
            for period in Selection(weeks).periods(report, NOW, READY_AFTER) or ():
                response = content(Subject(Audience(500 * (number % 10 + 1)), f"{number % 10}"), report, period, 4)
                reading = parse_figures(response, report, period)
                changes.append(Change(app.appid, report, StoredReading(reading, 1.0)))
        store.save(changes)


def write(folder: str, fleet: list[App], weeks: int, interval: int) -> None:
    """Write the file and print what it took."""
    reports = fleet[0].reports
    found = {report.name: Selection(weeks).periods(report, NOW, READY_AFTER) for report in reports}
    chosen = {name: periods for name, periods in found.items() if periods}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    target = Path(folder) / "history.om"
    with (
        closing(Store(folder, "host", lambda: NOW)) as store,
        closing(HistoryFile(SeriesRenderer(reports, LABELS), Grid(interval, NOW), Path(folder))) as history,
        target.open("wb") as output,
    ):
        for app in fleet:
            history.add(Timelines(store, READY_AFTER, NOW).of(app, chosen))
        history.write(output)
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{history.samples:,} samples, {target.stat().st_size / 1e6:,.1f} MB, {seconds:.1f} s of CPU,"
            f" {peak / 1024:.0f} MiB of memory ({(peak - before) / 1024:.0f} MiB of it to write)"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int)
    parser.add_argument("--weeks", type=int, default=104)
    parser.add_argument("--reports", default="weekly,daily", help="comma-separated names of reports, or all")
    parser.add_argument("--sample-interval", default="1h")
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.apps is None:
        for number, weeks, reports, interval in SIZES:
            flags = ("--apps", number, "--weeks", weeks, "--reports", reports, "--sample-interval", interval)
            subprocess.run([sys.executable, __file__, *flags], check=True)  # noqa: S603 (this script)
        return
    names = REPORTS if options.reports == "all" else options.reports.split(",")
    fleet = apps(options.apps, tuple(REPORTS[name] for name in names))
    if options.store is not None:
        interval = 0 if options.sample_interval == "period" else int(parse_duration(options.sample_interval))
        write(options.store, fleet, options.weeks, interval)
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with closing(Store(folder, "host", lambda: NOW)) as store:
            fill(store, fleet, options.weeks)
        size = f"{options.apps} apps, {options.weeks} weeks, {options.reports}"
        print(f"{size}, --sample-interval={options.sample_interval}: ", end="", flush=True)
        subprocess.run([sys.executable, *sys.argv, "--store", folder], check=True)  # noqa: S603 (this script)


if __name__ == "__main__":
    main()

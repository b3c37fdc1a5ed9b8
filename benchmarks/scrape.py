"""Measure a scrape of many apps: the cached page, compared with rendering all families at each scrape.

    .venv/bin/python benchmarks/scrape.py --apps 10000
    .venv/bin/python benchmarks/scrape.py --apps 1000 --reports all

Prints the number of series of each report and the size of the page, then the time of both, measured in one run on one
machine, and their ratio.
"""

from __future__ import annotations

import argparse
import gzip
import random
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client.exposition import generate_latest

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.metrics import Format, Meters, Renderer, compose
from exporter.metrics.families import families
from exporter.reports import REPORTS, History, Reading, Shape, StoredReading, Thresholds
from exporter.reports.dimensions import SOURCE, WEEKS_LATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from exporter.periods import Period
    from exporter.reports import Report

NOW = 1_795_000_000.0
READY_AFTER = 36_000.0
SOURCES = 12
"""Entrances of an app; recorded responses of real apps have 2 to 17."""


class UncachedCollector:
    """A collector that creates all families at each scrape."""

    def __init__(self, reports: tuple[Report, ...], statuses: tuple[AppStatus, ...]) -> None:
        self._reports, self._statuses = reports, statuses

    def collect(self) -> Iterable[Metric]:
        """Return all families."""
        return families(self._reports, self._statuses)


def status(number: int, reports: tuple[Report, ...]) -> AppStatus:
    """Return an app whose reports have every period of their lookback."""
    # Random figures, different for each app: repeated ones would compress better than real ones.
    chance = random.Random(number)  # noqa: S311 (figures, no secrets)
    size = chance.lognormvariate(7, 2)
    return AppStatus(
        f"wx{number:016x}", f"App {number}", tuple(_report(report, chance, size) for report in reports), Thresholds()
    )


def _report(report: Report, chance: random.Random, size: float) -> ReportStatus:
    live = report.newest_wanted(NOW, READY_AFTER)
    sources = chance.sample(tuple(SOURCE.names), SOURCES)
    readings = (
        _reading(report, live.before(ago), chance, round(size * chance.uniform(0.8, 1.2)), sources)
        for ago in range(report.lookback + 1)
    )
    history = History.of(report, (StoredReading(reading, 1.0) for reading in readings))
    result = LastResult(live, State.OK, 1.0, 1.0, succeeded=1.0)
    return ReportStatus(report, State.OK, result, history, 2.0, Counters(9))


def _reading(report: Report, period: Period, chance: random.Random, visitors: int, sources: list[str]) -> Reading:
    """Return a reading with figures for every field, and every part of those that have parts."""
    if report.shape is Shape.ROW:
        return Reading(report, period, _figures(chance, visitors)[: len(report.fields)])
    keys = {SOURCE: sources, WEEKS_LATER: list(WEEKS_LATER.names)}
    parts = sorted(
        (field.wechat, key, chance.randrange(visitors + 1) + 1)
        for field in report.fields
        if field.dimension is not None
        for key in keys.get(field.dimension, list(field.dimension.names))
    )
    return Reading(report, period, tuple(visitors for _ in report.fields), tuple(parts))


def _figures(chance: random.Random, visitors: float) -> tuple[float, ...]:
    """Return the figures of a period in the order of ``VISIT_FIELDS``."""
    sessions = round(visitors * chance.uniform(1.5, 4))
    visits, new = round(sessions * chance.uniform(2, 5)), round(visitors * chance.uniform(0.1, 0.6))
    stay, depth = round(chance.uniform(20, 90), 4), round(chance.uniform(1.5, 5), 4)
    return (sessions, visits, visitors, new, round(stay * 2.7, 4), stay, depth)


def seconds(action: Callable[[], object], runs: int = 5) -> float:
    """Return the median duration of an action in seconds."""
    durations = []
    for _ in range(runs):
        start = time.perf_counter()
        action()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=10_000)
    parser.add_argument("--reports", default="weekly", help="comma-separated names of reports, or all")
    options = parser.parse_args()
    names = list(REPORTS) if options.reports == "all" else options.reports.split(",")
    reports = tuple(REPORTS[name] for name in names)
    statuses = tuple(status(number, reports) for number in range(options.apps))
    meters = Meters(lambda: True, process=True)
    meters.config_loaded(0, ["stable_token", *names], ())
    live = meters.registry
    renderer = Renderer()
    page = renderer.render(statuses)
    uncached = UncachedCollector(reports, statuses)
    plain = compose(page, live, Format.TEXT, gzip=False)
    print(f"{len(statuses)} apps, {plain.count(b'wx')} series, {len(plain):,} bytes")
    for report in reports:
        one_app = (status(0, (report,)),)
        print(f"{report.name}: {sum(len(family.samples) for family in families((report,), one_app))} series per app")
    first_time = seconds(lambda: Renderer().render(statuses), 3)
    changes = iter([replace(statuses[0], name=f"Other {number}") for number in range(3)])
    one = seconds(lambda: renderer.render((next(changes), *statuses[1:])), 3)
    print(
        f"rendering the page (both formats, plain and gzip): first time {first_time:.2f} s, after a change of one app"
        f" {one:.2f} s"
    )
    # The cached page still composes the live metrics of the exporter, which change at every scrape.
    rows = (
        ("plain", lambda: compose(page, live, Format.TEXT, gzip=False), lambda: generate_latest(uncached)),
        (
            "gzip",
            lambda: compose(page, live, Format.TEXT, gzip=True),
            lambda: gzip.compress(generate_latest(uncached), 6),
        ),
    )
    for name, cached, rendered in rows:
        ours, theirs = seconds(cached), seconds(rendered, 3)
        print(f"{name:5} scrape: cached page {ours:.4f} s, rendered {theirs:.2f} s, ratio {theirs / ours:,.0f}")


if __name__ == "__main__":
    main()

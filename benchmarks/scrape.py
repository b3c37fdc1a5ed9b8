"""What a scrape of many apps costs: the kept page against rendering everything at each scrape.

    .venv/bin/python benchmarks/scrape.py --apps 10000

Prints seconds for each way, side by side in one run on one machine, and the ratio of the two.
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

from exporter.metrics import Format, Meters, Renderer, compose
from exporter.metrics.families import families
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading, Thresholds
from exporter.status import TRAIL_WEEKS, Answer, Counters, Kept, Recent, State, Status, Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

WEEK = Week.containing(1_795_000_000.0).before()


class Naive:
    """What an exporter does that renders at each scrape."""

    def __init__(self, statuses: tuple[Status, ...]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        """Makes every family anew."""
        return families(WEEKLY, self._statuses)


def status(number: int) -> Status:
    """One app whose weeks are complete: the live one, those of its baselines, those of its trail.

    No two are alike, as in life: what repeats itself packs better than figures do.
    """
    chance = random.Random(number)  # noqa: S311 (figures, no secrets)
    size = chance.lognormvariate(7, 2)
    trail = {WEEK.before(weeks): round(size * chance.uniform(0.8, 1.2)) for weeks in range(TRAIL_WEEKS)}
    recent = Recent(
        tuple(Kept(Reading(WEEKLY, week, _figures(chance, trail[week])), 1.0) for week in list(trail)[:5]),
        Trail.of(trail),
    )
    answer = Answer(WEEK, State.OK, 1.0, 1.0, succeeded=1.0)
    return Status(f"wx{number:016x}", f"App {number}", State.OK, answer, recent, 2.0, Counters(9), Thresholds())


def _figures(chance: random.Random, visitors: float) -> tuple[float, ...]:
    """A week's figures, in the order of ``WEEKLY.fields``."""
    sessions = round(visitors * chance.uniform(1.5, 4))
    visits, new = round(sessions * chance.uniform(2, 5)), round(visitors * chance.uniform(0.1, 0.6))
    stay, depth = round(chance.uniform(20, 90), 4), round(chance.uniform(1.5, 5), 4)
    return (sessions, visits, visitors, new, round(stay * 2.7, 4), stay, depth)


def seconds(action: Callable[[], object], runs: int = 5) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=10_000)
    statuses = tuple(status(number) for number in range(parser.parse_args().apps))
    meters = Meters(lambda: True, process=True)
    meters.config_taken(0, ["stable_token", WEEKLY.name], ())
    live = meters.registry
    renderer = Renderer(WEEKLY)
    page = renderer.render(statuses)
    naive = Naive(statuses)
    plain = compose(page, live, Format.TEXT, gzip=False)
    print(f"{len(statuses)} apps, {plain.count(b'wx')} series, {len(plain):,} bytes")
    whole = seconds(lambda: Renderer(WEEKLY).render(statuses), 3)
    changes = iter([replace(statuses[0], next_fetch=float(number)) for number in range(3)])
    one = seconds(lambda: renderer.render((next(changes), *statuses[1:])), 3)
    print(
        f"the page, both formats, plain and gzipped: at the start {whole:.2f} s, after a change of one app {one:.2f} s"
    )
    rows = (
        ("plain", lambda: compose(page, live, Format.TEXT, gzip=False), lambda: generate_latest(naive)),
        ("gzip", lambda: compose(page, live, Format.TEXT, gzip=True), lambda: gzip.compress(generate_latest(naive), 6)),
    )
    for name, kept, every_time in rows:
        ours, theirs = seconds(kept), seconds(every_time, 3)
        print(f"{name:5} scrape: kept page {ours:.4f} s, rendered each time {theirs:.2f} s, ratio {theirs / ours:,.0f}")


if __name__ == "__main__":
    main()

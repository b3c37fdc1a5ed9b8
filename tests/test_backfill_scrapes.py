"""At each instant, the file has exactly the samples that a scrape of the exporter had then, in all reports.

An exporter runs for two weeks; each noon it is scraped. Then a backfill into an empty store requests
everything on one day: a cohort whose four weeks are over in a single response.
"""

from __future__ import annotations

import io
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import pytest
import requests
from grafana_fixture import Exporter, free_address
from harness import PREFIX, FakeClock, Samples, samples_of, served
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.backfill import Grid, HistoryFile, Progress, Selection
from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.metrics import SeriesRenderer
from exporter.periods import BEIJING, DAY, Day, Week
from exporter.reports import REPORTS
from exporter.runtime.backfill import Backfill
from exporter.store import MEMORY
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp

HOUR = 3600.0
START = datetime(2026, 10, 13, 12, tzinfo=BEIJING).timestamp()
"""A Tuesday noon."""
NOONS = tuple(START + day * DAY for day in range(14))
UNTIL = NOONS[-1] + 2 * HOUR
LAUNCHED = Week.containing(START).before(9)
"""Both have everything since then, so that they compare with the same periods."""
FAULTS = (
    InjectedFault("no_rows", "daily", frozenset({Day.containing(NOONS[6])})),
    InjectedFault("no_rows", "weekly", frozenset({LAUNCHED.before(-4)})),
    InjectedFault("no_later_keys", "weekly_retention", frozenset({Week.containing(START).before()})),
    InjectedFault("zeros", "weekly_retention", frozenset({LAUNCHED.before(-8)})),
    InjectedFault("no_size", "weekly_retention", frozenset({Week.containing(START)})),
)
APP = SimulatedApp(
    "wx1", "secret-of-the-scraped-app", Audience(4000, drops_from=Day.containing(NOONS[7])), LAUNCHED, faults=FAULTS
)


@dataclass(frozen=True)
class Compared:
    """The samples at each noon, of the scrapes and of the file, and how often the backfill requested each period."""

    scraped: dict[float, Samples]
    written: dict[float, Samples]
    calls: Counter[tuple[str, str]]


@pytest.fixture(scope="module")
def compared() -> Compared:
    clock = FakeClock(START)
    with served([APP], clock) as (wechat, base_url):
        app = App(APP.appid, Datacube(AppSecret(LiteralSecret(APP.secret))), reports=tuple(REPORTS.values()))
        fetch = Fetch(interval=20 * HOUR, history_weeks=10)
        config = Config(apps=(app,), fetch=fetch, api=Api(base_url=base_url))
        address = free_address()
        exporter = Exporter(config, clock, address)
        scraped = {}
        for noon in NOONS:
            clock.now = noon
            exporter.fetch()
            scraped[noon] = samples_of(requests.get(f"http://{address}/metrics", timeout=10).text)
        exporter.close()
        clock.now = UNTIL + 5 * HOUR
        before = len(wechat.calls)
        text = written(Backfill(config, MEMORY, clock, Selection(14), (), 1000.0), app)
        calls = Counter((call.endpoint, call.period) for call in wechat.calls[before:])
    samples: dict[float, Samples] = {noon: {} for noon in NOONS}
    for family in text_string_to_metric_families(of_noons(text)):
        for sample in family.samples:
            labels = (value for _, value in sorted(sample.labels.items()))
            samples[float(sample.timestamp)][sample.name.removeprefix(PREFIX), *labels] = sample.value
    return Compared(scraped, samples, calls)


def of_noons(text: str) -> str:
    """Return the lines of the noons only, since parsing all of them takes long."""
    times = {f"{noon:.0f}" for noon in NOONS}
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("#") or line.split()[-1] in times)


def written(run: Backfill, app: App) -> str:
    """Fetch everything, and return the file."""
    output = io.BytesIO()
    renderer = SeriesRenderer(tuple(REPORTS.values()), {})
    tasks = run.tasks()
    with closing(run), Progress("fetching", sum(map(len, tasks)), "periods", io.StringIO()) as progress:
        assert run.fetch(tasks, progress).stops == []
        with closing(HistoryFile(renderer, Grid(3600, UNTIL), None)) as history:
            history.add(run.timelines(UNTIL).of(app, run.chosen))
            history.write(output)
    return output.getvalue().decode()


def test_samples_of_each_noon_are_those_of_a_scrape(compared: Compared) -> None:
    families = {family.lines.split()[2].decode() for family in SeriesRenderer(tuple(REPORTS.values()), {}).families}
    for noon in NOONS:
        scrape = {key: value for key, value in compared.scraped[noon].items() if PREFIX + key[0] in families}
        differing = dict(compared.written[noon].items() ^ scrape.items())
        assert not differing, datetime.fromtimestamp(noon, BEIJING)
    shown = {name for samples in compared.written.values() for name, *_ in samples}
    unknown = ("year_ago_", "lowest_week_")  # these need more months and weeks
    assert {PREFIX + name for name in shown} == {name for name in families if not any(map(name.count, unknown))}


def test_cohorts_gain_their_figures_week_by_week(compared: Compared) -> None:
    """At the last noon, each number of weeks later has a cohort of its own, as far as WeChat has published it."""
    newest = Week.containing(NOONS[-1] - DAY / 2).before()
    found = {
        int(later): week
        for name, _, week, later in (key for key in compared.written[NOONS[-1]] if key[0] == "weekly_retained_visitors")
    }
    assert found[1] == newest.before(1).label
    assert found[3] == newest.before(3).label


def test_each_period_is_requested_once(compared: Compared) -> None:
    """Also a cohort, whose four later weeks are over."""
    reports = {key: number for key, number in compared.calls.items() if key[0] != STABLE_TOKEN}
    assert set(reports.values()) == {1}
    assert {name for name, _ in reports} == set(REPORTS)

"""The queries of the documents, executed by a real Prometheus that scrapes the demo."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from browser import served
from doc_tables import ROOT
from grafana_fixture import Prometheus
from harness import fetched_demo

from exporter.reports import DAILY_SOURCES, WEEKLY_RETENTION
from exporter.reports.retention import comebacks
from exporter.reports.sources import losses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.apps import AppStatus
    from exporter.reports import History, Report

BLOCK = re.compile(r"```promql\n(.*?)```", re.DOTALL)
QUERY = re.compile(r"^# (.+)\n((?:[^#].*\n)+)", re.MULTILINE)
QUERIES = {
    title: expression.strip()
    for name in ("queries.md", "reports.md")
    for block in BLOCK.findall((ROOT / "docs" / name).read_text())
    for title, expression in QUERY.findall(block)
}
WITHOUT_SAMPLES = {
    "the newest month against the same month of the previous year",
    "calls to WeChat per hour, by endpoint",
    "errors of the last day, by code",
}
"""The demo's history begins two months ago, and no counter increases between the first two scrapes."""
FALLEN = "wx0000000000000002"
"""Travel Buddy, which lost visitors through one entrance."""


class Scraped:
    """The demo's apps, and a Prometheus that has scraped them."""

    def __init__(self, apps: tuple[AppStatus, ...], server: Prometheus) -> None:
        self.apps = {app.appid: app for app in apps}
        self.server = server

    def result(self, title: str, *names: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a documented query by the values of some labels."""
        samples = self.server.query("query", query=QUERIES[title])
        found = {tuple(sample["metric"][name] for name in names): float(sample["value"][1]) for sample in samples}
        assert len(found) == len(samples)
        return found

    def history(self, report: Report) -> History:
        return next(of.history for of in self.apps[FALLEN].reports if of.report is report)


@pytest.fixture(scope="module")
def scraped(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    now = time.time()
    with fetched_demo(now) as engine:
        apps = engine.poller.statuses()
    with served(apps) as address:
        server = Prometheus(prometheus, tmp_path_factory.mktemp("queries"), [address.removeprefix("http://")])
        server.start()
        try:
            server.wait_for_scrapes()
            yield Scraped(apps, server)
        finally:
            server.stop()


@pytest.mark.parametrize("title", QUERIES)
def test_every_query_has_samples(title: str, scraped: Scraped) -> None:
    samples = scraped.server.query("query", query=QUERIES[title])
    assert bool(samples) != (title in WITHOUT_SAMPLES)


def test_entrance_that_lost_most_is_that_of_the_status_page(scraped: Scraped) -> None:
    largest = scraped.result("the entrance that lost most sessions against the previous week, of each app", "appid")
    change = losses(scraped.history(DAILY_SOURCES), DAILY_SOURCES.fields[0])
    assert change is not None
    assert change.losses[0].name == "search"
    assert largest[FALLEN,] == change.losses[0].lost


def test_retention_and_its_change_are_those_of_the_status_page(scraped: Scraped) -> None:
    ratio = scraped.result(
        'share of a week\'s new visitors who came back one week later; with weeks_later="4", four weeks later', "appid"
    )
    points = scraped.result("its change against the previous week's cohort, in percentage points", "appid")
    first = next(comebacks(scraped.history(WEEKLY_RETENTION), WEEKLY_RETENTION.fields[1]))
    assert first.previous_ratio is not None
    assert ratio[FALLEN,] == pytest.approx(first.ratio)
    assert points[FALLEN,] == pytest.approx(100 * (first.ratio - first.previous_ratio))


def test_shares_of_the_entrances_add_up_to_one(scraped: Scraped) -> None:
    shares = scraped.result("the share of each entrance in the sessions of the newest day", "appid", "source")
    assert sum(share for (appid, _), share in shares.items() if appid == FALLEN) == pytest.approx(1)

"""docs/reports.md: what it says about calls and series is what a running poller does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from doc_tables import FETCHES_PER_WEEK, ROOT, calls_per_day, costs
from harness import exposed, served, wired
from statuses import DAY as LAST_DAY

from exporter.metrics.families import families
from exporter.periods import DAY
from exporter.poller.plan import JITTER
from exporter.reports import REPORTS
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import PUBLISHED_AFTER, SimulatedApp

APP = SimulatedApp("wx0000000000000001", "secret-of-the-app-with-all-reports")
BEGIN = LAST_DAY.end + PUBLISHED_AFTER + 3600
WEEKS = 2
ROWS = ([cell.strip(" `") for cell in row.split("|")[1:-1]] for row in costs().splitlines()[2:])
TABLE = {name: cells for name, *cells in ROWS}
"""The cells of the documented table by report."""


class Run:
    """What the poller did with all six reports of one app: at the first start, then in ``WEEKS`` weeks."""

    def __init__(self, hours: int) -> None:
        now = [BEGIN]
        with served([APP], lambda: now[0]) as (wechat, url):
            every = tuple(REPORTS.values())
            with wired([APP], url, lambda: now[0], reports=every, interval=hours * 3600.0) as engine:
                engine.poller.drain()
                self.first = Counter(call.endpoint for call in wechat.calls)
                wechat.calls.clear()
                while True:
                    now[0] = max(now[0], min(of.next_fetch for of in engine.poller.statuses()[0].reports)) + 1
                    if now[0] >= BEGIN + WEEKS * 7 * DAY:
                        break
                    engine.poller.drain()
                self.later = Counter(call.endpoint for call in wechat.calls)
                self.samples = exposed(engine)
                (self.status,) = engine.poller.statuses()


@pytest.fixture(scope="module", params=FETCHES_PER_WEEK, ids=lambda hours: f"interval {hours}h")
def run(request: pytest.FixtureRequest) -> tuple[int, Run]:
    return request.param, Run(request.param)


def test_table_of_the_document_has_every_report() -> None:
    assert list(TABLE) == list(REPORTS)
    assert costs() in (ROOT / "docs" / "reports.md").read_text()


def test_first_start_makes_the_documented_calls(run: tuple[int, Run]) -> None:
    first = run[1].first
    assert first.pop(STABLE_TOKEN) == 1
    assert first == {name: int(cells[0]) for name, cells in TABLE.items()}


def test_steady_state_makes_the_documented_calls(run: tuple[int, Run]) -> None:
    """Jitter makes each wait up to a tenth longer; a period that becomes wanted is fetched at once."""
    hours, found = run
    for report in REPORTS.values():
        documented = calls_per_day(report, hours) * 7 * WEEKS
        assert documented / (1 + JITTER) - 1 <= found.later[report.name] <= documented + WEEKS, report.name


def test_an_app_has_the_documented_series(run: tuple[int, Run]) -> None:
    status = run[1].status
    entrances = {key[-1] for key in run[1].samples if key[0] == "daily_source_sessions"}
    assert len(entrances) > 3
    for of, (name, cells) in zip(status.reports, TABLE.items(), strict=True):
        alone = replace(status, reports=(of,))
        number = sum(len(family.samples) for family in families((of.report,), [alone])) - 1
        fixed, _, of_each = cells[-1].partition(" + ")
        documented = int(fixed) + len(entrances) * int(of_each.partition(" ")[0] or 0)
        assert of.report.name == name
        # A young history has no lowest week and no month of the previous year.
        missing = 11 if name in {"weekly", "monthly"} else 0
        assert documented - missing <= number <= documented, name

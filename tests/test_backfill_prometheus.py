"""From nothing to two years in Prometheus: the command beside an exporter, promtool, Prometheus, then live scrapes."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from grafana_fixture import JOB, VARIABLES, Prometheus
from harness import command, running, served
from scale import scaled

from exporter.alerts.drops import RULES
from exporter.alerts.figures import condition
from exporter.dashboards.bars import around_gaps, bar
from exporter.holidays import public_holidays
from exporter.metrics import catalogue
from exporter.periods import DAY, Day, Week, newest_wanted
from exporter.reports import DAILY, WEEKLY
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.periods import Period
    from exporter.reports import Report
    from exporter.wechat.simulator import Simulator

pytestmark = [pytest.mark.soak, pytest.mark.timeout(scaled(300, 1200))]

WEEKS = 104
HOUR = 3600
READY_AFTER = 10 * HOUR
INTERVAL = 8 * HOUR
"""Three samples of each day."""
WITH_DAYS = scaled(1, 5)
"""How many of the apps fetch the daily report, too."""

Series = dict[tuple[str, ...], list[tuple[float, float]]]
"""Samples by the values of some labels: time and value."""


@dataclass(frozen=True)
class Backfilled:
    """A Prometheus with the history of some apps, and what the apps are."""

    prometheus: Prometheus
    wechat: Simulator
    until: float
    instance: str
    fallen: SimulatedApp
    fell_in: Week
    gapped: SimulatedApp
    missing: dict[str, list[Period]]
    """By report: the periods for which WeChat has no data of the gapped app."""
    lacking: SimulatedApp
    lacked_in: Week
    """The week in which the number of new visitors of that app is missing."""

    def samples(self, metric: str, *labels: str) -> Series:
        """Return every sample of a metric until the seam, by the values of these labels."""
        found: Series = defaultdict(list)
        for series in self.prometheus.query("query", query=f"{metric}[{WEEKS + 2}w]", time=self.until):
            key = tuple(series["metric"][label] for label in labels)
            assert key not in found, f"two series of {key}"
            found[key] = [(float(at), float(value)) for at, value in series["values"]]
        return found

    def apps(self, report: Report) -> list[SimulatedApp]:
        """Return the apps that fetch a report."""
        return list(self.wechat.apps.values())[: 5 if report is WEEKLY else WITH_DAYS]

    def periods(self, report: Report) -> list[Period]:
        """Return the chosen periods whose figures were exposed before the seam, the oldest first."""
        newest = newest_wanted(report.period, self.until + 3 * HOUR, READY_AFTER)
        every = [newest.before(back) for back in range(report.periods_in_weeks(WEEKS))]
        return [period for period in reversed(every) if period.end + READY_AFTER < self.until]


def ordinary(newest: Week, back: int) -> Week:
    """Return the first week from there on back without a public holiday."""
    return next(week for week in map(newest.before, range(back, WEEKS)) if not public_holidays(week))


@pytest.fixture(scope="module")
def backfilled(prometheus: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    folder: Path = tmp_path_factory.mktemp("backfill")
    until = int(time.time()) - 3 * HOUR - 1
    newest = newest_wanted(Week, time.time(), READY_AFTER)
    fell_in, lacked_in = ordinary(newest, 30), newest.before(20)
    missing: dict[str, list[Period]] = {
        "weekly": [newest.before(10), newest.before(50), newest.before(51)],
        "daily": [Day(newest.before(40).last).before(back) for back in range(3)],
    }
    gaps = tuple(InjectedFault("no_rows", name, frozenset(periods)) for name, periods in missing.items())
    gapped = SimulatedApp("wx00000000000000b1", "secret-of-the-app-with-gaps", Audience(3000), faults=gaps)
    fallen = SimulatedApp("wx00000000000000b2", "secret-of-the-app-that-falls", Audience(8000, drops_in=fell_in))
    lacking = SimulatedApp("wx00000000000000b3", "secret-of-the-app-that-lacks", Audience(2000))
    others = [SimulatedApp(f"wx00000000000000c{n}", f"secret-of-app-number-{n}", Audience(500 * n)) for n in (1, 2)]
    apps = (gapped, fallen, lacking, *others)
    with served(apps) as (wechat, base_url):
        row = dict(wechat.row(lacking.appid, lacked_in))
        wechat.publish(lacking.appid, {name: value for name, value in row.items() if name != "visit_uv_new"})
        entries = [
            {"appid": app.appid, "name": f"店铺 {number}", "secret": app.secret}
            | ({"reports": ["weekly", "daily"]} if number < WITH_DAYS else {})
            for number, app in enumerate(apps)
        ]
        (folder / "config.yaml").write_text(json.dumps({"api": {"base_url": base_url}, "apps": entries}))
        (folder / "config.yaml").chmod(0o600)
        with running(folder) as exporter:
            address = exporter.address
            labels = (f"--label=job={JOB}", f"--label=instance={address}")
            options = (f"--weeks={WEEKS}", "--output=history.om", f"--sample-interval={INTERVAL // HOUR}h")
            rate = "--max-requests-per-second=1000"
            result = command(folder, "backfill", *options, *labels, f"--until={until}", rate)
            assert result.returncode == 0, result.stderr
        create = [promtool, "tsdb", "create-blocks-from", "--max-block-duration=20000h", "--quiet", "openmetrics"]
        subprocess.run([*create, folder / "history.om", folder / "tsdb"], check=True, stdout=subprocess.DEVNULL)
        database = Prometheus(prometheus, folder, [address], flags=["--storage.tsdb.retention.time=10y"])
        # Started again, it also compares with the periods that the backfill has stored.
        with running(folder, f"--web.listen-address={address}"):
            database.start()
            try:
                details = fallen, fell_in, gapped, missing, lacking, lacked_in
                yield Backfilled(database, wechat, until, address, *details)
            finally:
                database.stop()


@pytest.mark.parametrize("report", [WEEKLY, DAILY], ids=lambda report: report.name)
def test_each_figure_is_that_of_wechat(backfilled: Backfilled, report: Report) -> None:
    """All periods of all apps, at the first, second and last sample of each; a missing field has none."""
    kind = report.period.NAME
    for field in report.fields:
        found = backfilled.samples(report.metric(field), "appid", kind)
        expected = set()
        for app in backfilled.apps(report):
            for period in backfilled.periods(report):
                is_gap = app == backfilled.gapped and period in backfilled.missing[report.name]
                is_lacking = (app, period, field.wechat) == (backfilled.lacking, backfilled.lacked_in, "visit_uv_new")
                if is_gap or is_lacking:
                    continue
                expected.add((app.appid, period.label))
                samples = found[app.appid, period.label]
                begin = period.end + READY_AFTER
                value = backfilled.wechat.row(app.appid, period)[field.wechat]
                assert samples[0] == (begin, value)
                assert {number for _, number in samples} == {value}
                steps = [later - earlier for (earlier, _), (later, _) in pairwise(samples)]
                assert set(steps[:-1]) <= {INTERVAL}
                assert len(samples) >= 3 or begin + 2 * INTERVAL >= backfilled.until
        assert found.keys() == expected


def test_a_period_stays_until_the_next_known_one(backfilled: Backfilled) -> None:
    for report in (WEEKLY, DAILY):
        found = backfilled.samples(catalogue.end_metric(report), "appid", report.period.NAME)
        periods = backfilled.periods(report)
        for app in backfilled.apps(report):
            gaps = backfilled.missing[report.name] if app == backfilled.gapped else []
            known = [period for period in periods if period not in gaps]
            for period, later in pairwise(known):
                times = [at for at, _ in found[app.appid, period.label]]
                assert times == list(range(int(period.end) + READY_AFTER, int(later.end) + READY_AFTER, INTERVAL))
            assert found[app.appid, known[-1].label][-1][0] == backfilled.until - 1


def test_bars_of_two_years_have_no_gap(backfilled: Backfilled) -> None:
    weeks = [week.label for week in backfilled.periods(WEEKLY)]
    for app in (backfilled.fallen, backfilled.gapped):
        bars = _bars(backfilled, bar(WEEKLY.metric(WEEKLY.fields[2]), WEEKLY), app)
        gaps = [week.label for week in backfilled.missing["weekly"]] if app == backfilled.gapped else []
        assert sorted(bars) == [week for week in weeks if week not in gaps]
        places = _bars(backfilled, around_gaps(WEEKLY), app)
        assert {*bars, *places} >= {*weeks}, "a missing week has a place in the chart"


def _bars(backfilled: Backfilled, expression: str, app: SimulatedApp) -> dict[str, float]:
    chosen = VARIABLES | {"app": app.appid, "__range": f"{WEEKS + 2}w"}
    query = re.sub(r"\$([a-z_]+)", lambda name: chosen[name[1]], expression)
    samples = backfilled.prometheus.query("query", query=query, time=backfilled.until)
    return {sample["metric"]["week"]: float(sample["value"][1]) for sample in samples}


def test_drop_alert_is_true_in_the_week_of_the_drop_only(backfilled: Backfilled) -> None:
    rule = next(each for each in RULES if each.name == "VisitorsBelowNormal")
    begin = backfilled.periods(WEEKLY)[0].end + READY_AFTER
    matrix = backfilled.prometheus.query(
        "query_range", query=condition(rule), start=begin, end=backfilled.until, step=INTERVAL
    )
    fallen = {(series["metric"]["appid"], series["metric"]["week"]) for series in matrix}
    assert fallen == {(backfilled.fallen.appid, backfilled.fell_in.label)}
    ((first, _), *_, (last, _)) = matrix[0]["values"]
    assert first == backfilled.fell_in.end + READY_AFTER
    assert last == backfilled.fell_in.after().end + READY_AFTER - INTERVAL


def test_live_scrapes_continue_the_series(backfilled: Backfilled) -> None:
    """The live exporter has exactly the series that the history ends with, and no others of these names."""
    backfilled.prometheus.wait_for_scrapes()
    now = time.time()
    selector = '{__name__=~"wechat_miniprogram_.+",appid!=""}'
    past = _series(backfilled.prometheus.query("query", query=selector, time=backfilled.until))
    live = _series(backfilled.prometheus.query("query", query=selector, time=now))
    of_state = {info.name for info in catalogue.OF_STATE} - {info.name for info in catalogue.KNOWN_OF_PAST}
    live = {series: value for series, value in live.items() if dict(series)["__name__"] not in of_state}
    assert len(past) > 100
    changed = [  # whose live period changed after the seam, if the test runs before 13:00 in Beijing
        report
        for report in (WEEKLY, DAILY)
        if newest_wanted(report.period, backfilled.until, READY_AFTER) != newest_wanted(report.period, now, READY_AFTER)
    ]
    for series in past.keys() | live.keys():
        labels = dict(series)
        if not any(report.period.NAME in labels or labels.get("report") == report.name for report in changed):
            assert past.get(series) == live.get(series), series
    assert {dict(series)["instance"] for series in live} == {backfilled.instance}


def _series(samples: list[dict[str, Any]]) -> dict[tuple[tuple[str, str], ...], float]:
    return {tuple(sorted(sample["metric"].items())): float(sample["value"][1]) for sample in samples}


def test_instant_queries_see_the_figures(backfilled: Backfilled) -> None:
    """Where a scrape would have been, an instant query has the value, without a range."""
    period = backfilled.periods(WEEKLY)[60]
    for at in (0, INTERVAL, 2 * INTERVAL):
        moment = period.end + READY_AFTER + at
        query = f'wechat_miniprogram_weekly_visitors{{appid="{backfilled.fallen.appid}"}}'
        (sample,) = backfilled.prometheus.query("query", query=query, time=moment)
        assert sample["metric"]["week"] == period.label
        assert float(sample["value"][1]) == backfilled.wechat.row(backfilled.fallen.appid, period)["visit_uv"]


def test_prometheus_keeps_the_history(backfilled: Backfilled) -> None:
    """Beside its own new data; a timestamp in milliseconds would have made it delete the blocks."""
    assert backfilled.until < time.time() - 3 * HOUR + 1
    oldest = backfilled.periods(WEEKLY)[0]
    query = "count(wechat_miniprogram_app_info)"
    (sample,) = backfilled.prometheus.query("query", query=query, time=oldest.end + READY_AFTER)
    assert float(sample["value"][1]) == 5
    assert oldest.end < time.time() - (WEEKS - 1) * 7 * DAY

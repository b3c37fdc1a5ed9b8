"""The evaluation of past periods finds exactly the alerts that Prometheus fires from the same figures.

promtool begins at the Unix epoch, and the rules compare the ends of weeks with the time. So the weeks are those of
1970, after as many weeks before that as the comparisons need.
"""

from __future__ import annotations

import functools
import json
import subprocess
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rule_cases import RULES_TEXT
from scale import scaled

from exporter.alerts.backtest import Backtest, PastAlert
from exporter.alerts.model import PREFIX
from exporter.alerts.rule_files import FIGURES
from exporter.backfill import PeriodRange, Timelines
from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.metrics import SeriesRenderer
from exporter.periods import Day, Week
from exporter.reports import DAILY, WEEKLY, WEEKLY_RETENTION, Reading, StoredReading
from exporter.store import Change, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.backfill import Moment
    from exporter.periods import Period
    from exporter.reports import Report

HOUR = 3600
READY_AFTER = 12 * HOUR
STEP = 4 * HOUR
"""Of promtool's time. A day begins and figures change at multiples of it."""
FIRST = Week(date(1970, 1, 5))
"""The first week whose figures are exposed."""
WEEKS = 4
BEFORE = 16
"""Weeks before it that are stored."""
UNTIL = FIRST.before(1 - WEEKS).end + READY_AFTER + 5 * 86_400
_FIGURES = scaled(("visitors", "sessions"), tuple(each.field.short_name for each in WEEKLY.alert_thresholds))
TESTED = (*_FIGURES, "retention")
"""The figures whose rules promtool evaluates: one that explains the other. test_conditions has all conditions."""
REPORTS = (WEEKLY, DAILY, WEEKLY_RETENTION)
PROFILE = (150, 150, 150, 150, 150, 80, 80)


@dataclass(frozen=True)
class AppCourse:
    """An app: the share of its visitors that comes on each day, and the periods that are missing."""

    name: str
    share: Callable[[date], float]
    reports: tuple[Report, ...] = (WEEKLY, DAILY)
    missing: tuple[Period, ...] = ()
    back: Callable[[date], float] = lambda _day: 0.3
    """Share of a week's visitors who come back in the next week, by the first day of the week."""

    def readings(self) -> Iterator[StoredReading]:
        """Yield every known reading."""
        first = FIRST.before(BEFORE)
        weeks = [first.before(-number) for number in range(BEFORE + WEEKS + 1)]
        for report in self.reports:
            periods = weeks if report.period is Week else [Day(day) for week in weeks for day in week.days]
            for period in periods:
                visitors = sum(round(PROFILE[day.weekday()] * self.share(day)) for day in period.days)
                if period not in self.missing:
                    yield StoredReading(self._reading(report, period, visitors), 1.0)

    def _reading(self, report: Report, period: Period, visitors: int) -> Reading:
        if report is not WEEKLY_RETENTION:
            values = (2 * visitors, 6 * visitors, visitors, visitors // 2, 90.0, 60.0, 3.0)
            return Reading(report, period, values)
        sizes = (visitors, visitors // 2)
        parts = [
            (field.wechat, str(later), round(size * self.back(period.first) / later))
            for field, size in zip(report.fields, sizes, strict=True)
            for later in range(1, report.later + 1)
        ]
        return Reading(report, period, sizes, tuple(sorted(parts)))


def fallen(begin: date, days: int, left: float) -> Callable[[date], float]:
    """Return the shares of an app that loses visitors for some days."""
    return lambda day: left if 0 <= (day - begin).days < days else 1.0


def day_of(week: int, weekday: int) -> date:
    """Return a day of one of the exposed weeks, by numbers from 0."""
    return FIRST.before(-week).days[weekday]


COURSES = (
    AppCourse("steady", lambda _day: 1.0),
    AppCourse("a week at a half, without days", fallen(day_of(2, 0), 7, 0.5), (WEEKLY,)),
    AppCourse("two weeks at a fifth, without days", fallen(day_of(1, 0), 14, 0.2), (WEEKLY,)),
    AppCourse("a half from a Wednesday on", fallen(day_of(1, 2), 60, 0.5)),
    AppCourse("a collapse over a week-end", fallen(day_of(1, 5), 4, 0.1)),
    AppCourse("two falls of days", lambda day: fallen(day_of(0, 1), 4, 0.4)(day) * fallen(day_of(2, 1), 4, 0.1)(day)),
    AppCourse("days without weeks", fallen(day_of(2, 3), 5, 0.3), (DAILY,)),
    AppCourse(
        "a fall of days that are not known",
        fallen(day_of(2, 0), 7, 0.4),
        missing=tuple(Day(day) for day in FIRST.before(-2).days),
    ),
    AppCourse(
        "a fall, then no further week",
        fallen(day_of(1, 0), 60, 0.5),
        missing=(FIRST.before(-2), FIRST.before(-3)),
    ),
    AppCourse(
        "fewer come back", lambda _day: 1.0, (WEEKLY_RETENTION,), back=lambda day: 0.1 if day > FIRST.first else 0.3
    ),
    AppCourse(
        "a fall in a week after which one is missing", fallen(day_of(1, 0), 7, 0.5), (WEEKLY,), (FIRST.before(-2),)
    ),
)


def moments(course: AppCourse, store: Store) -> list[Moment]:
    """Return what the exporter exposes of an app."""
    app = App(course.name, Datacube(AppSecret(LiteralSecret("x" * 20))), reports=course.reports)
    store.save([Change(app.appid, each.reading.report, each) for each in course.readings()])
    last_week = FIRST.before(1 - WEEKS)
    last_day = Day(last_week.last).before(-5)
    chosen = {
        "weekly": PeriodRange(FIRST, last_week, last_week),
        "weekly_retention": PeriodRange(FIRST.before(), last_week.before(), last_week.before()),
        "daily": PeriodRange(Day(FIRST.first), last_day, last_day),
    }
    return list(Timelines(store, READY_AFTER, UNTIL).of(app, chosen))


@functools.cache
def rules_about_fields() -> str:
    """Return a rule file with the rules about ``TESTED`` only."""
    (group,) = (each for each in yaml.safe_load(RULES_TEXT)["groups"] if each["name"] == FIGURES)
    group["rules"] = [each for each in group["rules"] if each.get("labels", {}).get("figure", TESTED[0]) in TESTED]
    return json.dumps({"groups": [group]})


def _is_tested(alert: PastAlert) -> bool:
    return alert.rule.figure in TESTED


def firing(alert: PastAlert, at: float) -> bool:
    """Return whether Prometheus shows an alert as firing at an instant, a step after it begins or ends."""
    keeps = alert.fires_until if alert.rule.report.period is Day else alert.end
    return not alert.reported and alert.fires_at <= at < keeps


def input_series(found: list[Moment]) -> Iterator[dict[str, str]]:
    """Yield what Prometheus has scraped at each step, in promtool's notation."""
    renderer = SeriesRenderer(REPORTS, {})
    read = rules_about_fields()
    values: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    steps = int(UNTIL // STEP) + 1
    for moment in found:
        for _, series, value in renderer.series(moment.status):
            if series.partition(b"{")[0].decode() not in read:
                continue
            values[series] |= dict.fromkeys(range(int(moment.start) // STEP, int(moment.end) // STEP), value)
    for series, of_series in values.items():
        yield {
            "series": series.decode(),
            "values": " ".join(of_series.get(step, b"_").decode() for step in range(steps)),
        }


@pytest.mark.soak
@pytest.mark.timeout(scaled(300, 1200))
def test_evaluation_agrees_with_prometheus(promtool: str, tmp_path: Path) -> None:
    """Eleven apps over four weeks, twice a day; each kind of rule about a count is among them."""
    series: list[dict[str, str]] = []
    alerts: list[tuple[str, PastAlert]] = []
    with closing(Store(":memory:", "host", lambda: UNTIL)) as store:
        for course in COURSES:
            found = moments(course, store)
            series += input_series(found)
            backtest = Backtest()
            for moment in found:
                backtest.add(moment.start, moment.end, moment.status)
            alerts += [(course.name, alert) for alert in backtest.alerts()]
    kinds = {alert.rule.kind for _, alert in alerts}
    assert kinds == {"BelowNormal", "Collapsed", "DailyDropped", "DailyCollapsed", "Dropped"}
    assert {alert.reported for _, alert in alerts} == {False, True}
    assert [name for name, _ in alerts if name == "steady"] == []
    expression = "group by (appid, alertname) (ALERTS{alertstate='firing', figure!=''})"
    first = int(FIRST.end) + READY_AFTER
    tests = []
    for at in range(first + STEP, int(UNTIL), 3 * STEP):
        expected = {(name, alert.rule.name) for name, alert in alerts if firing(alert, at) and _is_tested(alert)}
        samples = [{"labels": f'{{appid="{name}", alertname="{PREFIX}{rule}"}}', "value": 1} for name, rule in expected]
        tests.append({"expr": expression, "eval_time": f"{at}s", "exp_samples": samples})
    assert promtool_says(promtool, tmp_path, series, tests) == ""


def promtool_says(promtool: str, folder: Path, series: list[dict[str, str]], tests: list[dict[str, Any]]) -> str:
    file = folder / "rules_test.yml"
    test = {"interval": f"{STEP}s", "input_series": series, "promql_expr_test": tests}
    (folder / "rules.yml").write_text(rules_about_fields())
    document = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP}s", "tests": [test]}
    file.write_text(json.dumps(document))  # JSON is valid YAML, and faster to write
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_days_in_a_row_are_one_alert() -> None:
    with closing(Store(":memory:", "host", lambda: UNTIL)) as store:
        backtest = Backtest()
        for moment in moments(next(each for each in COURSES if each.name == "days without weeks"), store):
            backtest.add(moment.start, moment.end, moment.status)
    (alert,) = (each for each in backtest.alerts() if each.rule.name == "VisitorsDailyDropped")
    assert (alert.first, alert.last) == (Day(day_of(2, 4)), Day(day_of(3, 1)))
    assert alert.drop.ratio < 0.35


def test_weekly_alert_that_a_daily_one_reported_is_marked() -> None:
    with closing(Store(":memory:", "host", lambda: UNTIL)) as store:
        backtest = Backtest()
        for moment in moments(next(each for each in COURSES if each.name == "a half from a Wednesday on"), store):
            backtest.add(moment.start, moment.end, moment.status)
    weekly = [(alert.first, alert.reported) for alert in backtest.alerts() if alert.rule.name == "VisitorsBelowNormal"]
    assert weekly[0] == (Week(FIRST.before(-1).first), True)

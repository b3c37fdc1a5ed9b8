"""When a figure fell too far: the same on the status page and in the rules, as promtool confirms."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from rule_cases import alerts_of, cohort, promtool_agrees, status, stored
from scale import scaled

from exporter.alerts.drops import RULES, find_drops
from exporter.periods import Day, Week
from exporter.reports import DAILY, DAILY_SUMMARY, WEEKLY, WEEKLY_RETENTION, History, Thresholds
from exporter.web.statuspage import StatusPage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.apps import AppStatus

ROOT = Path(__file__).parent.parent
QUIET, AFTER_HOLIDAYS, HOLIDAYS = Week(date(2026, 11, 16)), Week(date(2026, 10, 12)), Week(date(2026, 10, 5))
FIRST_HOLIDAY = Week(date(2026, 9, 21))
"""The Mid-Autumn Festival; no holiday in the week before it."""
DECEMBER = Week(date(2026, 12, 14))
"""The eight weeks before it are ordinary."""
Figures = tuple[float | None, float | None, float | None, float | None]
UNKNOWN: Figures = (None, None, None, None)
FULL: Figures = (2000, 1000, 90.0, 3.0)
"""Sessions, visitors, stay per visitor, depth."""


def app(weeks: Sequence[Figures], week: Week = QUIET, thresholds: Thresholds | None = None) -> AppStatus:
    """An app with these weeks, the live one first."""
    readings = [
        stored(WEEKLY, week.before(place), sessions, None, visitors, None, stay, None, depth)
        for place, (sessions, visitors, stay, depth) in enumerate(weeks)
        if (sessions, visitors, stay, depth) != UNKNOWN
    ]
    return status(History.of(WEEKLY, readings), thresholds)


def same(live: Figures, before: Figures = FULL, week: Week = QUIET, thresholds: Thresholds | None = None) -> AppStatus:
    """The same as in each of the eight weeks before, but for the live one."""
    return app([live, *[before] * 8], week, thresholds)


def ratios(**options: float) -> Thresholds:
    """The thresholds with other ratios of the weekly report."""
    return Thresholds().with_ratios({("weekly", option): ratio for option, ratio in options.items()})


DAILY_OFF = Thresholds().with_ratios({("daily", threshold.option): 0.0 for threshold in DAILY.alert_thresholds})
ALL_OFF = ratios(**{threshold.option: 0.0 for threshold in WEEKLY.alert_thresholds})
DAYS = History.of(
    DAILY,
    [stored(DAILY, Day(QUIET.last).before(back), *[20 if back < 3 else 2000] * 7) for back in range(40)],
)
"""Days of which the last three fell to a hundredth."""


def days(*counts: int, sessions: int = 0, before: tuple[int, ...] = (100,), ratio: float = 0.65) -> AppStatus:
    """An app's last days, and the ten weeks before: one number for each week in turn.

    The other counts follow the visitors; ``sessions`` and page visits fall to half if they are given.
    """
    last = Day(DECEMBER.last)
    usual = [before[(back // 7) % len(before)] for back in range(70)]
    visitors = [*reversed(counts), *usual[len(counts) :]]
    readings = []
    for back, count in enumerate(visitors):
        opened = sessions * (1 + (back > 2)) or 2 * count
        readings.append(stored(DAILY, last.before(back), opened, opened, count, count, None, None, None))
    ratios = {("daily", threshold.option): ratio for threshold in DAILY.alert_thresholds}
    return status(History.of(DAILY, readings), Thresholds().with_ratios(ratios))


def cohorts(*cohorts: tuple[int | None, int], week: Week = QUIET, ratio: float = 0.7) -> AppStatus:
    """An app of whose new visitors so many, of so many, came back in the week after; the live cohort first."""
    readings = [cohort(week.before(place), size, back) for place, (size, back) in enumerate(cohorts)]
    ratios = {("weekly_retention", "new_visitors_min_ratio"): ratio}
    return status(History.of(WEEKLY_RETENTION, readings), Thresholds().with_ratios(ratios))


def shares(now: int, before: int, sharers: int, day: Day = Day(QUIET.last), ratio: float | None = 0.5) -> AppStatus:  # noqa: B008 (a frozen value)
    """An app that was shared so often on the live day, and so often by so many on each of the days before."""
    readings = [stored(DAILY_SUMMARY, day.before(back), before if back else now, sharers, 9000) for back in range(60)]
    ratios = {} if ratio is None else {("daily_summary", "shares_min_ratio"): ratio}
    return status(History.of(DAILY_SUMMARY, readings), Thresholds().with_ratios(ratios))


HALF: Figures = (1000, 500, 90.0, 3.0)
FIFTH: Figures = (400, 200, 90.0, 3.0)
UNKNOWN_YEAR = Week(date(2003, 10, 13))
COUNTS_AT_HALF = {"visitors_min_ratio": 0.5, "sessions_min_ratio": 0.4}
BELOW, DROPPED = {"VisitorsBelowNormal", "SessionsBelowNormal"}, {"VisitorsDropped", "SessionsDropped"}
COLLAPSED = {"VisitorsCollapsed", "SessionsCollapsed"}
AVERAGES = {f"{figure}{kind}" for figure in ("StayPerVisitor", "VisitDepth") for kind in ("Collapsed", "BelowNormal")}
AVERAGES_OF_NEW_APP = {name.replace("BelowNormal", "Dropped") for name in AVERAGES}
LESS_RETENTION, LESS_SHARES = {"RetentionDropped"}, {"SharesDropped"}
LOW_AVERAGES: Figures = (2000, 1000, 30.0, 1.0)
DAILY_COLLAPSED, DAILY_DROPPED = (
    {f"{figure}Daily{kind}" for figure in ("Visitors", "NewVisitors", "Sessions", "Visits")}
    for kind in ("Collapsed", "Dropped")
)
CASES: list[tuple[str, AppStatus, set[str]]] = [
    ("nothing known", status(History(WEEKLY)), set()),
    ("one week", app([HALF]), set()),
    ("all the same", same(FULL), set()),
    ("a little less", same((1500, 750, 70.0, 2.2)), set()),
    ("half of it", same(HALF), BELOW),
    ("a fifth of it", same(FIFTH), BELOW | COLLAPSED),
    ("less than the previous week only", app([HALF, FULL, *[HALF] * 7], DECEMBER), set()),
    ("less than the typical week only", app([HALF, HALF, *[FULL] * 4], DECEMBER), BELOW),
    ("three weeks before are not typical", app([HALF, *[FULL] * 3]), DROPPED),
    ("a collapse without a typical week", app([FIFTH, *[FULL] * 3]), DROPPED | COLLAPSED),
    ("the previous week is not known", app([HALF, UNKNOWN, *[FULL] * 4], DECEMBER), BELOW),
    ("neither is a typical one", app([HALF, UNKNOWN, *[FULL] * 3]), set()),
    ("hardly lower than the lowest week", app([HALF, (1100, 550, 90.0, 3.0), *[FULL] * 7], DECEMBER), set()),
    ("lower than the lowest week", app([HALF, (1120, 560, 90.0, 3.0), *[FULL] * 7], DECEMBER), BELOW),
    ("five weeks have no lowest one", app([HALF, HALF, *[FULL] * 4], DECEMBER), BELOW),
    ("chance", same((20, 10, 90.0, 3.0), (40, 20, 90.0, 3.0)), set()),
    ("hardly chance", same((None, 36, None, None), (None, 72, None, None)), {"VisitorsBelowNormal"}),
    ("few who come often", same((400, 100, 9.0, 1.0), (1000, 120, 90.0, 3.0)), {"SessionsBelowNormal"}),
    ("fewer who come often", same((80, 20, 90.0, 3.0), (200, 20, 90.0, 3.0)), set()),
    ("fewer who come often in a new app", app([(80, 20, 90.0, 3.0), *[(200, 20, 90.0, 3.0)] * 3]), set()),
    ("sessions of unknown visitors", same((40, None, None, None), (2000, None, None, None)), set()),
    ("sessions of no visitors", same((40, 0, None, None), (2000, 0, None, None)), set()),
    ("averages of enough", same(LOW_AVERAGES), AVERAGES),
    ("averages of few", same((400, 199, 30.0, 1.0), (400, 200, 90.0, 3.0)), set()),
    ("nothing at all", same((0, 0, 0.0, 0.0)), BELOW | COLLAPSED),
    ("from nothing", same(HALF, (0, 0, 0.0, 0.0)), set()),
    ("as much as the app may", same(HALF, thresholds=ratios(**COUNTS_AT_HALF)), set()),
    (
        "more than the app may",
        same(HALF, thresholds=ratios(**COUNTS_AT_HALF | {"visitors_min_ratio": 0.51})),
        {"VisitorsBelowNormal"},
    ),
    ("thresholds of another report", same(HALF, thresholds=DAILY_OFF), BELOW),
    ("alerts disabled", same((0, 1, 0.0, 0.0), thresholds=ALL_OFF), set()),
    ("a holiday", same(FIFTH, week=HOLIDAYS), set()),
    ("after a holiday", same(FIFTH, week=AFTER_HOLIDAYS), BELOW | COLLAPSED),
    ("after a holiday, without a typical week", app([FIFTH, FULL], AFTER_HOLIDAYS), set()),
    ("holiday weeks are not typical", app([FULL, FULL, *[HALF] * 2, *[FULL] * 5], AFTER_HOLIDAYS), set()),
    ("a fall hidden by the holiday weeks", app([HALF, *[HALF] * 3, *[FULL] * 5], AFTER_HOLIDAYS), BELOW),
    ("after the holidays of an unknown year", same(HALF, week=UNKNOWN_YEAR), BELOW),
    ("averages without a typical week", app([LOW_AVERAGES, *[FULL] * 3]), AVERAGES_OF_NEW_APP),
    ("averages of few in the typical week", same(LOW_AVERAGES, (400, 199, 90.0, 3.0)), set()),
    ("averages of few in the previous week", app([LOW_AVERAGES, *[(400, 199, 90.0, 3.0)] * 3]), set()),
    ("averages of few without a typical week", app([(400, 199, 30.0, 1.0), (400, 200, 90.0, 3.0)]), set()),
    ("averages lower than in the previous week only", app([LOW_AVERAGES, FULL, *[LOW_AVERAGES] * 7], DECEMBER), set()),
    ("averages in a holiday week", same(LOW_AVERAGES, week=HOLIDAYS), set()),
    ("averages of a new app in a holiday week", app([LOW_AVERAGES, FULL], FIRST_HOLIDAY), set()),
    ("averages of a new app after a holiday week", app([LOW_AVERAGES, FULL], AFTER_HOLIDAYS), set()),
    ("three days within chance", days(17, 17, 16, before=(30,)), set()),
    ("three days hardly beyond chance", days(16, 16, 16, before=(30,)), DAILY_DROPPED),
    ("two days within chance", days(5, 5, before=(16,)), set()),
    ("two days hardly beyond chance", days(7, 7, before=(23,)), DAILY_COLLAPSED),
    ("sessions of few visitors by day", days(10, before=(10,), sessions=50), set()),
    ("sessions of more visitors by day", days(100, sessions=500), {"SessionsDailyDropped", "VisitsDailyDropped"}),
    ("days that vary much", days(50, 50, 50, before=(60, 140)), set()),
    ("a fall of days that vary much", days(20, 20, 20, before=(60, 140)), DAILY_DROPPED | DAILY_COLLAPSED),
    ("days that hardly vary", days(9200, 9200, 9200, before=(10000,), ratio=0.95), set()),
    (
        "days lower than they vary",
        days(*[9000] * 3, before=(10000,), ratio=0.95),
        DAILY_DROPPED,
    ),
    ("an app without the weekly report", status(DAYS), DAILY_DROPPED | DAILY_COLLAPSED),
    ("as many come back", cohorts((1000, 250), (1000, 250)), set()),
    ("more come back", cohorts((1000, 250), (1000, 120)), set()),
    ("fewer come back", cohorts((1000, 120), (1000, 250)), LESS_RETENTION),
    ("none comes back", cohorts((1000, 0), (1000, 250)), LESS_RETENTION),
    ("none came back before", cohorts((1000, 0), (1000, 0)), set()),
    ("one cohort", cohorts((1000, 120)), set()),
    ("a cohort of unknown size", cohorts((None, 120), (1000, 250)), set()),
    ("a previous cohort of unknown size", cohorts((1000, 120), (None, 250)), set()),
    ("more come back than there were", cohorts((200, 150), (200, 300)), set()),
    ("fewer come back by chance", cohorts((200, 30), (200, 50)), set()),
    ("fewer come back, hardly by chance", cohorts((200, 25), (200, 50)), LESS_RETENTION),
    ("most came back", cohorts((200, 130), (200, 180), ratio=0.75), LESS_RETENTION),
    ("a small cohort after a large one", cohorts((200, 34), (100_000, 25_000)), set()),
    ("a large cohort after a small one", cohorts((100_000, 16_500), (200, 48)), set()),
    ("a cohort of few", cohorts((199, 10), (200, 60)), set()),
    ("a previous cohort of few", cohorts((200, 10), (199, 60)), set()),
    ("as few come back as may", cohorts((1000, 120), (1000, 250), ratio=0.48), set()),
    ("fewer come back than may", cohorts((1000, 120), (1000, 250), ratio=0.49), LESS_RETENTION),
    ("alerts about retention disabled", cohorts((1000, 0), (1000, 250), ratio=0.0), set()),
    ("a cohort of a holiday week", cohorts((1000, 120), (1000, 250), week=HOLIDAYS), set()),
    ("a cohort before a holiday week", cohorts((1000, 120), (1000, 250), week=FIRST_HOLIDAY.before()), set()),
    ("a cohort after a holiday week", cohorts((1000, 120), (1000, 250), week=AFTER_HOLIDAYS), LESS_RETENTION),
    ("a cohort of an unknown year", cohorts((1000, 120), (1000, 250), week=UNKNOWN_YEAR), LESS_RETENTION),
    ("as many shares", shares(100, 100, 80), set()),
    ("fewer shares", shares(30, 100, 80), LESS_SHARES),
    ("fewer shares, alert not enabled", shares(0, 1000, 800, ratio=None), set()),
    ("fewer shares of few who share much", shares(30, 100, 20), set()),
    ("as few shares as may be", shares(40, 100, 100, ratio=0.4), set()),
    ("fewer shares by chance", shares(25, 60, 60), set()),
    ("fewer shares, hardly by chance", shares(23, 60, 60), LESS_SHARES),
    ("fewer shares on a holiday", shares(30, 100, 80, Day(HOLIDAYS.first)), set()),
    ("shares without sharers", shares(30, 100, 0), set()),
]
APPS = [replace(found, appid=f"wx{number}", name=why) for number, (why, found, _) in enumerate(CASES)]


def test_drops_exceed_threshold_chance_and_holidays() -> None:
    assert {why: alerts_of(app) for why, app, _ in CASES} == {why: expected for why, _, expected in CASES}


def test_drop_has_its_ratio_to_the_baseline() -> None:
    found = [(fall.rule.name, fall.ratio) for fall in find_drops(same((900, 480, 90.0, 3.0)), WEEKLY)]
    assert found == [("VisitorsBelowNormal", 0.48), ("SessionsBelowNormal", 0.45)]


def test_status_page_marks_falls_of_shares_and_of_retention() -> None:
    """Retention is a figure in parts, which has no column: the app alone is marked."""
    fewer, retained = shares(30, 100, 80), cohorts((1000, 120), (1000, 250))
    rows = [
        StatusPage(report).render_app(app) for report, app in ((DAILY_SUMMARY, fewer), (WEEKLY_RETENTION, retained))
    ]
    assert [row.fell for row in rows if row] == [True, True]
    assert [round(row.urgency[1], 2) for row in rows if row] == [0.3, 0.48]
    assert b"30% of the typical weekday" in (rows[0].html if rows[0] else b"")


def sampled(number: int) -> Iterator[AppStatus]:
    """Apps of the benchmark's fleets on random days, whole and fallen, with thresholds of their own."""
    spec = importlib.util.spec_from_file_location("fleets", ROOT / "benchmarks" / "alerts.py")
    assert spec is not None
    assert spec.loader is not None
    fleets: Any = importlib.util.module_from_spec(spec)
    sys.modules["fleets"] = fleets
    spec.loader.exec_module(fleets)
    random = Random(1)  # noqa: S311 (figures, no secrets)
    for each in range(number):
        report = random.choice((WEEKLY, DAILY))
        kind, visitors = random.choice(("office", "leisure")), random.choice((60, 300, 5000))
        app = fleets.App(fleets.Fleet(kind, visitors, 0.15, 0.25), each)
        draw = app.week if report is WEEKLY else app.day
        first = random.randrange(len(fleets.periods(report)) - 120)
        history = History(report)
        lost, fallen = random.choice((0, 0.3, 0.5, 0.8)), random.choice((1, 3))
        length = random.choice((15, 110) if report is DAILY else (4, 15))
        for back, period in enumerate(fleets.periods(report)[first : first + length]):
            left = 1 - lost if back >= length - fallen else 1.0
            count = draw(period, left)
            values = (2 * count, 5 * count, count, count // 3, 90.0 * left, 60.0, 3.0 * left)
            if random.random() > 0.02:
                history = history.with_reading(stored(report, period, *values))
        ratios = {
            (report.name, threshold.option): random.choice((0.7, 0.5, 0.9)) for threshold in report.alert_thresholds
        }
        yield replace(status(history, Thresholds().with_ratios(ratios)), appid=f"wx-{each}")


def retaining(number: int) -> Iterator[AppStatus]:
    """Apps with cohorts of random sizes, of which random shares came back."""
    random = Random(2)  # noqa: S311 (figures, no secrets)
    for each in range(number):
        size, rate = random.choice((150, 250, 1000, 20_000)), random.uniform(0.02, 0.95)
        drawn = [(round(size * random.uniform(0.7, 1.4)), rate * random.uniform(0.3, 1.2)) for _ in range(2)]
        week = QUIET.before(random.randrange(20))
        app = cohorts(*((size, min(size, round(size * share))) for size, share in drawn), week=week)
        yield replace(app, appid=f"retaining-{each}")


@pytest.mark.soak
def test_rules_agree_with_conditions(promtool: str, tmp_path: Path) -> None:
    """For the cases and for apps of the benchmark, the alerts fire that the conditions call for."""
    apps = [*APPS, *sampled(scaled(120, 240)), *retaining(scaled(60, 120))]
    fallen = {(app.appid, name) for app in apps for name in alerts_of(app)}
    assert promtool_agrees(promtool, tmp_path, apps, fallen) == ""
    assert {name for _, name in fallen} == {rule.name for rule in RULES}, "each rule is among them"

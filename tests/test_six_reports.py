"""All six reports of three apps over four weeks: the calls to WeChat, and every figure that a scrape over HTTP has."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
import requests
from grafana_fixture import Exporter, free_address
from harness import FakeClock, samples_of, served

from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.holidays import is_irregular
from exporter.periods import BEIJING, DAY, Day, Week
from exporter.reports import DAILY, DAILY_SOURCES, DAILY_SUMMARY, MONTHLY, REPORTS, WEEKLY, WEEKLY_RETENTION
from exporter.reports.dimensions import DEPTH, SOURCE, STAY
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.periods import Period
    from exporter.reports import Dimension, Report
    from exporter.wechat.simulator import Simulator

START = datetime(2026, 10, 27, 12, tzinfo=BEIJING).timestamp()
"""A Tuesday noon; the exporter runs until the Monday after four weeks."""
DAYS = 28
DROP = Day.containing(START + 20 * DAY)
APPS = (
    SimulatedApp("wx1", "secret-of-the-first-app", Audience(900)),
    SimulatedApp("wx2", "secret-of-the-second-app", Audience(25_000)),
    SimulatedApp("wx3", "secret-of-the-third-app", Audience(4000, drops_from=DROP, drops_through="3")),
)
# 20 hours and up to 10 % of jitter: each report is fetched once at each noon.
FETCH = Fetch(interval=20 * 3600, history_weeks=9)
SUMMARY_COMPARED = DAILY_SUMMARY.fields[:2]

Samples = dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def weeks() -> Iterator[tuple[Simulator, dict[float, Samples]]]:
    """Return the simulator after four weeks, and the scrape of each noon."""
    clock = FakeClock(START)
    with served(APPS, clock) as (wechat, base_url):
        apps = tuple(
            App(app.appid, Datacube(AppSecret(LiteralSecret(app.secret))), reports=tuple(REPORTS.values()))
            for app in APPS
        )
        address = free_address()
        exporter = Exporter(Config(apps=apps, fetch=FETCH, api=Api(base_url=base_url)), clock, address)
        scrapes = {}
        try:
            for day in range(DAYS):
                clock.now = START + day * DAY
                exporter.fetch()
                scrapes[clock.now] = samples_of(requests.get(f"http://{address}/metrics", timeout=10).text)
        finally:
            exporter.close()
        yield wechat, scrapes


def newest(kind: type[Period], noon: float) -> Period:
    """Return the newest period that has ended at a noon."""
    return kind.containing(noon - DAY / 2).before()


def planned(report: Report) -> Counter[str]:
    """Return how often each period of a report should be requested for one app."""
    wanted: Counter[str] = Counter()
    behind = 1 if report is WEEKLY_RETENTION else 0
    number = {WEEKLY: 9, WEEKLY_RETENTION: 9, MONTHLY: 3}.get(report, 63)
    first = newest(report.period, START).before(behind)
    wanted.update(first.before(ago).label for ago in range(1, number))
    for day in range(DAYS):
        noon = START + day * DAY
        live = newest(report.period, noon).before(behind)
        wanted[live.label] += 1
        is_monday = datetime.fromtimestamp(noon, BEIJING).weekday() == 0
        if report is WEEKLY_RETENTION and is_monday:
            wanted.update(live.before(ago).label for ago in (1, 2, 3))
    return wanted


def test_calls_are_exactly_those_planned(weeks: tuple[Simulator, dict[float, Samples]]) -> None:
    """Per app: each report once a day, the history once, three more cohorts on each of four Mondays."""
    wechat, _ = weeks
    made = {
        (app.appid, report.name): Counter(
            call.period for call in wechat.calls if (call.endpoint, call.appid) == (report.name, app.appid)
        )
        for app in APPS
        for report in REPORTS.values()
    }
    assert made == {(app.appid, report.name): planned(report) for app in APPS for report in REPORTS.values()}
    table = {name: planned(report).total() for name, report in REPORTS.items()}
    assert table == {
        "weekly": 28 + 8,
        "daily": 28 + 62,
        "monthly": 28 + 2,
        "weekly_retention": 28 + 8 + 4 * 3,
        "daily_sources": 28 + 62,
        "daily_summary": 28 + 62,
    }
    assert Counter(call.endpoint for call in wechat.calls) == {
        "stable_token": DAYS * len(APPS),
        **{name: number * len(APPS) for name, number in table.items()},
    }


def test_every_figure_of_every_noon_is_wechats(weeks: tuple[Simulator, dict[float, Samples]]) -> None:
    wechat, scrapes = weeks
    for noon, samples in scrapes.items():
        for app in APPS:
            expected = (
                trend(wechat, app.appid, noon)
                | retention(wechat, app.appid, noon)
                | distribution(wechat, app.appid, noon)
                | summary(wechat, app.appid, noon)
            )
            names = {name for name, *_ in expected}
            found = {key: value for key, value in samples.items() if key[0] in names and key[1] == app.appid}
            assert found == expected, noon
            assert {samples["fetch_state", app.appid, name, "ok"] for name in REPORTS} == {1}, (
                "every report is up to date"
            )


def trend(wechat: Simulator, appid: str, noon: float) -> Samples:
    """The visit figures, and those with which they are compared by distance."""
    compared = {
        WEEKLY: {"previous_week": 1},
        DAILY: {"same_weekday": 7, "previous_day": 1},
        MONTHLY: {"previous_month": 1},
    }
    samples: Samples = {}
    for report, distances in compared.items():
        live = newest(report.period, noon)
        for field in report.fields:
            samples[f"{report.name}_{field.metric}", appid, live.label] = row(wechat, appid, live)[field.wechat]
            for name, distance in distances.items():
                samples[f"{name}_{field.metric}", appid, live.label] = row(wechat, appid, live.before(distance))[
                    field.wechat
                ]
    return samples


def row(wechat: Simulator, appid: str, period: Period) -> dict[str, Any]:
    return dict(wechat.row(appid, period))


def retention(wechat: Simulator, appid: str, noon: float) -> Samples:
    samples: Samples = {}
    for lag in range(1, 5):
        live = newest(Week, noon).before(lag)
        for twin, cohort in (("weekly", live), ("previous_week", live.before())):
            content: dict[str, Any] = dict(wechat.content(appid, WEEKLY_RETENTION, cohort))
            for field in WEEKLY_RETENTION.fields:
                by_key = {each["key"]: each["value"] for each in content[field.wechat]}
                samples[f"{twin}_retained_{field.metric}", appid, live.label, str(lag)] = by_key[lag]
                samples[f"{twin}_cohort_{field.metric}", appid, live.label, str(lag)] = by_key[0]
    return samples


def distribution(wechat: Simulator, appid: str, noon: float) -> Samples:
    live = Day.containing(noon - DAY / 2).before()
    week = newest(Week, noon)
    samples: Samples = {}
    parts: tuple[tuple[str, str, Dimension], ...] = (
        ("access_source_session_cnt", "daily_source_sessions", SOURCE),
        ("access_source_visit_uv", "daily_source_visitors", SOURCE),
        ("access_staytime_info", "daily_stay_sessions", STAY),
        ("access_depth_info", "daily_depth_sessions", DEPTH),
    )
    for index, metric, dimension in parts:
        names = {dimension.name(key) for day in back(live, 28) for key in items(wechat, appid, day, index)}
        values = {dimension.name(key): value for key, value in items(wechat, appid, live, index).items()}
        for name in names | (set(dimension.names.values()) if dimension is not SOURCE else set()):
            # Labels are in alphabetical order: appid, day, pages or source or stay.
            samples[metric, appid, live.label, name] = values.get(name, 0)
    index = "access_source_session_cnt"
    sunday = Day.of(week.last)
    for key in {key for day in back(sunday, 28) for key in items(wechat, appid, day, index)}:
        labels = (appid, SOURCE.name(key), week.label)
        samples["weekly_source_sessions", *labels] = total(wechat, appid, key, week)
        samples["previous_week_source_sessions", *labels] = total(wechat, appid, key, week.before())
    ordinary = [day for day in back(live, 20) if not is_irregular(day)][:3]
    for key in {key for day in back(live, 28) for key in items(wechat, appid, day, index)}:
        labels = (appid, ordinary[0].label, "3", SOURCE.name(key))
        samples["recent_source_sessions", *labels] = sum(
            items(wechat, appid, day, index).get(key, 0) for day in ordinary
        )
        samples["typical_recent_source_sessions", *labels] = sum(
            typical(day, lambda day, key=key: items(wechat, appid, day, index).get(key, 0)) for day in ordinary
        )
    return samples


def back(last: Day, number: int) -> list[Day]:
    """Return that many days up to the last one, the newest first."""
    return [last.before(ago) for ago in range(number)]


def items(wechat: Simulator, appid: str, day: Day, index: str) -> dict[str, int]:
    """Return the values of a day's distribution by key, as the simulated WeChat sends them."""
    cache = _ITEMS.setdefault((appid, day), {})
    if not cache:
        content: dict[str, Any] = dict(wechat.content(appid, DAILY_SOURCES, day))
        for part in content["list"]:
            cache[part["index"]] = {str(item["key"]): item["value"] for item in part["item_list"]}
    return cache[index]


_ITEMS: dict[tuple[str, Day], dict[str, dict[str, int]]] = {}


def total(wechat: Simulator, appid: str, key: str, week: Period) -> int:
    days = (Day.of(week.first + timedelta(days=number)) for number in range(7))
    return sum(items(wechat, appid, day, "access_source_session_cnt").get(key, 0) for day in days)


def typical(day: Day, value: Any) -> float:  # noqa: ANN401 (a function of a day)
    """Return the median of the last four ordinary days with the same weekday."""
    same = [day.before(7 * weeks) for weeks in range(1, 9)]
    return median([value(each) for each in same if not is_irregular(each)][:4])


def summary(wechat: Simulator, appid: str, noon: float) -> Samples:
    live = Day.containing(noon - DAY / 2).before()

    def value(day: Day, name: str) -> int:
        content: dict[str, Any] = dict(wechat.content(appid, DAILY_SUMMARY, day))
        figure: int = content["list"][0][name]
        return figure

    samples: Samples = {}
    for field in DAILY_SUMMARY.fields:
        samples[f"daily_{field.metric}", appid, live.label] = value(live, field.wechat)
    for field in SUMMARY_COMPARED:
        samples[f"same_weekday_{field.metric}", appid, live.label] = value(live.before(7), field.wechat)
        of_day = lambda day, name=field.wechat: value(day, name)  # noqa: E731
        samples[f"typical_weekday_{field.metric}", appid, live.label] = typical(live, of_day)
    return samples

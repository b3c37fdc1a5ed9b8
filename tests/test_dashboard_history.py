"""The dashboard after gaps in the scrapes, removed apps and new instance labels.

A real Prometheus answers from hand-written samples.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from grafana_fixture import VARIABLES, Prometheus

from exporter.dashboards import dashboard
from exporter.dashboards.judgement import fall_texts
from exporter.metrics import catalogue
from exporter.periods import DAY, Day, Week, newest_wanted
from exporter.reports import PREFIX, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.periods import Period

Json = dict[str, Any]
DASHBOARD: Json = json.loads(dashboard())
PANELS: dict[str, Json] = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
MINUTE, HOUR = 60, 3600
RANGE = 12 * 7 * int(DAY)
OLD, NEW = "exporter-7d9f:10717", "exporter-b5c4:10717"
SHOP, CLOSED, LEFT, BACKFILLED, SOURCES = "wxshop", "wxclosed", "wxleft", "wxbackfilled", "wxsources"
"""An app that is always there; removed two days ago; removed half an hour ago; with figures but no states; with
entrances and nothing else."""
LAST_SCRAPE = 10 * MINUTE
"""How long before the end of the time range."""


class Judged(NamedTuple):
    """An app whose live week is compared with its typical week."""

    now: float
    typical: float
    fallen: str = ""
    """What the table says ..."""
    risen: bool = False
    """... and whether the number of risen apps includes it."""
    min_ratio: float = 0.7
    holidays: int = 0

    def spans(self, appid: str, week: Week) -> Iterator[Span]:
        """Yield its series."""
        times = 2 * HOUR, LAST_SCRAPE
        labels = {"appid": appid, "instance": NEW, "job": "judged"}
        of_week = labels | {"week": week.label}
        state = labels | {"report": "weekly", "state": "ok"}
        yield Span(catalogue.APP_INFO.name, labels | {"name": ""}, 1, *times)
        yield Span(catalogue.FETCH_STATE.name, state, 1, *times)
        yield Span(catalogue.end_metric(WEEKLY), of_week, week.end, *times)
        yield Span(f"{PREFIX}weekly_visitors", of_week, self.now, *times)
        yield Span(f"{PREFIX}typical_week_visitors", of_week, self.typical, *times)
        yield Span(f"{PREFIX}week_public_holidays", of_week, self.holidays, *times)
        threshold = labels | {"report": "weekly"}
        yield Span(f"{PREFIX}alert_visitors_min_ratio", threshold, self.min_ratio, *times)


JUDGED = {
    "wxdown": Judged(5_000, 10_000, "Visitors: below normal"),
    "wxlost": Judged(100, 1_000, "Visitors: collapsed"),
    "wxholiday": Judged(500, 1_000, holidays=2),
    "wxtolerant": Judged(500, 1_000, min_ratio=0.3),
    "wxstrict": Judged(8_500, 10_000, "Visitors: below normal", min_ratio=0.9),
    "wxdisabled": Judged(10, 1_000, min_ratio=0),
    "wxsmall": Judged(6, 12),
    "wxup": Judged(1_500, 1_000, risen=True),
    "wxbarelyup": Judged(1_400, 1_000),
    "wxsmallup": Judged(15, 10),
}
"""Apps of a second job: what falls is judged by the app's own threshold, by chance and by holidays."""


class Span(NamedTuple):
    """One series with one value: seconds before the end of the time range, first and last sample."""

    metric: str
    labels: dict[str, str]
    value: float
    since: int
    until: int
    step: int = MINUTE


def exposed(appid: str, week: Week, visitors: float, instance: str, *times: int) -> Iterator[Span]:
    """Yield the series of an app while a week is live."""
    labels = {"appid": appid, "instance": instance, "job": "wechat-miniprogram"}
    report = labels | {"report": "weekly"}
    yield Span(catalogue.APP_INFO.name, labels | {"name": f"name of {appid}"}, 1, *times)
    yield Span(catalogue.FETCH_STATE.name, report | {"state": "ok"}, 1, *times)
    yield Span(catalogue.PERIOD_END.name, report, week.end, *times)
    yield Span(catalogue.LAST_SUCCESS.name, report, week.end + 10 * DAY - times[0], *times)
    yield from figures(appid, week, visitors, labels, *times)


def figures(appid: str, week: Week, visitors: float, labels: dict[str, str], *times: int) -> Iterator[Span]:
    """Yield the figures of a week, as also a backfill has them."""
    of_week = labels | {"appid": appid, "week": week.label}
    yield Span(catalogue.end_metric(WEEKLY), of_week, week.end, *times)
    yield Span(f"{PREFIX}weekly_visitors", of_week, visitors, *times)
    yield Span(f"{PREFIX}typical_week_visitors", of_week, 1000, *times)


def entrances(week: Week, sessions: dict[str, float], instance: str, *times: int) -> Iterator[Span]:
    """Yield the series of an app that fetches no other report, so that no metric has the end of a period."""
    labels = {"appid": SOURCES, "instance": instance, "job": "wechat-miniprogram"}
    success = week.end + 10 * DAY - times[0]
    yield Span(catalogue.LAST_SUCCESS.name, labels | {"report": "daily_sources"}, success, *times)
    for source, value in sessions.items():
        part = labels | {"week": week.label, "source": source}
        yield Span(f"{PREFIX}weekly_source_sessions", part, value, *times)
        yield Span(f"{PREFIX}previous_week_source_sessions", part, 100, *times)
    for stay, value in (("0-2s", 30), (">100s", 10 + times[0] / HOUR)):
        part = labels | {"day": Day.containing_day(week.last).label, "stay": stay}
        yield Span(f"{PREFIX}daily_stay_sessions", part, value, *times)


def spans(week: Week) -> Iterator[Span]:
    """Yield everything that was scraped until the last scrape, ``week`` being the live week."""
    target = {"instance": NEW, "job": "wechat-miniprogram"}
    yield Span("up", target, 1, 2 * HOUR, LAST_SCRAPE)
    days = 86400
    yield from exposed(SHOP, week.before(4), 1104, OLD, 30 * days, 24 * days, HOUR)
    yield from exposed(SHOP, week.before(), 1101, OLD, 9 * days, 3 * days, HOUR)
    # WeChat revises the live week downwards while the exporter moves to another instance.
    yield from exposed(SHOP, week, 1000, OLD, 3 * HOUR, 2 * HOUR)
    yield from exposed(SHOP, week, 700, NEW, 2 * HOUR, LAST_SCRAPE)
    yield from exposed(CLOSED, week.before(), 500, OLD, 9 * days, 2 * days, HOUR)
    yield from exposed(LEFT, week, 300, NEW, 2 * HOUR, 30 * MINUTE)
    threshold = target | {"appid": LEFT, "report": "weekly"}
    yield Span(f"{PREFIX}alert_visitors_min_ratio", threshold, 0.7, 2 * HOUR, 30 * MINUTE)
    yield from figures(BACKFILLED, week.before(2), 42, target, 14 * days, 13 * days, HOUR)
    yield from entrances(week.before(3), {"search": 100, "chat": 300}, OLD, 23 * days, 17 * days, HOUR)
    yield from entrances(week, {"search": 90, "chat": 60}, OLD, 3 * HOUR, 2 * HOUR)
    yield from entrances(week, {"search": 80, "chat": 70}, NEW, 2 * HOUR, LAST_SCRAPE)
    for appid, case in JUDGED.items():
        yield from case.spans(appid, week)


class Database(NamedTuple):
    """The Prometheus and its facts."""

    prometheus: Prometheus
    now: int
    week: Week

    def query(
        self, expression: str, *, ago: int = 0, app: str = SHOP, lines: bool = False, job: str = "wechat-.*"
    ) -> list[Json]:
        """Return the result of an expression of the dashboard."""
        chosen = VARIABLES | {"app": app, "__range": f"{RANGE}s", "job": job}
        query = re.sub(r"\$([a-z_]+)", lambda name: chosen[name[1]], expression)
        at = self.now - ago
        if lines:
            return self.prometheus.query("query_range", query=query, start=at - RANGE, end=at, step=HOUR)
        return self.prometheus.query("query", query=query, time=at)

    def bars(self, title: str, number: int = 0, app: str = SHOP) -> dict[str, float]:
        """Return the values of one query of a bar chart by week."""
        samples = self.query(PANELS[title]["targets"][number]["expr"], app=app)
        return {sample["metric"]["week"]: float(sample["value"][1]) for sample in samples}


@pytest.fixture(scope="module")
def database(prometheus: str, promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("history")
    now = int(time.time()) // HOUR * HOUR
    week = newest_wanted(Week, now, 0)
    families: dict[str, dict[str, None]] = {}
    for span in spans(week):
        labels = ",".join(f'{name}="{value}"' for name, value in span.labels.items())
        for moment in range(now - span.since, now - span.until + 1, span.step):
            families.setdefault(span.metric, {})[f"{span.metric}{{{labels}}} {span.value} {moment}"] = None
    text = "\n".join(f"# TYPE {name} gauge\n" + "\n".join(lines) for name, lines in families.items())
    (folder / "history").write_text(f"{text}\n# EOF\n")
    create = [promtool, "tsdb", "create-blocks-from", "--max-block-duration=20000h", "--quiet", "openmetrics"]
    subprocess.run([*create, folder / "history", folder / "tsdb"], check=True, stdout=subprocess.DEVNULL)
    database = Prometheus(prometheus, folder, ())
    database.start()
    yield Database(database, now, week)
    database.stop()


def appids(samples: list[Json]) -> set[str]:
    return {sample["metric"]["appid"] for sample in samples}


THIS_WEEK = PANELS["This week"]["targets"]


def test_tables_are_filled_after_a_gap_in_the_scrapes(database: Database) -> None:
    """Ten minutes without a scrape: samples of the last five minutes alone would leave the table empty."""
    assert database.query(f'{{__name__=~"{PREFIX}.+"}}') == []
    state, fallen, lost = (database.query(target["expr"]) for target in THIS_WEEK[:3])
    shown = {sample["metric"]["appid"]: sample["metric"] for sample in state}
    assert shown[SHOP] == {"app": f"name of {SHOP}", "appid": SHOP, "instance": NEW}
    assert [(sample["metric"]["appid"], sample["value"][1]) for sample in lost if appids([sample]) == {SHOP}] == [
        (SHOP, "300")
    ]
    assert {sample["metric"]["appid"] for sample in fallen if sample["value"][1] != "0"} == {LEFT}
    for target in (*THIS_WEEK[3:4], THIS_WEEK[-1]):
        assert len(database.query(target["expr"])) <= len(state)
    assert [sample["value"][1] for sample in database.query(PANELS["New week"]["targets"][0]["expr"])] != ["0"]


@pytest.mark.parametrize("title", ["Visitors as published"])
def test_lines_of_removed_apps_stay_after_a_gap(database: Database, title: str) -> None:
    (target,) = PANELS[title]["targets"]
    lines = {line["metric"]["app"]: line["values"] for line in database.query(target["expr"], lines=True)}
    assert lines.keys() == {f"name of {appid}" for appid in (SHOP, CLOSED, LEFT)}
    assert {value for _, value in lines[f"name of {CLOSED}"]} == {"500"}


def test_removed_apps_can_be_selected_but_leave_the_table(database: Database) -> None:
    (variable,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "app"]
    names = database.query(variable["query"].removeprefix("query_result(").removesuffix(")"))
    assert appids(names) == {SHOP, CLOSED, LEFT}
    for target in THIS_WEEK:
        while_scraped = database.query(target["expr"], ago=15 * MINUTE)
        assert appids(while_scraped) <= {SHOP}, "an app leaves with the first scrape without it"
    assert appids(database.query(THIS_WEEK[0]["expr"], ago=15 * MINUTE)) == {SHOP}
    assert set(database.bars("Visitors per week", app=CLOSED).values()) == {500}


def test_a_revised_week_shows_its_latest_value(database: Database) -> None:
    """The old instance's series, with the higher figure, is still in the time range."""
    shown = database.bars("Visitors per week")
    assert shown == {
        database.week.before(4).label: 1104,
        database.week.before().label: 1101,
        database.week.label: 700,
    }


def test_figures_without_states_are_bars_too(database: Database) -> None:
    assert database.bars("Visitors per week", app=BACKFILLED) == {database.week.before(2).label: 42}


@pytest.mark.parametrize("title", ["Visitors per week", "New and returning visitors", "Stay"])
def test_a_missing_week_has_a_place_without_a_bar(database: Database, title: str) -> None:
    places = database.bars(title, number=len(PANELS[title]["targets"]) - 1)
    missing = [database.week.before(2), database.week.before(3)]
    assert {week.label for week in missing} <= places.keys()
    assert places.keys() <= {database.week.before(weeks).label for weeks in range(5)}
    first: Period = database.week.before(5)
    assert first.label not in places, "nothing before the first known week"


def entrance_values(database: Database, expression: str) -> dict[tuple[str | None, str], float]:
    samples = database.query(expression, app=SOURCES)
    return {
        (each["metric"].get("week"), each["metric"]["source"].split()[0]): float(each["value"][1]) for each in samples
    }


def test_entrances_of_a_revised_week_are_the_latest(database: Database) -> None:
    sessions, before, change, *_ = PANELS["Entrances this week, largest loss first"]["targets"]
    week = database.week.label
    assert entrance_values(database, sessions["expr"]) == {(week, "search"): 80, (week, "chat"): 70}
    assert entrance_values(database, before["expr"]) == {(week, "search"): 100, (week, "chat"): 100}
    assert entrance_values(database, change["expr"]) == {(week, "search"): -20, (week, "chat"): -30}


def test_weeks_without_entrances_have_an_empty_place(database: Database) -> None:
    parts, order = PANELS["Sessions per week by entrance"]["targets"]
    shown = entrance_values(database, parts["expr"])
    weeks = [database.week.before(ago).label for ago in range(4)]
    newest, *missing, first = weeks
    assert {key: value for key, value in shown.items() if key[0] not in missing} == {
        (first, "search"): 100,
        (first, "chat"): 300,
        (newest, "search"): 80,
        (newest, "chat"): 70,
    }
    assert {week: value for (week, _), value in shown.items() if week in missing} == dict.fromkeys(missing, 0)
    by_size = entrance_values(database, order["expr"])
    assert by_size[newest, "chat"] < by_size[newest, "search"]


def test_newest_day_needs_no_other_report(database: Database) -> None:
    """Nothing but the label tells when a day was, and the old instance has another figure of it."""
    newest, every, _ = PANELS["Length of stay"]["targets"]
    shares = {each["metric"]["stay"]: float(each["value"][1]) for each in database.query(newest["expr"], app=SOURCES)}
    assert shares == {"0-2s": 30 / 42, ">100s": 12 / 42}
    assert len(database.query(every["expr"], app=SOURCES)) == 2


def column(title: str) -> str:
    """Return the expression of a column of the first table."""
    (renamed,) = [each["options"] for each in PANELS["This week"]["transformations"] if each["id"] == "organize"]
    (value,) = [name for name, shown in renamed["renameByName"].items() if shown == title and name != "Value"]
    (target,) = [each for each in THIS_WEEK if value == f"Value #{each['refId']}"]
    return str(target["expr"])


def test_fallen_apps_are_those_for_which_a_rule_holds(database: Database) -> None:
    texts = fall_texts()
    fallen = database.query(column("Fallen"), job="judged")
    assert {each["metric"]["appid"]: texts.get(each["value"][1], "") for each in fallen} == {
        appid: case.fallen for appid, case in JUDGED.items()
    }
    (number,) = database.query(PANELS["Fallen"]["targets"][0]["expr"], job="judged")
    assert number["value"][1] == str(sum(bool(case.fallen) for case in JUDGED.values()))


def test_risen_apps_are_those_above_their_typical_week(database: Database) -> None:
    (number,) = database.query(PANELS["Risen"]["targets"][0]["expr"], job="judged")
    assert number["value"][1] == str(sum(case.risen for case in JUDGED.values()))


def test_fallen_apps_come_first_by_visitors_lost(database: Database) -> None:
    ranks = {
        each["metric"]["appid"]: float(each["value"][1]) for each in database.query(THIS_WEEK[-1]["expr"], job="judged")
    }
    order = sorted(ranks, key=lambda appid: ranks[appid])
    assert order[:6] == ["wxdown", "wxstrict", "wxlost", "wxdisabled", *sorted(order[4:6])]
    assert set(order[4:6]) == {"wxholiday", "wxtolerant"}
    assert ranks.keys() == JUDGED.keys()

"""Every expression of the dashboard, executed by a real Prometheus that scrapes a real exporter."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from grafana_panels import WHY

from exporter import promql
from exporter.dashboards import dashboard
from exporter.periods import DAY, Week, newest_wanted
from exporter.reports import REPORTS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grafana_fixture import GrafanaFixture

Json = dict[str, Any]

DASHBOARD: Json = json.loads(dashboard())
PANELS: dict[str, Json] = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
ORDERED = WHY.keys() - {"Shares per day"}
"""Charts that are not in the order of time."""


def queries(panel: Json) -> Iterator[tuple[str, Json]]:
    """Yield a panel's queries by the title of their column, or the legend of their series."""
    titles: dict[str, str] = {}
    for transformation in panel.get("transformations", ()):
        titles |= transformation["options"].get("renameByName", {})
        if transformation["id"] == "groupingToMatrix":
            titles[transformation["options"]["valueField"]] = "parts"
    is_ordered = panel["type"] == "table" or panel["title"] in ORDERED
    for target in panel["targets"]:
        column = titles.get(f"Value #{target['refId']}", "order" if is_ordered else "places")
        yield f"{panel['title']}: {target.get('legendFormat', column)}", target


class Situation(NamedTuple):
    """A moment of the fixture, the app in detail, and which queries have no data then."""

    moment: str
    app: str
    """The app in detail."""
    alone: bool = False
    """It is also the only one that is chosen."""
    empty: frozenset[str] = frozenset()


COUNTS = ("Visitors", "Sessions")
OTHER_REPORTS = frozenset(
    f"{count} per {column}"
    for count in COUNTS
    for column in (
        *(f"month: {title}" for title in (count, "Previous year", "places")),
        *(f"day: {title}" for title in (count, "Holiday or make-up day", "Typical weekday", "places")),
    )
)
NEW_APP = OTHER_REPORTS | {
    *(query for title in WHY for query, _ in queries(PANELS[title])),
    *("This week: Visitors lost", "This week: vs previous", "This week: vs typical"),
    *("Sessions: vs typical", "Visits: vs typical"),
    *(f"{count} per week: {title}" for count in COUNTS for title in ("Week with a holiday", "Typical week", "places")),
    *(f"{title}: places" for title in ("New and returning visitors", "Stay", "Visit depth")),
    "Errors per hour: {{errcode}}",
}
"""An app with one week and no other report has no comparison figures, and this one had no error."""

SITUATIONS = {
    "steady": Situation("steady", "Corner Bakery"),
    "a week has just switched": Situation("switch", "Corner Bakery"),
    "an app with one week": Situation("switch", "Tea House (new)", alone=True, empty=NEW_APP),
    "two exporters disagree": Situation("replicas", "Corner Bakery"),
}


def fetch(grafana: GrafanaFixture, situation: Situation, target: Json) -> list[Json]:
    """Return the result of a query of the dashboard."""
    return grafana.query(
        target["expr"],
        situation.moment,
        app=grafana.appid(situation.app),
        appid=grafana.appid(situation.app) if situation.alone else ".+",
        instant=target.get("instant", False),
    )


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_query_returns_data_without_warnings(grafana: GrafanaFixture, name: str) -> None:
    assert len(SITUATIONS) == 4
    situation = SITUATIONS[name]
    targets = dict(query for panel in PANELS.values() for query in queries(panel))
    assert len(targets) == sum(len(panel["targets"]) for panel in PANELS.values())
    empty = {title for title, target in targets.items() if not fetch(grafana, situation, target)}
    assert empty == situation.empty


@pytest.mark.parametrize("name", SITUATIONS)
def test_table_queries_have_at_most_one_sample_per_row(grafana: GrafanaFixture, name: str) -> None:
    tables = {
        "This week": ("appid",),
        "Fetching": ("appid", "report"),
        "Exporters": ("instance",),
        "Entrances this week, largest loss first": ("week", "source"),
        "New visitors who came back": ("week",),
    }
    for title, keys in tables.items():
        for query, target in queries(PANELS[title]):
            rows = [tuple(sample["metric"][key] for key in keys) for sample in fetch(grafana, SITUATIONS[name], target)]
            assert len(rows) == len(set(rows)), query


BARS = [
    title
    for title, panel in PANELS.items()
    if panel["type"] == "barchart" and re.search(r" per (week|month|day)$", title)
]


@pytest.mark.parametrize("title", BARS)
def test_every_query_of_bars_has_one_sample_for_each_period(grafana: GrafanaFixture, title: str) -> None:
    assert len(BARS) == 7
    kind = title.rpartition(" ")[2]
    for query, target in queries(PANELS[title]):
        samples = fetch(grafana, SITUATIONS["two exporters disagree"], target)
        labels = [sample["metric"] for sample in samples]
        assert {tuple(label) for label in labels} == {(kind,)}, query
        assert len({label[kind] for label in labels}) == len(labels) >= 1, query


def test_newest_period_is_late_exactly_when_the_alert_fires(grafana: GrafanaFixture) -> None:
    target = dict(queries(PANELS["Fetching"]))["Fetching: Newest period"]
    answer = fetch(grafana, SITUATIONS["a week has just switched"], target)
    late = {(sample["metric"]["appid"], sample["metric"]["report"]): sample["value"][1] for sample in answer}
    bakery = grafana.appid("Corner Bakery")
    assert [late[bakery, report] for report in REPORTS] == ["0"] * len(REPORTS)
    week = newest_wanted(Week, grafana.now, 0).before()  # Night Market's newest one: it publishes after eight days
    is_late = grafana.moments["switch"] - week.end > promql.late_age(WEEKLY)
    assert late[grafana.appid("Night Market"), "weekly"] == str(int(is_late))


@pytest.mark.parametrize("title", ["Visitors as published", "Sessions as published"])
def test_an_app_is_one_line_that_never_returns_to_an_older_week(grafana: GrafanaFixture, title: str) -> None:
    ((_, target),) = queries(PANELS[title])
    figure = {"Visitors as published": "visit_uv", "Sessions as published": "session_cnt"}[title]
    lines = fetch(grafana, SITUATIONS["two exporters disagree"], target)
    by_appid = {line["metric"]["appid"]: [float(value) for _, value in line["values"]] for line in lines}
    assert len(by_appid) == len(lines) == 6
    appid = grafana.appid("Corner Bakery")
    steps = list(dict.fromkeys(by_appid[appid]))
    assert steps == [grafana.wechat.row(appid, week)[figure] for week in grafana.weeks()]


def test_both_weeks_are_visible_after_a_switch_and_a_restart(grafana: GrafanaFixture) -> None:
    counted = grafana.query("count by (appid) (wechat_miniprogram_weekly_visitors)", "switch", instant=True)
    assert {sample["metric"]["appid"]: sample["value"][1] for sample in counted}[grafana.appid("Corner Bakery")] == "2"


def test_a_new_week_is_marked_once_when_it_was_first_seen(grafana: GrafanaFixture) -> None:
    annotation, _ = DASHBOARD["annotations"]["list"]
    marks = grafana.query(annotation["expr"], "replicas")
    assert {mark["metric"]["week"] for mark in marks} >= {week.label for week in grafana.weeks()}
    newest = next(mark for mark in marks if mark["metric"]["week"] == grafana.weeks()[-1].label)
    (moment,) = {float(value) for _, value in newest["values"]}
    assert moment == pytest.approx(1000 * grafana.now, rel=0, abs=1000)


def test_a_holiday_week_is_marked_at_its_monday(grafana: GrafanaFixture) -> None:
    _, annotation = DASHBOARD["annotations"]["list"]
    (mark,) = grafana.query(annotation["expr"], "steady")
    week = grafana.holiday_week()
    assert mark["metric"] == {"week": week.label}
    assert {float(value) for _, value in mark["values"]} == {1000 * (week.end - 7 * DAY)}


def test_apps_fell_exactly_where_a_weekly_alert_fires(grafana: GrafanaFixture) -> None:
    fired = grafana.query('ALERTS{report="weekly", figure!="", alertstate="firing"}', "switch", instant=True)
    fallen = dict(queries(PANELS["This week"]))["This week: Fallen"]
    answer = fetch(grafana, SITUATIONS["a week has just switched"], fallen)
    found = [sample for sample in answer if sample["value"][1] != "0"]
    assert {sample["metric"]["appid"] for sample in found} == {sample["metric"]["appid"] for sample in fired}
    assert grafana.appid("Travel Buddy") in {sample["metric"]["appid"] for sample in found}
    (counted,) = fetch(grafana, SITUATIONS["a week has just switched"], PANELS["Fallen"]["targets"][0])
    assert counted["value"][1] == str(len(found))


def test_every_firing_alert_is_in_the_list(grafana: GrafanaFixture) -> None:
    keys = ("alertname", "appid", "report", "figure")
    fired = grafana.query('ALERTS{alertstate="firing"}', "switch", instant=True)
    for target in PANELS["Alerts"]["targets"]:
        listed = fetch(grafana, SITUATIONS["a week has just switched"], target)
        assert {tuple(map(row["metric"].get, keys)) for row in listed} == {
            tuple(map(alert["metric"].get, keys)) for alert in fired
        }


@pytest.mark.parametrize("name", ["job", "appid", "app"])
def test_every_variable_has_values(grafana: GrafanaFixture, name: str) -> None:
    (variable,) = [each for each in DASHBOARD["templating"]["list"] if each["name"] == name]
    expression = variable["query"].partition("(")[2].removesuffix(")").removesuffix(", job")
    assert len(grafana.query(expression, "replicas", instant=True)) >= 8

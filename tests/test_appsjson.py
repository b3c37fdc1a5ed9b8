"""The JSON of all apps, and that docs/api.md describes it: the same fields, each of the documented type."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

import pytest
from statuses import (
    DAY,
    EVERY,
    FULL,
    HOSTILE,
    LIVE,
    MONTH,
    NEW,
    UNKNOWN_SOURCE,
    W1,
    W2,
    cohort,
    distribution,
    figures,
    filled,
    history,
    samples,
    stored,
    with_report,
)

from exporter import __version__
from exporter.apps import AppStatus, LastResult, State
from exporter.metrics import catalogue
from exporter.reports import DAILY, PREFIX, REPORTS, WEEKLY
from exporter.web import Issue, PageContext
from exporter.web.appsjson import AppsJson
from exporter.web.documents import CachedDocument

if TYPE_CHECKING:
    from exporter.reports import Report

TEXT = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
NOW = 1_795_500_000.5
BEFORE = stored(W1.before(), None, None, 12, *[None] * 4)
REFUSED = with_report(
    replace(FULL, appid="wx3"),
    state=State.REFUSED,
    last_result=LastResult(W2, State.REFUSED, 5.0, 6.0, "40164", "40164 add the IP", succeeded=4.0),
    history=FULL.reports[0].history.with_reading(BEFORE),
)
TYPES = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "list of objects": (list,),
}


def answer(*statuses: AppStatus, issues: tuple[Issue, ...] = ()) -> dict[str, Any]:
    context = PageContext("/metrics", issues, NOW)
    document = json.loads(CachedDocument(AppsJson()).body(lambda: (statuses, context)))
    assert document.keys() == {"status", "data"}
    assert document["status"] == "success"
    return document["data"]


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table of docs/api.md, without its head and without backticks around a cell."""
    (found,) = re.findall(rf"<!-- {table} -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    return [[_bare(cell) for cell in row.split("|")[1:-1]] for row in found.splitlines()[2:]]


def _bare(cell: str) -> str:
    match = re.fullmatch(r"`([^`]*)`", cell.strip())
    return match[1] if match else cell.strip()


def documented(table: str) -> dict[str, tuple[str, str]]:
    """Return the rows of a table of docs/api.md by their field."""
    return {field: (kind, meaning) for field, kind, meaning in rows(table)}


def documented_report(report: Report) -> dict[str, str]:
    """Return the types of the fields of a report."""
    any_period = "`week`, `day` or `month`"
    table = {field: kind for field, (kind, _) in documented("report").items()}
    return {report.period.NAME if field == any_period else field: kind for field, kind in table.items()}


def fits(value: object, kinds: str) -> bool:
    return any(type(value) in TYPES[kind] for kind in kinds.split(" or "))


EVERYTHING = answer(FULL, NEW, REFUSED, HOSTILE, EVERY, issues=(Issue("The disk is full.", ("a", "b")),))
APPS = dict(zip(("full", "new", "refused", "hostile", "every"), EVERYTHING["apps"], strict=True))
SHOWN = [(app, report) for app, facts in APPS.items() for report in facts["reports"]]


@pytest.mark.parametrize("data", [EVERYTHING, answer()], ids=["apps and problems", "nothing"])
def test_each_field_of_the_response_is_documented(data: dict[str, Any]) -> None:
    table = documented("exporter")
    assert list(data) == list(table)
    assert [field for field, (kind, _) in table.items() if not fits(data[field], kind)] == []


@pytest.mark.parametrize("name", APPS)
def test_each_field_of_an_app_is_documented(name: str) -> None:
    table = documented("app")
    assert list(APPS[name]) == list(table)
    assert [field for field, (kind, _) in table.items() if not fits(APPS[name][field], kind)] == []
    assert APPS[name]["reports"].keys() <= set(re.findall(r"`(\w+)`", table["reports"][1])) == set(REPORTS)


@pytest.mark.parametrize(("name", "report"), SHOWN)
def test_each_field_of_a_report_is_documented(name: str, report: str) -> None:
    facts, table = APPS[name]["reports"][report], documented_report(REPORTS[report])
    assert list(facts) == list(table)
    assert [field for field, kind in table.items() if not fits(facts[field], kind)] == []
    assert len(SHOWN) == 4 + len(REPORTS)


@pytest.mark.parametrize(("name", "report"), SHOWN)
def test_each_figure_is_documented_as_in_the_catalogue(name: str, report: str) -> None:
    facts, entry = APPS[name]["reports"][report], REPORTS[report]
    assert list(facts["figures"]) == [field.metric for field in entry.plain_fields]
    assert facts["figures"].keys() <= documented("figures").keys()
    compared = {comparison.name: comparison for comparison in entry.comparisons}
    assert list(facts["comparison"]) == list(compared)
    for comparison, values in facts["comparison"].items():
        assert list(values) == [field.metric for field in entry.plain_fields if compared[comparison].applies_to(field)]
    derived = [
        each.metric.format(field.metric)
        for each in entry.derived
        for field in entry.fields
        if field.wechat in each.fields
    ]
    assert sorted(facts["derived"]) == sorted(derived)
    assert list(facts["calendar"]) == [fact.metric for fact in entry.calendar]
    assert list(facts["history"]) == ([entry.primary_field.metric] if entry.primary_field else [])
    numbers = [*facts["figures"].values(), *facts["calendar"].values()]
    numbers += [value for values in facts["history"].values() for value in values]
    numbers += [value for values in facts["comparison"].values() for value in values.values()]
    assert all(fits(value, "number or null") for value in numbers)


def test_tables_of_the_document_are_those_of_the_catalogue() -> None:
    reports = REPORTS.values()
    plain = {field.metric: (field.unit.value, field.meaning) for each in reports for field in each.plain_fields}
    assert documented("figures") == plain
    assert [row[:2] for row in rows("periods")] == [[each.name, each.period.NAME] for each in reports]
    assert [re.findall(r"[\d-]{6,}", row[2]) for row in rows("periods")] == [[LIVE[name].label] for name in REPORTS]
    assert rows("comparisons") == [
        [each.name, comparison.name, comparison.description] for each in reports for comparison in each.comparisons
    ]
    assert [[cell.replace("`", "") for cell in row] for row in rows("derived")] == [
        [
            report.name,
            each.metric.format("<figure>"),
            ", ".join(field.metric for field in report.fields if field.wechat in each.fields),
            ", ".join(((each.period or report.period).NAME, *each.labels)),
            each.description,
        ]
        for report in reports
        for each in report.derived
    ]
    assert rows("calendar") == [
        [each.name, fact.metric, fact.help.partition(";")[0]] for each in reports for fact in each.calendar
    ]
    assert rows("history") == [
        [each.name, each.primary_field.metric, str(each.chart_periods)] for each in reports if each.primary_field
    ]


def test_names_are_those_of_metrics_and_labels() -> None:
    infos = (*catalogue.OF_APPS, *(info for report in REPORTS.values() for info in catalogue.of_report(report)))
    known = {info.name.removeprefix(PREFIX) for info in infos}
    labels = {label for info in infos for label in info.labels}
    ours = {"state_text", "state_since_timestamp_seconds", "error", "figures", "comparison", "derived", "calendar"}
    for report in REPORTS.values():
        assert set(documented_report(report)) <= known | labels | ours | {"history"}
    for facts in APPS["every"]["reports"].values():
        assert {*facts["derived"], *facts["calendar"]} <= known
        assert {f"{name}_{field}" for name, values in facts["comparison"].items() for field in values} <= known


def test_every_state_is_documented_and_counted_by_report() -> None:
    assert EVERYTHING["states"] == {
        "weekly": {**dict.fromkeys(State, 0), "ok": 3, "pending": 1, "refused": 1},
        **{name: {**dict.fromkeys(State, 0), "ok": 1} for name in REPORTS if name != "weekly"},
    }
    assert all(list(states) == [state.value for state in State] for states in EVERYTHING["states"].values())
    assert answer(FULL)["states"].keys() == {"weekly"}
    assert [state for state in State if f"`{state.value}`" not in TEXT] == []


def test_app_has_its_state_error_and_figures() -> None:
    (app,) = answer(REFUSED)["apps"]
    counts = ("sessions", "visits", "visitors", "new_visitors")
    assert app == {
        "appid": "wx3",
        "name": "Shop",
        "reports": {
            "weekly": {
                "state": "refused",
                "state_text": State.REFUSED.text,
                "up": False,
                "state_since_timestamp_seconds": 6.0,
                "errcode": "40164",
                "error": "40164 add the IP",
                "week": "20261116-20261122",
                "period_end_timestamp_seconds": W2.end,
                "period_first_seen_timestamp_seconds": 100.5,
                "figures": {
                    "sessions": 2470,
                    "visits": 8913,
                    "visitors": 754,
                    "new_visitors": 248,
                    "stay_per_visitor_seconds": 226.4748,
                    "stay_per_session_seconds": 69.1344,
                    "visit_depth_pages": 1.9798,
                },
                "comparison": {
                    "previous_week": {
                        "sessions": 0,
                        "visits": 1,
                        "visitors": 2,
                        "new_visitors": 3,
                        "stay_per_visitor_seconds": 4.5,
                        "stay_per_session_seconds": None,
                        "visit_depth_pages": 0,
                    },
                    "typical_week": dict.fromkeys(field.metric for field in WEEKLY.fields),
                    "lowest_week": dict.fromkeys(counts),
                },
                "derived": {},
                "calendar": {"week_public_holidays": 0, "previous_week_public_holidays": 0},
                "history": {"visitors": [12, 2, 754]},
                "last_success_timestamp_seconds": 4.0,
                "next_fetch_timestamp_seconds": 9.0,
            }
        },
    }


@pytest.mark.parametrize("report", REPORTS)
def test_figures_are_those_of_the_metrics(report: str) -> None:
    """Every figure, comparison, derived figure and calendar fact has the value of the metric of the same name."""
    facts, entry = APPS["every"]["reports"][report], REPORTS[report]
    labels = ("wx3", LIVE[report].label)
    found = {(f"{entry.prefix or report}_{name}", *labels): value for name, value in facts["figures"].items()}
    for comparison, values in facts["comparison"].items():
        found |= {(f"{comparison}_{name}", *labels): value for name, value in values.items() if value is not None}
    for name, listed in facts["derived"].items():
        found |= {(name, "wx3", *list(each.values())[:-1]): each["value"] for each in listed}
        assert listed
        assert all(list(each)[-1] == "value" for each in listed)
    found |= {(name, *labels): value for name, value in facts["calendar"].items()}
    if entry.has_end_metric:
        found[f"{entry.period.NAME}_end_timestamp_seconds", *labels] = facts["period_end_timestamp_seconds"]
    exposed = samples(EVERY, reports=[entry])
    of_state = {info.name.removeprefix(PREFIX) for info in catalogue.OF_APPS}
    assert found == {key: value for key, value in exposed.items() if key[0] not in of_state}
    for name in ("up", "next_fetch_timestamp_seconds", "period_first_seen_timestamp_seconds"):
        assert facts[name] == exposed[name, "wx3", report]


def test_derived_figures_have_the_labels_of_the_metrics() -> None:
    derived = APPS["every"]["reports"]["daily"]["derived"]
    assert [list(each) for each in derived["recent_visitors"]] == [["day", "days", "value"]] * 2
    assert [each["days"] for each in derived["typical_recent_visits"]] == ["2", "3"]
    assert [list(each) for each in derived["daily_sessions_noise_ratio"]] == [["day", "value"]]
    assert derived["recent_visitors"][0]["value"] == figures(DAY)[2] + figures(DAY.before())[2]


def test_parts_have_the_labels_of_the_metrics_and_whole_numbers() -> None:
    """A part that WeChat left out is 0, an entrance that it does not document has its key."""
    sources = APPS["every"]["reports"]["daily_sources"]["derived"]
    parts = distribution(DAY)
    assert sources["daily_source_sessions"] == [
        {"day": "20261124", "source": name, "value": parts["access_source_session_cnt"].get(key, 0)}
        for key, name in ((2, "search"), (10, "other"), (18, "official_account_article"), (UNKNOWN_SOURCE, "key_63"))
    ]
    assert [each["pages"] for each in sources["daily_depth_sessions"]] == ["1", "2", "3", "4", "5", "6-10", ">10"]
    assert {tuple(each) for each in sources["previous_week_source_sessions"]} == {("week", "source", "value")}
    cohorts = APPS["every"]["reports"]["weekly_retention"]["derived"]
    assert cohorts["weekly_retained_new_visitors"] == [
        {"week": week.label, "weeks_later": str(later), "value": cohort(week)["visit_uv_new"][later]}
        for later, week in ((later, W2.before(later)) for later in (1, 2, 3, 4))
    ]
    listed = [each for facts in (sources, cohorts) for name in facts for each in facts[name] if "typical" not in name]
    assert len(listed) > 60
    assert {type(each["value"]) for each in listed} == {int}


HISTORIES = [
    ("weekly", "visitors", 26),
    ("daily", "visitors", 56),
    ("monthly", "visitors", 13),
    ("daily_sources", "source_sessions", 56),
    ("daily_summary", "shares", 56),
]


@pytest.mark.parametrize(("report", "name", "length"), HISTORIES)
def test_the_history_covers_the_chart_of_the_status_page(report: str, name: str, length: int) -> None:
    (place,) = (place for place, field in enumerate(REPORTS[report].fields) if field.metric == name)
    days = [LIVE[report].before(n) for n in reversed(range(length))]
    expected = [filled(REPORTS[report], day).reading.values[place] for day in days]
    assert APPS["every"]["reports"][report]["history"] == {name: expected}


def test_app_never_fetched_has_a_state_and_no_figures() -> None:
    (app,) = answer(NEW)["apps"]
    facts = app["reports"]["weekly"]
    known = {field for field, value in facts.items() if value is not None and not isinstance(value, dict)}
    assert known == {"state", "state_text", "next_fetch_timestamp_seconds"}
    assert facts["history"] == {"visitors": []}
    values = [*facts["figures"].values(), *facts["calendar"].values()]
    assert {*values, *(value for each in facts["comparison"].values() for value in each.values())} == {None}
    never = replace(EVERY.reports[1], state=State.PENDING, last_result=None, history=history(report=DAILY))
    daily = answer(replace(EVERY, reports=(never,)))["apps"][0]["reports"]["daily"]
    assert set(map(str, daily["derived"].values())) == {"[]"}


def test_zero_is_a_value_and_counts_are_integers() -> None:
    course = history(stored(W1, *[None] * 2, 5, *[None] * 4), stored(W2, *[0.0] * 7))
    statuses = (with_report(FULL, history=course),)
    body = CachedDocument(AppsJson()).body(lambda: (statuses, PageContext("/", (), NOW)))
    assert b'"history":{"visitors":[5,0]}' in body
    assert b'"figures":{"sessions":0,' in body


def test_any_name_is_returned_unchanged() -> None:
    names = ['"</script>\\', "مطعم \u202eabc", "\u2028\x00\ud800", "店" * 200]
    apps = answer(*(replace(FULL, appid=f"wx{n}", name=name) for n, name in enumerate(names)))["apps"]
    assert [app["name"] for app in apps] == names


def test_response_has_the_exporters_problems_and_version() -> None:
    assert EVERYTHING["issues"] == [{"summary": "The disk is full.", "details": ["a", "b"]}]
    assert EVERYTHING["version"] == __version__
    assert EVERYTHING["made_timestamp_seconds"] == NOW


@pytest.mark.skipif(which("jq") is None, reason="jq is not on this machine")
def test_the_examples_of_the_document_work() -> None:
    block, _ = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    first, second = re.findall(r"jq (?:-r )?'(.*?)'", block, re.DOTALL)
    body = json.dumps({"status": "success", "data": EVERYTHING}).encode()

    def run(*options: str) -> str:
        return subprocess.run(["jq", *options], input=body, capture_output=True, check=True).stdout.decode()

    assert run("-r", first) == "wx3\tweekly\t40164 add the IP\n"
    changes = [json.loads(line) for line in run("-c", second).split("\n")[:-1]]
    assert len(changes) == len(APPS)
    assert changes[0] == {"name": "Shop", "week": W2.label, "visitors": 754, "change": 376}
    assert changes[1]["change"] is None
    assert MONTH.label == "202610"

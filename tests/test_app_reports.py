"""The reports of an app as JSON and CSV: two years of figures over real HTTP."""

from __future__ import annotations

import csv
import gzip
import io
import re
import subprocess
from dataclasses import replace
from shutil import which
from typing import TYPE_CHECKING, Any

import pytest
import requests
from browser import served
from statuses import NEW
from test_appsjson import TEXT, TYPES, documented, documented_report, fits, rows
from two_years import APP, DROP, MISSING_WEEKS, NAME, NOW, STATUS, STORE, WITHOUT_STAY

from exporter.alerts.drops import find_drops
from exporter.alerts.past_periods import past_periods
from exporter.holidays import public_holidays
from exporter.periods import Week
from exporter.reports import PREFIX, REPORTS, WEEKLY, History
from exporter.reports.dimensions import SOURCE, STAY
from exporter.reports.fields import SOURCE_SESSIONS
from exporter.web import reportcsv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.reports import Field, Reading, Report

PAGE = f"/apps/{STATUS.appid}"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served((STATUS, NEW), clock=lambda: NOW, read_periods=STORE.periods) as address:
        yield address


def get(address: str, path: str, encoding: str = "identity") -> requests.Response:
    return requests.get(address + path, headers={"Accept-Encoding": encoding}, timeout=30)


def data(address: str, report: str, query: str = "") -> dict[str, Any]:
    response = get(address, f"/api/v1{PAGE}/reports/{report}{query}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    document = response.json()
    assert document["status"] == "success"
    return document["data"]


def table(address: str, report: str, query: str = "") -> list[list[str]]:
    response = get(address, f"/api/v1{PAGE}/reports/{report}.csv{query}")
    assert response.status_code == 200
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"), newline="")))


# --- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS)
def test_json_has_every_stored_figure_exactly(address: str, report: str) -> None:
    entry, periods = REPORTS[report], data(address, report)["periods"]
    stored = APP.stored[report]
    assert len(periods) == len(stored)
    for found, expected in zip(periods, stored, strict=True):
        period = expected.period
        assert found[period.NAME] == period.label
        assert found["iso"] == period.iso
        assert (found["begin"], found["end"]) == (period.first.isoformat(), period.last.isoformat())
        assert found["period_end_timestamp_seconds"] == period.end
        assert found["period_first_seen_timestamp_seconds"] == expected.first_seen
        assert found["figures"] == {field.metric: expected.reading.value(field) for field in entry.plain_fields}
        assert list(found["figures"]) == list(found["change"]) == [field.metric for field in entry.plain_fields]
        in_parts = [field for field in entry.fields if field.dimension is not None]
        assert found["totals"] == {field.metric: expected.reading.value(field) for field in in_parts}
        assert list(found["parts"]) == [field.metric for field in in_parts]
        for field in in_parts:
            parts = {key: value for name, key, value in expected.reading.by_dimension if name == field.wechat}
            assert field.dimension
            shown = found["parts"][field.metric]
            assert shown.items() >= {field.dimension.name(key): value for key, value in parts.items()}.items()
            unsent = 0 if field.dimension.absent_is_zero else None
            assert list(shown.values()).count(unsent) >= len(shown) - len(parts)


def test_parts_are_the_same_in_every_period(address: str) -> None:
    periods = data(address, "daily_sources")["periods"]
    entrances = periods[0]["parts"]["source_sessions"]
    assert {tuple(each["parts"]["source_sessions"]) for each in periods} == {tuple(entrances)}
    assert set(entrances) == {
        SOURCE.name(key)
        for each in APP.stored["daily_sources"]
        for name, key, _ in each.reading.by_dimension
        if name == SOURCE_SESSIONS.wechat
    }
    assert list(periods[0]["parts"]["stay_sessions"]) == [*STAY.names.values()]
    newest = data(address, "weekly_retention")["periods"][-1]
    assert list(newest["parts"]["visitors"].values())[1:] == [None] * 3


def test_json_has_changes_holidays_and_alerts(address: str) -> None:
    weeks = {each["begin"]: each for each in data(address, "weekly")["periods"]}
    of = {each.period: each.reading for each in APP.stored["weekly"]}
    dropped = weeks[DROP.first.isoformat()]
    visitors, before = (of[week].value(WEEKLY.fields[2]) for week in (DROP, DROP.before()))
    assert visitors is not None
    assert before
    assert dropped["change"]["visitors"] == visitors / before - 1
    assert {alert["figure"] for alert in dropped["alerts"]} == {"visitors", "new_visitors", "sessions", "visits"}
    first = next(alert for alert in dropped["alerts"] if alert["figure"] == "visitors")
    assert first.pop("baseline") > visitors
    assert first == {
        "alert": "WeChatMiniProgramVisitorsBelowNormal",
        "severity": "warning",
        "figure": "visitors",
        "value": visitors,
        "baseline_text": "the typical week",
    }
    assert [begin for begin, week in weeks.items() if week["alerts"]] == [DROP.first.isoformat()]
    after_gap = weeks[MISSING_WEEKS[-1].after().first.isoformat()]
    assert set(after_gap["change"].values()) == {None}
    assert weeks[WITHOUT_STAY.first.isoformat()]["change"]["stay_per_visitor_seconds"] is None
    for week in of:
        facts = weeks[week.first.isoformat()]["calendar"]
        assert isinstance(week, Week)
        assert facts["week_public_holidays"] == public_holidays(week)
        assert facts["previous_week_public_holidays"] == public_holidays(week.before())


def test_json_has_the_alert_about_retention(address: str) -> None:
    cohorts = {each["begin"]: each for each in data(address, "weekly_retention")["periods"]}
    (alert,) = cohorts[DROP.first.isoformat()]["alerts"]
    assert (alert["alert"], alert["figure"]) == ("WeChatMiniProgramRetentionDropped", "retention")
    parts, totals = (cohorts[DROP.first.isoformat()][name]["new_visitors"] for name in ("parts", "totals"))
    assert alert["value"] == pytest.approx(parts["1"] / totals)


@pytest.mark.parametrize("report", REPORTS)
def test_past_alerts_are_those_of_the_history_at_that_time(report: str) -> None:
    entry, stored = REPORTS[report], APP.stored[report]
    past = list(past_periods(entry, stored, STATUS.thresholds))
    assert [each.stored for each in past] == list(stored)
    for number in range(0, len(stored), 7):
        then = replace(APP.status.reports[0], report=entry, history=History.of(entry, stored[: number + 1]))
        assert past[number].drops == tuple(find_drops(replace(STATUS, reports=(then,)), entry))
    assert any(each.drops for each in past) == (report in {"weekly", "daily", "weekly_retention"})


@pytest.mark.parametrize("report", REPORTS)
def test_each_field_is_documented(address: str, report: str) -> None:
    facts, state = data(address, report), documented_report(REPORTS[report])
    own = documented("one report")
    assert own.pop("`state`, ...")[0] == ""
    of_state = [*state][: [*state].index("next_fetch_timestamp_seconds") + 1]
    assert list(facts) == [*[*own][:3], *of_state, *[*own][3:]]
    assert [field for field, (kind, _) in own.items() if not fits(facts[field], kind)] == []
    period = {
        REPORTS[report].period.NAME if field.startswith("`") else field: kind
        for field, (kind, _) in documented("period of a report").items()
    }
    alert = documented("alert of a period")
    for each in facts["periods"]:
        assert list(each) == list(period)
        assert [field for field, kind in period.items() if not fits(each[field], kind)] == []
        for listed in each["alerts"]:
            assert list(listed) == list(alert)
            assert [field for field, (kind, _) in alert.items() if not fits(listed[field], kind)] == []
    assert set(TYPES) >= {kind for kind, _ in alert.values()}


def test_state_is_that_of_the_json_of_all_apps(address: str) -> None:
    apps = {app["appid"]: app for app in get(address, "/api/v1/apps").json()["data"]["apps"]}
    for name, facts in apps[STATUS.appid]["reports"].items():
        one = data(address, name)
        assert {key: one[key] for key in list(facts)[:8]} == {key: facts[key] for key in list(facts)[:8]}
        newest_period = one["periods"][-1]
        assert newest_period["figures"] == facts["figures"]
        assert newest_period["calendar"] == facts["calendar"]
        assert one["compared_with"] == next(iter(facts["comparison"]), None)
        assert (one["appid"], one["name"], one["report"]) == (STATUS.appid, NAME, name)


@pytest.mark.skipif(which("jq") is None, reason="jq is not on this machine")
def test_the_example_of_the_document_works(address: str) -> None:
    _, block = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (program,) = re.findall(r"jq -r '(.*?)'", block, re.DOTALL)
    body = get(address, f"/api/v1{PAGE}/reports/weekly?from=2026-01-01").content
    found = subprocess.run(["jq", "-r", program], input=body, capture_output=True, check=True).stdout.decode()
    assert found.startswith(f"{DROP.first.isoformat()}\t")
    assert len(found.splitlines()) == 1


# --- days ------------------------------------------------------------------------------------------

RANGES = [
    ("weekly", "?from=2026-11-15&to=20261116", ["2026-11-09", "2026-11-16"]),
    ("weekly", "?from=20261118", ["2026-11-16"]),
    ("weekly", "?to=2024-12-08", ["2024-11-25", "2024-12-02"]),
    ("daily", "?from=2026-11-20&to=2026-11-20", ["2026-11-20"]),
    ("daily", "?from=2026-07-05&to=2026-07-26", ["2026-07-05", "2026-07-26"]),
    ("daily", "?from=2027-01-01", []),
    ("monthly", "?from=2026-09-30&to=2026-10-01", ["2026-09-01", "2026-10-01"]),
    ("monthly", "?from=&to=2024-10-31&x=1", ["2024-10-01"]),
]


@pytest.mark.parametrize(("report", "query", "first_days"), RANGES)
def test_range_selects_periods_that_contain_its_days(
    address: str, report: str, query: str, first_days: list[str]
) -> None:
    found = data(address, report, query)["periods"]
    assert [each["begin"] for each in found] == first_days
    everything = {each["begin"]: each for each in data(address, report)["periods"]}
    assert found == [everything[day] for day in first_days]  # comparisons and alerts use the periods before the range
    assert [row[2] for row in table(address, report, query)[1:]] == first_days


INVALID = [
    ("?from=yesterday", "from must be a day from 2000 to 2999, such as 2026-11-02 or 20261102"),
    ("?to=2026-02-30", "to must be a day from 2000 to 2999, such as 2026-11-02 or 20261102"),
    ("?from=2026-1-1", "from must be a day"),
    ("?from=0001-01-01", "from must be a day"),
    ("?to=9999-12-31", "to must be a day"),
    ("?from=２０２６１１０２", "from must be a day"),
    ("?from=2026-11-02T00:00", "from must be a day"),
    ("?from=2026-11-03&to=2026-11-02", "from must not be after to"),
]


@pytest.mark.parametrize(("query", "message"), INVALID)
def test_invalid_days_get_400_and_what_is_wrong(address: str, query: str, message: str) -> None:
    for form in ("", ".csv"):
        response = get(address, f"/api/v1{PAGE}/reports/weekly{form}{query}")
        document = response.json()
        assert response.status_code == 400
        assert (document["status"], document["errorType"]) == ("error", "bad_data")
        assert document["error"].startswith(message)


# --- unknown names and methods ----------------------------------------------------------------------

UNKNOWN = [
    ("/api/v1/apps/secret/reports/weekly", "unknown app: /api/v1/apps lists the apps; their reports are weekly, daily"),
    ("/api/v1/apps/secret/reports/secret.csv", "unknown app: "),
    (f"/api/v1{PAGE}/reports/secret", "unknown report: the app has weekly, daily, monthly"),
    (f"/api/v1{PAGE}/reports/secret.csv", "unknown report: the app has weekly, daily, monthly"),
    ("/api/v1/apps/wx2/reports/daily", "unknown report: the app has weekly"),
    (f"/api/v1{PAGE}", "not found: use /api/v1/apps/APPID/reports/REPORT"),
    (f"/api/v1{PAGE}/reports/weekly/secret", "not found: "),
    ("/apps/secret/", "not found: "),
]


@pytest.mark.parametrize(("path", "message"), UNKNOWN)
def test_unknown_names_get_404_and_the_known_ones(address: str, path: str, message: str) -> None:
    response = get(address, path)
    assert response.status_code == 404
    assert response.json()["errorType"] == "not_found"
    assert response.json()["error"].startswith(message)
    assert "secret" not in response.text


def test_page_of_an_unknown_app_leads_to_the_status_page(address: str) -> None:
    response = get(address, "/apps/secret")
    assert (response.status_code, response.text) == (
        404,
        "unknown app: the status page at / has a link to the page of each app\n",
    )


FORMS = [PAGE, f"/api/v1{PAGE}/reports/daily", f"/api/v1{PAGE}/reports/daily.csv"]


@pytest.mark.parametrize("path", FORMS)
def test_head_and_gzip_agree_with_get_and_others_get_405(address: str, path: str) -> None:
    plain, packed = get(address, path), requests.get(address + path, stream=True, timeout=30)
    raw = packed.raw.read()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    head = requests.head(address + path, headers={"Accept-Encoding": "identity"}, timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    for response in (head, plain):
        assert response.headers["Content-Length"] == str(len(plain.content))
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    refused = requests.post(address + path, timeout=30)
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")


# --- CSV -------------------------------------------------------------------------------------------


def titles(report: Report, field: Field, head: list[str]) -> list[str]:
    """Return the titles of the columns of a figure."""
    unit = f" ({field.unit.value})"
    if field.dimension is None:
        return [report.metric(field) + unit]
    kind = f"{PREFIX}weekly_retained_{field.metric}" if report.later else f"{PREFIX}daily_{field.metric}"
    total = f"{PREFIX}weekly_cohort_{field.metric}" if report.later else f"sum({kind})"
    names = [field.dimension.name(key) for key in keys(field)]
    assert head.count(total + unit) == 1
    return [total + unit, *(f'{kind}{{{field.dimension.label}="{name}"}}{unit}' for name in names)]


def keys(field: Field) -> list[str]:
    """Return the keys that a figure in parts has in the store, and those of its table if it is complete."""
    assert field.dimension
    found = {key for of in APP.stored.values() for each in of for name, key, _ in each.reading.by_dimension
             if name == field.wechat}  # fmt: skip
    return sorted(found | (set(field.dimension.names) if field.dimension.is_bounded else set()), key=int)


def figures_of(reading: Reading, field: Field) -> list[float | None]:
    if field.dimension is None:
        return [reading.value(field)]
    sent = {key: value for name, key, value in reading.by_dimension if name == field.wechat}
    unsent = 0 if field.dimension.absent_is_zero else None
    return [reading.value(field), *(sent.get(key, unsent) for key in keys(field))]


@pytest.mark.parametrize("report", REPORTS)
def test_a_csv_reader_gets_the_stored_figures_exactly(address: str, report: str) -> None:
    entry = REPORTS[report]
    head, *lines = table(address, report)
    figures = [title for field in entry.fields for title in titles(entry, field, head)]
    calendar = [PREFIX + fact.metric for fact in entry.calendar[:1]]
    assert head == ["appid", "name", "begin", "end", *figures, *calendar, "alerts"]
    assert len(lines) == len(APP.stored[report])
    for line, each in zip(lines, APP.stored[report], strict=True):
        assert line[:4] == [STATUS.appid, NAME, each.period.first.isoformat(), each.period.last.isoformat()]
        read = tuple(float(cell) if cell else None for cell in line[4 : 4 + len(figures)])
        assert read == tuple(value for field in entry.fields for value in figures_of(each.reading, field))
    alerts = {line[2]: line[-1].split() for line in lines if line[-1]}
    expected = {each["begin"]: [a["alert"] for a in each["alerts"]] for each in data(address, report)["periods"]}
    assert alerts == {day: names for day, names in expected.items() if names}


def test_csv_opens_in_excel(address: str) -> None:
    response = get(address, f"/api/v1{PAGE}/reports/weekly.csv")
    assert response.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{STATUS.appid}-weekly.csv"'
    assert response.content.startswith(b"\xef\xbb\xbfappid,name,begin,end,")
    assert response.content.count(b"\r\n") == response.content.count(b"\n") == len(APP.stored["weekly"]) + 1
    row = next(line for line in table(address, "weekly") if line[2] == WITHOUT_STAY.first.isoformat())
    assert row[8] == ""


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x","y")', "-店"]
HARMLESS = ["Shop", "a=b", "店, 书", 'the "best"', "two\r\nlines", "", "1", "'quoted"]


@pytest.mark.parametrize("name", [*FORMULAS, *HARMLESS])
def test_no_cell_is_a_formula(name: str) -> None:
    past = list(past_periods(WEEKLY, APP.stored["weekly"][:2], STATUS.thresholds))
    body = reportcsv.render(replace(STATUS, name=name, appid=name), WEEKLY, past).decode("utf-8-sig")
    _, *lines = csv.reader(io.StringIO(body, newline=""))
    assert len(lines) == 2
    for line in lines:
        assert line[:2] == [("'" if name in FORMULAS else "") + name] * 2
        assert [cell for cell in line if re.match(r"[=+\-@\t\r\n＝]", cell)] == []


@pytest.mark.parametrize("appid", ['a"; x', "../../etc", "店\r\nX: y", "wx1"])
def test_file_name_is_safe(appid: str) -> None:
    name = reportcsv.file_name(replace(STATUS, appid=appid), WEEKLY)
    assert re.fullmatch(r"[A-Za-z0-9_-]+-weekly\.csv", name)


def test_columns_of_the_document_are_those_of_the_files(address: str) -> None:
    columns = [row[0].replace("`", "").split(", ") for row in rows("csv")]
    calendar = {PREFIX + each.calendar[0].metric for each in REPORTS.values() if each.calendar}
    assert calendar in map(set, columns)
    kinds = {name: number for number, names in enumerate(columns) for name in names}
    for name, report in REPORTS.items():
        metrics = {report.metric(field) for field in report.plain_fields}
        found = [kinds[column_kind(cell, metrics)] for cell in table(address, name)[0]]
        assert found == sorted(found) or not metrics  # a figure in parts has its total before each group of parts
        assert set(found) >= {kinds[each] for each in ("appid", "name", "begin", "end", "alerts")}


def column_kind(title: str, metrics: set[str]) -> str:
    """Return how docs/api.md describes a column."""
    if title.partition(" (")[0] in metrics:
        return "<metric> (<unit>)"
    for pattern, kind in (
        (PREFIX + r"weekly_cohort_\w+ \(\w+\)", f"{PREFIX}weekly_cohort_<figure> (<unit>)"),
        (r"sum\(\w+\) \(\w+\)", "sum(<metric>) (<unit>)"),
        (r'\w+\{\w+="[^"]+"\} \(\w+\)', '<metric>{<label>="<value>"} (<unit>)'),
    ):
        if re.fullmatch(pattern, title):
            return kind
    return title

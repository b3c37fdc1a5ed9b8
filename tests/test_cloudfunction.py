"""The cloud function in Node.js with the real wx-server-sdk, and what it shares with the exporter."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exporter import config
from exporter.periods import BEIJING, Week
from exporter.reports import REPORTS, WEEKLY, Shape
from exporter.wechat.codes import Failed, Refused
from exporter.wechat.messages import ApiResponse
from exporter.wechat.protocol import event_body, parse_function, parse_invoked, parse_report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.periods import Period
    from exporter.reports import Report

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "cloudfunction"
FUNCTION = FOLDER / "analysis"
TESTS = ROOT / "tests" / "cloudfunction"


def load(file: str) -> dict[str, Any]:
    return json.loads((FUNCTION / file).read_text())  # type: ignore[no-any-return]


def node(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Node.js with the real SDK on its path."""
    packages = TESTS / "node_modules"
    if not packages.exists():
        pytest.skip("wx-server-sdk is not installed; see tests/get-node-packages")
    return subprocess.run(
        [Path(sys.executable).parent / "node", *arguments],
        env=os.environ | {"NODE_PATH": str(packages)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def evaluate(script: str, stdin: str = "") -> Any:  # noqa: ANN401 (any JSON)
    """Return what ``script`` prints as JSON; it finds the function's modules below ``folder``."""
    result = node("-e", f"const folder = {json.dumps(str(FUNCTION))}; {script}", stdin=stdin)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def apis() -> dict[str, dict[str, Any]]:
    """Return the function's table of APIs."""
    return dict(evaluate("console.log(JSON.stringify([...require(`${folder}/apis`).APIS]))"))


def test_function_passes_its_own_tests_with_the_real_sdk() -> None:
    result = node("--test", "--test-reporter=tap", TESTS / "analysis.test.js")
    assert result.returncode == 0, result.stdout
    assert re.findall(r"^# (pass|fail|skipped) (\d+)$", result.stdout, re.MULTILINE) == [
        ("pass", "123"),
        ("fail", "0"),
        ("skipped", "0"),
    ]


def response_of(report: Report, period: Period) -> dict[str, Any]:
    """Return a response of WeChat in which every figure and every part is another number."""
    numbers = itertools.count(100, 7)

    def entries(keys: Iterable[int]) -> list[dict[str, int]]:
        return [{"key": key, "value": next(numbers)} for key in keys]

    if report.shape is Shape.COHORT:
        sizes = {field.wechat: entries(range(report.later + 1)) for field in report.fields}
        return {"ref_date": period.label, **sizes}
    if report.shape is Shape.DISTRIBUTION:
        listed = [{"index": field.wechat, "item_list": entries((1, 2, 7))} for field in report.fields]
        return {"ref_date": period.label, "list": listed}
    return {"list": [{"ref_date": period.label, **{field.wechat: next(numbers) for field in report.fields}}]}


CASES = [(report, True) for report in REPORTS.values()] + [(WEEKLY, False)]


@pytest.mark.parametrize(
    ("report", "named"), CASES, ids=[f"{report.name}{'' if named else ' without api'}" for report, named in CASES]
)
def test_exporter_reads_what_the_function_returns(report: Report, named: bool) -> None:
    week = report.period.containing_day(date(2026, 10, 12))
    now = week.before(-1 - report.later).start + 3600
    response = response_of(report, week)
    event = event_body(report, week).decode()
    if not named:
        event = json.dumps({name: value for name, value in json.loads(event).items() if name != "api"})
    result = node(TESTS / "respond.js", stdin=json.dumps({"event": event, "response": response, "now": now * 1000}))
    assert result.returncode == 0, result.stderr
    returned = json.loads(result.stdout)
    assert "ref_date" not in result.stdout
    invoked = {"errcode": 0, "errmsg": "ok", "resp_data": json.dumps(returned["invoked"])}

    def over_http(name: str) -> ApiResponse:
        return ApiResponse(returned[name]["statusCode"], returned[name]["body"].encode())

    direct = parse_report(ApiResponse(200, json.dumps(response).encode()), report, week, now)
    assert None not in direct.values
    assert parse_invoked(ApiResponse(200, json.dumps(invoked).encode()), report, week, now) == direct
    assert parse_function(over_http("stored"), report, week, now) == direct
    for name, decision in (("wrong key", Refused), ("no variable", Failed)):
        with pytest.raises(decision):
            parse_function(over_http(name), report, week, now)


def test_errors_of_the_function_reach_the_user() -> None:
    """An unknown api must be a failure with its message, not "not ready" or "busy": those are retried silently."""
    week = Week(date(2026, 11, 16))
    script = """
        const { parseRequest } = require(`${folder}/apis`)
        console.log(JSON.stringify(parseRequest({ api: 'getUserPortrait' }, 0).error))
    """
    invoked = {"errcode": 0, "errmsg": "ok", "resp_data": json.dumps(evaluate(script))}
    with pytest.raises(Failed, match="unknown api: it must be one of getWeeklyVisitTrend"):
        parse_invoked(ApiResponse(200, json.dumps(invoked).encode()), WEEKLY, week, week.end)


def test_calendar_equals_pythons_on_every_day_of_a_leap_cycle() -> None:
    """At noon of each day from 2027 to the end of 2031, and across the skipped leap year 2100."""
    days = [date(2027, 1, 1) + timedelta(n) for n in range(5 * 365 + 1)]
    days += [date(2100, 2, 1) + timedelta(n) for n in range(60)]
    script = """
        const { finishedPeriods } = require(`${folder}/periods`)
        const noons = JSON.parse(require('fs').readFileSync(0))
        const newest = (now) => ['day', 'week', 'month'].map((kind) => finishedPeriods(kind, now, 2))
        console.log(JSON.stringify(noons.map(newest)))
    """
    noons = [datetime.combine(day, time(12), BEIJING).astimezone(UTC).timestamp() * 1000 for day in days]

    def expected(day: date) -> list[list[tuple[date, date]]]:
        yesterday, monday, first = day - timedelta(1), day - timedelta(day.weekday()), day.replace(day=1)
        last = first - timedelta(1)
        last_before = last.replace(day=1) - timedelta(1)
        return [
            [(yesterday, yesterday), (yesterday - timedelta(1), yesterday - timedelta(1))],
            [(monday - timedelta(7 * n), monday - timedelta(7 * n - 6)) for n in (1, 2)],
            [(last.replace(day=1), last), (last_before.replace(day=1), last_before)],
        ]

    for day, actual in zip(days, evaluate(script, json.dumps(noons)), strict=True):
        wanted = [[{"beginDate": f"{a:%Y%m%d}", "endDate": f"{b:%Y%m%d}"} for a, b in kind] for kind in expected(day)]
        assert actual == wanted, day


def test_function_directory_is_complete() -> None:
    """The directory is uploaded without the rest of the repository."""
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", "analysis"}
    modules = {path.name for path in FUNCTION.glob("*.js")}
    assert {path.name for path in FUNCTION.iterdir()} == modules | {"config.json", "package.json"}
    required = {name for path in FUNCTION.glob("*.js") for name in re.findall(r"require\('(.+?)'\)", path.read_text())}
    assert {f"{name.removeprefix('./')}.js" for name in required if name.startswith("./")} == modules - {"index.js"}
    assert {name for name in required if not name.startswith("./")} == {"crypto", "wx-server-sdk"}
    tested = json.loads((TESTS / "package.json").read_text())["dependencies"]["wx-server-sdk"]
    assert load("package.json")["dependencies"] == {"wx-server-sdk": tested}


def test_permissions_are_exactly_the_apis_of_the_table() -> None:
    assert load("config.json")["permissions"] == {"openapi": [f"analysis.{api}" for api in apis()]}
    assert [report.api for report in REPORTS.values()] == [f"analysis.{api}" for api in apis()]
    for report, api in zip(REPORTS.values(), apis().values(), strict=True):
        assert (api["period"], api.get("later", 0)) == (report.period.NAME, report.later)
        assert api["form"] == report.shape.value
    calling = {path.name for path in FUNCTION.glob("*.js") if "cloud.openapi.analysis[api](" in path.read_text()}
    assert calling == {"invoke.js", "timer.js"}


def test_one_query_of_the_database_covers_a_history() -> None:
    assert all(0 < api["stored"] <= 100 for api in apis().values())


def test_timer_stores_the_history_that_the_exporter_requests() -> None:
    weeks = config.Fetch().history_weeks
    for report, api in zip(REPORTS.values(), apis().values(), strict=True):
        assert api["stored"] >= report.periods_in_weeks(weeks)


def test_single_timer_runs_daily_after_ten() -> None:
    """WeChat allows one trigger for each function; nothing is published before ten."""
    (trigger,) = load("config.json")["triggers"]
    _second, _minute, hours, *rest = trigger["config"].split()
    assert (trigger["type"], rest) == ("timer", ["*", "*", "*", "*"])
    assert all(10 <= int(hour) < 24 for hour in hours.split(","))


def test_readme_lists_the_apis_and_the_history() -> None:
    text = (FOLDER / "README.md").read_text()
    periods = {"week": "Monday and Sunday of a week", "day": "the same day", "month": "first and last day of a month"}
    rows = [f"| `{name}` | {periods[api['period']]} | {api['stored']} |" for name, api in apis().items()]
    assert "\n".join(["|---|---|---|", *rows, ""]) in text
    stored = {api["period"]: api["stored"] for api in apis().values()}
    assert f"{stored['week']} weeks, {stored['day']} days and {stored['month']} months" in " ".join(text.split())


def test_configurations_in_the_readme_can_be_loaded(tmp_path: Path) -> None:
    text = (FOLDER / "README.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "function-key").write_text("k")
    for block in blocks:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(block)))
        (app,) = config.load(tmp_path / "config.yaml", {}).apps
        assert isinstance(app.access, config.CloudFunction | config.HttpFunction)
        if isinstance(app.access, config.CloudFunction):
            assert app.access.name == FUNCTION.name == load("package.json")["name"]

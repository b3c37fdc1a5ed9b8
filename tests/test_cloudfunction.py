"""The cloud functions under Node's own test runner, with the real wx-server-sdk, and what they and we must agree on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import config
from exporter.periods import Week
from exporter.reports import WEEKLY
from exporter.wechat.codes import Failed, Refused
from exporter.wechat.exchange import Reply
from exporter.wechat.protocol import event_body, parse_function, parse_invoked, parse_rows

ROOT = Path(__file__).parent.parent
FUNCTIONS = ROOT / "deploy" / "cloudfunction"
TESTS = ROOT / "tests" / "cloudfunction"
NAMES = ("weeklyVisitTrend", "keepWeeklyVisitTrend", "readWeeklyVisitTrend")


def content(name: str, file: str) -> dict[str, Any]:
    return json.loads((FUNCTIONS / name / file).read_text())  # type: ignore[no-any-return]


def node(*arguments: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
    """Runs Node.js where the functions find the real SDK; ``said`` is its standard input."""
    packages = TESTS / "node_modules"
    if not packages.exists():
        pytest.skip("wx-server-sdk is not here; tests/get-node-packages says why")
    return subprocess.run(
        [Path(sys.executable).parent / "node", *arguments],
        env=os.environ | {"NODE_PATH": str(packages)},
        input=said,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_cloud_functions_pass_their_own_tests_with_the_real_sdk() -> None:
    result = node("--test", "--test-reporter=tap", TESTS / "functions.test.js")
    assert result.returncode == 0, result.stdout
    assert re.findall(r"^# (pass|fail|skipped) (\d+)$", result.stdout, re.MULTILINE) == [
        ("pass", "34"),
        ("fail", "0"),
        ("skipped", "0"),
    ]


def test_what_the_functions_answer_is_what_the_exporter_reads() -> None:
    week = Week(date(2026, 11, 16))
    now = week.end
    row = {"ref_date": week.label} | {field.wechat: 100 + number for number, field in enumerate(WEEKLY.fields)}
    event = event_body(week).decode()
    result = node(TESTS / "converse.js", said=json.dumps({"event": event, "row": row, "now": now * 1000}))
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert set(said["invoked"]["list"][0]) == {"refDate", *(field.camel for field in WEEKLY.fields)}
    invoked = {"errcode": 0, "errmsg": "ok", "resp_data": json.dumps(said["invoked"])}

    def over_http(name: str) -> Reply:
        return Reply(said[name]["statusCode"], said[name]["body"].encode())

    direct = parse_rows(Reply(200, json.dumps({"list": [row]}).encode()), WEEKLY, week, now)
    assert parse_invoked(Reply(200, json.dumps(invoked).encode()), WEEKLY, week, now) == direct
    assert parse_function(over_http("kept"), WEEKLY, week, now) == direct
    for name, decision in (("a wrong key", Refused), ("no variable", Failed)):
        with pytest.raises(decision):
            parse_function(over_http(name), WEEKLY, week, now)


def test_each_function_is_whole_for_it_is_uploaded_alone() -> None:
    folders = sorted(path.name for path in FUNCTIONS.iterdir() if path.is_dir())
    assert folders == sorted(NAMES)
    for name in NAMES:
        files = {path.name for path in (FUNCTIONS / name).iterdir()}
        assert files == {"index.js", "week.js", "config.json", "package.json"}
        assert (FUNCTIONS / name / "week.js").read_text() == (FUNCTIONS / NAMES[0] / "week.js").read_text()
        tested = json.loads((TESTS / "package.json").read_text())["dependencies"]["wx-server-sdk"]
        assert content(name, "package.json")["dependencies"] == {"wx-server-sdk": tested}


def test_who_calls_the_api_has_its_permission_and_nobody_else_has_any() -> None:
    permissions = {name: content(name, "config.json")["permissions"]["openapi"] for name in NAMES}
    calling = [WEEKLY.api]
    assert permissions == dict(zip(NAMES, (calling, calling, []), strict=True))
    for name, granted in permissions.items():
        assert (f"cloud.openapi.{WEEKLY.api}(" in (FUNCTIONS / name / "index.js").read_text()) == bool(granted)


def test_one_timer_for_wechat_allows_no_more_runs_on_monday_and_tuesday_after_ten() -> None:
    (trigger,) = content("keepWeeklyVisitTrend", "config.json")["triggers"]
    _second, _minute, hours, day, month, weekdays, year = trigger["config"].split()
    assert (trigger["type"], weekdays) == ("timer", "MON,TUE")
    assert {day, month, year} == {"*"}, "a day of the month would be one more day, not a condition"
    assert all(int(hour) >= 10 for hour in hours.split(","))


def test_the_configurations_that_are_shown_can_be_loaded(tmp_path: Path) -> None:
    text = (FUNCTIONS / "README.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "function-key").write_text("k")
    for block in blocks:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(block)))
        (app,) = config.load(tmp_path / "config.yaml", {}).apps
        assert isinstance(app.way, config.CloudFunction | config.HttpFunction)
        if isinstance(app.way, config.CloudFunction):
            assert app.way.name in NAMES

"""The cloud functions under Node's own test runner, with the real wx-server-sdk, and what they and we must agree on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter import config
from exporter.reports import WEEKLY

ROOT = Path(__file__).parent.parent
FUNCTIONS = ROOT / "deploy" / "cloudfunction"
TESTS = ROOT / "tests" / "cloudfunction"
NAMES = ("weeklyVisitTrend", "keepWeeklyVisitTrend", "readWeeklyVisitTrend")


def content(name: str, file: str) -> dict[str, Any]:
    return json.loads((FUNCTIONS / name / file).read_text())  # type: ignore[no-any-return]


def test_the_cloud_functions_pass_their_own_tests_with_the_real_sdk() -> None:
    packages = TESTS / "node_modules"
    if not packages.exists():
        pytest.skip("wx-server-sdk is not here; tests/get-node-packages says why")
    node = Path(sys.executable).parent / "node"
    result = subprocess.run(
        [node, "--test", "--test-reporter=tap", TESTS / "functions.test.js"],
        env=os.environ | {"NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert re.findall(r"^# (pass|fail|skipped) (\d+)$", result.stdout, re.MULTILINE) == [
        ("pass", "34"),
        ("fail", "0"),
        ("skipped", "0"),
    ]


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

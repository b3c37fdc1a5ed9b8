"""The alert rules: the files match the code, promtool accepts and tests them, and people find their texts."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness import command
from test_conditions import CASES
from test_scenarios import COURSES

from exporter import alerts, promql
from exporter.alerts import drops, figures, operations
from exporter.alerts.model import PREFIX
from exporter.metrics import catalogue
from exporter.periods import Day
from exporter.reports import DAILY_SOURCES, REPORTS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.reports import Report

ROOT = Path(__file__).parent.parent
RULES = ROOT / "prometheus" / "rules.yml"
SCENARIOS = sorted(RULES.parent.glob("*_test.yml"))
TESTS: list[dict[str, Any]] = [
    test for file in SCENARIOS for test in yaml.load(file.read_text(), yaml.CSafeLoader)["tests"]
]
ALERTS = [*figures.alerts(), *operations.alerts()]
NAMES = [alert.full_name for alert in ALERTS]


def checked(promtool: str, *arguments: str | Path) -> str:
    """Run promtool and return its output; empty if it succeeded."""
    result = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_rules_file_is_what_the_code_writes() -> None:
    assert RULES.read_text() == alerts.render_rules(), "make generated writes it"
    assert (ROOT / "deploy" / "kubernetes" / "prometheusrule.yaml").read_text() == alerts.render_prometheus_rule(), (
        "make generated"
    )


def test_promtool_accepts_the_rules_with_every_lint(promtool: str) -> None:
    assert checked(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES) == ""


def test_prometheusrule_has_the_same_groups() -> None:
    resource = yaml.safe_load(alerts.render_prometheus_rule())
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"] == yaml.safe_load(RULES.read_text())


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.name)
def test_every_scenario_passes(file: Path, promtool: str) -> None:
    assert checked(promtool, "test", "rules", file) == ""


@pytest.mark.parametrize("rule", drops.RULES, ids=lambda rule: rule.name)
def test_every_alert_about_a_figure_is_shown_to_fire_and_not_to_fire(rule: drops.DropRule) -> None:
    """Among the courses and cases, which promtool runs, or the scenarios."""
    shown = [rule.name in names for _, app, names in CASES if app.of(rule.report) is not None]
    shown += [rule.name in names for course in COURSES if course.report is rule.report for _, names in course.apps()]
    assert set(shown) == {True, False}


@pytest.mark.parametrize("name", [PREFIX + alert.name for alert in operations.alerts()])
def test_every_other_alert_is_shown_to_fire_and_not_to_fire(name: str) -> None:
    about = [test for test in TESTS if name.removeprefix(PREFIX) in test["name"]]
    assert any(re.search(r"\bfires?\b", test["name"]) for test in about)
    assert any("not fire" in test["name"] for test in about)
    checks = [check for test in about for check in test["promql_expr_test"]]
    firing = [any(f'"{name}"' in sample["labels"] for sample in check["exp_samples"]) for check in checks]
    assert set(firing) == {True, False}


def test_alerts_have_waits_labels_and_annotations() -> None:
    assert len(ALERTS) == len(set(NAMES))
    written: list[dict[str, Any]] = [alert.as_rule(alerts.DEFAULT_LINKS) for alert in ALERTS]
    own_waits = {rule["alert"]: (rule["for"], rule["keep_firing_for"]) for rule in written}
    of_days = {PREFIX + rule.name for rule in drops.RULES if rule.report.period is Day}
    assert {wait for name, wait in own_waits.items() if name in of_days} == {("30m", "36h")}
    assert own_waits.pop("WeChatMiniProgramWeChatUnreachable") == ("5m", "7h")
    assert {wait for name, wait in own_waits.items() if name not in of_days} == {("30m", "2h")}
    texts = {"summary", "description", "dashboard_url", "runbook_url"}
    for rule in written[: len(drops.RULES)]:
        explained = rule["labels"]["figure"] in {"visitors", "new_visitors", "sessions", "visits"}
        assert set(rule["annotations"]) == texts | {"rank", "apps"} | ({"cause"} if explained else set())
        assert set(rule["labels"]) == {"severity", "figure", "report"}
    for rule in written[len(drops.RULES) :]:
        assert set(rule["annotations"]) == texts
        assert set(rule["labels"]) == {"severity"}


def test_runbook_has_exactly_one_chapter_for_each_alert() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    chapters = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [chapter.partition("\n")[0] for chapter in chapters] == NAMES
    for chapter in chapters:
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", chapter, re.MULTILINE) == ["Meaning", "Check", "Do"], chapter
    assert named_in([text]) <= served()


def served() -> set[str]:
    of_reports = [info for report in REPORTS.values() for info in catalogue.of_report(report)]
    return {info.name for info in (*of_reports, *catalogue.OF_APPS, *catalogue.OF_EXPORTER)}


def named_in(texts: Iterable[str]) -> set[str]:
    return set(re.findall(r"\bwechat_miniprogram_[a-z_]+[a-z]", " ".join(texts)))


def test_rules_read_only_metrics_that_the_exporter_serves() -> None:
    recorded = named_in([figures.APPS, figures.REPORTED])
    expressions = [rule.expr for rule in (*figures.recordings(), figures.reported(), *ALERTS)]
    read = {name.removesuffix("_count") for name in named_in(expressions)}
    assert read - recorded <= served()
    assert {WEEKLY.metric(field) for field in WEEKLY.fields} <= read


def test_annotations_read_only_metrics_that_the_exporter_serves() -> None:
    texts = [text for alert in ALERTS for text in (alert.summary, alert.description, *alert.notification.values())]
    read = named_in(texts)
    assert read - named_in([figures.APPS]) <= served()
    assert {info.name for info in catalogue.of_report(DAILY_SOURCES) if "_source_sessions" in info.name} <= read | {
        "wechat_miniprogram_daily_source_sessions"
    }


def test_every_recording_is_read() -> None:
    texts = [str(alert.as_rule(alerts.DEFAULT_LINKS)) for alert in ALERTS]
    for recording in (*figures.recordings(), figures.reported()):
        assert any(recording.name in text for text in texts), recording.name


FEBRUARY, MARCH = 31 * 86400 - 8 * 3600, 59 * 86400 - 8 * 3600
"""The first days of two months of 1970 in Beijing, Unix seconds; promtool's clock begins at 0."""


def test_a_month_is_late_on_its_own_length(tmp_path: Path, promtool: str) -> None:
    """January is the newest month: February, of 28 days, is late at noon of 2 March in Beijing."""
    late_at = MARCH + 36 * 3600
    series = f'{catalogue.PERIOD_END.name}{{appid="a",report="monthly"}}'
    age = {"labels": '{appid="a",report="monthly"}', "value": late_at + 60 - FEBRUARY}
    checks = [
        {"expr": promql.late(), "eval_time": f"{late_at}s", "exp_samples": []},
        {"expr": promql.late(), "eval_time": f"{late_at + 60}s", "exp_samples": [age]},
    ]
    test = {"interval": "5m", "input_series": [{"series": series, "values": f"{FEBRUARY}x18000"}]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"tests": [test | {"promql_expr_test": checks}]}))
    assert checked(promtool, "test", "rules", tmp_path / "test.yml") == ""


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_every_report_can_be_late(report: Report) -> None:
    assert promql.report_matcher(report) in promql.late()
    assert promql.late_age(report) >= 86400 + promql.PUBLISHED_AFTER


def test_command_prints_the_rules_with_given_addresses(tmp_path: Path) -> None:
    assert command(tmp_path, "rules").stdout == alerts.render_rules()
    links = ("--dashboard.url=https://grafana.example.org/d/x", "--runbook.url=https://wiki.example.org/alerts")
    result = command(tmp_path, "rules", "--kubernetes", *links)
    assert (result.returncode, result.stderr) == (0, "")
    mine = alerts.Links("https://grafana.example.org/d/x", "https://wiki.example.org/alerts")
    assert result.stdout == alerts.render_prometheus_rule(mine) != alerts.render_prometheus_rule()
    alert = replace(ALERTS[0], labels={}).as_rule(mine)
    assert (
        alert["annotations"]["runbook_url"] == "https://wiki.example.org/alerts#wechatminiprogramvisitorsdailycollapsed"
    )  # type: ignore[index]


@pytest.mark.parametrize(
    "url", ["a b", "https://x/{{ x }}", "https://x/#y", "https://", "https://u:p@x/", "https://'/", "javascript:x"]
)
def test_command_rejects_an_invalid_address(url: str, tmp_path: Path) -> None:
    result = command(tmp_path, "rules", f"--runbook.url={url}")
    assert result.returncode == 2
    assert "--runbook.url: must be http:// or https://, a host," in result.stderr

"""The alert rules: the files match the code, promtool accepts and tests them, and the tests notice mutations."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from harness import command

from exporter import alerts, promql
from exporter.alerts import figures, operations
from exporter.alerts.conditions import Baseline
from exporter.metrics import catalogue
from exporter.reports import REPORTS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.reports import Report

ROOT = Path(__file__).parent.parent
RULES = ROOT / "prometheus" / "rules.yml"
SCENARIOS = ROOT / "prometheus" / "rules_test.yml"
TESTS: dict[str, Any] = yaml.safe_load(SCENARIOS.read_text())
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


def test_every_scenario_passes(promtool: str) -> None:
    assert len(TESTS["tests"]) == 37
    assert checked(promtool, "test", "rules", SCENARIOS) == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_shown_to_fire_and_not_to_fire(name: str) -> None:
    about = [test for test in TESTS["tests"] if name.removeprefix("WeChatMiniProgram") in test["name"]]
    assert any(re.search(r"\bfires?\b", test["name"]) for test in about)
    assert any("not fire" in test["name"] or "and do" in test["name"] for test in about)
    checks = [check for test in about for check in test["promql_expr_test"]]
    firing = [any(f'"{name}"' in sample["labels"] for sample in check["exp_samples"]) for check in checks]
    assert set(firing) == {True, False}


def test_all_alerts_have_the_same_waits_and_annotations() -> None:
    assert len(ALERTS) == len(set(NAMES)) == 3 * 4 + 12
    written = [alert.as_rule(alerts.DEFAULT_LINKS) for alert in ALERTS]
    assert {(rule["for"], rule["keep_firing_for"]) for rule in written} == {("30m", "2h")}
    for rule in written:
        assert set(rule["annotations"]) == {"summary", "description", "dashboard_url", "runbook_url"}  # type: ignore[call-overload]
        assert set(rule["labels"]) <= {"severity", "figure"}  # type: ignore[call-overload]


VISITORS = "max by (appid, week) (wechat_miniprogram_weekly_visitors)"
SESSIONS_BEFORE = "max by (appid, week) (wechat_miniprogram_previous_week_sessions)"
MIN_RATIO = 'max by (appid) (wechat_miniprogram_alert_visitors_min_ratio{report="weekly"})'
PERIOD_END = "max by (appid, report) (wechat_miniprogram_period_end_timestamp_seconds)"
WEEK_END = PERIOD_END.replace("seconds", 'seconds{report="weekly"}')
NAMES_OF_APPS = "group by (appid, name) (wechat_miniprogram_app_info)"
MUTATIONS = {
    "one ratio for all apps": ("alerts by its own ratio", f"({MIN_RATIO})", f"(0.7 + 0 * {MIN_RATIO})"),
    "a rise": (
        "VisitorsDropped and VisitorsBelowNormal fire",
        f"< on (appid) group_left ()\n        ({MIN_RATIO})",
        f"> on (appid) ({MIN_RATIO})",
    ),
    "a collapse like a drop": ("VisitorsCollapsed fires", " * 4 / 7", ""),
    "no noise gate": ("tiny app", " > 3)", " > -3)"),
    "sessions as if each came from another": (
        "SessionsCollapsed",
        f" * {SESSIONS_BEFORE} / {SESSIONS_BEFORE.replace('sessions', 'visitors')}",
        "",
    ),
    "no holidays this week": ("holiday week", "wechat_miniprogram_week_public_holidays) > 0", "vector(0)) > 0"),
    "no holidays before": ("holiday week", "wechat_miniprogram_previous_week_public_holidays) > 0", "vector(0)) > 0"),
    "averages over a few": ("StayPerVisitor", " >= 200", " >= 0"),
    "sums over replicas": ("two replicas", VISITORS, VISITORS.replace("max", "sum", 1)),
    "names that meet": ("two replicas", f"topk by (appid) (1, {NAMES_OF_APPS})", NAMES_OF_APPS),
    "a zero base": ("tiny app", "_visitors) > 0)", "_visitors) + 0)"),
    "not kept firing": ("a gap in the scrapes", "keep_firing_for: 2h", "keep_firing_for: 1m"),
    "no waiting": ("VisitorsDropped and VisitorsBelowNormal fire", "for: 30m", "for: 1m"),
    "a week late at Wednesday noon": ("on Tuesday noon", "7 * 86400 + 36", "7 * 86400 + 60"),
    "a day late at once": ("after a day that", "1 * 86400 + 36", "1 * 86400 + 12"),
    "a month late a day later": ("after a month that", "+ 28800) * 86400 + 36", "+ 28800) * 86400 + 60"),
    "late per replica": ("two replicas", f"time() - {WEEK_END}", f"time() - {WEEK_END.replace('max', 'min')}"),
    "any period will do": ("no period at all", f"\n        unless on (appid, report)\n        {PERIOD_END}", ""),
    "one failure is enough": ("Failed fires", "[1d])) > 1", "[1d])) > 0"),
    "failures of any report": (
        "Failed fires",
        "and on (appid, report)\n          max",
        "and on (appid)\n          max",
    ),
    "half is most": ("not fire for half", "\n      > 0.5", "\n      >= 0.5"),
    "one app is most": ("for a single app", "\n      )) > 1)", "\n      )) > 0)"),
    "a first failure is an outage": ("that ended before", "[1d])) > 1\n      )) > 1)", "[1d])) > 0\n      )) > 1)"),
    "no absent target": ("no target of the job", 'or\n      absent(up{job="wechat-miniprogram"})', ""),
    "a long standstill": ("PollerStalled fires", "> 300", "> 3000"),
}
"""By name: the scenario that must fail, and the change that breaks the rules."""


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory, promtool: str) -> dict[str, str]:
    """Return the output of promtool for each mutation: one start tests them all, each with its scenario alone."""
    folder = tmp_path_factory.mktemp("mutations")
    files = {name: folder / f"{number}_test.yml" for number, name in enumerate(MUTATIONS)}
    mutated = []
    for name, (scenario, before, after) in MUTATIONS.items():
        text = RULES.read_text()
        assert before in text, name
        mutated.append(files[name].with_suffix(".rules"))
        mutated[-1].write_text(text.replace(before, after))
        tests = [test for test in TESTS["tests"] if scenario in test["name"]]
        assert tests, name
        files[name].write_text(yaml.safe_dump(TESTS | {"rule_files": [mutated[-1].name], "tests": tests}))
    assert checked(promtool, "check", "rules", *mutated) == ""
    line = [promtool, "test", "rules", *files.values()]
    output = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    about = dict(part.split("\n", 1) for part in output.split("Unit Testing:  ")[1:])
    return {name: about[str(file)] for name, file in files.items()}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_of_the_rules_fails_its_scenario(mutation: str, noticed: dict[str, str]) -> None:
    assert noticed[mutation].startswith("  FAILED:"), noticed[mutation]


def test_runbook_has_exactly_one_chapter_for_each_alert() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text()
    chapters = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert [chapter.partition("\n")[0] for chapter in chapters] == NAMES
    for chapter in chapters:
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", chapter, re.MULTILINE) == ["Meaning", "Check", "Do"], chapter
    assert named_in([text]) <= {info.name for info in catalogue.OF_APPS + catalogue.OF_EXPORTER}


def named_in(texts: Iterable[str]) -> set[str]:
    return set(re.findall(r"\bwechat_miniprogram_[a-z_]+[a-z]", " ".join(texts)))


def test_rules_read_only_metrics_that_the_exporter_serves() -> None:
    served = {info.name for info in (*catalogue.of_report(WEEKLY), *catalogue.OF_APPS, *catalogue.OF_EXPORTER)}
    read = named_in(rule.expr for rule in (*figures.recordings(), *ALERTS)) - {"wechat_miniprogram_app_info_topk"}
    assert read <= served
    baselines = [each.comparison for each in Baseline]
    for field in WEEKLY.fields:
        assert {WEEKLY.metric(field), *(WEEKLY.comparison_metric(each, field) for each in baselines)} <= read


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
    assert alert["annotations"]["runbook_url"] == "https://wiki.example.org/alerts#wechatminiprogramvisitorscollapsed"  # type: ignore[index]


@pytest.mark.parametrize("url", ["", "a b", "https://x/{{ x }}", "https://x/#y"])
def test_command_rejects_an_invalid_address(url: str, tmp_path: Path) -> None:
    result = command(tmp_path, "rules", f"--runbook.url={url}")
    assert result.returncode == 2
    assert "--runbook.url: must be a URL without white space, braces and fragment" in result.stderr

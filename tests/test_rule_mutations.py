"""Every condition, wait and label of the rules is noticed by a test: without it, or with another limit, one fails.

A mutation is a change of the text of prometheus/rules.yml. It is run with one scenario of prometheus/*_test.yml, one
course of test_scenarios.py or one case of test_conditions.py; one start of promtool runs them all.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rule_cases import RULES_FILE, RULES_TEXT, relevant, rule_test
from rule_mutations import FORGOTTEN, MUTATIONS, OUTAGES, REPORTED
from scale import only_in_soak
from test_conditions import APPS, CASES
from test_scenarios import COURSES

if TYPE_CHECKING:
    from pathlib import Path

SCENARIOS: dict[str, dict[str, Any]] = {
    test["name"]: {"evaluation_interval": document["evaluation_interval"], "tests": [test]}
    for file in sorted(RULES_FILE.parent.glob("*_test.yml"))
    for document in [yaml.load(file.read_text(), yaml.CSafeLoader)]
    for test in document["tests"]
}
"""By name, the parts of a file for promtool."""
EVENT = SCENARIOS["an event that a daily alert reported: the weekly alert about the same days does not fire"]
_FALL = [
    {"series": f'wechat_miniprogram_{prefix}recent_visitors{{appid="a",day="20261122",days="3"}}', "values": value}
    for prefix, value in (("", "100 100"), ("typical_", "1000 1000"))
]
SCENARIOS |= {
    OUTAGES: EVENT | {"evaluation_interval": "6h"},
    FORGOTTEN: {
        "evaluation_interval": "6h",
        "tests": [
            {
                "name": "VisitorsDailyDropped fired",
                "interval": "6h",
                "input_series": [
                    *_FALL,
                    {
                        "series": 'wechat_miniprogram_alert_visitors_min_ratio{appid="a",report="daily"}',
                        "values": "0.7 0.7",
                    },
                ],
                "promql_expr_test": [
                    {
                        "expr": REPORTED,
                        "eval_time": "390h",
                        "exp_samples": [
                            {
                                "labels": REPORTED + '{appid="a",figure="visitors",severity="warning"}',
                                "value": 42 * 3600,
                            }
                        ],
                    },
                    {"expr": REPORTED, "eval_time": "432h", "exp_samples": []},
                ],
            }
        ],
    },
}


def case(why: str) -> dict[str, Any]:
    """One app's figures as a test for promtool: a case of test_conditions.py, or a course of test_scenarios.py."""
    cases = [(app, names) for app, (name, _, names) in zip(APPS, CASES, strict=True) if name == why]
    cases += [each for course in COURSES if course.why == why for each in course.apps()]
    assert cases, why
    expected = {(app.appid, name) for app, names in cases for name in names}
    return {"evaluation_interval": "5m", "tests": [rule_test([app for app, _ in cases], expected)]}


def scenario(name: str) -> dict[str, Any]:
    """The scenario with this text in its name, alone; otherwise the case."""
    found = [each for full, each in SCENARIOS.items() if name in full]
    assert len(found) <= 1, name
    return found[0] if found else case(name)


def promtool_says(promtool: str, folder: Path, files: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Return what promtool says of each pair of rules and tests, from one start."""
    places = {name: folder / f"{number}_test.yml" for number, name in enumerate(files)}
    for name, (rules, tests) in files.items():
        places[name].with_suffix(".rules").write_text(relevant(tests, rules))
        places[name].write_text(yaml.safe_dump(tests | {"rule_files": [places[name].with_suffix(".rules").name]}))
    line = [promtool, "test", "rules", *places.values()]
    said = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    about = dict(part.split("\n", 1) for part in said.split("Unit Testing:  ")[1:])
    return {name: about[str(place)] for name, place in places.items()}


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory, promtool: str) -> dict[str, str]:
    """Return what promtool says of each mutation."""
    files = {name: (each.mutated(), scenario(each.noticed_by)) for name, each in MUTATIONS.items()}
    return promtool_says(promtool, tmp_path_factory.mktemp("mutations"), files)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_of_the_rules_fails_its_scenario(mutation: str, noticed: dict[str, str]) -> None:
    assert noticed[mutation].startswith("  FAILED:"), noticed[mutation]
    assert "FAILED:\n    expr" in noticed[mutation] or "alertname" in noticed[mutation], "the rules are valid"


def test_scenarios_pass_without_a_mutation(promtool: str, tmp_path: Path) -> None:
    """The scenarios and cases that notice mutations, with the rules as they are."""
    names = dict.fromkeys(each.noticed_by for each in MUTATIONS.values())
    files = {name: (RULES_TEXT, scenario(name)) for name in names}
    assert {said.strip() for said in promtool_says(promtool, tmp_path, files).values()} == {"SUCCESS"}


def without_clause(number: int) -> tuple[str, set[str]]:
    """Return the rules about figures without the clause of this number, counted in each alert, and these alerts.

    The clauses about what daily alerts reported are left: a scenario over days tests them.
    """
    changed: set[str] = set()

    def without(rule: re.Match[str]) -> str:
        clauses = [each for each in CLAUSE.finditer(rule[0]) if REPORTED not in each[0]]
        if number >= len(clauses):
            return rule[0]
        changed.add(rule[1])
        return rule[0][: clauses[number].start()] + rule[0][clauses[number].end() :]

    figures = RULES_TEXT.partition("- name: wechat-miniprogram-operations")[0]
    return re.sub(r"(?s)  - alert: WeChatMiniProgram(\w+)\n    expr: .*?\n    for:", without, figures), changed


CLAUSE = re.compile(r"(?s)\n +(?:and|unless) on .*?(?=\n +(?:and|unless) on |\n +or\n|\n +\)\n|\n    for:)")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory, promtool: str) -> dict[int, set[str]]:
    """Return the alerts that are wrong for a case or course, without each clause in turn."""
    cases = [(app, names) for app, (_, _, names) in zip(APPS, CASES, strict=True)]
    cases += [each for course in COURSES for each in course.apps()]
    test = rule_test([app for app, _ in cases], {(app.appid, name) for app, names in cases for name in names})
    tests = {"evaluation_interval": "5m", "tests": [test]}
    files = {str(number): (without_clause(number)[0], tests) for number in CLAUSES}
    found = {}
    for number, said in promtool_says(promtool, tmp_path_factory.mktemp("clauses"), files).items():
        expected, _, fired = said.partition("got:")
        pairs = [set(re.findall(r'alert="(\w+)", appid="([^"]*)"', text)) for text in (expected, fired)]
        found[int(number)] = {alert for alert, _ in pairs[0] ^ pairs[1]}
    return found


CLAUSES = [number for number in range(12) if without_clause(number)[1]]
"""The numbers of clauses: no alert has more."""


@only_in_soak
@pytest.mark.soak
@pytest.mark.parametrize("number", CLAUSES)
def test_each_clause_of_each_alert_matters_in_a_case(number: int, wrong: dict[int, set[str]]) -> None:
    assert wrong[number] == without_clause(number)[1]

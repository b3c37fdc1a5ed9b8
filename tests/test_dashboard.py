"""The dashboard as a document: what the code prints, what Grafana's own types take, what its linter asks for."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from rig import command

from exporter.dashboards import dashboard
from exporter.dashboards.looks import STATE_COLOURS
from exporter.dashboards.promql import TROUBLE
from exporter.metrics import catalogue
from exporter.reports import WEEKLY
from exporter.status import SEVERITY, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
FILE = ROOT / "grafana" / "wechat-miniprogram.json"

Json = dict[str, Any]

DASHBOARD: Json = json.loads(dashboard())


def panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: Json, kind: str) -> list[Json]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def expressions(board: Json) -> list[str]:
    """Everything that is asked of Prometheus: by panels, variables and annotations."""
    asked = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    asked += [re.sub(r"^\w+\((.*?)(, \w+)?\)$", r"\1", variable["query"]) for variable in variables(board, "query")]
    return asked + [annotation["expr"] for annotation in board["annotations"]["list"]]


def test_the_file_is_what_the_command_prints(tmp_path: Path) -> None:
    printed = command(tmp_path, "dashboard")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert FILE.read_text() == printed.stdout, "make generated writes it"


def lost(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """What of one document the other has not, or has otherwise; a default that was added is no loss."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs.get(key), f"{path}.{key}".removeprefix("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(*pair, f"{path}[{number}]")
    elif ours != theirs:
        yield path


def unknown_to_grafana(document: Json) -> list[str]:
    """What does not survive a round trip through Grafana's own types."""
    register_default_plugins()
    return list(lost(document, json.loads(json.dumps(Dashboard.from_json(deepcopy(document)), cls=JSONEncoder))))


TYPOS: dict[str, Callable[[Json], object]] = {
    "weekstart": lambda board: board.update(weekstart=board.pop("weekStart")),
    "variable.includAll": lambda board: board["templating"]["list"][2].update(includAll=True),
    "panel.descripton": lambda board: board["panels"][1].update(descripton="?"),
    "target.expresion": lambda board: board["panels"][1]["targets"][0].update(expresion="up"),
    "table.cellHight": lambda board: board["panels"][1]["options"].update(cellHight="sm"),
    "bars.groupWith": lambda board: board["panels"][3]["options"].update(groupWith=0.8),
    "lines.lineInterpolaton": lambda board: board["panels"][9]["fieldConfig"]["defaults"]["custom"].update(
        lineInterpolaton="linear"
    ),
    "threshold.colour": lambda board: board["panels"][9]["fieldConfig"]["defaults"].update(
        thresholds={"mode": "absolute", "steps": [{"colour": "red", "color": "red", "value": 1}]}
    ),
    "annotation.useValueAsTime": lambda board: board["annotations"]["list"][0].update(useValueAsTime=True),
}


def test_grafanas_own_types_know_everything_in_the_dashboard() -> None:
    assert unknown_to_grafana(DASHBOARD) == []


@pytest.mark.parametrize("typo", TYPOS)
def test_the_round_trip_finds_a_typo(typo: str) -> None:
    assert len(TYPOS) == 9
    spoilt = deepcopy(DASHBOARD)
    TYPOS[typo](spoilt)
    (found,) = unknown_to_grafana(spoilt)
    assert found.endswith(typo.rpartition(".")[2])


class Rule(NamedTuple):
    """A rule of Grafana's dashboard-linter: whether a dashboard keeps it, and what breaks it."""

    holds: Callable[[Json], bool]
    spoil: Callable[[Json], object]


def _first(board: Json) -> Json:
    return panels(board)[0]


def _asked(board: Json, expression: str) -> None:
    _first(board)["targets"][0]["expr"] = expression


RULES = {
    "template-datasource-rule": Rule(
        lambda board: (
            [(v["name"], v["label"], v["query"]) for v in variables(board, "datasource")]
            == [("datasource", "Data source", "prometheus")]
        ),
        lambda board: variables(board, "datasource")[0].update(label="Prometheus"),
    ),
    "template-job-rule": Rule(
        lambda board: any(
            variable["name"] == "job"
            and (variable["label"], variable["multi"], variable["allValue"]) == ("Job", True, ".+")
            and variable["datasource"]["uid"] == "${datasource}"
            for variable in variables(board, "query")
        ),
        lambda board: variables(board, "query")[0].update(allValue=".*"),
    ),
    "template-label-promql-rule": Rule(
        lambda board: all(
            re.match(r"(label_values|query_result)\(.*\)$", variable["query"]) for variable in variables(board, "query")
        ),
        lambda board: variables(board, "query")[0].update(query="up"),
    ),
    "template-on-time-change-reload-rule": Rule(
        lambda board: all(variable["refresh"] == 2 for variable in variables(board, "query")),
        lambda board: variables(board, "query")[0].update(refresh=1),
    ),
    "panel-datasource-rule": Rule(
        lambda board: all(
            asker["datasource"]["uid"] == "${datasource}"
            for panel in panels(board)
            for asker in (panel, *panel["targets"])
        ),
        lambda board: _first(board).update(datasource={"type": "prometheus", "uid": "one-of-mine"}),
    ),
    "panel-title-description-rule": Rule(
        lambda board: all(panel["title"] and panel["description"] for panel in panels(board)),
        lambda board: _first(board).update(description=""),
    ),
    "panel-units-rule": Rule(
        lambda board: all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels(board)),
        lambda board: _first(board)["fieldConfig"]["defaults"].update(unit=""),
    ),
    "panel-no-targets-rule": Rule(
        lambda board: all(panel["targets"] for panel in panels(board)),
        lambda board: _first(board)["targets"].clear(),
    ),
    "target-job-rule": Rule(
        lambda board: all(
            'job=~"$job"' in (matchers or "")
            for asked in expressions(board)
            for matchers in re.findall(r"\b(?:up|wechat_miniprogram_\w+)\b({[^}]*})?", asked)
            if asked not in JOBLESS
        ),
        lambda board: _asked(board, 'max(up{job=~"$job"}) + max(wechat_miniprogram_up)'),
    ),
    "target-rate-interval-rule": Rule(
        lambda board: all(
            interval == "$__rate_interval"
            for asked in expressions(board)
            for interval in re.findall(r"\brate\([^\[]*\[([^\]]*)\]", asked)
        ),
        lambda board: _asked(board, 'sum(rate(up{job=~"$job"}[5m]))'),
    ),
    "target-counter-agg-rule": Rule(
        lambda board: all(
            re.search(r"\b(rate|increase)\($", before)
            for asked in expressions(board)
            for before in re.findall(r"(.{0,9})\bwechat_miniprogram_\w+_(?:total|count|bucket)\b", asked)
        ),
        lambda board: _asked(board, 'sum(wechat_miniprogram_fetches_total{job=~"$job"})'),
    ),
    "uneditable-dashboard": Rule(
        lambda board: board["editable"] is False,
        lambda board: board.update(editable=True),
    ),
}
EXCLUSIONS = {
    "template-instance-rule": "a figure belongs to an app, whichever exporter asked for it; replicas are one",
    "target-instance-rule": "the same; the Exporters table has a row for each instance",
    "target-promql-rule": "stronger: test_dashboard_queries lets a real Prometheus execute every expression",
    "target-logql-rule": "nothing asks Loki",
    "target-logql-auto-rule": "nothing asks Loki",
}
JOBLESS = (f"{catalogue.APP_INFO.name}",)
"""What the variable for the job itself asks."""


def test_every_rule_of_the_linter_is_held_or_excluded_with_a_reason() -> None:
    assert (len(RULES), len(EXCLUSIONS)) == (12, 5)
    assert not RULES.keys() & EXCLUSIONS.keys()
    assert all(EXCLUSIONS.values())


@pytest.mark.parametrize("name", RULES)
def test_the_dashboard_keeps_the_linters_rule(name: str) -> None:
    rule = RULES[name]
    assert rule.holds(DASHBOARD)
    spoilt = deepcopy(DASHBOARD)
    rule.spoil(spoilt)
    assert not rule.holds(spoilt), "this test can fail"


def test_it_can_be_provisioned_as_it_is() -> None:
    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"] == "wechat-miniprogram"
    assert "__inputs" not in DASHBOARD
    assert "${DS_" not in FILE.read_text()
    assert (DASHBOARD["timezone"], DASHBOARD["weekStart"]) == ("Asia/Shanghai", "monday")


def test_every_metric_that_is_asked_for_exists_and_every_figure_is_shown() -> None:
    infos = (*catalogue.of_report(WEEKLY), *catalogue.OF_APPS, *catalogue.OF_EXPORTER)
    known = {info.name for info in infos}
    known |= {f"{info.name}_{part}" for info in infos if info.kind == "histogram" for part in ("bucket", "count")}
    asked = set(re.findall(r"\bwechat_miniprogram_\w+", " ".join(expressions(DASHBOARD))))
    assert asked <= known
    assert asked >= {WEEKLY.metric(field) for field in WEEKLY.fields}


def test_every_state_has_its_place_and_its_colour() -> None:
    assert set(SEVERITY) == set(STATE_COLOURS) == set(State)
    assert {state for state in SEVERITY[TROUBLE:] if state.up} == set()
    assert [state for state in SEVERITY[:TROUBLE] if not state.up] == [State.PENDING]


def test_panels_neither_overlap_nor_leave_the_grid() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

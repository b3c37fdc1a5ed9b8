"""The dashboard as a document: the shipped file, Grafana's types, its linter."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from harness import command

from exporter import promql
from exporter.alerts import figures, operations
from exporter.apps import SEVERITY, State
from exporter.dashboards import dashboard
from exporter.dashboards.queries import FIRST_BAD
from exporter.dashboards.styles import STATE_COLOURS
from exporter.metrics import catalogue
from exporter.reports import DAILY, MONTHLY, REPORTS, WEEKLY

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
    """Return every query: of panels, variables and annotations."""
    found = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    found += [re.sub(r"^\w+\((.*?)(, \w+)?\)$", r"\1", variable["query"]) for variable in variables(board, "query")]
    return found + [annotation["expr"] for annotation in board["annotations"]["list"]]


def test_the_file_is_what_the_command_prints(tmp_path: Path) -> None:
    printed = command(tmp_path, "dashboard")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert FILE.read_text() == printed.stdout, "make generated writes it"


def lost(ours: object, theirs: object, path: str = "") -> Iterator[str]:
    """Yield what one document has and the other lacks or has with another value; an added default is no difference."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs.get(key), f"{path}.{key}".removeprefix("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(*pair, f"{path}[{number}]")
    elif ours != theirs:
        yield path


def unknown_to_grafana(document: Json) -> list[str]:
    """Return what does not survive a round trip through Grafana's types."""
    register_default_plugins()
    return list(lost(document, json.loads(json.dumps(Dashboard.from_json(deepcopy(document)), cls=JSONEncoder))))


def _lines(board: Json) -> Json:
    return _panel(board, "timeseries")


def _panel(board: Json, kind: str) -> Json:
    return next(panel for panel in panels(board) if panel["type"] == kind)


TYPOS: dict[str, Callable[[Json], object]] = {
    "weekstart": lambda board: board.update(weekstart=board.pop("weekStart")),
    "variable.includAll": lambda board: board["templating"]["list"][2].update(includAll=True),
    "panel.descripton": lambda board: board["panels"][1].update(descripton="?"),
    "target.expresion": lambda board: board["panels"][1]["targets"][0].update(expresion="up"),
    "table.cellHight": lambda board: _panel(board, "table")["options"].update(cellHight="sm"),
    "bars.groupWith": lambda board: _panel(board, "barchart")["options"].update(groupWith=0.8),
    "stat.graphMod": lambda board: _panel(board, "stat")["options"].update(graphMod="none"),
    "lines.lineInterpolaton": lambda board: _lines(board)["fieldConfig"]["defaults"]["custom"].update(
        lineInterpolaton="linear"
    ),
    "threshold.colour": lambda board: _lines(board)["fieldConfig"]["defaults"].update(
        thresholds={"mode": "absolute", "steps": [{"colour": "red", "color": "red", "value": 1}]}
    ),
    "annotation.useValueAsTime": lambda board: board["annotations"]["list"][0].update(useValueAsTime=True),
}


def test_grafanas_own_types_know_everything_in_the_dashboard() -> None:
    assert unknown_to_grafana(DASHBOARD) == []


@pytest.mark.parametrize("typo", TYPOS)
def test_round_trip_through_grafana_types_finds_a_typo(typo: str) -> None:
    spoilt = deepcopy(DASHBOARD)
    TYPOS[typo](spoilt)
    (found,) = unknown_to_grafana(spoilt)
    assert found.endswith(typo.rpartition(".")[2])


class Rule(NamedTuple):
    """A rule of Grafana's dashboard-linter: its check, and a change that violates it."""

    holds: Callable[[Json], bool]
    spoil: Callable[[Json], object]


def _first(board: Json) -> Json:
    return panels(board)[0]


def _add_query(board: Json, expression: str) -> None:
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
            for expression in expressions(board)
            for matchers in re.findall(r"\b(?:up|wechat_miniprogram_\w+)\b({[^}]*})?", expression)
            if expression not in JOBLESS
        ),
        lambda board: _add_query(board, 'max(up{job=~"$job"}) + max(wechat_miniprogram_up)'),
    ),
    "target-rate-interval-rule": Rule(
        lambda board: all(
            interval == "$__rate_interval"
            for expression in expressions(board)
            for interval in re.findall(r"\brate\([^\[]*\[([^\]]*)\]", expression)
        ),
        lambda board: _add_query(board, 'sum(rate(up{job=~"$job"}[5m]))'),
    ),
    "target-counter-agg-rule": Rule(
        lambda board: all(
            re.search(r"\b(rate|increase)\($", before)
            for expression in expressions(board)
            for before in re.findall(r"(.{0,9})\bwechat_miniprogram_\w+_(?:total|count|bucket)\b", expression)
        ),
        lambda board: _add_query(board, 'sum(wechat_miniprogram_fetches_total{job=~"$job"})'),
    ),
    "uneditable-dashboard": Rule(
        lambda board: board["editable"] is False,
        lambda board: board.update(editable=True),
    ),
}
EXCLUSIONS = {
    "template-instance-rule": "a figure belongs to an app, whichever exporter fetched it; replicas are one",
    "target-instance-rule": "the same; the Exporters table has a row for each instance",
    "target-promql-rule": "stronger: test_dashboard_queries lets a real Prometheus execute every expression",
    "target-logql-rule": "no query is for Loki",
    "target-logql-auto-rule": "no query is for Loki",
}
JOBLESS = (f"{catalogue.APP_INFO.name}",)
"""The query of the variable for the job itself."""


def test_every_linter_rule_is_applied_or_excluded_with_a_reason() -> None:
    assert not RULES.keys() & EXCLUSIONS.keys()
    assert all(EXCLUSIONS.values())


@pytest.mark.parametrize("name", RULES)
def test_dashboard_passes_the_linter_rule(name: str) -> None:
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


def test_queries_read_metrics_that_exist_and_every_figure() -> None:
    infos = (
        *chain.from_iterable(map(catalogue.of_report, REPORTS.values())),
        *catalogue.OF_APPS,
        *catalogue.OF_EXPORTER,
    )
    known = {info.name for info in infos}
    known |= {f"{info.name}_{part}" for info in infos if info.kind == "histogram" for part in ("bucket", "count")}
    used = set(re.findall(r"\bwechat_miniprogram_\w+", " ".join(expressions(DASHBOARD))))
    assert used <= known
    assert used >= {WEEKLY.metric(field) for field in WEEKLY.fields}
    counts = ("visitors", "sessions")
    assert used >= {f"wechat_miniprogram_{report.name}_{count}" for report in (DAILY, MONTHLY) for count in counts}
    explained = ("weekly_source_sessions", "daily_stay_sessions", "daily_depth_sessions", "daily_shares")
    assert used >= {f"wechat_miniprogram_{name}" for name in (*explained, "weekly_retained_new_visitors")}


def test_queries_read_no_recording_of_the_rules() -> None:
    """Backfilled figures have no recordings."""
    recorded = re.compile(r"\b[a-z_]+:[a-z_]+\b")
    assert recorded.search(figures.REPORTED)
    assert [asked for asked in expressions(DASHBOARD) if recorded.search(asked)] == []
    assert {name for asked in expressions(DASHBOARD) for name in re.findall(r"\bALERTS\w*", asked)} == {
        "ALERTS",
        "ALERTS_FOR_STATE",
    }


def test_each_report_of_the_catalogue_has_a_row() -> None:
    titles = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert titles == [
        *("Overview", "This week"),
        f"{WEEKLY.title} of ${{app:text}}",
        "Why: entrances, retention and shares of ${app:text}",
        *(f"{report.title} of ${{app:text}}" for report in (MONTHLY, DAILY)),
        *("As published", "Exporter"),
    ]


def test_panel_titles_are_unique_and_bars_name_their_comparison() -> None:
    titles = [panel["title"] for panel in panels(DASHBOARD)]
    assert len(titles) == len(set(titles))
    described = {panel["title"]: panel["description"] for panel in panels(DASHBOARD)}
    for report, name in ((WEEKLY, "typical_week"), (MONTHLY, "year_ago_month"), (DAILY, "typical_weekday")):
        baseline = next(each.description for each in report.comparisons if each.name == name)
        assert f"beside {baseline}" in described[f"Visitors per {report.period.NAME}"]


def test_dashboard_and_rules_share_their_limits() -> None:
    """The alert PollerStalled and the column of the table, the alert PeriodLate and the age of data."""
    (stalled,) = [alert.expr for alert in operations.alerts() if alert.name == "PollerStalled"]
    assert stalled.endswith(f"> {promql.STALLED_AFTER}")
    assert red_from("Exporters", "Since poller run") == promql.STALLED_AFTER
    assert red_from("This week", "Data age", "orange") == promql.late_age(WEEKLY) / 86400 == 8.5


def red_from(panel: str, column: str, colour: str = "red") -> float:
    """Return the value from which a column of a table has a colour."""
    (overrides,) = [each["fieldConfig"]["overrides"] for each in panels(DASHBOARD) if each["title"] == panel]
    (properties,) = [each["properties"] for each in overrides if each["matcher"]["options"] == column]
    (limits,) = [each["value"]["steps"] for each in properties if each["id"] == "thresholds"]
    (value,) = [step["value"] for step in limits if step["color"] == colour]
    return float(value)


def test_every_state_has_its_severity_and_its_colour() -> None:
    assert set(SEVERITY) == set(STATE_COLOURS) == set(State)
    assert {state for state in SEVERITY[FIRST_BAD:] if state.up} == set()
    assert [state for state in SEVERITY[:FIRST_BAD] if not state.up] == [State.PENDING]


def test_panels_neither_overlap_nor_leave_the_grid() -> None:
    positions: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert positions.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

"""The JSON of all apps, and that docs/api.md describes it: no field more, no field less, each of the type it says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_metrics import FULL, HOSTILE, NEW, W1, W2

from exporter import __version__
from exporter.metrics import catalogue
from exporter.reports import PREFIX, WEEKLY
from exporter.status import TRAIL_WEEKS, Answer, Recent, State, Trail
from exporter.web import Surroundings, Trouble
from exporter.web.appsjson import AppsJson
from exporter.web.documents import Document

if TYPE_CHECKING:
    from exporter.status import Status

TEXT = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
NOW = 1_795_500_000.5
REFUSED = replace(
    FULL,
    appid="wx3",
    state=State.REFUSED,
    answer=Answer(W2, State.REFUSED, 5.0, 6.0, "40164", "40164 add the IP", succeeded=4.0),
    recent=replace(FULL.recent, trail=Trail.of({W2: 754, W1: None, W1.before(): 12})),
)
TYPES = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "list of strings": (list,),
    "list of objects": (list,),
    "list of numbers and nulls": (list,),
}


def answer(*statuses: Status, troubles: tuple[Trouble, ...] = ()) -> dict[str, Any]:
    surroundings = Surroundings(WEEKLY, "/metrics", troubles, NOW)
    whole = json.loads(Document(AppsJson()).body(lambda: (statuses, surroundings)))
    assert whole.keys() == {"status", "data"}
    assert whole["status"] == "success"
    return whole["data"]


def documented(table: str) -> dict[str, tuple[str, str]]:
    """The rows of a table of docs/api.md by their field."""
    (rows,) = re.findall(rf"<!-- {table} -->\n(.*?)<!-- end -->", TEXT, re.DOTALL)
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows.splitlines()[2:]]
    return {field.strip("`"): (kind, meaning) for field, kind, meaning in cells}


def fits(value: object, kinds: str) -> bool:
    return any(type(value) in TYPES[kind] for kind in kinds.split(" or "))


EVERYTHING = answer(FULL, NEW, REFUSED, HOSTILE, troubles=(Trouble("The disk is full.", ("a", "b")),))


@pytest.mark.parametrize("data", [EVERYTHING, answer()], ids=["apps and problems", "nothing"])
def test_each_field_of_the_answer_is_documented_and_of_its_type(data: dict[str, Any]) -> None:
    table = documented("exporter")
    assert list(data) == list(table)
    assert [field for field, (kind, _) in table.items() if not fits(data[field], kind)] == []


@pytest.mark.parametrize("app", EVERYTHING["apps"], ids=["full", "new", "refused", "hostile"])
def test_each_field_of_an_app_is_documented_and_of_its_type(app: dict[str, Any]) -> None:
    table = documented("app")
    assert list(app) == list(table)
    assert [field for field, (kind, _) in table.items() if not fits(app[field], kind)] == []


def test_the_figures_are_documented_as_the_catalogue_has_them() -> None:
    assert documented("figures") == {field.metric: (field.unit.value, field.meaning) for field in WEEKLY.fields}
    for app in EVERYTHING["apps"]:
        for period in (WEEKLY.current, WEEKLY.previous, WEEKLY.median):
            assert list(app[period]) == list(documented("figures"))
            assert all(fits(value, "number or null") for value in app[period].values())
        assert list(app["trail"]) == list(documented("trail")) == [WEEKLY.leading.metric]


def test_names_are_those_of_metrics_and_labels() -> None:
    infos = (*catalogue.OF_APPS, *catalogue.of_report(WEEKLY))
    known = {info.name.removeprefix(PREFIX) for info in infos}
    labels = {label for info in infos for label in info.labels}
    ours = {"state_words", "state_since_timestamp_seconds", "error", "trail"}
    periods = {WEEKLY.current, WEEKLY.previous, WEEKLY.median}
    assert set(documented("app")) <= known | labels | ours | periods


def test_every_state_is_named_in_the_document_and_counted_in_the_answer() -> None:
    assert list(EVERYTHING["states"]) == [state.value for state in State]
    assert EVERYTHING["states"] == {**dict.fromkeys(State, 0), "ok": 2, "pending": 1, "refused": 1}
    assert [state for state in State if f"`{state.value}`" not in documented("app")["state"][1]] == []


def test_an_app_is_told_with_its_figures_as_they_are() -> None:
    (app,) = answer(REFUSED)["apps"]
    assert app == {
        "appid": "wx3",
        "name": "Shop",
        "state": "refused",
        "state_words": State.REFUSED.words,
        "up": False,
        "state_since_timestamp_seconds": 6.0,
        "errcode": "40164",
        "error": "40164 add the IP",
        "week": "20261116-20261122",
        "week_end_timestamp_seconds": W2.end,
        "week_first_seen_timestamp_seconds": 100.5,
        "weekly": {
            "sessions": 2470,
            "visits": 8913,
            "visitors": 754,
            "new_visitors": 248,
            "stay_per_visitor_seconds": 226.4748,
            "stay_per_session_seconds": 69.1344,
            "visit_depth_pages": 1.9798,
        },
        "previous_week": {
            "sessions": 0,
            "visits": 1,
            "visitors": 2,
            "new_visitors": 3,
            "stay_per_visitor_seconds": 4.5,
            "stay_per_session_seconds": None,
            "visit_depth_pages": 0,
        },
        "median_week": dict.fromkeys(documented("figures")),
        "trail": {"visitors": [12, None, 754]},
        "last_success_timestamp_seconds": 4.0,
        "next_fetch_timestamp_seconds": 9.0,
    }


def test_of_an_app_never_asked_nothing_is_claimed() -> None:
    (app,) = answer(NEW)["apps"]
    known = {field for field, value in app.items() if value is not None and not isinstance(value, dict)}
    assert known == {"appid", "name", "state", "state_words", "next_fetch_timestamp_seconds"}
    assert app["trail"] == {"visitors": []}
    assert {value for period in ("weekly", "previous_week", "median_week") for value in app[period].values()} == {None}


def test_zero_is_a_figure_and_whole_numbers_are_written_as_such() -> None:
    trail = Trail.of({W2: 0, W1: 0.5})
    statuses = (replace(FULL, recent=Recent(FULL.recent.weeks, trail)),)
    body = Document(AppsJson()).body(lambda: (statuses, Surroundings(WEEKLY, "/", (), NOW)))
    assert b'"trail":{"visitors":[0.5,0]}' in body


def test_any_name_is_carried_whole() -> None:
    names = ['"</script>\\', "مطعم \u202eabc", "\u2028\x00\ud800", "店" * 200]
    apps = answer(*(replace(FULL, appid=f"wx{n}", name=name) for n, name in enumerate(names)))["apps"]
    assert [app["name"] for app in apps] == names


def test_the_answer_says_what_is_wrong_around_the_apps_and_which_version_it_is() -> None:
    assert EVERYTHING["troubles"] == [{"words": "The disk is full.", "lines": ["a", "b"]}]
    assert (EVERYTHING["version"], EVERYTHING["report"]) == (__version__, "weekly")
    assert EVERYTHING["made_timestamp_seconds"] == NOW


def test_the_document_says_how_many_weeks_a_trail_has_at_most() -> None:
    assert f"up to {TRAIL_WEEKS} weeks" in documented("app")["trail"][1]

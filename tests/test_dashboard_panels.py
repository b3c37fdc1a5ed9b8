"""Every panel as Grafana itself computes it, from a real Prometheus that scrapes a real exporter."""

from __future__ import annotations

import json
import subprocess
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
import requests
from stage import VARIABLES

from exporter import __version__
from exporter.dashboards import dashboard
from exporter.dashboards.looks import STATE_COLOURS
from exporter.holidays import public_holidays
from exporter.status import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from stage import Stage

    from exporter.periods import Week

ENGINE = Path(__file__).parent / "grafana" / "panels.js"

Column = dict[str, Any]
Frames = list[list[Column]]
"""What Grafana computes of a panel: one frame for a table, one for each line of a graph."""

BARS = {
    "Visitors": ["Week", "Visitors", "Median of the 4 weeks before"],
    "Sessions": ["Week", "Sessions", "Median of the 4 weeks before"],
    "New and returning visitors": ["Week", "New", "Returning"],
    "Stay": ["Week", "Stay per visitor", "Stay per session"],
    "Visit depth": ["Week", "Visit depth"],
}
PUBLISHED = {"Corner Bakery", "Travel Buddy", "Second-hand Books", "Tea House (new)", "Night Market", "Gym Pass"}
LINES = {
    "Visitors as published": PUBLISHED,
    "Sessions as published": PUBLISHED,
    "States": {state.words for state in State if state is not State.PENDING},
    "Calls to WeChat per hour": {"stable_token", "weekly"},
    "Errors per hour": {"40164", "61503", "http_5xx"},
    "Duration of calls": {"median", "9 of 10", "99 of 100"},
}


MET_ONLY_NOW = {"45009"}
"""A rate needs two samples: whether Prometheus has taken the second one yet is a matter of moments."""


@pytest.fixture(scope="module")
def look(node: str, stage: Stage) -> Callable[[str], dict[str, Frames]]:
    """Looks at the dashboard, five minutes long, just after a week's switch, with one app in detail."""

    def looked(app: str) -> dict[str, Frames]:
        moment = stage.moments["switch"]
        question = {
            "dashboard": json.loads(dashboard()),
            "url": stage.prometheus.url,
            "variables": VARIABLES | {"app": stage.appid(app), "datasource": "prometheus"},
            "range": {"from": moment - 300, "to": moment, "step": 1},
            "timeZone": "Asia/Shanghai",
        }
        answer = subprocess.run([node, ENGINE], input=json.dumps(question), capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)  # type: ignore[no-any-return]

    return looked


@pytest.fixture(scope="module")
def shown(look: Callable[[str], dict[str, Frames]]) -> dict[str, Frames]:
    return look("Corner Bakery")


def row(frames: Frames, name: str, part: str = "text") -> dict[str, Any]:
    """The row that begins with that name, by the titles of the columns in their order."""
    (columns,) = frames
    (place,) = [place for place, cell in enumerate(columns[0]["cells"]) if cell["text"] == name]
    return {column["title"]: column["cells"][place][part] for column in columns}


def texts(column: Column) -> list[str]:
    return [cell["text"] for cell in column["cells"]]


def titles(frames: Frames) -> list[str]:
    return [column["title"] for column in frames[0]]


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.1f} mins"


def figures(stage: Stage, name: str, week: Week) -> dict[str, Any]:
    return dict(stage.wechat.row(stage.appid(name), week))


def changes(stage: Stage, name: str, week: Week) -> tuple[float, float]:
    """How the visitors of an app changed: against the week before, and against the median of four."""
    now, *before = (figures(stage, name, week.before(weeks))["visit_uv"] for weeks in range(5))
    return now / before[0] - 1, now / median(before) - 1


def expected_colour(change: float) -> str:
    steps = ((-0.3, "red"), (-0.1, "orange"), (0.1, "text"))
    return next((colour for below, colour in steps if change < below), "green")


def test_this_week_has_a_column_for_everything(shown: dict[str, Frames]) -> None:
    assert titles(shown["This week"]) == [
        *("App", "Week", "AppID", "State", "Sessions", "Visits", "Visitors", "New visitors"),
        *(
            "Stay per visitor",
            "Stay per session",
            "Visit depth",
            "vs 1 week",
            "vs 4 weeks",
            "Days off",
            "Data age",
        ),
    ]
    assert [column["title"] for column in shown["This week"][0] if column["hidden"]] == ["AppID"]


def test_this_week_shows_one_row_for_each_app_the_worst_first(stage: Stage, shown: dict[str, Frames]) -> None:
    newest = stage.weeks()[-1]
    well = {
        name: changes(stage, name, newest)[1] for name in ("Corner Bakery", "Second-hand Books", "Travel Buddy")
    } | {"Night Market": changes(stage, "Night Market", newest.before())[1], "Tea House (new)": 0}
    in_trouble = ["City Library", "Bike Share", "Gym Pass"]  # refused, failed, quota spent
    assert texts(shown["This week"][0][0]) == in_trouble + sorted(well, key=lambda name: well[name])


ROWS = {
    "Corner Bakery": (0, State.OK, "green"),
    "Travel Buddy": (0, State.OK, "green"),
    "Gym Pass": (1, State.QUOTA_SPENT, "purple"),
    "Night Market": (1, State.NOT_READY, "blue"),
}
"""How many weeks ago an app's live week is the newest one, and the app's state."""


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_this_week_in_words_and_colours(stage: Stage, shown: dict[str, Frames], name: str) -> None:
    assert len(ROWS) == 4
    weeks_ago, state, colour = ROWS[name]
    week = stage.weeks()[-1].before(weeks_ago)
    figure = figures(stage, name, week)
    against_one, against_four = changes(stage, name, week)
    days_off = public_holidays(week)
    found = row(shown["This week"], name)
    amount, _, unit = found.pop("Data age").partition(" ")
    assert 0 < float(amount) * {"hours": 1, "day": 24, "days": 24, "week": 168, "weeks": 168}[unit] < 340
    assert found == {
        "App": name,
        "Week": f"{week.first} to {week.last:%m-%d}",
        "AppID": stage.appid(name),
        "State": state.words,
        "Sessions": f"{figure['session_cnt']}",
        "Visits": f"{figure['visit_pv']}",
        "Visitors": f"{figure['visit_uv']}",
        "New visitors": f"{figure['visit_uv_new']}",
        "Stay per visitor": seconds(figure["stay_time_uv"]),
        "Stay per session": seconds(figure["stay_time_session"]),
        "Visit depth": f"{figure['visit_depth']:.2f}",
        "vs 1 week": f"{against_one:.1%}",
        "vs 4 weeks": f"{against_four:.1%}",
        "Days off": "" if days_off is None else f"{days_off}",
    }
    colours = row(shown["This week"], name, "colour")
    assert colours["State"] == colour
    assert colours["vs 1 week"] == expected_colour(against_one)
    assert colours["vs 4 weeks"] == expected_colour(against_four)


def test_an_app_without_figures_still_has_its_row(shown: dict[str, Frames]) -> None:
    filled = {title: text for title, text in row(shown["This week"], "City Library").items() if text}
    assert filled.keys() == {"App", "AppID", "State"}
    assert filled["State"] == State.REFUSED.words


def test_an_apps_name_leads_to_its_weeks_and_an_exporter_to_its_status_page(
    stage: Stage, shown: dict[str, Frames]
) -> None:
    (link,) = row(shown["This week"], "Travel Buddy", "links")["App"]
    assert link.startswith(f"/d/wechat-miniprogram?var-app={stage.appid('Travel Buddy')}&var-datasource=prometheus&")
    (exporter,) = shown["Exporters"][0][0]["cells"]
    assert exporter["links"] == [f"http://{exporter['text']}/"]
    assert requests.get(exporter["links"][0], timeout=5).headers["Content-Type"].startswith("text/html")


def test_the_exporters_table_says_in_words_and_colours_that_all_is_well(shown: dict[str, Frames]) -> None:
    (exporter,) = texts(shown["Exporters"][0][0])
    found = row(shown["Exporters"], exporter)
    assert list(found) == [
        *("Exporter", "Version", "Scrape", "Store", "Poller last ran before", "Faults survived", "Configuration"),
        *("Configuration read", "Broken app files"),
    ]
    assert found.pop("Poller last ran before").endswith(" s")
    assert found.pop("Configuration read").endswith(" ago")
    assert list(found.values()) == [exporter, __version__, "up", "fine", "0", "fine", "0"]
    colours = row(shown["Exporters"], exporter, "colour")
    assert [colours[title] for title in ("Scrape", "Store", "Configuration")] == ["green"] * 3
    assert [colours[title] for title in ("Faults survived", "Broken app files")] == ["text"] * 2


def test_the_fetching_table_shows_the_worst_state_first_and_failures_in_red(shown: dict[str, Frames]) -> None:
    assert titles(shown["Fetching"]) == [
        *("App", "AppID", "State", "Last success", "Next fetch", "Fetches", "Failures", "Revisions")
    ]
    apps = texts(shown["Fetching"][0][0])
    assert apps[:3] == ["City Library", "Bike Share", "Gym Pass"]
    assert len(apps) == 8
    assert row(shown["Fetching"], "Bike Share", "colour")["Failures"] == "red"
    assert row(shown["Fetching"], "Corner Bakery", "colour")["Failures"] == "text"
    assert row(shown["Fetching"], "Corner Bakery")["Next fetch"].startswith("in ")
    assert row(shown["Fetching"], "Corner Bakery")["Last success"].endswith(" ago")


@pytest.mark.parametrize("panel", BARS)
def test_bars_stand_for_exact_weeks_in_their_order(stage: Stage, shown: dict[str, Frames], panel: str) -> None:
    assert len(BARS) == 5
    (columns,) = shown[panel]
    assert [column["title"] for column in columns] == BARS[panel]
    assert texts(columns[0]) == [f"{week.first:%m-%d}" for week in stage.weeks()]
    assert all(text for column in columns for text in texts(column))


def test_bars_show_each_weeks_figure_beside_the_median_in_grey(stage: Stage, shown: dict[str, Frames]) -> None:
    def visitors(week: Week) -> int:
        return int(figures(stage, "Corner Bakery", week)["visit_uv"])

    _, figure, baseline = shown["Visitors"][0]
    assert texts(figure) == [f"{visitors(week)}" for week in stage.weeks()]
    medians = [median(visitors(week.before(weeks)) for weeks in range(1, 5)) for week in stage.weeks()]
    assert texts(baseline) == [f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP)}" for value in medians]
    assert baseline["colour"] == "#8e8e8e"
    assert texts(shown["Stay"][0][2]) == [
        seconds(figures(stage, "Corner Bakery", week)["stay_time_session"]) for week in stage.weeks()
    ]


def test_bars_of_an_app_with_one_week_keep_their_title(look: Callable[[str], dict[str, Frames]]) -> None:
    assert titles(look("Tea House (new)")["Visitors"]) == ["Week", "Visitors"]


@pytest.mark.parametrize("panel", LINES)
def test_lines_are_named_in_words(shown: dict[str, Frames], panel: str) -> None:
    assert len(LINES) == 6
    assert {frame[1]["title"] for frame in shown[panel]} - MET_ONLY_NOW == LINES[panel]


def test_states_have_the_colours_of_their_words(shown: dict[str, Frames]) -> None:
    by_words = {frame[1]["title"]: frame[1]["colour"] for frame in shown["States"]}
    assert by_words == {state.words: STATE_COLOURS[state] for state in State if state is not State.PENDING}


def test_every_panel_was_looked_at(shown: dict[str, Frames]) -> None:
    tables = {"This week", "Exporters", "Fetching"}
    assert shown.keys() == tables | BARS.keys() | LINES.keys()

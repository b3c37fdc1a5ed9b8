"""Every panel as Grafana itself computes it, from a real Prometheus that scrapes a real exporter."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING

import pytest
import requests
from grafana_panels import WHY, Frames, as_count, figures, render, row, texts, titles

from exporter import __version__
from exporter.apps import State
from exporter.dashboards.styles import STATE_COLOURS
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from grafana_fixture import GrafanaFixture

    from exporter.periods import Day, Week

NUMBERS = {"New week", "Fallen", "Risen", "Refused", "Alerts firing", "Sessions", "Visits"}
COUNTS = ("Visitors", "Sessions")
BARS = {
    **{f"{count} per week": ["Week", count, "Week with a holiday", "Typical week"] for count in COUNTS},
    "New and returning visitors": ["Week", "New", "Returning"],
    "Stay": ["Week", "Stay per visitor", "Stay per session"],
    "Visit depth": ["Week", "Visit depth"],
}
"""Bars of weeks, by their title ..."""
OTHER_BARS = {
    **{f"{count} per month": ["Month", count, "Previous year"] for count in COUNTS},
    **{f"{count} per day": ["Day", count, "Holiday or make-up day", "Typical weekday"] for count in COUNTS},
}
"""... and of other periods."""
PUBLISHED = {"Corner Bakery", "Travel Buddy", "Second-hand Books", "Tea House (new)", "Night Market", "Gym Pass"}
LINES = {
    "Visitors as published": PUBLISHED,
    "Sessions as published": PUBLISHED,
    "States": {state.text for state in State if state is not State.PENDING},
    "Calls to WeChat per hour": {"stable_token", *REPORTS},
    "Errors per hour": {"40164", "61503", "http_5xx"},
    "Duration of calls": {"median", "90th percentile", "99th percentile"},
}


MET_ONLY_NOW = {"45009"}
"""A rate needs two samples; whether Prometheus has the second one depends on the moment."""


@pytest.fixture(scope="module")
def shown(node: str, grafana: GrafanaFixture) -> dict[str, Frames]:
    return render(node, grafana, "Corner Bakery")


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.1f} mins"


def typical(grafana: GrafanaFixture, name: str, week: Week, figure: str = "visit_uv") -> float:
    """Return a figure of the typical week: the median of the last four ordinary weeks of the previous eight."""
    before = [week.before(weeks) for weeks in range(1, 9)]
    return median([figures(grafana, name, each)[figure] for each in before if each != grafana.holiday_week()][:4])


def changes(grafana: GrafanaFixture, name: str, week: Week) -> tuple[float, float]:
    """Return the changes of the visitors of an app against the previous week and the typical week."""
    now, before = (figures(grafana, name, week.before(weeks))["visit_uv"] for weeks in range(2))
    return now / before - 1, now / typical(grafana, name, week) - 1


def lost(grafana: GrafanaFixture, name: str, week: Week) -> float:
    """Return how many visitors an app lost against its typical week."""
    return max(typical(grafana, name, week) - figures(grafana, name, week)["visit_uv"], 0)


def test_this_week_has_a_column_for_everything(shown: dict[str, Frames]) -> None:
    assert titles(shown["This week"]) == [
        *("App", "Week", "AppID", "Exporter", "State", "Fallen", "Visitors lost"),
        *("Sessions", "Visits", "Visitors", "New visitors"),
        *(
            "Stay per visitor",
            "Stay per session",
            "Visit depth",
            "vs previous",
            "vs typical",
            "Days off",
            "Data age",
        ),
    ]
    assert [column["title"] for column in shown["This week"][0] if column["hidden"]] == ["AppID", "Exporter"]


def test_this_week_shows_fallen_apps_then_problems_then_losses(
    grafana: GrafanaFixture, shown: dict[str, Frames]
) -> None:
    live = {name: grafana.weeks()[-1] for name in ("Corner Bakery", "Second-hand Books")}
    live["Night Market"] = grafana.weeks()[-1].before()
    well = {name: lost(grafana, name, week) for name, week in live.items()} | {"Tea House (new)": 0}
    in_trouble = ["City Library", "Bike Share", "Gym Pass"]  # refused, failed, quota spent
    names = texts(shown["This week"][0][0])
    assert names[:4] == ["Travel Buddy", *in_trouble]
    assert sorted(names[4:]) == sorted(well)
    assert [well[name] for name in names[4:]] == sorted(well.values(), reverse=True)


ROWS = {
    "Corner Bakery": (0, State.OK, "green"),
    "Travel Buddy": (0, State.OK, "green"),
    "Gym Pass": (1, State.QUOTA_SPENT, "purple"),
    "Night Market": (1, State.NOT_READY, "blue"),
}
"""Return the age of an app's live week in weeks, and the app's state."""


@pytest.mark.parametrize("name", ROWS)
def test_row_of_this_week_has_its_texts_and_colours(
    grafana: GrafanaFixture, shown: dict[str, Frames], name: str
) -> None:
    weeks_ago, state, colour = ROWS[name]
    week = grafana.weeks()[-1].before(weeks_ago)
    figure = figures(grafana, name, week)
    against_one, against_typical = changes(grafana, name, week)
    found = row(shown["This week"], name)
    amount, _, unit = found.pop("Data age").partition(" ")
    assert 0 < float(amount) < 15
    assert unit == "days"
    assert found == {
        "App": name,
        "Week": f"{week.first:%m-%d} to {week.last:%m-%d}",
        "AppID": grafana.appid(name),
        "Exporter": found["Exporter"],
        "State": state.text,
        "Fallen": "Visitors: below normal" if name == "Travel Buddy" else "no",
        "Visitors lost": as_count(lost(grafana, name, week)),
        "Sessions": f"{figure['session_cnt']}",
        "Visits": f"{figure['visit_pv']}",
        "Visitors": f"{figure['visit_uv']}",
        "New visitors": f"{figure['visit_uv_new']}",
        "Stay per visitor": seconds(figure["stay_time_uv"]),
        "Stay per session": seconds(figure["stay_time_session"]),
        "Visit depth": f"{figure['visit_depth']:.2f}",
        "vs previous": f"{against_one:.1%}",
        "vs typical": f"{against_typical:.1%}",
        "Days off": "0",
    }
    colours = row(shown["This week"], name, "colour")
    assert colours["State"] == colour
    assert colours["Fallen"] == ("red" if name == "Travel Buddy" else "text"), "red only where a rule holds"
    assert {title for title, found in colours.items() if found} <= {"State", "Fallen", "Data age"}


def test_an_app_without_figures_still_has_its_row(shown: dict[str, Frames]) -> None:
    filled = {title: text for title, text in row(shown["This week"], "City Library").items() if text}
    assert filled.keys() == {"App", "AppID", "Exporter", "State", "Fallen"}
    assert filled["State"] == State.REFUSED.text


def test_names_link_to_weeks_and_exporters_to_status_pages(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    link, status_page = row(shown["This week"], "Night Market", "links")["App"]
    assert link.startswith(f"/d/wechat-miniprogram?var-app={grafana.appid('Night Market')}&var-datasource=prometheus&")
    (exporter,) = shown["Exporters"][0][0]["cells"]
    assert exporter["links"] == [f"http://{exporter['text']}/"]
    assert status_page == f"{exporter['links'][0]}#q={grafana.appid('Night Market')}"
    assert row(shown["Fetching"], "Night Market", "links")["App"] == [link, status_page]
    assert row(shown["Alerts"], "Refused", "links")["Exporter"] == [f"http://{exporter['text']}/"]
    assert requests.get(exporter["links"][0], timeout=5).headers["Content-Type"].startswith("text/html")


def test_exporters_table_shows_health_as_text_and_colour(shown: dict[str, Frames]) -> None:
    (exporter,) = texts(shown["Exporters"][0][0])
    found = row(shown["Exporters"], exporter)
    assert list(found) == [
        *("Exporter", "Version", "Scrape", "Store", "Since poller run", "Internal errors", "Configuration"),
        *("Configuration loaded", "Invalid app files"),
    ]
    assert re.fullmatch(r"[\d.]+ (s|mins)", found.pop("Since poller run"))
    assert found.pop("Configuration loaded").endswith(" ago")
    assert list(found.values()) == [exporter, __version__, "up", "ok", "0", "ok", "0"]
    colours = row(shown["Exporters"], exporter, "colour")
    assert [colours[title] for title in ("Scrape", "Store", "Configuration")] == ["green"] * 3
    assert [colours[title] for title in ("Internal errors", "Invalid app files")] == ["text"] * 2


def test_fetching_table_shows_worst_first_and_failures_in_red(shown: dict[str, Frames]) -> None:
    assert titles(shown["Fetching"]) == [
        *("App", "AppID", "Report", "Exporter", "State", "Newest period", "Last success", "Next fetch"),
        *("Fetches", "Failures", "Revisions"),
    ]
    apps = texts(shown["Fetching"][0][0])
    assert apps[:3] == ["City Library", "Bike Share", "Gym Pass"]
    assert len(apps) == 5 + 3 * len(REPORTS)
    assert row(shown["Fetching"], "Bike Share", "colour")["Failures"] == "red"
    assert row(shown["Fetching"], "Tea House (new)", "colour")["Failures"] == "text"


@pytest.mark.parametrize("report", REPORTS)
def test_fetching_table_has_a_row_for_each_report(shown: dict[str, Frames], report: str) -> None:
    (columns,) = shown["Fetching"]
    rows = [dict(zip(titles(shown["Fetching"]), row, strict=True)) for row in zip(*map(texts, columns), strict=True)]
    (found,) = [row for row in rows if (row["App"], row["Report"]) == ("Corner Bakery", report)]
    assert (found["State"], found["Newest period"]) == (State.OK.text, "on time")
    assert found["Next fetch"].startswith("in ")
    assert found["Last success"].endswith(" ago")


@pytest.mark.parametrize("panel", BARS)
def test_bars_are_exact_weeks_in_order(grafana: GrafanaFixture, shown: dict[str, Frames], panel: str) -> None:
    (columns,) = shown[panel]
    assert [column["title"] for column in columns] == BARS[panel]
    assert texts(columns[0]) == [f"{week.first:%m-%d}" for week in grafana.weeks()]
    with_bar = [column for column in columns if column["title"] not in {*COUNTS, "Week with a holiday"}]
    assert all(text for column in with_bar for text in texts(column))


def test_bars_show_each_week_beside_the_typical_week(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    _, ordinary, holiday, baseline = shown["Visitors per week"][0]
    weeks = grafana.weeks()
    values = {week: as_count(figures(grafana, "Corner Bakery", week)["visit_uv"]) for week in weeks}
    with_holiday = grafana.holiday_week()
    assert texts(ordinary) == ["" if week == with_holiday else values[week] for week in weeks]
    assert texts(holiday) == [values[week] if week == with_holiday else "" for week in weeks]
    assert [column["colour"] for column in (ordinary, holiday)] == ["blue", "orange"]
    assert texts(baseline) == [as_count(typical(grafana, "Corner Bakery", week)) for week in weeks]
    assert baseline["colour"] == "#8e8e8e"
    assert texts(shown["Stay"][0][2]) == [
        seconds(figures(grafana, "Corner Bakery", week)["stay_time_session"]) for week in weeks
    ]


@pytest.mark.parametrize(
    ("panel", "figure"), [("Visitors per month", "visit_uv"), ("Sessions per month", "session_cnt")]
)
def test_bars_show_each_month_beside_the_year_before(
    grafana: GrafanaFixture, shown: dict[str, Frames], panel: str, figure: str
) -> None:
    assert titles(shown[panel]) == OTHER_BARS[panel]
    months, now, before = shown[panel][0]
    assert texts(months) == [f"{month.first:%Y-%m}" for month in grafana.months()]
    assert texts(now) == [as_count(figures(grafana, "Corner Bakery", month)[figure]) for month in grafana.months()]
    assert texts(before) == [
        as_count(figures(grafana, "Corner Bakery", month.before(12))[figure]) for month in grafana.months()
    ]
    assert before["colour"] == "#8e8e8e"


@pytest.mark.parametrize(("panel", "figure"), [("Visitors per day", "visit_uv"), ("Sessions per day", "session_cnt")])
def test_bars_show_each_day_and_mark_the_holiday(
    grafana: GrafanaFixture, shown: dict[str, Frames], panel: str, figure: str
) -> None:
    assert titles(shown[panel]) == OTHER_BARS[panel]
    days, ordinary, holiday, baseline = shown[panel][0]
    irregular = grafana.irregular_day()
    first, *_, last = grafana.days()
    places = [last.before(ago) for ago in reversed(range((last.first - first.first).days + 1))]
    assert texts(days) == [f"{day.first:%m-%d}" for day in places], "days without data are gaps"
    values = {day: as_count(figures(grafana, "Corner Bakery", day)[figure]) for day in grafana.days()}
    assert texts(ordinary) == ["" if day == irregular else values.get(day, "") for day in places]
    assert texts(holiday) == [values[day] if day == irregular else "" for day in places]
    assert texts(baseline) == [
        as_count(typical_weekday(grafana, day, figure)) if day in values else "" for day in places
    ]
    assert [column["colour"] for column in (ordinary, holiday, baseline)] == ["blue", "orange", "#8e8e8e"]


def typical_weekday(grafana: GrafanaFixture, day: Day, figure: str) -> float:
    """Return the median of the last four ordinary days on the same weekday."""
    before = [day.before(7 * weeks) for weeks in range(1, 9)]
    ordinary = [each for each in before if each != grafana.irregular_day()]
    return median(figures(grafana, "Corner Bakery", each)[figure] for each in ordinary[:4])


def test_bars_of_an_app_with_one_week_keep_their_title(node: str, grafana: GrafanaFixture) -> None:
    assert titles(render(node, grafana, "Tea House (new)")["Visitors per week"]) == ["Week", "Visitors"]


@pytest.mark.parametrize("panel", LINES)
def test_lines_have_readable_names(shown: dict[str, Frames], panel: str) -> None:
    assert {frame[1]["title"] for frame in shown[panel]} - MET_ONLY_NOW == LINES[panel]


def test_states_have_their_names_and_colours(shown: dict[str, Frames]) -> None:
    by_text = {frame[1]["title"]: frame[1]["colour"] for frame in shown["States"]}
    assert by_text == {state.text: STATE_COLOURS[state] for state in State if state is not State.PENDING}


def test_numbers_of_the_first_row(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    newest = grafana.weeks()[-1]
    apps = ("Corner Bakery", "Travel Buddy", "Second-hand Books", "Tea House (new)")
    late = {name: newest.before() for name in ("Night Market", "Gym Pass")}
    live = dict.fromkeys(apps, newest) | late
    sums = {
        name: sum(figures(grafana, app, week)[name] for app, week in live.items())
        for name in ("session_cnt", "visit_pv")
    }
    numbers = {title: {column["title"]: texts(column) for column in shown[title][0]} for title in NUMBERS}
    assert numbers["New week"] == {"have it": [str(len(apps))], "apps": ["8"]}
    assert numbers["Fallen"] == {"Fallen": ["1"]}
    assert numbers["Risen"] == {"Risen": ["0"]}
    assert numbers["Refused"] == {"Refused": ["1"]}
    assert list(numbers["Alerts firing"]) == ["critical", "warning", "info"]
    assert numbers["Sessions"]["of all apps"] == [str(sums["session_cnt"])]
    assert numbers["Visits"]["of all apps"] == [str(sums["visit_pv"])]
    typical_apps = {app: week for app, week in live.items() if app != "Tea House (new)"}
    now, base = (
        sum(value(app, week) for app, week in typical_apps.items())
        for value in (
            lambda app, week: figures(grafana, app, week)["session_cnt"],
            lambda app, week: typical(grafana, app, week, "session_cnt"),
        )
    )
    assert numbers["Sessions"]["vs typical"] == [f"{now / base - 1:.1%}"]


def test_alerts_are_listed_by_severity_with_their_apps(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    assert titles(shown["Alerts"]) == [
        *("Alert", "App", "Report", "Figure", "AppID", "Exporter", "Severity", "Since"),
    ]
    severities = texts(shown["Alerts"][0][6])
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)
    found = row(shown["Alerts"], "Refused")
    assert (found["App"], found["AppID"], found["Severity"]) == (
        "City Library",
        grafana.appid("City Library"),
        "warning",
    )
    assert found["Since"].endswith("ago")
    assert row(shown["Alerts"], "ExporterDown")["App"] == ""


def test_every_panel_is_covered(shown: dict[str, Frames]) -> None:
    tables = {"This week", "Alerts", "Exporters", "Fetching"}
    assert shown.keys() == NUMBERS | tables | BARS.keys() | OTHER_BARS.keys() | LINES.keys() | WHY.keys()

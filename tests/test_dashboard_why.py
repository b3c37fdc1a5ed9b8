"""The panels about causes as Grafana computes them, against the figures of the simulated WeChat."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
import requests
from grafana_panels import WHY, Frames, as_count, figures, render, texts, titles

from exporter.dashboards import dashboard
from exporter.dashboards.entrances import LARGEST, REMAINING
from exporter.periods import DAY, Day, Week
from exporter.reports.catalogue import DAILY_SOURCES, DAILY_SUMMARY, WEEKLY_RETENTION
from exporter.reports.dimensions import DEPTH, SOURCE, STAY

if TYPE_CHECKING:
    from grafana_fixture import GrafanaFixture

    from exporter.reports import Dimension

APP = "Travel Buddy"
"""The app whose newest week fell through search, and whose new visitors stopped coming back."""
TABLE, BARS, BY_WEEK, SHARES, COHORTS, LINES, _, _ = WHY
BUCKETS = {
    "Length of stay": ("access_staytime_info", STAY),
    "Pages per session": ("access_depth_info", DEPTH),
}


@pytest.fixture(scope="module")
def shown(node: str, grafana: GrafanaFixture) -> dict[str, Frames]:
    return render(node, grafana, APP)


def parts(grafana: GrafanaFixture, day: Day, figure: str, dimension: Dimension) -> Counter[str]:
    """Return a figure of one day by the names of its parts."""
    lists: Any = grafana.wechat.content(grafana.appid(APP), DAILY_SOURCES, day)["list"]
    (items,) = [each["item_list"] for each in lists if each["index"] == figure]
    return Counter({dimension.names.get(str(item["key"]), f"key_{item['key']}"): item["value"] for item in items})


def entrances(grafana: GrafanaFixture, week: Week) -> Counter[str]:
    """Return the sessions of a week by entrance, in the words of the dashboard."""
    days = [Day.containing_day(week.last).before(ago) for ago in range(7)]
    total: Counter[str] = sum((parts(grafana, day, "access_source_session_cnt", SOURCE) for day in days), Counter())
    return Counter({name.replace("_", " "): value for name, value in total.items()})


def came_back(grafana: GrafanaFixture, week: Week, figure: str) -> list[int]:
    """Return the size of a cohort, and how many came back in each published week after it."""
    entries: Any = grafana.wechat.content(grafana.appid(APP), WEEKLY_RETENTION, week)[figure]
    return [entry["value"] for entry in sorted(entries, key=lambda entry: int(entry["key"]))]


def dates(week: Week) -> str:
    return f"{week.first:%m-%d} to {week.last:%m-%d}"


def test_entrances_are_a_table_with_the_largest_loss_first(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    week = grafana.weeks()[-1]
    now, before = entrances(grafana, week), entrances(grafana, week.before())
    lost = {name: max(before[name] - now[name], 0) for name in before}
    assert titles(shown[TABLE]) == [
        *("Entrance", "Week", "AppID", "Exporter"),
        *("Sessions", "Week before", "Change", "Change %", "Share of loss"),
    ]
    rows = list(zip(*map(texts, shown[TABLE][0]), strict=True))
    exporter = rows[0][3]
    assert rows == [
        (
            *(name, dates(week), grafana.appid(APP), exporter, str(now[name]), str(before[name])),
            str(now[name] - before[name]),
            f"{now[name] / before[name] - 1:.1%}",
            f"{lost[name] / sum(lost.values()):.1%}" if lost[name] else "\u2013",
        )
        for name in sorted(before, key=lambda name: now[name] - before[name])
    ]
    assert rows[0][0] == "search"
    assert [column["title"] for column in shown[TABLE][0] if column["hidden"]] == ["AppID", "Exporter"]


def test_bars_of_entrances_have_the_order_of_the_table(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    week = grafana.weeks()[-1]
    entrance, now, before = shown[BARS][0]
    assert titles(shown[BARS]) == ["Entrance", "This week", "Week before"]
    assert texts(entrance) == texts(shown[TABLE][0][0])[:12]
    assert texts(now) == [str(entrances(grafana, week)[name]) for name in texts(entrance)]
    assert texts(before) == [str(entrances(grafana, week.before())[name]) for name in texts(entrance)]
    assert (now["colour"], before["colour"]) == ("blue", "#8e8e8e")


def test_weeks_are_stacked_by_their_largest_entrances(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    by_week = {week: entrances(grafana, week) for week in grafana.weeks()}
    total = sum(by_week.values(), Counter())
    largest = [name for name, _ in total.most_common(LARGEST)]
    weeks, *stacked = shown[BY_WEEK][0]
    assert texts(weeks) == [f"{week.first:%m-%d}" for week in by_week]
    assert [column["title"] for column in stacked] == [*largest, REMAINING]
    for column in stacked[:-1]:
        assert texts(column) == [str(sessions[column["title"]]) for sessions in by_week.values()]
    others = [sum(sessions.values()) - sum(map(sessions.get, largest)) for sessions in by_week.values()]
    assert texts(stacked[-1]) == list(map(str, others))
    assert all(column["colour"].startswith("#") for column in stacked)
    assert {column["title"]: column["colour"] for column in stacked}["search"] == "#0072B2"


def test_parts_of_a_week_add_up_to_its_sessions(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    _, *stacked = shown[BY_WEEK][0]
    for place, week in enumerate(grafana.weeks()):
        days = [Day.containing_day(week.last).before(ago) for ago in range(7)]
        sessions = sum(figures(grafana, APP, day)["session_cnt"] for day in days)
        assert sum(int(texts(column)[place]) for column in stacked) == sessions


def test_shares_are_bars_beside_the_typical_weekday(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    def shares(day: Day) -> int:
        rows: Any = grafana.wechat.content(grafana.appid(APP), DAILY_SUMMARY, day)["list"]
        return int(rows[0]["share_pv"])

    def typical(day: Day) -> float:
        ordinary = [each for weeks in range(1, 9) if (each := day.before(7 * weeks)) != grafana.irregular_day()]
        return median(map(shares, ordinary[:4]))

    assert titles(shown[SHARES]) == ["Day", "Shares", "Holiday or make-up day", "Typical weekday"]
    first, *_, last = grafana.days()
    places = [last.before(ago) for ago in reversed(range((last.first - first.first).days + 1))]
    days, ordinary, holiday, baseline = shown[SHARES][0]
    known = {day: str(shares(day)) for day in grafana.days()}
    irregular = grafana.irregular_day()
    assert texts(days) == [f"{day.first:%m-%d}" for day in places], "days without data are gaps"
    assert [text or "" for text in texts(ordinary)] == [
        "\u2013" if day == irregular or day not in known else known[day] for day in places
    ]
    assert texts(holiday) == [known[day] if day == irregular else "\u2013" for day in places]
    assert texts(baseline) == [as_count(typical(day)) if day in known else "\u2013" for day in places]


def test_cohorts_are_rows_with_the_newest_first(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    later = range(1, WEEKLY_RETENTION.later + 1)
    seen = {week.before(lag) for week in grafana.weeks() for lag in later}
    newest = grafana.weeks()[-1]
    assert titles(shown[COHORTS]) == [
        *("Week", "AppID", "Exporter", "New visitors"),
        *("1 week later", "2 weeks later", "3 weeks later", "4 weeks later"),
    ]
    rows = list(zip(*map(texts, shown[COHORTS][0]), strict=True))
    expected = []
    for cohort in sorted(seen, key=lambda week: week.end, reverse=True):
        size, *back = came_back(grafana, cohort, "visit_uv_new")
        # A cohort has a figure for each number of weeks with which it was live while Prometheus scraped.
        live = [any(week.before(lag) == cohort for week in grafana.weeks()) for lag in later]
        shares = [f"{back[lag - 1] / size:.1%}" if live[lag - 1] else "\u2013" for lag in later]
        expected.append((dates(cohort), grafana.appid(APP), rows[0][2], str(size), *shares))
    assert rows == expected
    assert rows[0][0] == dates(newest.before())


def test_colour_of_a_cohort_is_stronger_the_more_came_back(shown: dict[str, Frames]) -> None:
    cells = [cell for column in shown[COHORTS][0][4:] for cell in column["cells"] if cell["text"] != "\u2013"]
    cells.sort(key=lambda cell: float(cell["text"].rstrip("%")))
    strength = [int(cell["background"][len("#rrggbb") :], base=16) for cell in cells]  # its opacity
    assert strength == sorted(strength)
    assert strength[0] < strength[-1]


def test_lines_have_a_point_at_each_monday(grafana: GrafanaFixture, shown: dict[str, Frames]) -> None:
    ((time, *lines),) = shown[LINES]
    weeks = [week.before() for week in grafana.weeks()]
    assert [cell["value"] for cell in time["cells"]] == [1000 * (week.end - 7 * DAY) for week in weeks]
    for line, title, figure in zip(lines, ("New visitors", "All visitors"), ("visit_uv_new", "visit_uv"), strict=True):
        assert line["title"] == title
        cohorts = [came_back(grafana, week, figure) for week in weeks]
        assert texts(line) == [f"{back / size:.1%}" for size, back, *_ in cohorts]
    fall = [float(text.rstrip("%")) for text in texts(lines[0])[-2:]]
    assert fall[1] < 0.7 * fall[0]


@pytest.mark.parametrize("panel", BUCKETS)
def test_distribution_compares_the_newest_day(grafana: GrafanaFixture, shown: dict[str, Frames], panel: str) -> None:
    figure, dimension = BUCKETS[panel]
    by_day = [parts(grafana, day, figure, dimension) for day in grafana.days()]
    newest, every = by_day[-1], sum(by_day, Counter())
    label, of_newest, of_every = shown[panel][0]
    assert titles(shown[panel]) == [panel, "Newest day", "All days of the time range"]
    assert texts(label) == list(dimension.names.values())
    assert texts(of_newest) == [f"{newest[name] / newest.total():.1%}" for name in texts(label)]
    assert texts(of_every) == [f"{every[name] / every.total():.1%}" for name in texts(label)]


def test_first_cells_link_to_the_report_on_the_status_page(shown: dict[str, Frames]) -> None:
    for panel, report in ((TABLE, DAILY_SOURCES), (COHORTS, WEEKLY_RETENTION)):
        (columns,) = shown[panel]
        by_title = {column["title"]: column["cells"][0] for column in columns}
        status_page, _ = columns[0]["cells"][0]["links"]
        exporter, appid = (by_title[title]["text"] for title in ("Exporter", "AppID"))
        assert status_page == f"http://{exporter}/?report={report.name}#q={appid}"
        assert requests.get(status_page, timeout=5).headers["Content-Type"].startswith("text/html")


def test_an_app_without_these_reports_has_panels_that_say_so(node: str, grafana: GrafanaFixture) -> None:
    found = render(node, grafana, "Night Market")
    assert not any(found[title] for title in WHY)
    empty_texts = {
        panel["title"]: panel["fieldConfig"]["defaults"].get("noValue", "")
        for panel in json.loads(dashboard())["panels"]
        if "fieldConfig" in panel
    }
    for title, report in WHY.items():
        assert f"reports: [.., {report}]" in empty_texts[title]

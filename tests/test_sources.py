"""The visit distribution: responses, entrances that are 0 and not missing, weeks made of days."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, exposed, served, wired
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.periods import BEIJING, DAY, Day, Week
from exporter.reports import DAILY, DAILY_SOURCES, DAILY_SUMMARY, History, Reading, StoredReading
from exporter.reports.dimensions import DEPTH, SOURCE, STAY
from exporter.reports.sources import by_part, previous_weekly, recent_parts, typical_recent_parts, weekly
from exporter.wechat.codes import Failed, NotReady
from exporter.wechat.messages import ApiResponse
from exporter.wechat.protocol import parse_report
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.reports import Field
    from exporter.reports.model import Sample, StoredFigures

NOW = 1_795_320_000.0
SESSIONS, VISITORS, STAYS, DEPTHS = DAILY_SOURCES.fields
APPID = "wx0123456789abcdef"


def parsed(content: object, day: Day) -> Reading:
    return parse_report(ApiResponse(200, json.dumps(content).encode(), ""), DAILY_SOURCES, day, NOW)


def day(text: str) -> Day:
    return Day.from_ref_date(text)


# -- Responses: recorded ones of real apps

RECORDED = [
    """{"ref_date":"20200331","list":[{"index":"access_source_session_cnt","item_list":[{"key":22,"value":445},
    {"key":29,"value":181},{"key":16,"value":4},{"key":36,"value":20},{"key":10,"value":4},{"key":3,"value":41},
    {"key":2,"value":5},{"key":23,"value":10},{"key":1,"value":89}]},{"index":"access_source_visit_uv","item_list":[
    {"key":22,"value":345},{"key":29,"value":121},{"key":16,"value":4},{"key":36,"value":10},{"key":10,"value":2},
    {"key":3,"value":17},{"key":2,"value":5},{"key":23,"value":9},{"key":1,"value":63}]},{"index":"access_staytime_info",
    "item_list":[{"key":8,"value":201},{"key":7,"value":88},{"key":6,"value":102},{"key":5,"value":67},{"key":4,"value":112},
    {"key":3,"value":66},{"key":2,"value":82},{"key":1,"value":81}]},{"index":"access_depth_info","item_list":[
    {"key":5,"value":5},{"key":4,"value":38},{"key":3,"value":281},{"key":2,"value":343},{"key":1,"value":132}]}]}""",
    """{"ref_date":"20210224","list":[{"index":"access_source_session_cnt","item_list":[{"key":4,"value":1},
    {"key":1,"value":1}]},{"index":"access_source_visit_uv","item_list":[{"key":4,"value":1},{"key":1,"value":1}]},
    {"index":"access_staytime_info","item_list":[{"key":7,"value":1},{"key":6,"value":1}]},{"index":"access_depth_info",
    "item_list":[{"key":5,"value":1},{"key":2,"value":1}]}]}""",
    """{"ref_date":"20220430","list":[{"index":"access_source_session_cnt","item_list":[{"key":36,"value":1},
    {"key":29,"value":8}]},{"index":"access_source_visit_uv","item_list":[{"key":36,"value":1},{"key":29,"value":4}]},
    {"index":"access_staytime_info","item_list":[{"key":8,"value":4},{"key":7,"value":3},{"key":6,"value":1},
    {"key":3,"value":1}]},{"index":"access_depth_info","item_list":[{"key":6,"value":1},{"key":3,"value":1},
    {"key":2,"value":6},{"key":1,"value":1}]}]}""",
]
TOTALS = [(799, 576, 799, 799), (2, 2, 2, 2), (9, 5, 9, 9)]


@pytest.mark.parametrize(
    ("text", "totals"), list(zip(RECORDED, TOTALS, strict=True)), ids=["20200331", "20210224", "20220430"]
)
def test_recorded_response_gives_exactly_its_figures(text: str, totals: tuple[int, ...]) -> None:
    content = json.loads(text)
    reading = parsed(content, day(content["ref_date"]))
    assert reading.values == totals
    sent = [(part["index"], str(item["key"]), item["value"]) for part in content["list"] for item in part["item_list"]]
    assert reading.by_dimension == tuple(sorted(sent))
    camel = {
        "refDate": content["ref_date"],
        "list": [{"index": part["index"], "itemList": part["item_list"]} for part in content["list"]],
        "errMsg": "openapi.analysis.getVisitDistribution:ok",
    }
    assert parsed(camel, reading.period) == reading


def test_recorded_response_is_exposed_by_name() -> None:
    content = json.loads(RECORDED[2])
    found = History.of(DAILY_SOURCES, [StoredReading(parsed(content, day("20220430")), 1.0)])
    assert named(by_part(found, SESSIONS)) == {"taskbar_my_mini_programs": 1, "taskbar_recent": 8}
    assert named(by_part(found, VISITORS)) == {"taskbar_my_mini_programs": 1, "taskbar_recent": 4}
    assert named(by_part(found, STAYS)) == dict.fromkeys(STAY.names.values(), 0) | {
        ">100s": 4,
        "51-100s": 3,
        "31-50s": 1,
        "6-10s": 1,
    }
    assert named(by_part(found, DEPTHS)) == dict.fromkeys(DEPTH.names.values(), 0) | {"6-10": 1, "3": 1, "2": 6, "1": 1}


def distribution(**parts: object) -> dict[str, Any]:
    """Return a response of 20200331 with these indexes, each a list of items."""
    return {"ref_date": "20200331", "list": [{"index": index, "item_list": items} for index, items in parts.items()]}


ONE = [{"key": 2, "value": 5}]


def test_undocumented_index_is_optional_and_unknown_ones_ignored() -> None:
    reading = parsed(distribution(access_source_session_cnt=ONE, access_depth_info=[], new_index=7), day("20200331"))
    assert reading.values == (5, None, None, 0)
    assert reading.by_dimension == (("access_source_session_cnt", "2", 5),)


def test_unknown_entrance_is_named_by_its_key() -> None:
    items = [{"key": 63, "value": 5}, {"key": "58", "value": "4"}, {"key": 0, "value": 3}]
    reading = parsed(distribution(access_source_session_cnt=items), day("20200331"))
    found = History.of(DAILY_SOURCES, [StoredReading(reading, 1.0)])
    assert named(by_part(found, SESSIONS)) == {"key_63": 5, "key_58": 4, "key_0": 3}


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("another day", distribution(access_source_session_cnt=ONE) | {"ref_date": "20200330"}, "ref_date is not 20200331"),
    ("no list", {"ref_date": "20200331"}, "no list of rows"),
    ("text in the list", {"ref_date": "20200331", "list": ["x"]}, "expected a list of distributions"),
    ("no index of ours", distribution(new_index=ONE), "the response has no figures"),
    ("a repeated index", {"ref_date": "20200331", "list": distribution(a=ONE)["list"] * 2}, "repeated index"),
    ("a repeated key", distribution(access_depth_info=ONE * 2), "access_depth_info has an invalid or repeated key"),
    ("a key of four digits", distribution(access_depth_info=[{"key": 1000, "value": 1}]), "invalid or repeated key"),
    ("items that are no list", distribution(access_depth_info={"2": 5}), "access_depth_info is not a list"),
    ("a negative count", distribution(access_depth_info=[{"key": 1, "value": -1}]), "is not a valid number"),
    ("a sum that is too large", distribution(access_depth_info=[{"key": k, "value": 2**62} for k in (1, 2)]), "valid"),
]


@pytest.mark.parametrize(("what", "content", "reason"), INVALID, ids=[row[0] for row in INVALID])
def test_invalid_response_is_malformed_with_the_reason(what: str, content: dict[str, Any], reason: str) -> None:
    assert what
    with pytest.raises(Failed, match=reason) as caught:
        parsed(content, day("20200331"))
    assert caught.value.errcode == "malformed"


def test_empty_list_is_not_ready() -> None:
    with pytest.raises(NotReady):
        parsed({"ref_date": "20200331", "list": []}, day("20200331"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "index"]), inner),
    max_leaves=10,
)


@given(JSON)
def test_any_response_is_a_reading_or_a_reason(inner: object) -> None:
    """Whatever is in place of the items, the parser raises nothing but its own errors."""
    for content in (
        distribution(access_source_session_cnt=inner),
        {"ref_date": "20200331", "list": inner},
        {"ref_date": "20200331", "list": [{"index": inner, "item_list": ONE}]},
    ):
        try:
            reading = parsed(content, day("20200331"))
        except (Failed, NotReady):
            continue
        assert sum(value for name, _, value in reading.by_dimension if name == SESSIONS.wechat) == (
            reading.value(SESSIONS) or 0
        )


# -- Figures

LIVE = day("20261124")
"""A Tuesday. No public holiday in the eight weeks before it but the first of October's."""


def named(samples: object) -> dict[str, float]:
    """Return samples by the value of their last label."""
    return {labels[-1]: value for _, labels, value in samples}  # type: ignore[attr-defined]


def sources(days: Mapping[Day, Mapping[str, int] | None], field: Field = SESSIONS) -> History:
    """Return a history with the entrances of each day by key; None is a day without this index."""
    readings = []
    for period, parts in days.items():
        values: list[float | None] = [None, None, None, 1]
        values[DAILY_SOURCES.fields.index(field)] = None if parts is None else sum(parts.values())
        found = tuple((field.wechat, key, value) for key, value in (parts or {}).items() if value)
        readings.append(StoredReading(Reading(DAILY_SOURCES, period, tuple(values), tuple(sorted(found))), 1.0))
    return History.of(DAILY_SOURCES, readings)


def days_before(live: Day, number: int) -> list[Day]:
    return [live.before(each) for each in range(number)]


def test_an_entrance_of_the_last_28_days_is_zero_and_not_missing() -> None:
    for ago, shown in ((1, {"search": 0}), (27, {"search": 0}), (28, {})):
        found = sources({LIVE: {"1": 7}, LIVE.before(ago): {"2": 5}})
        assert named(by_part(found, SESSIONS)) == {"history_list": 7} | shown, ago


def test_day_without_the_index_has_no_samples() -> None:
    found = sources({LIVE: None, LIVE.before(): {"2": 5}})
    assert named(by_part(found, SESSIONS)) == {}
    assert named(by_part(found, DEPTHS)) == dict.fromkeys(DEPTH.names.values(), 0), "another index was answered"


def test_a_day_that_was_not_fetched_is_not_zero() -> None:
    found = sources({LIVE: {"1": 7}, LIVE.before(2): {"2": 5}})
    assert found.value(LIVE.before(1), SESSIONS, "2") is None
    assert found.value(LIVE, SESSIONS, "2") == 0
    assert found.value(LIVE.before(2), SESSIONS, "1") == 0


W = Week.from_ref_date("20261116-20261122")


def test_week_is_the_sum_of_its_seven_days() -> None:
    known = {each: {"1": 10 + number, "2": 3} for number, each in enumerate(days_before(LIVE, 20))}
    found = sources(known)
    of_week = [known[Day.of(each)] for each in W.days]
    before = [known[Day.of(each)] for each in W.before().days]
    assert list(weekly(found, SESSIONS)) == [
        (W, ("history_list",), sum(each["1"] for each in of_week)),
        (W, ("search",), 21),
    ]
    assert list(previous_weekly(found, SESSIONS)) == [
        (W, ("history_list",), sum(each["1"] for each in before)),
        (W, ("search",), 21),
    ]


@pytest.mark.parametrize("missing", range(2, 9))
def test_week_with_an_unknown_day_is_not_summed_up(missing: int) -> None:
    """The newest week of which all days are known is the one before; it has a previous one."""
    known = {each: {"1": 1} for each in days_before(LIVE, 28) if each != LIVE.before(missing)}
    assert list(weekly(sources(known), SESSIONS)) == [(W.before(), ("history_list",), 7)]
    assert list(previous_weekly(sources(known), SESSIONS)) == [(W.before(), ("history_list",), 7)]


def test_week_before_with_an_unknown_day_gives_no_comparison() -> None:
    known = {each: {"1": 1} for each in days_before(LIVE, 20) if each != LIVE.before(12)}
    assert list(weekly(sources(known), SESSIONS)) == [(W, ("history_list",), 7)]
    assert list(previous_weekly(sources(known), SESSIONS)) == []


def test_entrance_that_vanished_is_zero_in_the_week() -> None:
    known = {each: {"1": 1} | ({} if each in map(Day.of, W.days) else {"2": 4}) for each in days_before(LIVE, 20)}
    assert named(weekly(sources(known), SESSIONS)) == {"history_list": 7, "search": 0}
    assert named(previous_weekly(sources(known), SESSIONS)) == {"history_list": 7, "search": 28}


@pytest.mark.parametrize("figure", [by_part, weekly, previous_weekly, recent_parts, typical_recent_parts])
def test_nothing_known_gives_no_samples(figure: Callable[[StoredFigures, Field], Sample]) -> None:
    assert list(figure(History(DAILY_SOURCES), SESSIONS)) == []


def test_recent_days_are_compared_with_their_typical_weekdays() -> None:
    """Search has 8 sessions a day and 2 in the last three days; the rest is the same every day."""
    known = {each: {"1": 5, "2": 2 if number < 3 else 8} for number, each in enumerate(days_before(LIVE, 80))}
    found = sources(known)
    assert list(recent_parts(found, SESSIONS)) == [
        (LIVE, ("3", "history_list"), 15),
        (LIVE, ("3", "search"), 6),
    ]
    assert list(typical_recent_parts(found, SESSIONS)) == [
        (LIVE, ("3", "history_list"), 15),
        (LIVE, ("3", "search"), 24),
    ]


def test_official_entrances_have_distinct_names() -> None:
    assert len(SOURCE.names) == len(set(SOURCE.names.values())) == 60
    assert all(name.replace("_", "").isalnum() and name == name.lower() for name in SOURCE.names.values())
    assert SOURCE.name("63") == "key_63"


# -- Through the poller


def test_difference_to_the_daily_report_is_logged_once() -> None:
    clock = FakeClock(datetime(2026, 11, 25, 12, tzinfo=BEIJING).timestamp())
    apps = [
        SimulatedApp(APPID, "secret-of-the-app", Audience(3000)),
        SimulatedApp("wx2", "secret-of-the-other-app", Audience(900)),
    ]
    with served(apps, clock) as (wechat, base_url):
        for ago in (0, 2, 4):  # beside days that agree
            row = dict(wechat.row(APPID, LIVE.before(ago)))
            wechat.publish(APPID, row | {"session_cnt": row["session_cnt"] + 1})  # type: ignore[operator]
        with (
            wired(apps, base_url, clock, reports=(DAILY, DAILY_SOURCES), history_weeks=1) as engine,
            capture_logs() as logs,
        ):
            engine.poller.drain()
            clock.now += DAY
            engine.poller.drain()
            samples = exposed(engine)
    (line,) = [line for line in logs if line["event"] == "reports differ"]
    assert (line["appid"], line["report"], line["other_report"]) == (APPID, "daily_sources", "daily")
    assert line["total"] + 1 == line["other_total"]
    assert samples["fetch_state", APPID, "daily_sources", "ok"] == 1, "it is no error"


def test_simulated_reports_agree_with_each_other() -> None:
    """Entrances, stays and depths add up to the sessions, on ordinary days and in a drop through one entrance."""
    falls = Audience(3000, drops_from=LIVE.before(5), drops_through="2")
    apps = [
        SimulatedApp("wx1", "secret-of-the-app", Audience(40)),
        SimulatedApp("wx2", "secret-of-the-other-app", falls),
    ]
    with served(apps, FakeClock(LIVE.end + DAY)) as (wechat, _):
        for appid, each in ((app.appid, each) for app in apps for each in days_before(LIVE, 40)):
            reading = parsed(wechat.content(appid, DAILY_SOURCES, each), each)
            sessions = wechat.row(appid, each)["session_cnt"]
            assert {reading.value(SESSIONS), reading.value(STAYS), reading.value(DEPTHS)} == {sessions}
            assert all(value > 0 for _, _, value in reading.by_dimension)
        rows = [wechat.content("wx2", DAILY_SUMMARY, each)["list"][0] for each in days_before(LIVE, 40)]  # type: ignore[index]
        readings = [parsed(wechat.content("wx2", DAILY_SOURCES, each), each) for each in days_before(LIVE, 80)]
    assert all(0 <= row["share_uv"] <= row["share_pv"] for row in rows)
    assert all(older["visit_total"] <= newer["visit_total"] for newer, older in pairwise(rows))
    found = History.of(DAILY_SOURCES, [StoredReading(each, 1.0) for each in readings])
    now, usual = named(recent_parts(found, SESSIONS)), named(typical_recent_parts(found, SESSIONS))
    losses = {name: usual[name] - now[name] for name in now}
    assert max(losses, key=losses.__getitem__) == "search"
    assert 0.7 < losses["search"] / sum(losses.values()) < 0.9


def test_sources_survive_a_restart(tmp_path: object) -> None:
    clock = FakeClock(LIVE.end + DAY / 2)
    apps = [SimulatedApp(APPID, "secret-of-the-app", Audience(3000))]
    with served(apps, clock) as (wechat, base_url):
        with wired(apps, base_url, clock, str(tmp_path), reports=(DAILY_SOURCES,), history_weeks=3) as engine:
            engine.poller.drain()
            before = exposed(engine)
        wechat.put(replace(apps[0], secret="new-secret-of-the-app"))
        with wired(apps, base_url, clock, str(tmp_path), reports=(DAILY_SOURCES,), history_weeks=3) as engine:
            after = exposed(engine)
    figures = {key: value for key, value in before.items() if "source_sessions" in key[0] or "_stay_" in key[0]}
    assert len(figures) > 30
    assert figures.items() <= after.items()

"""A week passes on a controlled clock: which calls at which times, which week exposed when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from rig import Wall, exposed, machine_in, served, wired

from exporter.periods import BEIJING, Week
from exporter.poller.plan import jitter
from exporter.reports import WEEKLY
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, HOUR = 60.0, 3600.0
APPID = "wx0123456789abcdef"
SPREAD = jitter(APPID)
PUBLISHED = 14 * HOUR + 5 * MINUTE
APP = SimulatedApp(APPID, "secret-of-the-app", Audience(1000), published_after=PUBLISHED)


def beijing(text: str) -> float:
    return datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=BEIJING).timestamp()


@pytest.fixture(params=["America/Los_Angeles", "Pacific/Auckland"])
def _machine_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    with machine_in(request.param):
        yield


@pytest.mark.usefixtures("_machine_zone")
def test_a_week_passes_from_sunday_evening_to_tuesday() -> None:
    start, end, published = beijing("22T20:00"), beijing("24T12:00"), beijing("23T14:05")
    turn = beijing("23T10:00") + 30 * MINUTE * SPREAD
    wall = Wall(start)
    old = Week.containing(beijing("15T12:00"))
    new = old.after()
    live = {}
    with served([APP], wall) as (wechat, base_url), wired([APP], base_url, wall, history_weeks=2) as rooms:
        while wall.now < end:
            rooms.poller.drain()
            seen = len(wechat.calls)
            (label,) = [key[2] for key in exposed(rooms) if key[0] == "weekly_visitors"]
            live.setdefault(label, wall.now)
            next_fetch = exposed(rooms)["next_fetch_timestamp_seconds", APPID, "weekly"]
            wall.now = next_fetch - 1
            rooms.poller.drain()
            assert len(wechat.calls) == seen, "nothing is asked a second too early"
            wall.now = next_fetch
        final = exposed(rooms)
    expected = [(start, old.label), (start, old.before().label)]
    while (due := expected[-1][0] + 6 * HOUR * (1 + SPREAD)) < turn:
        expected.append((due, old.label))
    expected.append((turn, new.label))
    while expected[-1][0] < published:
        expected.append((expected[-1][0] + 30 * MINUTE * (1 + SPREAD), new.label))
    arrived = expected[-1][0]
    while (due := expected[-1][0] + 6 * HOUR * (1 + SPREAD)) < end:
        expected.append((due, new.label))
    weekly = [(call.at, call.period) for call in wechat.calls if call.endpoint == "weekly"]
    assert [week for _, week in weekly] == [week for _, week in expected]
    assert [at for at, _ in weekly] == pytest.approx([at for at, _ in expected], rel=0, abs=0.01)
    assert live == {old.label: start, new.label: pytest.approx(arrived, rel=0, abs=0.01)}
    assert published < arrived < published + 30 * MINUTE * 1.1
    tokens = [start]
    for at, _ in expected:
        if at >= tokens[-1] + 7200:
            tokens.append(at)
    assert [call.at for call in wechat.calls if call.endpoint == "stable_token"] == pytest.approx(
        tokens, rel=0, abs=0.01
    )
    assert final["fetch_state", APPID, "weekly", "ok"] == 1
    assert final["weekly_visitors", APPID, new.label] == wechat.row(APPID, new)["visit_uv"]
    assert final["previous_week_visitors", APPID, new.label] == wechat.row(APPID, old)["visit_uv"]


def test_while_the_week_is_not_ready_the_older_one_stays_and_up_is_one() -> None:
    wall = Wall(beijing("23T11:00"))
    with served([APP], wall) as (_, base_url), wired([APP], base_url, wall, history_weeks=3) as rooms:
        rooms.poller.drain()
        found = exposed(rooms)
    assert found["fetch_state", APPID, "weekly", "not_ready"] == 1
    assert found["up", APPID, "weekly"] == 1
    assert found["weekly_visitors", APPID, "20261109-20261115"] > 0
    assert found["previous_week_visitors", APPID, "20261109-20261115"] > 0
    assert ("last_success_timestamp_seconds", APPID, "weekly") not in found
    assert found["api_errors_total", APPID, "61503", "weekly"] == 1
    assert found["fetch_failures_total", APPID, "weekly"] == 0


RECORDED = [
    (
        "2018-11-27T12:00",
        {
            "ref_date": "20181119-20181125",
            "session_cnt": 2470,
            "visit_pv": 8913,
            "visit_uv": 754,
            "visit_uv_new": 248,
            "stay_time_uv": 226.4748,
            "stay_time_session": 69.1344,
            "visit_depth": 1.9798,
        },
    ),
    (
        "2021-10-12T12:00",
        {
            "ref_date": "20211004-20211010",
            "session_cnt": 0,
            "visit_pv": 0,
            "visit_uv": 0,
            "visit_uv_new": 0,
            "stay_time_uv": 0,
            "stay_time_session": 0,
            "visit_depth": 0,
        },
    ),
]


@pytest.mark.parametrize(("moment", "row"), RECORDED, ids=["traffic", "none"])
def test_the_recorded_answers_give_exactly_their_figures_and_zero_stays_zero(
    moment: str, row: dict[str, float]
) -> None:
    wall = Wall(datetime.fromisoformat(moment).replace(tzinfo=BEIJING).timestamp())
    with served([APP], wall) as (wechat, base_url):
        wechat.publish(APPID, row)
        with wired([APP], base_url, wall, history_weeks=2) as rooms:
            rooms.poller.drain()
            found = exposed(rooms)
    figures = {key[0]: value for key, value in found.items() if key[0].startswith("weekly_")}
    assert figures == {f"weekly_{field.metric}": row[field.wechat] for field in WEEKLY.fields}
    assert {key[2] for key in found if key[0].startswith("weekly_")} == {row["ref_date"]}


def test_a_revised_week_is_noticed_counted_and_stored(tmp_path: object) -> None:
    wall = Wall(beijing("24T12:00"))
    week = Week(datetime(2026, 11, 16, tzinfo=BEIJING).date())
    with served([APP], wall) as (wechat, base_url):
        with wired([APP], base_url, wall, str(tmp_path), history_weeks=2) as rooms:
            rooms.poller.drain()
            wechat.publish(APPID, {**wechat.row(APPID, week), "visit_uv": 4321})
            wall.now += 7 * HOUR
            rooms.poller.drain()
            found = exposed(rooms)
            wall.now += 7 * HOUR
            rooms.poller.drain()
            assert exposed(rooms)["revisions_total", APPID, "weekly"] == 1
        with wired([APP], base_url, wall, str(tmp_path), history_weeks=2) as rooms:
            assert exposed(rooms)["weekly_visitors", APPID, week.label] == 4321
    assert found["weekly_visitors", APPID, week.label] == 4321
    assert found["revisions_total", APPID, "weekly"] == 1
    assert found["period_first_seen_timestamp_seconds", APPID, "weekly"] == beijing("24T12:00")

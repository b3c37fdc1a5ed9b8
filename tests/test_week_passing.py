"""A new week on a controlled clock: the times of all calls, and the exposed week."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from harness import FakeClock, exposed, machine_time_zone, served, wired

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
    with machine_time_zone(request.param):
        yield


@pytest.mark.usefixtures("_machine_zone")
def test_new_week_is_fetched_at_the_planned_times() -> None:
    """The fake clock runs from Sunday evening to Tuesday."""
    start, end, published = beijing("22T20:00"), beijing("24T12:00"), beijing("23T14:05")
    turn = beijing("23T10:00") + 30 * MINUTE * SPREAD
    clock = FakeClock(start)
    old = Week.containing(beijing("15T12:00"))
    new = old.after()
    live = {}
    with served([APP], clock) as (wechat, base_url), wired([APP], base_url, clock, history_weeks=2) as engine:
        while clock.now < end:
            engine.poller.drain()
            seen = len(wechat.calls)
            (label,) = [key[2] for key in exposed(engine) if key[0] == "weekly_visitors"]
            live.setdefault(label, clock.now)
            next_fetch = exposed(engine)["next_fetch_timestamp_seconds", APPID, "weekly"]
            clock.now = next_fetch - 1
            engine.poller.drain()
            assert len(wechat.calls) == seen, "nothing is requested a second too early"
            clock.now = next_fetch
        final = exposed(engine)
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


def test_older_week_stays_and_up_is_1_until_the_week_is_ready() -> None:
    clock = FakeClock(beijing("23T11:00"))
    with served([APP], clock) as (_, base_url), wired([APP], base_url, clock, history_weeks=3) as engine:
        engine.poller.drain()
        found = exposed(engine)
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
def test_recorded_responses_expose_their_figures_including_zero(moment: str, row: dict[str, float]) -> None:
    clock = FakeClock(datetime.fromisoformat(moment).replace(tzinfo=BEIJING).timestamp())
    with served([APP], clock) as (wechat, base_url):
        wechat.publish(APPID, row)
        with wired([APP], base_url, clock, history_weeks=2) as engine:
            engine.poller.drain()
            found = exposed(engine)
    figures = {key[0]: value for key, value in found.items() if key[0].startswith("weekly_")}
    assert figures == {f"weekly_{field.metric}": row[field.wechat] for field in WEEKLY.fields}
    assert {key[2] for key in found if key[0].startswith("weekly_")} == {row["ref_date"]}


def test_revised_week_is_exposed_counted_and_stored(tmp_path: object) -> None:
    clock = FakeClock(beijing("24T12:00"))
    week = Week(datetime(2026, 11, 16, tzinfo=BEIJING).date())
    with served([APP], clock) as (wechat, base_url):
        with wired([APP], base_url, clock, str(tmp_path), history_weeks=2) as engine:
            engine.poller.drain()
            wechat.publish(APPID, {**wechat.row(APPID, week), "visit_uv": 4321})
            clock.now += 7 * HOUR
            engine.poller.drain()
            found = exposed(engine)
            clock.now += 7 * HOUR
            engine.poller.drain()
            assert exposed(engine)["revisions_total", APPID, "weekly"] == 1
        with wired([APP], base_url, clock, str(tmp_path), history_weeks=2) as engine:
            assert exposed(engine)["weekly_visitors", APPID, week.label] == 4321
    assert found["weekly_visitors", APPID, week.label] == 4321
    assert found["revisions_total", APPID, "weekly"] == 1
    assert found["period_first_seen_timestamp_seconds", APPID, "weekly"] == beijing("24T12:00")

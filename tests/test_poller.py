from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rig import Wall, exposed, served, wired
from structlog.testing import capture_logs

from exporter.config import App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.periods import DAY, Week, newest_wanted
from exporter.poller import HEARTBEAT, Poller, loop
from exporter.reports import WEEKLY, Reading, Report
from exporter.status import State
from exporter.store import Store
from exporter.wechat.client import Outcome
from exporter.wechat.simulator import Fault, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


NOW = 1_795_320_000.0  # Sun 2026-11-22 12:00 Beijing
FETCH = Fetch(history_weeks=3, concurrency=2)
WANTED = newest_wanted(Week, NOW, FETCH.ready_after)


class Pulse:
    def __init__(self) -> None:
        self.beats: list[float] = []
        self.stumbles = 0

    def beat(self, now: float) -> None:
        self.beats.append(now)

    def stumbled(self) -> None:
        self.stumbles += 1


class Scripted:
    """Answers as a script says, and remembers what was asked: the network is not what these tests are about."""

    def __init__(self, script: Callable[[App, Week], Outcome] | None = None) -> None:
        self.asked: list[tuple[str, Week]] = []
        self.most = 0
        self._script = script
        self._now = 0
        self._lock = threading.Lock()

    def ask(self, app: App, report: Report, week: Week) -> Outcome:
        with self._lock:
            self.asked.append((app.appid, week))
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            if self._script is not None:
                return self._script(app, week)
            return Outcome(Reading(report, week, (1, 2, 3, 4, 5.0, 6.0, 7.0)))
        finally:
            with self._lock:
                self._now -= 1


@pytest.fixture
def polled() -> Iterator[Callable[..., tuple[Poller, Pulse, Store]]]:
    opened: list[tuple[Poller, Store]] = []

    def make(
        asker: Scripted, wall: Wall, apps: int = 3, store: Store | None = None, **options: object
    ) -> tuple[Poller, Pulse, Store]:
        pulse = Pulse()
        store = store or Store(":memory:", "host", wall)
        config = Config(
            apps=tuple(App(appid=f"wx{n}", way=Datacube(AppSecret(LiteralSecret("s")))) for n in range(apps)),
            fetch=FETCH,
        )
        changed = options.get("changed", lambda: None)
        poller = Poller(config, WEEKLY, asker=asker, store=store, clock=wall, pulse=pulse, changed=changed, retry=True)  # type: ignore[arg-type]
        opened.append((poller, store))
        return poller, pulse, store

    yield make
    for poller, store in opened:
        poller.close()
        store.close()


Polled = "Callable[..., tuple[Poller, Pulse, Store]]"


def test_the_newest_weeks_of_all_apps_come_before_the_history_of_any(polled: Polled) -> None:
    asker = Scripted()
    poller, _, _ = polled(asker, Wall(NOW), apps=10)
    poller.drain()
    weeks = [week for _, week in asker.asked]
    assert weeks[:8] == [WANTED] * 8
    assert weeks.count(WANTED) == weeks.count(WANTED.before()) == weeks.count(WANTED.before(2)) == 10
    assert len(asker.asked) == len(set(asker.asked)) == 30
    assert weeks.index(WANTED.before(2)) > weeks.index(WANTED.before()) + 7


def test_no_more_requests_are_under_way_than_concurrency_allows_and_one_at_a_time_for_an_app(polled: Polled) -> None:
    under_way: list[str] = []
    doubled: list[str] = []

    def slow(app: App, week: Week) -> Outcome:
        if app.appid in under_way:
            doubled.append(app.appid)
        under_way.append(app.appid)
        time.sleep(0.005)
        under_way.remove(app.appid)
        return Outcome(Reading(WEEKLY, week, (1, 2, 3, 4, 5.0, 6.0, 7.0)))

    asker = Scripted(slow)
    poller, _, _ = polled(asker, Wall(NOW), apps=6)
    poller.drain()
    assert asker.most == FETCH.concurrency
    assert doubled == []


def test_a_fault_of_the_exporter_is_logged_counted_and_fails_only_that_app(polled: Polled) -> None:
    def buggy(app: App, week: Week) -> Outcome:
        if app.appid == "wx1":
            raise ZeroDivisionError("access_token=abc")
        return Outcome(Reading(WEEKLY, week, (1, 2, 3, 4, 5.0, 6.0, 7.0)))

    poller, pulse, _ = polled(Scripted(buggy), Wall(NOW))
    with capture_logs() as logs:
        poller.drain()
    assert [status.state for status in poller.statuses()] == [State.OK, State.FAILED, State.OK]
    assert pulse.stumbles == 1
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "a fault of the exporter: please report it"
    ]


def test_a_fault_in_a_step_does_not_end_the_loop(polled: Polled) -> None:
    wall = Wall(NOW)
    asker = Scripted()
    poller, pulse, _ = polled(asker, wall)
    stopping = threading.Event()
    calls = iter([ZeroDivisionError("once")])

    def clock() -> float:
        for error in calls:
            raise error
        return wall.now

    poller._clock = clock
    thread = threading.Thread(target=poller.run, args=(stopping,))
    with capture_logs():
        thread.start()
        deadline = time.monotonic() + 10
        while len(asker.asked) < 9 and time.monotonic() < deadline:
            time.sleep(0.01)
        stopping.set()
        poller.wake()
        thread.join(HEARTBEAT + 5)
    assert pulse.stumbles == 1
    assert len(asker.asked) == 9


def test_a_clock_that_is_set_back_makes_answers_from_the_future_due(polled: Polled) -> None:
    asker = Scripted()
    wall = Wall(NOW)
    poller, _, _ = polled(asker, wall, apps=1)
    poller.drain()
    asked = len(asker.asked)
    wall.now -= 86_400.0
    poller.drain()
    assert len(asker.asked) == asked + 1


def test_trouble_is_logged_once_when_it_begins_and_once_when_it_ends() -> None:
    wall = Wall(NOW + 2 * 86_400)
    app = SimulatedApp("wx1", "s" * 20)
    broken = SimulatedApp("wx1", "s" * 20, faults=(Fault("http_500"),))
    with (
        served([app], wall) as (wechat, base_url),
        wired([app], base_url, wall, history_weeks=2) as rooms,
        capture_logs() as logs,
    ):
        rooms.poller.drain()
        for faulty in (broken, broken, broken, app, app):
            wechat.put(faulty)
            wall.now += 7 * 3600
            rooms.poller.drain()
    told = [(line["log_level"], line["event"]) for line in logs if line["log_level"] != "debug"]
    assert told == [
        ("info", "week published"),
        ("warning", "app in trouble"),
        ("info", "app is well again"),
    ]
    assert next(line["lasted_seconds"] for line in logs if line["event"] == "app is well again") == 21 * 3600


def test_another_kind_of_trouble_is_said_too_and_the_end_counts_from_the_first() -> None:
    wall = Wall(NOW + 2 * 86_400)
    app = SimulatedApp("wx1", "s" * 20)
    with (
        served([app], wall) as (wechat, base_url),
        wired([app], base_url, wall, history_weeks=2) as rooms,
        capture_logs() as logs,
    ):
        rooms.poller.drain()
        for faults in ((Fault("http_500"),), (Fault("48001"),), (Fault("48001"),), ()):
            wechat.put(replace(app, faults=faults))
            wall.now += 7 * 3600
            rooms.poller.drain()
    told = [line.get("state") for line in logs if line["event"] == "app in trouble"]
    assert told == ["failed", "refused"]
    assert next(line["lasted_seconds"] for line in logs if line["event"] == "app is well again") == 21 * 3600


def test_a_token_that_is_revoked_is_replaced_within_the_same_look() -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20)
    with (
        served([app], wall) as (wechat, base_url),
        wired([app], base_url, wall, history_weeks=2, interval=60.0) as rooms,
    ):
        rooms.poller.drain()
        wechat.revoke_tokens("wx1")
        wall.now += 120
        rooms.poller.drain()
        found = exposed(rooms)
    assert found["fetch_state", "wx1", "ok"] == 1
    assert found["api_errors_total", "wx1", "40001"] == 1
    assert found["fetch_failures_total", "wx1"] == 0
    assert [call.endpoint for call in wechat.calls].count("stable_token") == 2


def test_history_that_wechat_never_had_is_asked_for_once(tmp_path: object) -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20, launched=WANTED.before())
    with served([app], wall) as (wechat, base_url):
        for _ in range(3):
            with wired([app], base_url, wall, str(tmp_path), history_weeks=5) as rooms:
                rooms.poller.drain()
                wall.now += 7 * 3600
                rooms.poller.drain()
                found = exposed(rooms)
    asked = [call.week for call in wechat.calls if call.endpoint == "weekly"]
    assert [asked.count(WANTED.before(number).label) for number in range(1, 5)] == [1, 1, 1, 1]
    assert found["fetch_state", "wx1", "ok"] == 1
    assert found["previous_week_visitors", "wx1", WANTED.label] > 0


def test_a_week_without_data_is_requested_again_after_a_month(tmp_path: object) -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20, launched=WANTED)
    lost = WANTED.before(3)
    with (
        served([app], wall) as (wechat, base_url),
        wired([app], base_url, wall, str(tmp_path), history_weeks=9) as rooms,
    ):
        rooms.poller.drain()
        for days in (20, 34):  # a month and a tenth of it is over after the second
            wall.now = NOW + days * DAY
            for _ in range(3):
                rooms.poller.drain()
                wall.now += 7 * 3600
            asked = [call.week for call in wechat.calls if call.endpoint == "weekly"].count(lost.label)
            assert asked == (1 if days == 20 else 2)


def test_weeks_requested_with_a_clock_ahead_are_not_lost(tmp_path: Path) -> None:
    """The clock is a month ahead at first; WeChat's 61501 for weeks that are not over proves nothing later."""
    right = Wall(NOW)
    wrong = Wall(NOW + 30 * DAY)
    app = SimulatedApp("wx1", "s" * 20)
    with served([app], right) as (_, base_url):
        with wired([app], base_url, wrong, str(tmp_path), history_weeks=9) as rooms:
            rooms.poller.drain()
            wrong.now = right.now
            right.now = wrong.now = NOW + 60
            rooms.poller.drain()
            corrected = exposed(rooms)
        later = NOW + 28 * DAY
        right.now = wrong.now = later
        with wired([app], base_url, wrong, str(tmp_path), history_weeks=9) as rooms:
            for _ in range(3):
                rooms.poller.drain()
                right.now = wrong.now = wrong.now + 7 * 3600
            found = exposed(rooms)
    for samples, week in ((corrected, WANTED), (found, newest_wanted(Week, later, FETCH.ready_after))):
        assert samples["fetch_state", "wx1", "ok"] == 1
        assert samples["previous_week_visitors", "wx1", week.label] > 0
        assert samples["median_week_visitors", "wx1", week.label] > 0


def test_a_week_concluded_with_a_wrong_clock_is_requested_again_without_a_date_header(tmp_path: Path) -> None:
    """Where the server does not say its time, the conclusion ends when the clock is set back."""
    right, ours = Wall(NOW), Wall(NOW + 30 * DAY)
    app = SimulatedApp("wx1", "s" * 20)
    with served([app], right) as (_, base_url), wired([app], base_url, ours, str(tmp_path), history_weeks=9) as rooms:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporter.wechat.client.server_time", lambda _reply: None)
            rooms.poller.drain()
        ours.now = right.now = NOW + 14 * DAY
        rooms.poller.drain()
        found = exposed(rooms)
    assert found["median_week_visitors", "wx1", newest_wanted(Week, right.now, FETCH.ready_after).label] > 0


def test_a_busy_answer_on_any_day_is_retried_after_half_an_hour() -> None:
    wall = Wall(NOW - 4 * DAY)  # a Wednesday
    app = SimulatedApp("wx1", "s" * 20, faults=(Fault("-1"),))
    with served([app], wall) as (wechat, base_url), wired([app], base_url, wall, history_weeks=2) as rooms:
        rooms.poller.drain()
        assert exposed(rooms)["fetch_state", "wx1", "not_ready"] == 1
        wechat.put(replace(app, faults=()))
        wall.now += 34 * 60  # the half hour and its jitter
        rooms.poller.drain()
        found = exposed(rooms)
    assert found["fetch_state", "wx1", "ok"] == 1
    assert found["fetch_failures_total", "wx1"] == 0
    assert [key for key in found if key[0] == "weekly_visitors"]


def test_a_busy_wechat_is_not_asked_for_history() -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20, faults=(Fault("-1"),))
    with served([app], wall) as (wechat, base_url), wired([app], base_url, wall, history_weeks=52) as rooms:
        rooms.poller.drain()
        assert [call.endpoint for call in wechat.calls] == ["stable_token", "weekly"]


def test_a_state_that_began_in_the_future_began_now_at_the_latest() -> None:
    wall = Wall(NOW + 365 * DAY)
    app = SimulatedApp("wx1", "s" * 20, faults=(Fault("48001"),))
    with served([app], lambda: NOW) as (_, base_url), wired([app], base_url, wall) as rooms:
        rooms.poller.drain()
        wall.now = NOW
        rooms.poller.drain()
        (status,) = rooms.poller.statuses()
    assert status.answer is not None
    assert status.answer.since == NOW


def test_an_interrupted_history_goes_on_after_a_restart_and_what_is_in_is_not_asked_again(tmp_path: object) -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20)
    with served([app], wall) as (wechat, base_url):
        with wired([app], base_url, wall, str(tmp_path), history_weeks=3) as rooms:
            rooms.poller.drain()
        seen = len(wechat.calls)
        with wired([app], base_url, wall, str(tmp_path), history_weeks=6) as rooms:
            rooms.poller.drain()
    weeks = [call.week for call in wechat.calls[seen:] if call.endpoint == "weekly"]
    assert weeks == [WANTED.before(number).label for number in (3, 4, 5)]


def test_a_spent_quota_stops_everything_about_the_app_until_tomorrow_morning() -> None:
    wall = Wall(NOW)
    app = SimulatedApp("wx1", "s" * 20, faults=(Fault("45009"),))
    with served([app], wall) as (wechat, base_url), wired([app], base_url, wall, history_weeks=8) as rooms:
        rooms.poller.drain()
        assert len(wechat.calls) == 2
        wechat.put(SimulatedApp("wx1", "s" * 20))
        due = rooms.poller.statuses()[0].next_fetch
        wall.now = due - 1
        rooms.poller.drain()
        assert len(wechat.calls) == 2
        wall.now = due
        rooms.poller.drain()
        assert exposed(rooms)["fetch_state", "wx1", "ok"] == 1
    assert NOW + 22 * 3600 <= due <= NOW + 22 * 3600 * 1.1


def test_the_heartbeat_is_the_clock_of_every_step(polled: Polled) -> None:
    wall = Wall(NOW)
    poller, pulse, _ = polled(Scripted(), wall, apps=1)
    poller.drain()
    assert set(pulse.beats) == {NOW}


@pytest.mark.parametrize("place", ["absorb", "save"])
def test_a_fault_with_one_answer_leaves_no_app_behind(
    polled: Polled, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = iter([ZeroDivisionError("once")])
    asker = Scripted()
    poller, pulse, store = polled(asker, Wall(NOW), apps=4)
    target, name = (loop, "absorb_newest") if place == "absorb" else (store, "save")
    whole = getattr(target, name)

    def faulty(*arguments: object) -> object:
        for error in faults:
            raise error
        return whole(*arguments)

    monkeypatch.setattr(target, name, faulty)
    with capture_logs():
        poller.drain()
    assert pulse.stumbles == 1
    assert {status.state for status in poller.statuses()} == {State.OK}


def test_a_store_that_waits_does_not_hold_up_the_news(polled: Polled, tmp_path: Path) -> None:
    wall = Wall(NOW)
    store = Store(str(tmp_path), "host", wall)
    told = []
    poller, _, _ = polled(Scripted(), wall, apps=1, store=store, changed=lambda: told.append(saved.is_set()))
    saved = threading.Event()
    save = store.save
    store.save = lambda changes: (save(changes), saved.set())  # type: ignore[method-assign,assignment,func-returns-value]
    poller.drain()
    assert told[0] is False

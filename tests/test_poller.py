from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from harness import FakeClock, exposed, served, wired
from stores import version_1
from structlog.testing import capture_logs

from exporter.apps import State
from exporter.config import App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.guard import Guard
from exporter.periods import DAY, Week, newest_wanted
from exporter.poller import HEARTBEAT, Poller, loop, shared_results
from exporter.reports import DAILY, MONTHLY, WEEKLY, Reading
from exporter.store import Store
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.client import Outcome
from exporter.wechat.codes import Refused
from exporter.wechat.simulator import InjectedFault, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.periods import Period
    from exporter.reports import Report
    from exporter.runtime.engine import Engine
    from exporter.wechat.simulator import Simulator

NOW = 1_795_320_000.0  # Sun 2026-11-22 12:00 Beijing
FETCH = Fetch(history_weeks=3, concurrency=2)
WANTED = newest_wanted(Week, NOW, FETCH.ready_after)
ALL = (WEEKLY, DAILY, MONTHLY)
NEWEST: dict[Report, Period] = {report: newest_wanted(report.period, NOW, FETCH.ready_after) for report in ALL}
VALUES = (1, 2, 3, 4, 5.0, 6.0, 7.0)


class Steps:
    """Count the steps of a poller and its internal errors."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.errors: list[str] = []
        self.guard = Guard(self.errors.append)

    def tick(self, now: float) -> None:
        self.ticks.append(now)


class Scripted:
    """Return scripted results and record the fetches: these tests do not need the network."""

    def __init__(self, script: Callable[[App, Report, Period], Outcome] | None = None) -> None:
        self.fetched: list[tuple[str, Period]] = []
        self.most = 0
        """The largest number of requests in flight at once ..."""
        self.most_of_app = 0
        """... and of one app."""
        self._script = script
        self._in_flight: Counter[str] = Counter()
        self._lock = threading.Lock()

    def fetch(self, app: App, report: Report, period: Period) -> Outcome:
        with self._lock:
            self.fetched.append((app.appid, period))
            self._in_flight[app.appid] += 1
            self.most = max(self.most, self._in_flight.total())
            self.most_of_app = max(self.most_of_app, self._in_flight[app.appid])
        try:
            if self._script is not None:
                return self._script(app, report, period)
            return Outcome(Reading(report, period, VALUES))
        finally:
            with self._lock:
                self._in_flight[app.appid] -= 1


@pytest.fixture
def polled() -> Iterator[Callable[..., tuple[Poller, Steps, Store]]]:
    opened: list[tuple[Poller, Store]] = []

    def make(  # noqa: PLR0913 (what a test may choose)
        fetcher: Scripted,
        clock: FakeClock,
        *,
        apps: int = 3,
        store: Store | None = None,
        reports: tuple[Report, ...] = (WEEKLY,),
        fetch: Fetch = FETCH,
    ) -> tuple[Poller, Steps, Store]:
        steps = Steps()
        store = store or Store(":memory:", "api.weixin.qq.com", clock)
        poller = Poller(
            configured(apps, reports, fetch),
            fetcher=fetcher,
            store=store,
            clock=clock,
            heartbeat=steps,
            guard=steps.guard,
            retry=True,
        )
        opened.append((poller, store))
        return poller, steps, store

    yield make
    for poller, store in opened:
        poller.close()
        store.close()


Polled = "Callable[..., tuple[Poller, Steps, Store]]"


def configured(apps: int, reports: tuple[Report, ...], fetch: Fetch) -> Config:
    access = Datacube(AppSecret(LiteralSecret("s")))
    return Config(apps=tuple(App(f"wx{number}", access, reports=reports) for number in range(apps)), fetch=fetch)


def test_newest_weeks_of_all_apps_come_before_any_history(polled: Polled) -> None:
    fetcher = Scripted()
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=10)
    poller.drain()
    weeks = [week for _, week in fetcher.fetched]
    assert weeks[:8] == [WANTED] * 8
    assert weeks.count(WANTED) == weeks.count(WANTED.before()) == weeks.count(WANTED.before(2)) == 10
    assert len(fetcher.fetched) == len(set(fetcher.fetched)) == 30
    assert weeks.index(WANTED.before(2)) > weeks.index(WANTED.before()) + 7


def test_requests_in_flight_are_limited_in_all_and_per_app(polled: Polled) -> None:
    def slow(_app: App, report: Report, period: Period) -> Outcome:
        time.sleep(0.005)
        return Outcome(Reading(report, period, VALUES))

    fetcher = Scripted(slow)
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=6)
    poller.drain()
    assert fetcher.most == FETCH.concurrency
    assert fetcher.most_of_app == 1


def test_an_internal_error_is_counted_and_fails_one_app(polled: Polled) -> None:
    def buggy(app: App, report: Report, period: Period) -> Outcome:
        if app.appid == "wx1":
            raise ZeroDivisionError("access_token=abc")
        return Outcome(Reading(report, period, VALUES))

    poller, steps, _ = polled(Scripted(buggy), FakeClock(NOW))
    with capture_logs() as logs:
        poller.drain()
    assert [status.state for status in poller.statuses()] == [State.OK, State.FAILED, State.OK]
    assert steps.errors == ["poller"]
    errors = [line for line in logs if line["log_level"] == "error"]
    assert [(line["event"], line["component"]) for line in errors] == [("internal error, please report it", "poller")]


def test_an_internal_error_fails_one_report_only(polled: Polled) -> None:
    def buggy(_app: App, report: Report, period: Period) -> Outcome:
        if report is DAILY:
            raise ZeroDivisionError
        return Outcome(Reading(report, period, VALUES))

    poller, steps, _ = polled(Scripted(buggy), FakeClock(NOW), apps=2, reports=ALL)
    with capture_logs():
        poller.drain()
    for status in poller.statuses():
        assert [of.state for of in status.reports] == [State.OK, State.FAILED, State.OK]
        assert status.state is State.FAILED
    assert steps.errors == ["poller"] * 2


def test_an_internal_error_in_a_step_does_not_end_the_loop(polled: Polled) -> None:
    clock = FakeClock(NOW)
    fetcher = Scripted()
    poller, steps, _ = polled(fetcher, clock)
    stopping = threading.Event()
    calls = iter([ZeroDivisionError("once")])

    def failing_clock() -> float:
        for error in calls:
            raise error
        return clock.now

    poller._clock = failing_clock
    thread = threading.Thread(target=poller.run, args=(stopping,))
    with capture_logs():
        thread.start()
        deadline = time.monotonic() + 10
        while len(fetcher.fetched) < 9 and time.monotonic() < deadline:
            time.sleep(0.01)
        stopping.set()
        poller.wake()
        thread.join(HEARTBEAT + 5)
    assert steps.errors == ["poller"]
    assert len(fetcher.fetched) == 9


def test_a_clock_set_back_makes_future_results_due(polled: Polled) -> None:
    fetcher = Scripted()
    clock = FakeClock(NOW)
    poller, _, _ = polled(fetcher, clock, apps=1)
    poller.drain()
    fetched = len(fetcher.fetched)
    clock.now -= 86_400.0
    poller.drain()
    assert len(fetcher.fetched) == fetched + 1


def test_failure_is_logged_at_its_start_and_its_end() -> None:
    clock = FakeClock(NOW + 2 * 86_400)
    app = SimulatedApp("wx1", "secret-of-the-app")
    broken = SimulatedApp("wx1", "secret-of-the-app", faults=(InjectedFault("http_500"),))
    with (
        served([app], clock) as (wechat, base_url),
        wired([app], base_url, clock, history_weeks=2) as engine,
        capture_logs() as logs,
    ):
        engine.poller.drain()
        for faulty in (broken, broken, broken, app, app):
            wechat.put(faulty)
            clock.now += 7 * 3600
            engine.poller.drain()
    logged_reports = [(line["log_level"], line["event"]) for line in logs if line["log_level"] != "debug"]
    assert logged_reports == [
        ("info", "period published"),
        ("warning", "app failing"),
        ("info", "app recovered"),
    ]
    assert next(line["duration_seconds"] for line in logs if line["event"] == "app recovered") == 21 * 3600


def test_another_kind_of_failure_is_logged_too() -> None:
    clock = FakeClock(NOW + 2 * 86_400)
    app = SimulatedApp("wx1", "secret-of-the-app")
    with (
        served([app], clock) as (wechat, base_url),
        wired([app], base_url, clock, history_weeks=2) as engine,
        capture_logs() as logs,
    ):
        engine.poller.drain()
        for faults in ((InjectedFault("http_500"),), (InjectedFault("48001"),), (InjectedFault("48001"),), ()):
            wechat.put(replace(app, faults=faults))
            clock.now += 7 * 3600
            engine.poller.drain()
    logged_reports = [line.get("state") for line in logs if line["event"] == "app failing"]
    assert logged_reports == ["failed", "refused"]
    assert next(line["duration_seconds"] for line in logs if line["event"] == "app recovered") == 21 * 3600


def test_a_revoked_token_is_replaced_in_the_same_fetch() -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app")
    with (
        served([app], clock) as (wechat, base_url),
        wired([app], base_url, clock, history_weeks=2, interval=60.0) as engine,
    ):
        engine.poller.drain()
        wechat.revoke_tokens("wx1")
        clock.now += 120
        engine.poller.drain()
        found = exposed(engine)
    assert found["fetch_state", "wx1", "weekly", "ok"] == 1
    assert found["api_errors_total", "wx1", "40001", "weekly"] == 1
    assert found["fetch_failures_total", "wx1", "weekly"] == 0
    assert [call.endpoint for call in wechat.calls].count("stable_token") == 2


def test_history_without_data_is_requested_once(tmp_path: object) -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app", launched=WANTED.before())
    with served([app], clock) as (wechat, base_url):
        for _ in range(3):
            with wired([app], base_url, clock, str(tmp_path), history_weeks=5) as engine:
                engine.poller.drain()
                clock.now += 7 * 3600
                engine.poller.drain()
                found = exposed(engine)
    fetched = [call.period for call in wechat.calls if call.endpoint == "weekly"]
    assert [fetched.count(WANTED.before(number).label) for number in range(1, 5)] == [1, 1, 1, 1]
    assert found["fetch_state", "wx1", "weekly", "ok"] == 1
    assert found["previous_week_visitors", "wx1", WANTED.label] > 0


def test_a_week_without_data_is_requested_again_after_a_month(tmp_path: object) -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app", launched=WANTED)
    lost = WANTED.before(3)
    with (
        served([app], clock) as (wechat, base_url),
        wired([app], base_url, clock, str(tmp_path), history_weeks=9) as engine,
    ):
        engine.poller.drain()
        for days in (20, 34):  # a month and a tenth of it is over after the second
            clock.now = NOW + days * DAY
            for _ in range(3):
                engine.poller.drain()
                clock.now += 7 * 3600
            requests = [call.period for call in wechat.calls if call.endpoint == "weekly"].count(lost.label)
            assert requests == (1 if days == 20 else 2)


def test_weeks_requested_with_a_clock_ahead_are_not_lost(tmp_path: Path) -> None:
    """The clock is a month ahead at first; WeChat's 61501 for weeks that are not over has no effect later."""
    right = FakeClock(NOW)
    wrong = FakeClock(NOW + 30 * DAY)
    app = SimulatedApp("wx1", "secret-of-the-app")
    with served([app], right) as (_, base_url):
        with wired([app], base_url, wrong, str(tmp_path), history_weeks=9) as engine:
            engine.poller.drain()
            wrong.now = right.now
            right.now = wrong.now = NOW + 60
            engine.poller.drain()
            corrected = exposed(engine)
        later = NOW + 28 * DAY
        right.now = wrong.now = later
        with wired([app], base_url, wrong, str(tmp_path), history_weeks=9) as engine:
            for _ in range(3):
                engine.poller.drain()
                right.now = wrong.now = wrong.now + 7 * 3600
            found = exposed(engine)
    for samples, week in ((corrected, WANTED), (found, newest_wanted(Week, later, FETCH.ready_after))):
        assert samples["fetch_state", "wx1", "weekly", "ok"] == 1
        assert samples["previous_week_visitors", "wx1", week.label] > 0
        assert samples["typical_week_visitors", "wx1", week.label] > 0


def test_a_final_gap_from_a_clock_ahead_is_requested_again(tmp_path: Path) -> None:
    """If the server sends no Date, setting the clock back discards the conclusion."""
    right, ours = FakeClock(NOW), FakeClock(NOW + 30 * DAY)
    app = SimulatedApp("wx1", "secret-of-the-app")
    with served([app], right) as (_, base_url), wired([app], base_url, ours, str(tmp_path), history_weeks=9) as engine:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exporter.wechat.client.server_time", lambda _reply: None)
            engine.poller.drain()
        ours.now = right.now = NOW + 14 * DAY
        engine.poller.drain()
        found = exposed(engine)
    assert found["typical_week_visitors", "wx1", newest_wanted(Week, right.now, FETCH.ready_after).label] > 0


def test_busy_on_any_day_is_retried_after_half_an_hour() -> None:
    clock = FakeClock(NOW - 4 * DAY)  # a Wednesday
    app = SimulatedApp("wx1", "secret-of-the-app", faults=(InjectedFault("-1"),))
    with served([app], clock) as (wechat, base_url), wired([app], base_url, clock, history_weeks=2) as engine:
        engine.poller.drain()
        assert exposed(engine)["fetch_state", "wx1", "weekly", "not_ready"] == 1
        wechat.put(replace(app, faults=()))
        clock.now += 34 * 60  # the half hour and its jitter
        engine.poller.drain()
        found = exposed(engine)
    assert found["fetch_state", "wx1", "weekly", "ok"] == 1
    assert found["fetch_failures_total", "wx1", "weekly"] == 0
    assert [key for key in found if key[0] == "weekly_visitors"]


def test_a_busy_wechat_gets_no_requests_for_history() -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app", faults=(InjectedFault("-1"),))
    with served([app], clock) as (wechat, base_url), wired([app], base_url, clock, history_weeks=52) as engine:
        engine.poller.drain()
        assert [call.endpoint for call in wechat.calls] == ["stable_token", "weekly"]


def test_state_never_starts_in_the_future() -> None:
    clock = FakeClock(NOW + 365 * DAY)
    app = SimulatedApp("wx1", "secret-of-the-app", faults=(InjectedFault("48001"),))
    with served([app], lambda: NOW) as (_, base_url), wired([app], base_url, clock) as engine:
        engine.poller.drain()
        clock.now = NOW
        engine.poller.drain()
        (status,) = engine.poller.statuses()
    (weekly,) = status.reports
    assert weekly.last_result is not None
    assert weekly.last_result.since == NOW


def test_interrupted_history_continues_after_a_restart(tmp_path: object) -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app")
    with served([app], clock) as (wechat, base_url):
        with wired([app], base_url, clock, str(tmp_path), history_weeks=3) as engine:
            engine.poller.drain()
        seen = len(wechat.calls)
        with wired([app], base_url, clock, str(tmp_path), history_weeks=6) as engine:
            engine.poller.drain()
    weeks = [call.period for call in wechat.calls[seen:] if call.endpoint == "weekly"]
    assert weeks == [WANTED.before(number).label for number in (3, 4, 5)]


def test_a_spent_quota_stops_the_report_until_next_morning() -> None:
    clock = FakeClock(NOW)
    app = SimulatedApp("wx1", "secret-of-the-app", faults=(InjectedFault("45009"),))
    with served([app], clock) as (wechat, base_url), wired([app], base_url, clock, history_weeks=8) as engine:
        engine.poller.drain()
        assert len(wechat.calls) == 2
        wechat.put(SimulatedApp("wx1", "secret-of-the-app"))
        due = engine.poller.statuses()[0].reports[0].next_fetch
        clock.now = due - 1
        engine.poller.drain()
        assert len(wechat.calls) == 2
        clock.now = due
        engine.poller.drain()
        assert exposed(engine)["fetch_state", "wx1", "weekly", "ok"] == 1
    assert NOW + 22 * 3600 <= due <= NOW + 22 * 3600 * 1.1


def test_the_heartbeat_is_the_clock_of_every_step(polled: Polled) -> None:
    clock = FakeClock(NOW)
    poller, steps, _ = polled(Scripted(), clock, apps=1)
    poller.drain()
    assert set(steps.ticks) == {NOW}


@pytest.mark.parametrize("place", ["apply", "save"])
def test_an_internal_error_with_one_result_loses_no_app(
    polled: Polled, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([ZeroDivisionError("once")])
    poller, steps, store = polled(Scripted(), FakeClock(NOW), apps=4)
    target, name = (loop, "apply_newest") if place == "apply" else (store, "save")
    original = getattr(target, name)

    def faulty(*arguments: object) -> object:
        for error in errors:
            raise error
        return original(*arguments)

    monkeypatch.setattr(target, name, faulty)
    with capture_logs():
        poller.drain()
    assert steps.errors == ["poller"]
    assert {status.state for status in poller.statuses()} == {State.OK}


def test_an_internal_error_with_a_shared_result_loses_no_report(
    polled: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = iter([Outcome(Refused("x", "40164", about_app=True), ("40164",))])
    errors = iter([ZeroDivisionError("once")])
    original = shared_results.apply_shared

    def script(_app: App, report: Report, period: Period) -> Outcome:
        return next(refused, Outcome(Reading(report, period, VALUES)))

    def faulty(*arguments: object) -> object:
        for error in errors:
            raise error
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shared_results, "apply_shared", faulty)
    clock = FakeClock(NOW)
    poller, steps, _ = polled(Scripted(script), clock, apps=1, reports=ALL)
    with capture_logs():
        poller.drain()
        clock.now += 7 * 3600
        poller.drain()
    assert steps.errors == ["poller"]
    assert [of.state for of in poller.statuses()[0].reports] == [State.OK] * 3


def test_a_slow_store_does_not_delay_statuses(polled: Polled, tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    store = Store(str(tmp_path), "api.weixin.qq.com", clock)
    logged_reports: list[bool] = []
    saved = threading.Event()
    poller, _, _ = polled(Scripted(), clock, apps=1, store=store)
    poller.publish_to(lambda _statuses: logged_reports.append(saved.is_set()))
    save = store.save
    store.save = lambda changes: (save(changes), saved.set())  # type: ignore[method-assign,assignment,func-returns-value]
    poller.drain()
    assert logged_reports[:2] == [False, False]  # at first, and before the first save


# -- several reports of an app

APP = SimulatedApp("wx1", "secret-of-the-app")
STATES = {"weekly": State.OK, "daily": State.OK, "monthly": State.OK}
PERIODS_IN_NINE_WEEKS = {"weekly": 9, "daily": 63, "monthly": MONTHLY.periods_in_weeks(9)}
AN_INTERVAL = 7 * 3600.0
"""Longer than `interval` and its jitter."""


def endpoints(wechat: Simulator, since: int = 0) -> Counter[str]:
    return Counter(call.endpoint for call in wechat.calls[since:])


def states(engine: Engine) -> dict[str, State]:
    (status,) = engine.poller.statuses()
    return {of.report.name: of.state for of in status.reports}


def logged_reports(logs: list[dict[str, object]], event: str) -> list[object]:
    """Return the reports that the log names."""
    return [line["report"] for line in logs if line["event"] == event]


def test_start_makes_an_exact_number_of_calls(tmp_path: Path) -> None:
    """One token, nine weeks, seven times as many days, three months; and nothing after a restart."""
    clock = FakeClock(NOW)
    with served([APP], clock) as (wechat, base_url):
        with wired([APP], base_url, clock, str(tmp_path), ALL, history_weeks=9) as engine:
            engine.poller.drain()
            found = exposed(engine)
        assert endpoints(wechat) == {STABLE_TOKEN: 1, **PERIODS_IN_NINE_WEEKS}
        assert MONTHLY.periods_in_weeks(9) == 3
        for report, newest in NEWEST.items():
            fetched = [call.period for call in wechat.calls if call.endpoint == report.name]
            assert fetched == [newest.before(number).label for number in range(PERIODS_IN_NINE_WEEKS[report.name])]
            assert found["fetch_state", "wx1", report.name, "ok"] == found["up", "wx1", report.name] == 1
            assert found["fetches_total", "wx1", report.name] == PERIODS_IN_NINE_WEEKS[report.name]
            figure = f"{report.name}_visitors", "wx1", newest.label
            assert found[figure] == wechat.row("wx1", newest)["visit_uv"]
        seen = len(wechat.calls)
        for _ in range(2):
            clock.now += 60
            with wired([APP], base_url, clock, str(tmp_path), ALL, history_weeks=9) as engine:
                engine.poller.drain()
                again = exposed(engine)
        assert len(wechat.calls) == seen
    figures = [key for key in found if key[0].startswith(("weekly_", "daily_", "monthly_", "typical_", "previous_"))]
    assert len(figures) > 50
    assert {key: again[key] for key in figures} == {key: found[key] for key in figures}


def test_later_fetch_makes_one_call_per_report() -> None:
    clock = FakeClock(NOW)
    with served([APP], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        seen = len(wechat.calls)
        clock.now += AN_INTERVAL
        engine.poller.drain()
        assert endpoints(wechat, seen) == {STABLE_TOKEN: 1, "weekly": 1, "daily": 1, "monthly": 1}


def test_new_day_fetches_the_daily_report_only() -> None:
    """Between two intervals the finished day is due, but neither the week nor the month."""
    clock = FakeClock(NOW + 18 * 3600)  # Mon 2026-11-23 06:00 Beijing
    with served([APP], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=(DAILY, MONTHLY)) as engine:
        engine.poller.drain()
        seen = len(wechat.calls)
        clock.now += 4 * 3600 + 200
        engine.poller.drain()
        new = [(call.endpoint, call.period) for call in wechat.calls[seen:] if call.period]
    assert new == [("daily", "20261122")]


def test_a_report_added_later_fetches_only_its_own(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    with served([APP], clock) as (wechat, base_url):
        with wired([APP], base_url, clock, str(tmp_path), (WEEKLY,), history_weeks=9) as engine:
            engine.poller.drain()
        seen = len(wechat.calls)
        with wired([APP], base_url, clock, str(tmp_path), ALL, history_weeks=9) as engine:
            engine.poller.drain()
            assert states(engine) == STATES
    assert endpoints(wechat, seen) == {STABLE_TOKEN: 1, "daily": 63, "monthly": 3}


def test_an_app_never_has_two_requests_in_flight(polled: Polled) -> None:
    def slow(_app: App, report: Report, period: Period) -> Outcome:
        time.sleep(0.002)
        return Outcome(Reading(report, period, VALUES))

    fetcher = Scripted(slow)
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=3, reports=ALL, fetch=replace(FETCH, concurrency=8))
    poller.drain()
    assert fetcher.most == 3
    assert fetcher.most_of_app == 1
    assert len(fetcher.fetched) == len(set(fetcher.fetched)) == 3 * (3 + 21 + 2)


def test_newest_of_all_apps_and_reports_come_before_history(polled: Polled) -> None:
    """Weekly reports first; then the history of all, the newest first."""
    fetcher = Scripted()
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=4, reports=ALL, fetch=replace(FETCH, concurrency=1))
    poller.drain()
    newest, history = fetcher.fetched[:12], fetcher.fetched[12:]
    assert newest == [(f"wx{number}", period) for period in NEWEST.values() for number in range(4)]
    assert len(history) == len(set(history)) == 4 * (2 + 20 + 1)
    ends = [period.end for _, period in history]
    assert ends == sorted(ends, reverse=True)


def test_weekly_reports_come_first_with_several_workers(polled: Polled) -> None:
    fetcher = Scripted()
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=10, reports=ALL, fetch=replace(FETCH, concurrency=3))
    poller.drain()
    assert {period for _, period in fetcher.fetched[:8]} == {NEWEST[WEEKLY]}
    assert len(set(fetcher.fetched)) == len(fetcher.fetched) == 10 * (3 + 21 + 2)


IP_NOT_ALLOWED = replace(APP, faults=(InjectedFault("40164", STABLE_TOKEN),))


def test_refused_app_makes_one_token_request_per_wait() -> None:
    clock = FakeClock(NOW)
    with (
        served([IP_NOT_ALLOWED], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL, history_weeks=9) as engine,
        capture_logs() as logs,
    ):
        for number in (1, 2, 3):
            for _ in range(2):
                engine.poller.drain()
                assert endpoints(wechat) == {STABLE_TOKEN: number}
                assert states(engine) == dict.fromkeys(STATES, State.REFUSED)
            clock.now += AN_INTERVAL
        found = exposed(engine)
        assert logged_reports(logs, "app failing") == ["weekly"]
        for report in STATES:
            assert found["up", "wx1", report] == 0
            assert found["fetch_state", "wx1", report, "refused"] == 1
        errors = {key: value for key, value in found.items() if key[0] == "api_errors_total"}
        assert errors == {("api_errors_total", "wx1", "40164", "weekly"): 3}
        wechat.put(APP)
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat) == {STABLE_TOKEN: 4, **PERIODS_IN_NINE_WEEKS}
    assert logged_reports(logs, "app failing") == ["weekly"]
    assert logged_reports(logs, "period published") == ["weekly", "daily", "monthly"]


def test_the_end_of_a_shared_refusal_is_shared() -> None:
    """A success of one report ends the long waits of the other refused ones."""
    clock = FakeClock(
        NOW + 18 * 3600
    )  # Mon 2026-11-23 06:00 Beijing: the next day is due at 10:00, the rest after 12:00
    with served([IP_NOT_ALLOWED], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        due = {of.report.name: of.next_fetch for of in engine.poller.statuses()[0].reports}
        assert due["daily"] < due["monthly"] - 3600
        wechat.put(APP)
        clock.now = due["daily"]
        engine.poller.drain()
        assert states(engine) == STATES


def test_outage_in_history_makes_two_calls_per_report() -> None:
    clock = FakeClock(NOW)
    older = frozenset(NEWEST[DAILY].before(number) for number in range(1, 63))
    faulty = replace(APP, faults=(InjectedFault("reset", "daily", older),))
    with served([faulty], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat)["daily"] == 1 + 2
        wechat.put(APP)
        clock.now += AN_INTERVAL
        engine.poller.drain()
        assert endpoints(wechat)["daily"] == 1 + 2 + 63


IMPOSED = [("45009", 28 * 3600.0), ("http_429", 3.5 * 3600 + 7200)]


@pytest.mark.parametrize(("kind", "until"), IMPOSED, ids=[kind for kind, _ in IMPOSED])
def test_new_day_does_not_end_a_wait_required_by_wechat(kind: str, until: float) -> None:
    """A quota lasts until tomorrow and ``Retry-After`` is kept, although a day is due at 10:00."""
    began = NOW + 18 * 3600  # Mon 2026-11-23 06:00 Beijing
    clock = FakeClock(began + (0 if kind == "45009" else 3.5 * 3600))
    faulty = replace(APP, faults=(InjectedFault(kind, "daily"),))
    with served([faulty], clock) as (_, base_url), wired([APP], base_url, clock, reports=(DAILY,)) as engine:
        engine.poller.drain()
        (daily,) = engine.poller.statuses()[0].reports
    assert began + until <= daily.next_fetch <= began + 1.1 * until


def test_a_shared_refusal_logs_one_recovery() -> None:
    """A failure is logged once when it begins and once when it ends."""
    clock = FakeClock(NOW)
    with (
        served([IP_NOT_ALLOWED], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL) as engine,
        capture_logs() as logs,
    ):
        engine.poller.drain()
        wechat.put(APP)
        clock.now += AN_INTERVAL
        engine.poller.drain()
    assert logged_reports(logs, "app failing") == ["weekly"]
    assert logged_reports(logs, "app recovered") == ["weekly"]


def test_refused_app_is_fetched_once_at_every_start(tmp_path: Path) -> None:
    clock = FakeClock(NOW)
    with served([IP_NOT_ALLOWED], clock) as (wechat, base_url):
        for number in (1, 2, 3):
            with wired([APP], base_url, clock, str(tmp_path), ALL) as engine, capture_logs() as logs:
                engine.poller.drain()
                assert states(engine) == dict.fromkeys(STATES, State.REFUSED)
            assert endpoints(wechat) == {STABLE_TOKEN: number}
            assert logged_reports(logs, "app failing") == ["weekly"]
        wechat.put(APP)
        with wired([APP], base_url, clock, str(tmp_path), ALL, history_weeks=9) as engine:
            engine.poller.drain()
            assert states(engine) == STATES
    assert endpoints(wechat) == {STABLE_TOKEN: 4, **PERIODS_IN_NINE_WEEKS}


def test_a_refused_app_keeps_the_figures_of_all_reports() -> None:
    clock = FakeClock(NOW)
    with served([APP], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        before = exposed(engine)
        wechat.revoke_tokens("wx1")
        wechat.put(IP_NOT_ALLOWED)
        clock.now += AN_INTERVAL
        engine.poller.drain()
        found = exposed(engine)
        assert states(engine) == dict.fromkeys(STATES, State.REFUSED)
    for report, newest in NEWEST.items():
        for key in (
            (f"{report.name}_visitors", "wx1", newest.label),
            ("last_success_timestamp_seconds", "wx1", report.name),
        ):
            assert found[key] == before[key]


TOKEN_FAULTS = [
    ("reset", State.FAILED),
    ("http_500", State.FAILED),
    ("45009", State.QUOTA_SPENT),
    ("-1", State.FAILED),
    ("html", State.FAILED),
]


@pytest.mark.parametrize(("kind", "state"), TOKEN_FAULTS, ids=[kind for kind, _ in TOKEN_FAULTS])
def test_any_token_error_makes_one_request(kind: str, state: State) -> None:
    """Without a token no report can be fetched, for any reason: the error applies to all of them, and to history."""
    clock = FakeClock(NOW)
    faulty = replace(APP, faults=(InjectedFault(kind, STABLE_TOKEN),))
    with (
        served([faulty], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL) as engine,
        capture_logs() as logs,
    ):
        engine.poller.drain()
        assert states(engine) == dict.fromkeys(STATES, state)
        assert endpoints(wechat) == {STABLE_TOKEN: 1}
    assert logged_reports(logs, "app failing") == ["weekly"]


@pytest.mark.parametrize("kind", ["48004", "50002", "50004", "61004"])
def test_a_refusal_of_a_report_about_the_app_is_shared(kind: str) -> None:
    clock = FakeClock(NOW)
    faulty = replace(APP, faults=tuple(InjectedFault(kind, report.name) for report in ALL))
    with served([faulty], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        assert states(engine) == dict.fromkeys(STATES, State.REFUSED)
        assert endpoints(wechat) == {STABLE_TOKEN: 1, "weekly": 1}
        wechat.put(APP)
        clock.now += AN_INTERVAL
        engine.poller.drain()
        assert states(engine) == STATES


def test_a_refusal_in_history_stops_the_history_of_all() -> None:
    clock = FakeClock(NOW)
    refused = InjectedFault("50002", "daily", frozenset({NEWEST[DAILY].before()}))
    faulty = replace(APP, faults=(refused,))
    with (
        served([faulty], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL, history_weeks=9) as engine,
    ):
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat) == {STABLE_TOKEN: 1, "weekly": 1, "daily": 2, "monthly": 1}
        wechat.put(APP)
        clock.now += AN_INTERVAL
        engine.poller.drain()
        reported = endpoints(wechat)
    assert [reported[report.name] for report in ALL] == [10, 65, 4]  # the newest twice, and one day that was refused


CONCERNING_ONE = [
    ("45009", State.QUOTA_SPENT, 1),
    ("45011", State.QUOTA_SPENT, 1),
    ("48001", State.REFUSED, 1),
    ("-1", State.NOT_READY, 1),
    ("http_500", State.FAILED, 1),
    ("61503", State.NOT_READY, 63),
    ("html", State.FAILED, 63),
    ("negative", State.FAILED, 63),
    ("wrong_period", State.FAILED, 63),
]


@pytest.mark.parametrize(("kind", "state", "calls"), CONCERNING_ONE, ids=[row[0] for row in CONCERNING_ONE])
def test_error_of_one_endpoint_affects_its_report_only(kind: str, state: State, calls: int) -> None:
    """An error that may concern one period only does not stop its report's history, nor the other reports."""
    clock = FakeClock(NOW)
    faulty = replace(APP, faults=(InjectedFault(kind, "daily"),))
    with (
        served([faulty], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL, history_weeks=9) as engine,
        capture_logs() as logs,
    ):
        engine.poller.drain()
        assert states(engine) == {**STATES, "daily": state}
        assert endpoints(wechat) == {STABLE_TOKEN: 1, **PERIODS_IN_NINE_WEEKS, "daily": calls}
        found = exposed(engine)
        assert {key[-1] for key in found if key[0] == "api_errors_total"} == {"daily"}
        assert not [key for key in found if key[0].startswith(("daily_", "typical_weekday_", "recent_"))]
        assert [key for key in found if key[0] == "typical_week_visitors"]
    assert logged_reports(logs, "app failing") == ([] if state is State.NOT_READY else ["daily"])


def test_a_spent_quota_of_one_report_ends_next_morning() -> None:
    clock = FakeClock(NOW)
    faulty = replace(APP, faults=(InjectedFault("45009", "daily"),))
    with served([faulty], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        wechat.put(APP)
        due = {of.report.name: of.next_fetch for of in engine.poller.statuses()[0].reports}
        for clock.now in (due["weekly"], due["daily"] - 1):
            engine.poller.drain()
            assert states(engine) == {**STATES, "daily": State.QUOTA_SPENT}
            assert endpoints(wechat)["daily"] == 1
        clock.now = due["daily"]
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat)["daily"] == 1 + 63
    assert NOW + 22 * 3600 <= due["daily"] <= NOW + 22 * 3600 * 1.1
    assert due["weekly"] == due["monthly"] <= NOW + AN_INTERVAL


def test_quota_spent_in_history_stops_that_report_only() -> None:
    clock = FakeClock(NOW)
    spent = InjectedFault("45009", "daily", frozenset({NEWEST[DAILY].before()}))
    with (
        served([replace(APP, faults=(spent,))], clock) as (wechat, base_url),
        wired([APP], base_url, clock, reports=ALL, history_weeks=9) as engine,
    ):
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat) == {STABLE_TOKEN: 1, **PERIODS_IN_NINE_WEEKS, "daily": 2}


def test_only_the_busy_report_is_retried() -> None:
    clock = FakeClock(NOW)
    faulty = replace(APP, faults=(InjectedFault("-1", "daily"),))
    with served([faulty], clock) as (wechat, base_url), wired([APP], base_url, clock, reports=ALL) as engine:
        engine.poller.drain()
        wechat.put(APP)
        seen = len(wechat.calls)
        clock.now += 34 * 60  # the half hour and its jitter
        engine.poller.drain()
        assert states(engine) == STATES
        assert endpoints(wechat, seen) == {"daily": 63}


def test_error_of_one_app_never_affects_another() -> None:
    clock = FakeClock(NOW)
    other = SimulatedApp("wx2", "secret-of-the-other-app")
    with (
        served([IP_NOT_ALLOWED, other], clock) as (_, base_url),
        wired([APP, other], base_url, clock, reports=ALL) as engine,
    ):
        engine.poller.drain()
        found = [[of.state for of in status.reports] for status in engine.poller.statuses()]
    assert found == [[State.REFUSED] * 3, [State.OK] * 3]


def test_a_report_removed_in_flight_leaves_one_request(polled: Polled) -> None:
    """An app's access method does not support two requests at once, of any reports."""
    released = threading.Event()

    def script(_app: App, report: Report, period: Period) -> Outcome:
        if report is DAILY:
            released.wait(10)
        return Outcome(Reading(report, period, VALUES))

    fetcher = Scripted(script)
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=1, reports=(WEEKLY, DAILY))
    poller._step((), lambda: NOW)
    poller._step(poller._wait(), lambda: NOW)
    deadline = time.monotonic() + 10
    while len(fetcher.fetched) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fetcher.fetched == [("wx0", NEWEST[WEEKLY]), ("wx0", NEWEST[DAILY])]
    poller._apply(configured(1, (WEEKLY,), FETCH), fetcher, NOW)
    poller._step((), lambda: NOW)
    time.sleep(0.2)
    most = fetcher.most_of_app
    released.set()
    poller.drain()
    assert [of.report for of in poller.statuses()[0].reports] == [WEEKLY]
    assert fetcher.fetched[2:] == [("wx0", WANTED.before()), ("wx0", WANTED.before(2))]
    assert most == 1


def test_a_reload_fetches_only_an_added_report(polled: Polled) -> None:
    fetcher = Scripted()
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=2)
    poller.drain()
    seen = len(fetcher.fetched)
    both = configured(2, (WEEKLY, DAILY), FETCH)
    poller._apply(replace(both, apps=(configured(2, (WEEKLY,), FETCH).apps[0], both.apps[1])), fetcher, NOW)
    poller.drain()
    newest = NEWEST[DAILY]
    assert fetcher.fetched[seen:] == [("wx1", newest.before(number)) for number in range(21)]
    assert [len(status.reports) for status in poller.statuses()] == [1, 2]


def test_a_reload_without_a_report_keeps_the_others(polled: Polled) -> None:
    fetcher = Scripted()
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=1, reports=ALL)
    poller.drain()
    before = {of.report: of for of in poller.statuses()[0].reports}
    seen = len(fetcher.fetched)
    poller._apply(configured(1, (WEEKLY, MONTHLY), FETCH), fetcher, NOW)
    poller.drain()
    assert poller.statuses()[0].reports == (before[WEEKLY], before[MONTHLY])
    assert len(fetcher.fetched) == seen
    poller._apply(configured(1, ALL, FETCH), fetcher, NOW)
    poller.drain()
    again = {of.report: of for of in poller.statuses()[0].reports}
    assert again[DAILY].history == before[DAILY].history
    assert fetcher.fetched[seen:] == [("wx0", NEWEST[DAILY])]


def test_a_changed_secret_fetches_all_reports_at_once(polled: Polled) -> None:
    refused: list[Outcome] = [Outcome(Refused("x", "40125", about_app=True), ("40125",))]

    def script(_app: App, report: Report, period: Period) -> Outcome:
        return refused.pop() if refused else Outcome(Reading(report, period, VALUES))

    fetcher = Scripted(script)
    poller, _, _ = polled(fetcher, FakeClock(NOW), apps=1, reports=ALL)
    with capture_logs():
        poller.drain()
    assert [of.state for of in poller.statuses()[0].reports] == [State.REFUSED] * 3
    assert fetcher.fetched == [("wx0", WANTED)]
    config = configured(1, ALL, FETCH)
    corrected = replace(config.apps[0], access=Datacube(AppSecret(LiteralSecret("t"))))
    poller._apply(replace(config, apps=(corrected,)), fetcher, NOW)
    poller.drain()
    assert [of.state for of in poller.statuses()[0].reports] == [State.OK] * 3
    assert fetcher.fetched[1:4] == [("wx0", period) for period in NEWEST.values()]
    assert len(fetcher.fetched) == 1 + 3 + 21 + 2


def test_a_store_of_version_1_keeps_its_weeks_and_adds_days(tmp_path: Path) -> None:
    """After an upgrade of the exporter no week is requested again, except the newest when it is due."""
    clock = FakeClock(NOW + 2 * DAY)  # the newest week is that of 16 November
    with served([APP], clock) as (wechat, base_url):
        written = version_1(tmp_path, 30, base_url.removeprefix("http://"), "wx1")
        with (
            capture_logs() as logs,
            wired([APP], base_url, clock, str(tmp_path), (WEEKLY, DAILY), history_weeks=20) as engine,
        ):
            (before,) = engine.poller.statuses()
            engine.poller.drain()
            (after,) = engine.poller.statuses()
    weekly, daily = before.reports
    assert [weekly.history.reading(each.period) for each in written[:26]] == [each.reading for each in written[:26]]
    assert (weekly.state, daily.state) == (State.OK, State.PENDING)
    assert [of.state for of in after.reports] == [State.OK, State.OK]
    assert after.reports[0].history.periods == weekly.history.periods
    assert endpoints(wechat) == {STABLE_TOKEN: 1, "weekly": 1, "daily": 140}
    assert not [line for line in logs if line["log_level"] == "error"]

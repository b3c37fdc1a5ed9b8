"""Data for the dashboard's tests: weeks of the demo's apps, exporters that serve them, a Prometheus that scrapes those.

The exporters' clock is moved by hand, a week or a day at a time, and ends at the real time; Prometheus' clock is the
real one.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import requests
import yaml
from harness import FakeClock

from exporter import demo
from exporter.alerts import render_rules
from exporter.alerts.figures import REPORTED
from exporter.httpd import Server
from exporter.periods import DAY, Day, Month, Week, newest_wanted
from exporter.reports import MONTHLY
from exporter.runtime.engine import Engine
from exporter.web import PageContext, Pages, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.config import Config
    from exporter.periods import Period
    from exporter.wechat.simulator import Simulator

JOB = "wechat-miniprogram"
WEEKS = 5
"""Weeks that are simulated, ..."""
DAYS = 7
"""... and the number of days before the last week that are simulated one by one."""
FETCHED = replace(demo.FETCH, interval=3600.0, history_weeks=13)
"""Fetches back to the weeks of the typical weekday of the first day, and no period twice."""
MONTHS_FETCHED = replace(FETCHED, history_weeks=53)
"""Fetches back to the same month of the previous year."""
REPLICA_FETCHED = replace(demo.FETCH, history_weeks=2)
VARIABLES = {"__rate_interval": "1m", "__range": "1h", "job": ".+", "appid": ".+"}
"""The values of the dashboard's variables if everything is selected."""

Json = dict[str, Any]
P = TypeVar("P", bound="Period")


def free_address() -> str:
    """Return a free loopback address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def next_full_second() -> float:
    """Wait for the next step, at which Grafana ends a graph, and return it."""
    time.sleep(1 - time.time() % 1)
    return float(round(time.time()))


class Prometheus:
    """A real Prometheus that scrapes every second, restarted at will on the same data; ``more`` goes into its file."""

    def __init__(
        self, program: str, folder: Path, targets: Sequence[str], more: Json | None = None, flags: Sequence[str] = ()
    ) -> None:
        self._program = program
        self._flags = flags
        self._folder = folder
        self.url = f"http://{free_address()}"
        job = {"job_name": JOB, "static_configs": [{"targets": targets}]}
        scraping = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(json.dumps(scraping | (more or {})))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; return when it responds."""
        self._process = subprocess.Popen(
            [
                self._program,
                f"--config.file={self._folder}/prometheus.yml",
                f"--storage.tsdb.path={self._folder}/tsdb",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=error",
                *self._flags,
            ]
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                if requests.get(f"{self.url}/-/ready", timeout=5).ok:
                    return
            except requests.ConnectionError:
                assert time.monotonic() < deadline
            time.sleep(0.1)

    def rest(self) -> None:
        """Restart it without targets and rules: what follows are queries of the past, and other tests need the CPU."""
        self.stop()
        (self._folder / "prometheus.yml").write_text("{}")
        self.start()

    def stop(self) -> None:
        """Stop it; return when it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def kill(self) -> None:
        """Kill it, so that it cannot mark any series as stale; return when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def query(self, path: str, **parameters: object) -> list[Json]:
        """Return the result of a query, which must succeed without warnings."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()  # type: ignore[arg-type]
        assert answer["status"] == "success", f"{answer['error']}: {parameters}"
        assert not answer.get("warnings"), f"{answer['warnings']}: {parameters}"
        return answer["data"]["result"]  # type: ignore[no-any-return]

    def wait_for_rules(self) -> None:
        """Returns when every rule has been evaluated since now."""
        began = time.time()
        deadline = time.monotonic() + 30
        while True:
            groups = requests.get(f"{self.url}/api/v1/rules", timeout=5).json()["data"]["groups"]
            if all(
                datetime.fromisoformat(group["lastEvaluation"][:19] + "+00:00").timestamp() > began for group in groups
            ):
                return
            assert time.monotonic() < deadline, groups
            time.sleep(0.1)

    def wait_for_scrapes(self, exporters: int = 1) -> None:
        """Return when that many exporters have been scraped since now."""
        began = time.time()
        deadline = time.monotonic() + 30
        while True:
            seen = self.query("query", query=f'timestamp(up{{job="{JOB}"}}) and up == 1')
            if len([sample for sample in seen if float(sample["value"][1]) > began]) == exporters:
                return
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)


class Exporter:
    """An exporter in this process, on a fake clock, that fetches on request."""

    def __init__(self, config: Config, clock: FakeClock, address: str, store: str = ":memory:") -> None:
        self._engine = Engine(config, store, clock)
        self._pages = Pages(self._engine.guard)
        self._engine.poller.publish_to(self._pages.publish)
        context = PageContext("/metrics", (), clock())
        site = Site("/metrics", self._pages, self._engine.meters.registry, lambda: context, self._engine.store.periods)
        self._server = Server((address,), site)
        self.fetch()
        self._server.start()

    def fetch(self) -> None:
        """Fetch what is due, and expose it."""
        self._engine.poller.drain()
        self._pages.render()

    def close(self) -> None:
        """Stop it."""
        self._server.stop()
        self._engine.close()


@dataclass
class GrafanaFixture:
    """The recorded data, and the times at which to query it (Unix seconds)."""

    prometheus: Prometheus
    wechat: Simulator
    roles: tuple[demo.DemoApp, ...]
    now: float
    """The end of the exporters' clock."""
    moments: dict[str, float] = field(default_factory=dict)
    passed: list[float] = field(default_factory=list)
    """The times on the exporters' clock at which Prometheus scraped the first exporter."""

    def appid(self, name: str) -> str:
        """Return the app of that name."""
        return next(role.app.appid for role in self.roles if role.name == name)

    def weeks(self) -> list[Week]:
        """Return the live weeks in order, of an app that is always up to date."""
        return self._live(Week)

    def months(self) -> list[Month]:
        """Return the live months in order."""
        return self._live(Month)

    def days(self) -> list[Day]:
        """Return the live days in order."""
        return self._live(Day)

    def irregular_day(self) -> Day:
        """Return the one irregular day of the fake calendar."""
        return irregular_day(self.now)

    def holiday_week(self) -> Week:
        """The one week to which the fake calendar gives a public holiday."""
        return holiday_week(self.now)

    def _live(self, kind: type[P]) -> list[P]:
        return list(dict.fromkeys(newest_wanted(kind, at, demo.FETCH.ready_after) for at in self.passed))

    def query(self, expression: str, moment: str, *, instant: bool = False, **variables: str) -> list[Json]:
        """Return the result of an expression of the dashboard at one of the moments."""
        chosen = VARIABLES | variables
        query = re.sub(r"\$([a-z_]+)", lambda name: chosen[name[1]], expression)
        at = self.moments[moment]
        if instant:
            return self.prometheus.query("query", query=query, time=at)
        return self.prometheus.query("query_range", query=query, start=self.moments["first"], end=at, step=1)


def irregular_day(now: float) -> Day:
    """Return a day that was live, independent of the date of the test."""
    return newest_wanted(Day, now, demo.FETCH.ready_after).before(9)


def holiday_week(now: float) -> Week:
    """A week that was live, whatever the date of the test."""
    return newest_wanted(Week, now, demo.FETCH.ready_after).before(3)


def impatient_rules() -> Json:
    """The rules of the project, evaluated every second; alerts fire at once, the weekly ones also beside daily ones."""
    document: Json = yaml.safe_load(render_rules())
    for group in document["groups"]:
        group["interval"] = "1s"
        group["rules"] = [rule for rule in group["rules"] if rule.get("record") != REPORTED]
        group["rules"] = [
            rule | {"for": "0s", "keep_firing_for": "0s"} if "alert" in rule else rule for rule in group["rules"]
        ]
    return document


@contextmanager
def play_history(program: str, folder: Path) -> Iterator[GrafanaFixture]:
    """Four weeks pass; then a fifth, while Prometheus is restarted; then a second exporter joins. Alerts fire at once.

    The last days of the fourth week pass one by one; one of them is a holiday, and there is no other; an earlier
    week has one, too. The second exporter is a week behind and knows an app by another name.
    """
    with ExitStack() as undo:
        now = time.time()
        patch = undo.enter_context(pytest.MonkeyPatch.context())
        _one_holiday(patch, irregular_day(now), holiday_week(now))
        roles = demo.demo_apps(now)
        clock = FakeClock(now - (WEEKS - 1) * 7 * DAY)
        wechat = demo.simulator(roles, clock)
        server = demo.serve(wechat, "127.0.0.1:0")
        undo.callback(server.stop)
        config = demo.configuration(roles, f"http://{server.addresses[0]}")
        config = replace(config, fetch=FETCHED)
        first, second = free_address(), free_address()
        store = str(folder / "store")
        _fetch_months(config, store, clock)
        exporter = Exporter(config, clock, first, store)
        undo.callback(exporter.close)
        (folder / "rules.yml").write_text(json.dumps(impatient_rules()))
        prometheus = Prometheus(program, folder, (first, second), {"rule_files": ["rules.yml"]})
        fixture = GrafanaFixture(prometheus, wechat, roles, now, passed=[clock.now])
        undo.callback(prometheus.stop)
        prometheus.start()
        prometheus.wait_for_scrapes()
        fixture.moments["first"] = next_full_second()
        weeks = [7.0 * ago for ago in range(WEEKS - 2, 1, -1)]
        for days_ago in (*weeks, *(7.0 + ago for ago in reversed(range(DAYS)))):
            clock.now = now - days_ago * DAY
            exporter.fetch()
            prometheus.wait_for_scrapes()
            fixture.passed.append(clock.now)
        prometheus.wait_for_rules()
        fixture.moments["steady"] = next_full_second()
        prometheus.kill()
        clock.now = now
        exporter.fetch()
        prometheus.start()
        prometheus.wait_for_scrapes()
        fixture.passed.append(now)
        prometheus.wait_for_rules()
        fixture.moments["switch"] = next_full_second()
        late = Exporter(_renamed(replace(config, fetch=REPLICA_FETCHED)), FakeClock(now - 7 * DAY), second)
        undo.callback(late.close)
        prometheus.wait_for_scrapes(2)
        prometheus.wait_for_rules()
        fixture.moments["replicas"] = next_full_second()
        prometheus.rest()
        patch.undo()  # the fixture lasts for the session, and other tests need the real calendar
        yield fixture


def _one_holiday(patch: pytest.MonkeyPatch, holiday: Day, holiday_week: Week) -> None:
    for module in ("catalogue", "comparisons"):
        patch.setattr(f"exporter.reports.{module}.is_irregular", lambda day: day == holiday)
        patch.setattr(f"exporter.reports.{module}.public_holidays", lambda week: int(week == holiday_week))


def _fetch_months(config: Config, store: str, clock: FakeClock) -> None:
    """Fetch a year of months into the store: a year of days would take a minute."""
    apps = tuple(replace(app, reports=(MONTHLY,)) for app in config.apps if MONTHLY in app.reports)
    engine = Engine(replace(config, fetch=MONTHS_FETCHED, apps=apps), store, clock)
    engine.poller.drain()
    engine.close()


def _renamed(config: Config) -> Config:
    first, *others = config.apps
    return replace(config, apps=(replace(first, name=f"{first.name}, renamed"), *others))

"""A stage for the dashboard: the demo's apps week by week, exporters that serve them, a Prometheus that scrapes those.

The exporters' clock is moved by hand, one week at a time, and ends at the real time; Prometheus' clock is the real one.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import requests
from rig import Wall

from exporter import demo
from exporter.cli.engine import Engine
from exporter.httpd import Server
from exporter.periods import DAY, Week, newest_wanted
from exporter.reports import WEEKLY
from exporter.web import Pages, Site, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.config import Config
    from exporter.wechat.simulator import Simulator

JOB = "wechat-miniprogram"
WEEKS = 5
"""Weeks that pass on the stage."""
VARIABLES = {"__rate_interval": "1m", "__range": "1h", "job": ".+", "appid": ".+"}
"""What Grafana puts in place of the dashboard's variables where everything is chosen."""

Json = dict[str, Any]


def free_address() -> str:
    """An address of the loopback where nothing listens yet."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def whole_second() -> float:
    """Waits for the next one: where Grafana lets a graph end."""
    time.sleep(1 - time.time() % 1)
    return float(round(time.time()))


class Prometheus:
    """A real Prometheus that scrapes every second, restarted at will on the same data; ``more`` goes into its file."""

    def __init__(self, program: str, folder: Path, targets: Sequence[str], more: Json | None = None) -> None:
        self._program = program
        self._folder = folder
        self.url = f"http://{free_address()}"
        job = {"job_name": JOB, "static_configs": [{"targets": targets}]}
        scraping = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(json.dumps(scraping | (more or {})))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(
            [
                self._program,
                f"--config.file={self._folder}/prometheus.yml",
                f"--storage.tsdb.path={self._folder}/tsdb",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=error",
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

    def stop(self) -> None:
        """Returns when it has ended."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def ask(self, path: str, **parameters: object) -> list[Json]:
        """The result of a query, which must succeed without warnings."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()  # type: ignore[arg-type]
        assert answer["status"] == "success", f"{answer['error']}: {parameters}"
        assert not answer.get("warnings"), f"{answer['warnings']}: {parameters}"
        return answer["data"]["result"]  # type: ignore[no-any-return]

    def wait_for_scrapes(self, exporters: int = 1) -> None:
        """Returns when so many exporters have been scraped since now."""
        began = time.time()
        deadline = time.monotonic() + 30
        while True:
            seen = self.ask("query", query=f'timestamp(up{{job="{JOB}"}}) and up == 1')
            if len([sample for sample in seen if float(sample["value"][1]) > began]) == exporters:
                return
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)


class Exporter:
    """An exporter in this process, on a clock of the stage's, that looks at WeChat when told to."""

    def __init__(self, config: Config, clock: Wall, address: str) -> None:
        self._rooms = Engine(config, ":memory:", clock)
        self._pages = Pages(WEEKLY, self._rooms.poller.statuses)
        surroundings = Surroundings(WEEKLY, "/metrics", (), clock())
        site = Site("/metrics", self._pages, self._rooms.meters.registry, lambda: surroundings)
        self._server = Server((address,), site)
        self.look()
        self._server.start()

    def look(self) -> None:
        """Asks what is due, and shows it."""
        self._rooms.poller.drain()
        self._pages.render()

    def close(self) -> None:
        """Ends it."""
        self._server.stop()
        self._rooms.close()


@dataclass
class Stage:
    """What was played, to be asked about afterwards: moments are Unix seconds at which Prometheus is asked."""

    prometheus: Prometheus
    wechat: Simulator
    roles: tuple[demo.Role, ...]
    now: float
    """Where the exporters' clock ended."""
    moments: dict[str, float] = field(default_factory=dict)

    def appid(self, name: str) -> str:
        """The app of that name."""
        return next(role.app.appid for role in self.roles if role.name == name)

    def weeks(self) -> list[Week]:
        """The weeks that were live one after the other, of an app that is always up to date."""
        newest = newest_wanted(Week, self.now, demo.FETCH.ready_after)
        return [newest.before(weeks) for weeks in reversed(range(WEEKS))]

    def ask(self, expression: str, moment: str, *, instant: bool = False, **variables: str) -> list[Json]:
        """What Prometheus answers to an expression of the dashboard at one of the moments."""
        chosen = VARIABLES | variables
        query = re.sub(r"\$([a-z_]+)", lambda name: chosen[name[1]], expression)
        at = self.moments[moment]
        if instant:
            return self.prometheus.ask("query", query=query, time=at)
        return self.prometheus.ask("query_range", query=query, start=at - 60, end=at, step=1)


@contextmanager
def played(program: str, folder: Path) -> Iterator[Stage]:
    """Four weeks pass; then a fifth, while Prometheus is restarted; then a second exporter joins.

    The second exporter is a week behind and knows an app by another name.
    """
    with ExitStack() as undo:
        now = time.time()
        roles = demo.cast(now)
        wall = Wall(now - (WEEKS - 1) * 7 * DAY)
        wechat = demo.simulator(roles, wall)
        server = demo.serve(wechat, "127.0.0.1:0")
        undo.callback(server.stop)
        config = demo.configuration(roles, f"http://{server.addresses[0]}")
        first, second = free_address(), free_address()
        exporter = Exporter(config, wall, first)
        undo.callback(exporter.close)
        prometheus = Prometheus(program, folder, (first, second))
        stage = Stage(prometheus, wechat, roles, now)
        undo.callback(prometheus.stop)
        prometheus.start()
        prometheus.wait_for_scrapes()
        while wall.now < now - 7 * DAY - 1:
            wall.now += 7 * DAY
            exporter.look()
            prometheus.wait_for_scrapes()
        stage.moments["steady"] = whole_second()
        prometheus.stop()
        wall.now = now
        exporter.look()
        prometheus.start()
        prometheus.wait_for_scrapes()
        stage.moments["switch"] = whole_second()
        late = Exporter(_renamed(config), Wall(now - 7 * DAY), second)
        undo.callback(late.close)
        prometheus.wait_for_scrapes(2)
        stage.moments["replicas"] = whole_second()
        yield stage


def _renamed(config: Config) -> Config:
    first, *others = config.apps
    return replace(config, apps=(replace(first, name=f"{first.name}, renamed"), *others))

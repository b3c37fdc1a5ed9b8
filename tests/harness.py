"""Shared by end-to-end tests: a served simulator, the command as a process, a parsed scrape."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests
from launcher import CLOCK_SHIFT, READ_AT_START, Forked
from prometheus_client.parser import text_string_to_metric_families
from secret_scan import by_test, record, require_markers

from exporter import demo
from exporter.config import Api, App, AppSecret, Config, Datacube, Fetch, LiteralSecret
from exporter.metrics import Format, Renderer, compose
from exporter.periods import BEIJING, Day, Week, newest_wanted
from exporter.reports import DEFAULT_REPORTS, Report
from exporter.runtime.engine import Engine
from exporter.wechat.simulator import SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

COMMAND = (str(Path(sys.executable).parent / "wechat-miniprogram-exporter"),)
PREFIX = "wechat_miniprogram_"
NOW = datetime(2026, 9, 9, 15, tzinfo=BEIJING).timestamp()  # a Wednesday, after eleven weeks without a holiday
NEWEST_WEEK, NEWEST_DAY = (newest_wanted(period, NOW, 36_000.0) for period in (Week, Day))
"""The newest periods that may be requested at ``NOW``, ten hours after their end."""
_SHIFT = NOW - time.time()
START = 60.0
"""Seconds that a start may take on a busy machine."""

_LINE = r"""\b(secret|\w*env|\w*(?:secret|token|key)_file|file)['"]? *: *['"]?([^,}'"\n]{3,})"""
"""An option of a configuration that is a secret or leads to one, and its value."""

Samples = dict[tuple[str, ...], float]


class FakeClock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def samples_of(exposition: str) -> Samples:
    """Return every sample by its name without prefix and its label values, in the order of the label names."""
    return {
        (sample.name.removeprefix(PREFIX), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


@contextmanager
def machine_time_zone(zone: str) -> Iterator[None]:
    """Set the time zone of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


def now() -> float:
    """Return the time of served simulators and forked commands, Unix seconds: the machine's, unless it is set."""
    return time.time() + float(os.environ.get(CLOCK_SHIFT, "0"))


@contextmanager
def starting_at_now() -> Iterator[None]:
    """Set the clock of served simulators and forked commands: ``NOW``, and the seconds since this process started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CLOCK_SHIFT, str(_SHIFT))
        yield


@contextmanager
def served(
    apps: Sequence[SimulatedApp], clock: Callable[[], float] = now, **options: float
) -> Iterator[tuple[Simulator, str]]:
    """Serve a simulator over real HTTP; yield it and its base URL."""
    wechat = Simulator(apps, clock, **options)  # type: ignore[arg-type]
    server = demo.serve(wechat, "127.0.0.1:0")
    try:
        yield wechat, f"http://{server.addresses[0]}"
    finally:
        server.stop()
    require_markers(wechat.services.key, wechat.services.component_token)
    for app in wechat.apps.values():
        require_markers(app.secret, app.refresh_token, app.next_refresh_token, app.cloudbase_token)


@contextmanager
def wired(
    apps: Sequence[SimulatedApp],
    base_url: str,
    clock: Callable[[], float],
    storage: str = ":memory:",
    reports: tuple[Report, ...] = DEFAULT_REPORTS,
    **fetch: float,
) -> Iterator[Engine]:
    """Run the engine in this process, on the clock of the test."""
    config = Config(
        apps=tuple(App(app.appid, Datacube(AppSecret(LiteralSecret(app.secret))), reports=reports) for app in apps),
        fetch=Fetch(**fetch),  # type: ignore[arg-type]
        api=Api(base_url=base_url),
    )
    engine = Engine(config, storage, clock)
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def fetched_demo(now: float, weeks: int = 9) -> Iterator[Engine]:
    """Run the engine on the demo's apps until everything that is due has been fetched; three apps have all reports.

    The typical week and weekday need nine weeks; the demo itself fetches 26, which takes four times as long.
    """
    roles = demo.demo_apps(now)
    server = demo.serve(demo.simulator(roles, lambda: now), "127.0.0.1:0")
    config = demo.configuration(roles, f"http://{server.addresses[0]}")
    engine = Engine(replace(config, fetch=replace(config.fetch, history_weeks=weeks)), ":memory:", lambda: now)
    try:
        engine.poller.drain()
        yield engine
    finally:
        engine.close()
        server.stop()


def exposed(engine: Engine) -> Samples:
    """Return the samples that a scrape of the engine has now."""
    page = Renderer().render(engine.poller.statuses())
    return samples_of(compose(page, engine.meters.registry, Format.TEXT, gzip=False).decode())


@dataclass
class Running:
    """A process of the command."""

    process: subprocess.Popen[str]
    log: list[str]
    session: requests.Session
    address: str = ""
    scheme: str = "http"

    def get(self, path: str = "/metrics", **options: object) -> requests.Response:
        """Send one request to it."""
        if isinstance(auth := options.get("auth", self.session.auth), tuple):
            require_markers(auth[1])
        answer = self.session.get(f"{self.scheme}://{self.address}{path}", timeout=10, **options)  # type: ignore[arg-type]
        record(by_test(path), "\n".join(f"{name}: {value}" for name, value in answer.headers.items()))
        record(by_test(path), answer.content)
        return answer

    def scrape(self) -> Samples:
        """Return what it exposes now."""
        return samples_of(self.get().text)

    def scrape_until(self, holds: Callable[[Samples], object], seconds: float = 20) -> Samples:
        """Scrape until the condition is true; fail with the last scrape after a timeout."""
        deadline = time.monotonic() + seconds
        while True:
            samples = self.scrape()
            if holds(samples):
                return samples
            assert time.monotonic() < deadline, f"it never held: {samples}\n{''.join(self.log)}"
            time.sleep(0.05)

    def logged(self, message: str, seconds: float = 10) -> str:
        """Wait for a log line with this text; return the first."""
        deadline = time.monotonic() + seconds
        while True:
            for line in list(self.log):
                if message in line:
                    return line
            assert time.monotonic() < deadline, f"never logged: {message}\n{''.join(self.log)}"
            assert self.process.poll() is None or message in "".join(self.log), "".join(self.log)
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)


def marked_hash(password: str) -> str:
    """Return the bcrypt hash of a password; its salt contains a marker, so that ``secret_scan`` finds it."""
    return bcrypt.hashpw(password.encode(), b"$2b$04$SIMULATEDSaltForTests.").decode()


def _require_markers_in(folder: Path, environ: Mapping[str, str]) -> None:
    """Require a marker in each secret and hash that is on one line of a configuration, or that it refers to."""
    for file in filter(Path.is_file, folder.rglob("*.y*ml")):
        text = file.read_text(errors="replace")
        require_markers(*re.findall(r"\$2[aby]\$[\w./$]{50,}", text))
        for key, value in re.findall(_LINE, text):
            if key == "secret":
                require_markers(value)
            elif key.endswith("env"):
                require_markers(environ.get(value, ""))
            elif (file.parent / value).is_file():
                require_markers((file.parent / value).read_text())


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    session: requests.Session | None = None,
    within: Sequence[str] = (),
    log: list[str] | None = None,
    **environ: str,
) -> Iterator[Running]:
    """Run the exporter as a process in a directory, on a free loopback port; requests use one session.

    Its log goes to ``log`` from the first line on. The process is ready when this yields.
    """
    command = [*within, *COMMAND, *arguments, "--web.listen-address=127.0.0.1:0"]
    _require_markers_in(folder, environ)
    forks = not within and not any(name.startswith(READ_AT_START) for name in environ)
    process = (Forked if forks else subprocess.Popen)(
        command,
        cwd=folder,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = [] if log is None else log
    assert process.stderr is not None
    reader = threading.Thread(target=lambda stream=process.stderr: lines.extend(stream), daemon=True)
    reader.start()
    run = Running(process, lines, session or requests.Session())
    try:
        found = re.search(r"addresses\W+([\w.:]+)[^=]*?\Wscheme\W+(\w+)", run.logged("listening", START))
        assert found is not None
        run.address, run.scheme = found.groups()
        while run.get("/-/ready").status_code != 200:
            time.sleep(0.02)
        yield run
        _require_markers_in(folder, environ)  # again, since it may have been reloaded
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        run.session.close()
        assert process.stdout is not None
        record(by_test("log"), "".join(lines))
        record(by_test("standard output"), process.stdout.read())
        process.stdout.close()
        process.stderr.close()


def command(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it exits."""
    _require_markers_in(folder, environ)
    line = [*COMMAND, *arguments]
    pipe = subprocess.PIPE
    with Forked(line, cwd=folder, env=os.environ | environ, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            printed = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(line, process.returncode, *printed)

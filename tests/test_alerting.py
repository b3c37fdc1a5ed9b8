"""Real Prometheus and Alertmanager with the shipped files: which notifications are sent, each once."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from grafana_fixture import Prometheus, free_address

from exporter import demo
from exporter.alerts import figures
from exporter.cli.run import Settings, run
from exporter.config import Fetch
from exporter.periods import Week, newest_wanted
from exporter.reports import WEEKLY
from exporter.runtime.reload import Source
from exporter.store import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.wechat.simulator import Simulator

ROOT = Path(__file__).parent.parent
PREFIX = "WeChatMiniProgram"
LADDER = [alert.name for alert in figures.alerts()]
"""The alerts about figures, the strongest first: one silences all that follow, of the same app and week."""
WEEK = "20261116-20261122"
Labels = dict[str, str]


@dataclass
class Receiver:
    """Receives notifications of Alertmanager: (status, alert's name, appid), in order of arrival."""

    url: str = ""
    ready: list[tuple[str, str, str]] = field(default_factory=list)

    def wait_for(self, holds: Callable[[list[tuple[str, str, str]]], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds(self.ready):
            assert time.monotonic() < deadline, self.ready
            time.sleep(0.1)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in message["alerts"]:
                labels = alert["labels"]
                name = labels["alertname"].removeprefix(PREFIX)
                receiver.ready.append((alert["status"], name, labels.get("appid", "")))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def alertmanager_with(program: str, folder: Path, webhook: str) -> Iterator[str]:
    """Run Alertmanager with the shipped file, shorter waits and a webhook; yield its address."""
    config = yaml.safe_load((ROOT / "prometheus" / "alertmanager.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "2s", "group_interval": "2s"}
    (receiver,) = config["receivers"]
    receiver["webhook_configs"] = [{"url": webhook}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    address = free_address()
    process = subprocess.Popen(
        [
            program,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={address}",
            "--cluster.listen-address=",
            "--data.retention=240h",
            "--log.level=error",
        ]
    )
    try:
        deadline = time.monotonic() + 30
        while not answers(f"http://{address}/-/ready"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def test_alertmanager_retains_alerts_longer_than_it_repeats_them(amtool: str) -> None:
    file = ROOT / "prometheus" / "alertmanager.yml"
    subprocess.run([amtool, "check-config", file], check=True, capture_output=True)
    route = yaml.safe_load(file.read_text())["route"]
    assert route["group_by"] == ["alertname", "report", "week"]
    (retention,) = re.findall(r"--data\.retention=(\d+)h", file.read_text())
    assert int(route["repeat_interval"].removesuffix("d")) * 24 < int(retention)
    assert f"--data.retention={retention}h" in (ROOT / "compose.yaml").read_text()


def of_figure(name: str, appid: str, week: str = WEEK) -> Labels:
    figure = next(
        each.field for each in WEEKLY.alert_thresholds if name.startswith(figures.alert_name_prefix(each.field))
    )
    return {"alertname": PREFIX + name, "appid": appid, "week": week, "figure": figure.short_name}


def of_app(name: str, appid: str) -> Labels:
    return {"alertname": PREFIX + name, "appid": appid}


def late_report(appid: str, report: str) -> Labels:
    return of_app("PeriodLate", appid) | {"report": report}


def silenced(address: str, alerts: list[Labels]) -> set[tuple[str, str, str]]:
    """Post alerts; return which of all active ones Alertmanager suppresses."""
    posted = requests.post(f"http://{address}/api/v2/alerts", json=[{"labels": labels} for labels in alerts], timeout=5)
    assert posted.ok, posted.text
    found = requests.get(f"http://{address}/api/v2/alerts", timeout=5).json()
    return {key(alert["labels"]) for alert in found if alert["status"]["state"] == "suppressed"}


def key(labels: Labels) -> tuple[str, str, str]:
    return labels["alertname"].removeprefix(PREFIX), labels.get("appid", ""), labels.get("week", "")


def explains(stronger: str, weaker: str) -> bool:
    """Return whether one alert about a figure inhibits another one of the same app and week."""
    if LADDER.index(stronger) >= LADDER.index(weaker):
        return False
    same_figure = LADDER.index(stronger) // 3 == LADDER.index(weaker) // 3
    return same_figure or stronger.endswith("Collapsed") or not weaker.endswith("Collapsed")


def test_only_the_strongest_alert_of_one_cause_is_sent(tmp_path: Path, alertmanager: str) -> None:
    assert len(LADDER) == 12
    rungs = {f"app-{n}": LADDER[n:] for n in range(len(LADDER))}
    alerts = [of_figure(name, appid) for appid, names in rungs.items() for name in names]
    weaker = {
        key(of_figure(name, appid))
        for appid, names in rungs.items()
        for name in names
        if any(explains(stronger, name) for stronger in names)
    }
    assert {name for name, appid, _ in weaker if appid == "app-0"} == set(LADDER[1:])
    assert {name for name, appid, _ in weaker if appid == "app-2"} == set(LADDER[4:]), "SessionsCollapsed is sent, too"
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver.url) as address:
        assert silenced(address, alerts) == weaker
        others = [of_figure("VisitorsDropped", "app-0", "20261109-20261115"), of_figure("SessionsDropped", "another")]
        assert silenced(address, others) == weaker, "another week, another app: another cause"
        failures = [of_app(name, "app-1") for name in ("Refused", "Failed", "QuotaSpent")]
        late = [late_report(appid, report) for appid in ("app-1", "app-2") for report in ("weekly", "daily")]
        assert silenced(address, [*failures, *late]) == weaker | {("PeriodLate", "app-1", "")}
        of_apps = {key(labels) for labels in (*failures, *late)}
        assert silenced(address, [{"alertname": f"{PREFIX}WeChatUnreachable"}]) == weaker | of_apps


HURRIED = Fetch(interval=3.0, retry_interval=1.0, timeout=2.0)


@contextmanager
def exporter_of(roles: tuple[demo.DemoApp, ...], base_url: str) -> Iterator[str]:
    """Run the exporter in this process, fetching every few seconds; yield its address."""
    config = replace(demo.configuration(roles, base_url), fetch=HURRIED)
    stop, listening, addresses = threading.Event(), threading.Event(), list[str]()

    def ready(where: tuple[str, ...]) -> None:
        addresses.extend(where)
        listening.set()

    settings = Settings(("127.0.0.1:0",), "/metrics", MEMORY)
    source = Source(lambda _last: config, lambda _config: None)
    thread = threading.Thread(target=run, args=(source, settings, time.time, lambda _reload: stop.wait(), ready))
    thread.start()
    try:
        assert listening.wait(10)
        yield addresses[0]
    finally:
        stop.set()
        thread.join()


def hurried(rules: dict[str, Any]) -> dict[str, Any]:
    """Write the rules with shorter waits."""
    (group,) = rules["groups"]
    group["interval"] = "1s"
    for rule in group["rules"]:
        if "alert" in rule:
            rule |= {"for": "3s", "keep_firing_for": "3s"}
    return rules


def play(wechat: Simulator, appid: str, visitors: dict[Week, int]) -> None:
    """Publish weeks that differ in the number of visitors only."""
    for week, number in visitors.items():
        row = {"session_cnt": 2.5 * number, "visit_pv": 8 * number, "visit_uv": number, "visit_uv_new": number // 4}
        wechat.publish(appid, {"ref_date": week.label, "stay_time_uv": 150.5, "visit_depth": 2.5, **row})


@pytest.mark.timeout(180)
def test_a_drop_is_sent_once_noise_is_not_and_a_revision_ends_it(
    tmp_path: Path, prometheus: str, alertmanager: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A holiday in one of the weeks would silence the alert, or leave no four ordinary weeks.
    monkeypatch.setattr("exporter.reports.catalogue.public_holidays", lambda _week: 0)
    monkeypatch.setattr("exporter.reports.comparisons.public_holidays", lambda _week: 0)
    roles = demo.demo_apps(time.time())
    appids = {role.name: role.app.appid for role in roles}
    dropping, noisy = appids["Travel Buddy"], appids["Second-hand Books"]
    newest, *before = (newest_wanted(Week, time.time(), HURRIED.ready_after).before(weeks) for weeks in range(5))
    rules = hurried(yaml.safe_load((ROOT / "prometheus" / "rules.yml").read_text()))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    with ExitStack() as undo:
        wechat = demo.simulator(roles, time.time)
        play(wechat, dropping, {newest: 900, **dict.fromkeys(before, 2000)})
        play(wechat, noisy, {newest: 12, **dict.fromkeys(before, 28)})
        served = demo.serve(wechat, "127.0.0.1:0")
        undo.callback(served.stop)
        target = undo.enter_context(exporter_of(roles, f"http://{served.addresses[0]}"))
        receiver = undo.enter_context(receiving())
        address = undo.enter_context(alertmanager_with(alertmanager, tmp_path, receiver.url))
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        watching = Prometheus(prometheus, tmp_path, (target,), {"rule_files": ["rules.yml"], "alerting": alerting})
        undo.callback(watching.stop)
        watching.start()

        drop = ("VisitorsBelowNormal", dropping)
        failures = {
            ("Refused", appids["City Library"]),
            ("Failed", appids["Bike Share"]),
            ("QuotaSpent", appids["Gym Pass"]),
        }
        receiver.wait_for(lambda ready: {(name, appid) for _, name, appid in ready} >= {drop, *failures}, 120)
        time.sleep(8)  # several evaluations, each of which could notify again
        late = ("firing", "PeriodLate", appids["Night Market"])  # from Tuesday noon on
        assert sorted(set(receiver.ready) - {late}) == sorted(("firing", *what) for what in {drop, *failures})
        assert len(receiver.ready) == len(set(receiver.ready))

        play(wechat, dropping, {newest: 1900})
        receiver.wait_for(lambda ready: ("resolved", *drop) in ready, 60)
        assert [status for status, *what in receiver.ready if tuple(what) == drop] == ["firing", "resolved"]
        assert {appid for _, _, appid in receiver.ready} <= set(appids.values()) - {noisy}

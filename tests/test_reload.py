"""Reload of the configuration: the command as a process, WeChat as a simulator over HTTP."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from footprint import at_rest
from harness import COMMAND, NEWEST_WEEK, Running, Samples, now, running, served
from scale import scaled
from structlog.testing import capture_logs

from exporter.config import Api, App, AppSecret, Config, Datacube, LiteralSecret
from exporter.metrics.catalogue import RELOAD_SUCCESSFUL
from exporter.runtime.engine import Engine
from exporter.runtime.reload import Reloader, Source
from exporter.store.files import DATABASE
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measured import Measured

APPS = tuple(
    SimulatedApp(f"wx000000000000000{number}", f"secret-of-app-number-{number}", Audience(1000 * number))
    for number in range(1, 7)
)
ONE, TWO, THREE, FOUR, FIVE, SIX = (app.appid for app in APPS)
MAIN = "config.yaml"
pytestmark = pytest.mark.usefixtures("fixed_time")
FIGURE = "weekly_visitors"


@dataclass
class Files:
    """A configuration on disk: two weeks of history, each secret in a file of its own."""

    folder: Path
    base_url: str
    fetch: dict[str, object] = field(default_factory=lambda: {"history_weeks": 2, "timeout": "2s"})

    def write(self, *appids: str, patterns: tuple[str, ...] = (), name: str = "") -> None:
        """Write the main file with these apps."""
        main = {
            "fetch": self.fetch,
            "api": {"base_url": self.base_url},
            "apps": [self.entry(appid, name) for appid in appids],
            "app_config_files": list(patterns),
        }
        self.put(MAIN, json.dumps(main, indent=1))

    def entry(self, appid: str, name: str = "") -> dict[str, str]:
        """Return an app with its secret in a file, which is created if it is missing."""
        secret = self.folder / f"secret-{appid[-1]}"
        if not secret.exists():
            self.put(secret.name, next(app.secret for app in APPS if app.appid == appid))
        return {"appid": appid, "name": name or f"App {appid[-1]}", "secret_file": str(secret)}

    def put(self, name: str, text: str) -> None:
        """Write a file atomically, so that the exporter never reads a part of it."""
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(text)
        beside.chmod(0o600)
        beside.replace(file)


@contextmanager
def reloadable(folder: Path, *arguments: str) -> Iterator[tuple[Simulator, Files, Callable[..., Running]]]:
    """Yield a simulator, a configuration for it, and a function that starts the exporter and waits for the figures."""
    with served(APPS) as (wechat, base_url), ExitStack() as stack:
        files = Files(folder, base_url)

        def start(*appids: str) -> Running:
            exporter = stack.enter_context(running(folder, "--web.enable-lifecycle", *arguments))
            exporter.scrape_until(lambda samples: all(settled(samples, appid) for appid in appids))
            return exporter

        yield wechat, files, start


def settled(samples: Samples, appid: str, fetches: int = 2) -> bool:
    return samples.get(("fetches_total", appid, "weekly"), 0) >= fetches


def reload(exporter: Running) -> requests.Response:
    return requests.post(f"http://{exporter.address}/-/reload", timeout=10)


def shown(samples: Samples) -> set[str]:
    """Return the apps that have samples in a scrape."""
    return {value for key in samples for value in key[1:] if value in {app.appid for app in APPS}}


def of(samples: Samples, appid: str) -> Samples:
    return {key: value for key, value in samples.items() if appid in key}


def calls_about(wechat: Simulator, appid: str) -> list[str]:
    return [call.endpoint for call in wechat.calls if call.appid == appid]


TRIGGERS: dict[str, Callable[[Running], object]] = {
    "SIGHUP": lambda exporter: exporter.process.send_signal(signal.SIGHUP),
    "POST": reload,
    "PUT": lambda exporter: requests.put(f"http://{exporter.address}/-/reload", timeout=10),
}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_reload_adds_new_apps_and_drops_removed_ones(tmp_path: Path, trigger: str) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        files.write(TWO, THREE)
        TRIGGERS[trigger](exporter)
        line = exporter.logged('msg="configuration reloaded"')
        assert "apps=2 added=1 changed=0 removed=1" in line
        samples = exporter.scrape()
        assert shown(samples) == {TWO, THREE}
        assert samples["app_info", THREE, "App 3"] == 1
        samples = exporter.scrape_until(lambda samples: settled(samples, THREE))
        assert samples[FIGURE, THREE, NEWEST_WEEK.label] == wechat.row(THREE, NEWEST_WEEK)["visit_uv"]
        assert exporter.stop() == 0


def test_reload_response_counts_changes_shown_by_the_next_scrape(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (_, files, start):
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        for apps in ((ONE,), (ONE, TWO, THREE), (THREE,), (FOUR, FIVE)):
            files.write(*apps)
            answer = reload(exporter)
            assert shown(exporter.scrape()) == set(apps)
            assert answer.status_code == 200, answer.text
        assert answer.text == "configuration reloaded: 2 apps, 2 added, 0 changed, 1 removed\n"
        assert reload(exporter).text == "configuration unchanged: 2 apps, 0 added, 0 changed, 0 removed\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_reload_over_http_requires_the_flag(tmp_path: Path, method: str) -> None:
    with served(APPS) as (_, base_url):
        files = Files(tmp_path, base_url)
        files.write(ONE)
        with running(tmp_path) as exporter:
            files.write(ONE, TWO)
            answer = requests.request(method, f"http://{exporter.address}/-/reload", timeout=10)
            assert answer.status_code == (403 if method in {"POST", "PUT"} else 405)
            assert answer.headers.get("Allow", "POST, PUT") == "POST, PUT"
            assert TWO not in shown(exporter.scrape())
            assert not any("reloaded" in line for line in exporter.log)


def test_unchanged_app_keeps_figures_state_counters_and_token(tmp_path: Path) -> None:
    """It keeps its next fetch too."""
    with reloadable(tmp_path) as (wechat, files, start):
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        before, calls = of(exporter.scrape(), ONE), calls_about(wechat, ONE)
        files.write(THREE, ONE)
        assert reload(exporter).status_code == 200
        exporter.scrape_until(lambda samples: settled(samples, THREE))
        assert of(exporter.scrape(), ONE) == before
        assert calls_about(wechat, ONE) == calls == ["stable_token", "weekly", "weekly"]


def test_changed_name_or_threshold_causes_no_request(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        files.write(ONE)
        exporter = start(ONE)
        next_fetch = exporter.scrape()["next_fetch_timestamp_seconds", ONE, "weekly"]
        app = {**files.entry(ONE, "Another Name"), "alerts": {"weekly": {"visitors_min_ratio": 0.5}}}
        files.put(MAIN, json.dumps({"fetch": files.fetch, "api": {"base_url": files.base_url}, "apps": [app]}))
        assert "1 changed" in reload(exporter).text
        samples = exporter.scrape()
        assert samples["app_info", ONE, "Another Name"] == 1
        assert samples["alert_visitors_min_ratio", ONE, "weekly"] == 0.5
        assert samples["next_fetch_timestamp_seconds", ONE, "weekly"] == next_fetch
        assert calls_about(wechat, ONE) == ["stable_token", "weekly", "weekly"]


def test_app_with_a_changed_secret_is_fetched_at_once(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        files.put("secret-1", "secret-of-another-app")
        files.write(ONE, TWO)
        exporter = start(TWO)
        samples = exporter.scrape_until(lambda samples: ("fetch_state", ONE, "weekly", "refused") in samples)
        files.put("secret-1", APPS[0].secret)
        assert "1 changed" in reload(exporter).text
        samples = exporter.scrape_until(lambda samples: ("fetch_state", ONE, "weekly", "ok") in samples)
        assert samples[FIGURE, ONE, NEWEST_WEEK.label] == wechat.row(ONE, NEWEST_WEEK)["visit_uv"]
        assert samples["fetch_failures_total", ONE, "weekly"] == 1, "counters continue"
        assert calls_about(wechat, TWO) == ["stable_token", "weekly", "weekly"], "the other one is unchanged"
        assert "duration_seconds" in exporter.logged('msg="app recovered"')


BROKEN = {
    "no_yaml": ("apps: [", "config.yaml:1: invalid YAML"),
    "empty": ("", "config.yaml: the file is empty"),
    "unknown_option": ('{"aps": []}', "config.yaml:1: aps: unknown option; did you mean apps?"),
    "no_secret": (
        json.dumps({"apps": [{"appid": ONE, "secret_file": "nowhere"}, {"appid": "", "secret": "x"}]}),
        "apps[0].secret_file: no such file",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_invalid_configuration_is_reported_and_changes_nothing(tmp_path: Path, case: str) -> None:
    """It is reported in the response, in the log, in the metrics and on the status page."""
    text, message = BROKEN[case]
    with reloadable(tmp_path) as (wechat, files, start):
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        before, calls = exporter.scrape(), len(wechat.calls)
        files.put(MAIN, text)
        answer = reload(exporter)
        assert answer.status_code == 500
        assert message in answer.text
        for problem in answer.text.splitlines():
            assert "configuration reload failed" in exporter.logged(f'error="{problem}"')
        samples = exporter.scrape()
        assert samples["exporter_config_last_reload_successful",] == 0
        assert {key: value for key, value in samples.items() if shown({key: value})} == {
            key: value for key, value in before.items() if shown({key: value})
        }
        since = ("exporter_config_last_reload_success_timestamp_seconds",)
        assert samples[since] == before[since]
        assert message in exporter.get("/").text.replace("&#39;", "'")
        assert len(wechat.calls) == calls
        files.write(ONE, TWO)
        assert reload(exporter).status_code == 200
        samples = exporter.scrape()
        assert samples["exporter_config_last_reload_successful",] == 1
        assert samples[since] > before[since]
        assert message not in exporter.get("/").text


def test_response_lists_all_problems_of_all_files(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (_, files, start):
        files.write(ONE)
        exporter = start(ONE)
        files.put("apps.d/a.yaml", "- appid: wx0123456789abcdef\n")
        files.put(MAIN, "fetch: {interval: 6, timeout: 0s}\napp_config_files: [apps.d/*.yaml]\napps: [{appid: x}]\n")
        answer = reload(exporter)
        assert answer.status_code == 500
        places = [line.split(": ")[:2] for line in answer.text.splitlines()]
        assert [place for _, place in places] == ["fetch.interval", "fetch.timeout", "apps[0]", "[0]"]


def test_result_of_a_removed_app_is_dropped(tmp_path: Path) -> None:
    """Neither the metrics nor the log nor the store show its request in flight."""
    with reloadable(tmp_path) as (wechat, files, start):
        wechat.put(replace(APPS[0], faults=(InjectedFault("hang"),)))
        files.fetch = {"timeout": "3s", "history_weeks": 2}
        files.write(ONE, TWO)
        exporter = start(TWO)
        assert calls_about(wechat, ONE) == ["stable_token", "weekly"], "the request hangs"
        files.write(TWO)
        assert reload(exporter).status_code == 200
        time.sleep(3.5)
        assert ONE not in shown(exporter.scrape())
        assert not any(ONE in line for line in exporter.log)
        assert exporter.stop() == 0
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as db:
            assert db.execute("SELECT appid FROM subject").fetchall() == [(TWO,)]


def test_app_added_again_ignores_its_earlier_request(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        wechat.put(replace(APPS[0], faults=(InjectedFault("hang"),)))
        files.fetch = {"timeout": "3s", "history_weeks": 2}
        files.write(ONE, TWO)
        exporter = start(TWO)
        files.write(TWO)
        assert reload(exporter).status_code == 200
        wechat.put(APPS[0])
        files.write(ONE, TWO)
        assert reload(exporter).status_code == 200
        exporter.scrape_until(lambda samples: settled(samples, ONE), seconds=2.5)
        time.sleep(3.5)
        samples = exporter.scrape()
        assert samples["fetch_state", ONE, "weekly", "ok"] == 1
        assert samples["fetch_failures_total", ONE, "weekly"] == 0
        assert not any("app failing" in line for line in exporter.log)


def test_changed_secret_does_not_wait_for_a_request_in_flight(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        wechat.put(replace(APPS[0], faults=(InjectedFault("hang"),)))
        files.fetch = {"timeout": "60s", "history_weeks": 2}
        files.put("secret-1", APPS[0].secret)
        files.write(ONE, TWO)
        exporter = start(TWO)
        wechat.put(replace(APPS[0], secret="new-secret-of-app-1"))
        files.put("secret-1", "new-secret-of-app-1")
        assert reload(exporter).status_code == 200
        exporter.scrape_until(lambda samples: settled(samples, ONE), seconds=10)
        began = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - began < 2


def test_invalid_app_file_keeps_its_last_valid_apps(tmp_path: Path) -> None:
    """Apps that are now in another file are not kept."""
    with reloadable(tmp_path) as (wechat, files, start):
        entry = files.entry
        files.write(ONE, patterns=("apps.d/*.yaml",))
        files.put("apps.d/a.yaml", json.dumps([entry(TWO), entry(THREE)]))
        exporter = start(ONE, TWO, THREE)
        before, calls = exporter.scrape(), len(wechat.calls)
        files.put("apps.d/a.yaml", "- appid: [")
        answer = reload(exporter)
        assert answer.status_code == 200
        assert answer.text.startswith("configuration reloaded: 3 apps, 0 added, 0 changed, 0 removed\napps.d/a.yaml:")
        samples = exporter.scrape()
        assert of(samples, TWO) == of(before, TWO)
        assert samples["exporter_config_file_errors", "apps.d/a.yaml"] == 1
        assert samples["exporter_config_last_reload_successful",] == 1
        assert "app file invalid, apps kept" in exporter.logged("apps.d/a.yaml:")
        assert "apps.d/a.yaml" in exporter.get("/").text
        files.put("apps.d/b.yaml", json.dumps([entry(THREE), entry(FOUR)]))
        assert "4 apps, 1 added, 0 changed, 0 removed" in reload(exporter).text, "THREE moved to another file"
        assert len([call for call in wechat.calls if call.appid == THREE]) == calls / 3
        files.put("apps.d/a.yaml", json.dumps([entry(TWO)]))
        answer = reload(exporter)
        assert answer.text == "configuration reloaded: 4 apps, 0 added, 0 changed, 0 removed\n"
        assert not any(key[0] == "exporter_config_file_errors" for key in exporter.scrape())
        (tmp_path / "apps.d" / "a.yaml").unlink()
        assert "3 apps, 0 added, 0 changed, 1 removed" in reload(exporter).text, "a removed file is not broken"


def test_changed_intervals_apply_at_once_without_requests(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        calls, before = len(wechat.calls), exporter.scrape()
        files.fetch |= {"interval": "3h", "concurrency": 32, "timeout": "4s"}
        files.write(ONE, TWO)
        assert "0 changed" in reload(exporter).text
        samples = exporter.scrape()
        for appid in (ONE, TWO):
            key = "next_fetch_timestamp_seconds", appid, "weekly"
            wait, six_hours = samples[key] - now(), before[key] - now()
            assert wait == pytest.approx(six_hours / 2, rel=0.01)
        assert len(wechat.calls) == calls


def test_longer_history_requests_only_the_missing_weeks(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        files.fetch["history_weeks"] = 8
        files.write(ONE)
        exporter = start()
        exporter.scrape_until(lambda samples: settled(samples, ONE, 8))
        files.fetch["history_weeks"] = 2
        files.write(ONE)
        assert reload(exporter).status_code == 200
        assert exporter.stop() == 0
        exporter = start()
        files.fetch["history_weeks"] = 10
        files.write(ONE)
        assert reload(exporter).status_code == 200
        exporter.scrape_until(lambda samples: settled(samples, ONE, 2))
        weeks = [call.period for call in wechat.calls if call.endpoint == "weekly"]
        assert weeks == [NEWEST_WEEK.before(number).label for number in range(10)]


def test_changed_base_url_exposes_its_own_figures_only(tmp_path: Path) -> None:
    """After a change back, the stored figures of the first address are exposed."""
    other = replace(APPS[0], audience=Audience(77))
    with reloadable(tmp_path) as (wechat, files, start), served([other]) as (elsewhere, base_url):
        files.write(ONE)
        exporter = start(ONE)
        home, files.base_url = files.base_url, base_url
        files.write(ONE)
        assert reload(exporter).status_code == 200
        samples = exporter.scrape_until(lambda samples: settled(samples, ONE, 4))
        assert samples[FIGURE, ONE, NEWEST_WEEK.label] == elsewhere.row(ONE, NEWEST_WEEK)["visit_uv"]
        files.base_url = home
        wechat.put(replace(APPS[0], faults=(InjectedFault("http_502"),)))
        files.write(ONE)
        assert reload(exporter).status_code == 200
        samples = exporter.scrape_until(lambda samples: settled(samples, ONE, 5))
        assert samples[FIGURE, ONE, NEWEST_WEEK.label] == wechat.row(ONE, NEWEST_WEEK)["visit_uv"]
        assert samples["fetch_state", ONE, "weekly", "failed"] == 1


CHANGES: dict[str, Callable[[Files], object]] = {
    "main_file": lambda files: files.write(ONE, TWO, patterns=("apps.d/*.yaml",)),
    "app_file": lambda files: files.put("apps.d/a.yaml", json.dumps([files.entry(FOUR, name="Another Name")])),
    "new_app_file": lambda files: files.put("apps.d/new.yaml", json.dumps([files.entry(SIX)])),
    "app_file_that_left": lambda files: (files.folder / "apps.d" / "a.yaml").unlink(),
    "secret_file": lambda files: files.put("secret-1", "another-secret-of-app-1"),
    "link_to_another_file": lambda files: link(files, "second.yaml"),
}


def link(files: Files, target: str) -> None:
    """Replace the target of a link, as an update of a mounted ConfigMap does."""
    beside = files.folder / "beside"
    beside.symlink_to(files.folder / target)
    beside.replace(files.folder / "apps.d" / "linked.yaml")


def test_auto_reload_applies_every_kind_of_change_once(tmp_path: Path) -> None:
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (_, files, start):
        files.write(ONE, patterns=("apps.d/*.yaml",))
        files.put("apps.d/a.yaml", json.dumps([files.entry(FOUR)]))
        files.put("first.yaml", json.dumps([files.entry(THREE)]))
        files.put("second.yaml", json.dumps([files.entry(FIVE)]))
        link(files, "first.yaml")
        exporter = start(ONE, THREE, FOUR)

        def messages() -> list[str]:
            return [line for line in exporter.log if 'msg="configuration ' in line and " warning=" not in line]

        time.sleep(2.5)
        assert messages() == [], "nothing changed"
        for number, (change, make) in enumerate(CHANGES.items(), start=1):
            make(files)
            deadline = time.monotonic() + 10
            while len(messages()) < number:
                assert time.monotonic() < deadline, change
                time.sleep(0.05)
        time.sleep(2.5)
        assert len(messages()) == len(CHANGES), messages()


def test_auto_reload_applies_a_fixed_configuration(
    tmp_path: Path,
) -> None:
    """The error is logged once; the fix may be in any file."""
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (_, files, start):
        files.write(ONE)
        exporter = start(ONE)
        files.write(ONE, TWO)
        (tmp_path / "secret-2").rename(tmp_path / "not-there-yet")
        files.write(ONE, *[])
        main = json.loads((tmp_path / MAIN).read_text())
        main["apps"].append({"appid": TWO, "secret_file": "secret-2"})
        files.put(MAIN, json.dumps(main))
        exporter.logged("no such file")
        assert exporter.scrape()["exporter_config_last_reload_successful",] == 0
        time.sleep(2.5)
        assert sum("no such file" in line for line in exporter.log) == 1
        (tmp_path / "not-there-yet").rename(tmp_path / "secret-2")
        samples = exporter.scrape_until(lambda samples: settled(samples, TWO))
        assert samples["exporter_config_last_reload_successful",] == 1


def rewritten_in_place(path: Path, content: str) -> None:
    """As an editor on a slow disk does it: emptied first, then written in parts."""
    with path.open("w") as file:
        for start in range(0, len(content), len(content) // 3 + 1):
            time.sleep(0.6)
            file.write(content[start : start + len(content) // 3 + 1])
            file.flush()


def test_auto_reload_waits_until_a_file_is_written(tmp_path: Path) -> None:
    """Files are read when they stop changing, so no partial configuration and no truncated secret is used."""
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (wechat, files, start):
        files.fetch = {"interval": "1s", "retry_interval": "1s"}
        files.write(ONE, TWO)
        exporter = start(ONE, TWO)
        for path in (tmp_path / MAIN, *sorted(tmp_path.glob("secret-*"))):
            content = path.read_text()
            thread = threading.Thread(target=rewritten_in_place, args=(path, content))
            thread.start()
            while thread.is_alive():
                for appid in (ONE, TWO):
                    wechat.revoke_tokens(appid)  # so that the secrets are read all the time
                samples = exporter.scrape()
                assert {key[1] for key in samples if key[0] == "app_info"} == {ONE, TWO}
                time.sleep(0.2)
        samples = exporter.scrape_until(lambda samples: settled(samples, ONE) and settled(samples, TWO))
        assert not [key for key in samples if key[0] == "api_errors_total" and key[2] in {"40125", "40013"}]
        revoked = "errcode=40001"  # twice for one fetch on a busy machine
        errors = [line for line in exporter.log if "refused" in line or "empty" in line]
        assert not [line for line in errors if revoked not in line]
        assert exporter.stop() == 0


def test_auto_reload_is_not_blocked_by_a_changing_file(tmp_path: Path) -> None:
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (_, files, start):
        files.write(ONE, patterns=("apps.d/*.yaml",))
        files.put("apps.d/a.yaml", json.dumps([files.entry(FOUR)]))
        exporter = start(ONE, FOUR)
        stopping = threading.Event()

        def touch() -> None:
            while not stopping.wait(0.4):
                (tmp_path / "apps.d" / "a.yaml").touch()

        thread = threading.Thread(target=touch)
        thread.start()
        files.put("apps.d/b.yaml", json.dumps([files.entry(FIVE)]))
        try:
            exporter.scrape_until(lambda samples: settled(samples, FIVE), 30)
        finally:
            stopping.set()
            thread.join()
        assert "checks=10" in exporter.logged("configuration files keep changing")
        assert exporter.stop() == 0


def test_auto_reload_logs_the_end_of_an_error(tmp_path: Path) -> None:
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (_, files, start):
        files.write(ONE)
        exporter = start(ONE)
        good = (tmp_path / MAIN).read_text()
        files.put(MAIN, good.replace("apps", "aps", 1))
        exporter.logged("configuration reload failed")
        assert "is invalid; the previous one continues" in exporter.get("/").text
        files.put(MAIN, good)
        exporter.logged('msg="configuration unchanged"')
        assert exporter.scrape()["exporter_config_last_reload_successful",] == 1
        assert exporter.stop() == 0


def test_response_lists_10000_problems_and_the_log_50(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (_, files, start):
        files.write(ONE)
        exporter = start(ONE)
        files.put(MAIN, json.dumps({"apps": [{"appid": f"wx{n:016x}", "secret": ""} for n in range(10_000)]}))
        answer = reload(exporter)
        assert (answer.status_code, len(answer.text.splitlines())) == (500, 10_000)
        exporter.logged('error="and 9950 more: `check` prints them all"')
        assert sum("configuration reload failed" in line for line in exporter.log) == 51
        assert len(exporter.get("/").text) < 100_000


def test_app_recovers_after_a_change_of_the_base_url(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (_, files, start):
        home, files.base_url = files.base_url, "http://127.0.0.1:9"
        files.write(ONE)
        exporter = start()
        assert "state=failed" in exporter.logged('msg="app failing"')
        files.base_url = "http://127.0.0.1:10"
        files.write(ONE)
        assert reload(exporter).status_code == 200
        while sum("app failing" in line for line in exporter.log) < 2:
            time.sleep(0.05)
        files.base_url = home
        files.write(ONE)
        assert reload(exporter).status_code == 200
        exporter.logged('msg="app recovered"')


def test_blocked_log_does_not_delay_the_stop(tmp_path: Path) -> None:
    with served(APPS) as (_, base_url):
        Files(tmp_path, base_url).write(ONE)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        process = subprocess.Popen([*COMMAND, "--web.listen-address=127.0.0.1:0"], cwd=tmp_path, stderr=writer)
        try:
            time.sleep(3)
            assert process.poll() is None
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
            assert time.monotonic() - began < 2.5
        finally:
            process.kill()
            process.wait()
            os.close(reader)
            os.close(writer)


def test_internal_error_in_a_reload_is_reported_until_a_success() -> None:
    app = App(appid=ONE, access=Datacube(AppSecret(LiteralSecret("s" * 20))))
    config = Config(apps=(app,), api=Api(base_url="http://127.0.0.1:9"))
    errors = [OSError(5, "Input/output error")]

    def load(_last: Config | None) -> Config:
        if errors:
            raise errors.pop()
        return config

    engine = Engine(config, ":memory:", time.time)
    reloader = Reloader(Source(load, lambda _config: None), engine, lambda: None, 0)
    threading.Thread(target=reloader.run, daemon=True).start()

    def successful() -> float | None:
        return engine.meters.registry.get_sample_value(RELOAD_SUCCESSFUL.name)

    try:
        with capture_logs() as logs:
            assert not reloader.request().result().applied
        assert [line["event"] for line in logs] == ["internal error, please report it"]
        assert (successful(), len(reloader.issues)) == (0, 1)
        assert reloader.request().result().applied
        assert (successful(), len(reloader.issues)) == (1, 0)
    finally:
        engine.close()


def test_renewed_token_file_does_not_cause_a_reload(tmp_path: Path) -> None:
    with reloadable(tmp_path, "--config.auto-reload-interval=1s") as (wechat, files, start):
        files.put("token", wechat.live_token(ONE)[0])
        app = {"appid": ONE, "token_file": str(tmp_path / "token")}
        files.put(MAIN, json.dumps({"fetch": files.fetch, "api": {"base_url": files.base_url}, "apps": [app]}))
        exporter = start(ONE)
        for _ in range(3):
            files.put("token", wechat.live_token(ONE, forced=True)[0])
            time.sleep(1)
        assert not any('msg="configuration reload' in line for line in exporter.log)
        assert calls_about(wechat, ONE).count("weekly") == 2


def test_hundred_concurrent_reloads_are_all_answered(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (_, files, start):
        files.write(ONE)
        exporter = start(ONE)
        files.write(ONE, TWO)
        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda _: reload(exporter), range(100)))
        assert {answer.status_code for answer in answers} == {200}
        assert sum("configuration reloaded" in line for line in exporter.log) == 1
        assert all("2 apps" in answer.text for answer in answers)


def test_reload_neither_waits_for_wechat_nor_delays_the_stop(tmp_path: Path) -> None:
    with reloadable(tmp_path) as (wechat, files, start):
        for app in APPS:
            wechat.put(replace(app, faults=(InjectedFault("hang"),)))
        files.fetch = {"timeout": "60s", "concurrency": 3}
        files.write(ONE, TWO, THREE)
        exporter = start()
        while len(wechat.calls) < 6:
            time.sleep(0.05)
        files.write(ONE, FOUR, FIVE)
        answer = reload(exporter)
        assert answer.text == "configuration reloaded: 3 apps, 2 added, 0 changed, 2 removed\n"
        assert shown(exporter.scrape()) == {ONE, FOUR, FIVE}
        threading.Thread(target=lambda: [reload_quietly(exporter) for _ in range(20)], daemon=True).start()
        began = time.monotonic()
        assert exporter.stop() == 0
        assert time.monotonic() - began < 2


def reload_quietly(exporter: Running) -> None:
    try:
        reload(exporter)
    except requests.RequestException:
        time.sleep(0.01)


FLEET = tuple(SimulatedApp(f"wx{number:016x}", f"secret-of-fleet-{number}") for number in range(50))
FLAT = 4.0
"""MiB that resident memory may differ by after a thousand reloads: a tenth of a kilobyte for an app and reload."""

KEPT = 8
"""Connections to WeChat may be kept alive or not: as many as requests in flight."""


RELOADS = scaled((20, 40), (100, 500, 500))
"""How many reloads come before each measurement; the first are to reach a steady state."""


@pytest.mark.soak
@pytest.mark.timeout(scaled(120, 1200))
def test_thousand_reloads_leak_no_resources(tmp_path: Path, measured: Measured) -> None:
    """Threads, descriptors, connections and memory stay the same."""

    def reload_times(exporter: Running, session: requests.Session, times: int) -> None:
        """Each changes something: an app leaves or returns, another one's secret, all waits, requests in flight."""
        for index in range(times):
            apps = [{"appid": app.appid, "secret": app.secret} for app in FLEET[index % 2 :]]
            apps[2]["name"] = f"Name {index}"
            apps[3 + index % 40]["secret"] += " "
            fetch = {"history_weeks": 2, "interval": f"{3 + index % 4}h", "concurrency": 4 + index % 5}
            main.write_text(json.dumps({"fetch": fetch, "api": {"base_url": base_url}, "apps": apps}))
            answer = session.post(f"http://{exporter.address}/-/reload", timeout=20)
            assert answer.text.startswith("configuration reloaded: "), answer.text

    with served(FLEET) as (_, base_url), ExitStack() as stack:
        main = tmp_path / MAIN
        main.write_text(
            json.dumps({"api": {"base_url": base_url}, "apps": [{"appid": ONE, "secret": "secret-of-the-app"}]})
        )
        exporter = stack.enter_context(running(tmp_path, "--web.enable-lifecycle"))
        session = stack.enter_context(requests.Session())
        footprints = []
        for times in RELOADS:
            reload_times(exporter, session, times)
            exporter.scrape_until(lambda samples: len(states(samples, "ok")) == len(FLEET) - 1)
            footprints.append(at_rest(exporter.process.pid))
            measured(
                "reloads of 50 apps",
                {
                    "reloads": sum(RELOADS[: len(footprints)]),
                    "resident MiB": footprints[-1].memory,
                    "threads": footprints[-1].threads,
                    "descriptors": footprints[-1].descriptors,
                    "of them sockets": sockets(exporter.process.pid),
                },
            )
        first, last = footprints[0], footprints[-1]
        assert last.memory <= first.memory + FLAT
        assert last.threads <= first.threads + KEPT
        assert last.descriptors <= first.descriptors + KEPT


def states(samples: Samples, state: str) -> set[str]:
    return {key[1] for key in samples if key[0] == "fetch_state" and key[3] == state}


def sockets(pid: int) -> int:
    return sum(file.readlink().name.startswith("socket:") for file in Path(f"/proc/{pid}/fd").iterdir())

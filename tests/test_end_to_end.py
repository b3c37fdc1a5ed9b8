"""The installed command as a process, WeChat as a simulator over HTTP, a scrape as Prometheus would read it."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import statistics
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests
from fleet import APPS, ENVIRON, WEEKS, figures, write_configuration
from harness import NEWEST_WEEK, Samples, command, running, served

from exporter.reports import WEEKLY
from exporter.store.files import DATABASE
from exporter.store.schema import APPLICATION_ID
from exporter.wechat.simulator import KINDS, InjectedFault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fixed_time")


def complete(samples: Samples) -> bool:
    return sum(key[0] == "fetches_total" and value == WEEKS for key, value in samples.items()) == len(APPS)


def expected_figures(wechat: Simulator) -> Samples:
    expected = {}
    for app in APPS:
        for field in WEEKLY.fields:
            weeks = [wechat.row(app.appid, NEWEST_WEEK.before(number)) for number in range(WEEKS)]
            now, *before = (float(row[field.wechat]) for row in weeks)  # type: ignore[arg-type]  # a row has text, too
            three = {"weekly": now, "previous_week": before[0], "typical_week": statistics.median(before)}
            for period, value in three.items():
                expected[f"{period}_{field.metric}", app.appid, NEWEST_WEEK.label] = value
    return expected


def test_all_figures_are_exposed_with_no_more_calls_than_needed(tmp_path: Path) -> None:
    """Comparison figures are included; a restart exposes the same without a request."""
    with served(APPS) as (wechat, base_url):
        write_configuration(tmp_path, base_url)
        with running(tmp_path, **ENVIRON) as first:
            samples = first.scrape_until(complete)
            assert figures(samples) == expected_figures(wechat)
            assert {key[1]: value for key, value in samples.items() if key[0] == "up"} == dict.fromkeys(wechat.apps, 1)
            assert {key[2:] for key in samples if key[0] == "fetch_state"} == {("weekly", "ok")}
            assert {key[2] for key in samples if key[0] == "app_info"} == {f"App {number}" for number in (1, 2, 3, 4)}
            assert first.stop() == 0
        weeks = [NEWEST_WEEK.before(number).label for number in range(WEEKS)]
        for app in APPS:
            mine = [(call.endpoint, call.period) for call in wechat.calls if call.appid == app.appid]
            assert mine == [("stable_token", ""), *(("weekly", label) for label in weeks)]
        assert len(wechat.calls) == len(APPS) * (1 + WEEKS)
        with running(tmp_path, **ENVIRON) as second:
            again = second.scrape_until(figures)
            assert figures(again) == figures(samples)
            kept = ("last_success_timestamp_seconds", "period_first_seen_timestamp_seconds", "fetch_state", "up")
            assert {key: again[key] for key in again if key[0] in kept} == {
                key: samples[key] for key in samples if key[0] in kept
            }
            time.sleep(1.5)
            assert second.stop() == 0
        assert len(wechat.calls) == len(APPS) * (1 + WEEKS), "a restart requests nothing early"


def test_corrected_secret_is_used_at_once_after_a_restart(tmp_path: Path) -> None:
    """A refusal is not retried early without a restart."""
    app = APPS[0]
    with served([app]) as (wechat, base_url):
        write_configuration(tmp_path, base_url, (app,))
        (tmp_path / "secret-0").write_text("secret-of-another-app")
        with running(tmp_path) as wrong:
            samples = wrong.scrape_until(lambda samples: ("up", app.appid, "weekly") in samples)
            assert samples["fetch_state", app.appid, "weekly", "refused"] == 1
            assert samples["up", app.appid, "weekly"] == 0
            assert samples["api_errors_total", app.appid, "40125", "weekly"] == 1
            assert not figures(samples)
            time.sleep(1.5)
            assert len(wechat.calls) == 1, "a refused request is not repeated"
            assert "correct the app's secret" in wrong.logged("app failing")
            wrong.stop()
        (tmp_path / "secret-0").write_text(app.secret)
        with running(tmp_path) as right:
            samples = right.scrape_until(lambda samples: samples.get(("fetches_total", app.appid, "weekly")) == WEEKS)
            assert samples["fetch_state", app.appid, "weekly", "ok"] == 1
            assert len(figures(samples)) == 3 * len(WEEKLY.fields)
            assert "duration_seconds" in right.logged("app recovered")
            right.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exporter_stops_within_2_seconds_with_hanging_requests(tmp_path: Path, number: int) -> None:
    hanging = tuple(replace(app, faults=(InjectedFault("hang"),)) for app in APPS)
    with served(hanging) as (wechat, base_url):
        write_configuration(tmp_path, base_url, hanging, timeout="1m")
        with running(tmp_path, **ENVIRON) as exporter:
            while len([call for call in wechat.calls if call.endpoint == "weekly"]) < len(hanging):
                time.sleep(0.02)
            with closing(socket.create_connection(exporter.address.rsplit(":", 1))):  # type: ignore[arg-type]
                began = time.monotonic()
                assert exporter.stop(number) == 0
                assert time.monotonic() - began < 2
            assert "msg=stopped" in exporter.log[-1]
            with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as db:
                assert db.execute("SELECT count(*) FROM answer").fetchone() == (0,), "a stop is no response"
            assert "Traceback" not in "".join(exporter.log)


def test_failing_app_does_not_delay_another(tmp_path: Path) -> None:
    kinds = ("hang", "trickled_body", "trickled_head", "endless", "reset", "deep")
    broken = tuple(
        SimulatedApp(f"wx00000000000000a{n}", "secret-of-the-app", faults=(InjectedFault(k),))
        for n, k in enumerate(kinds)
    )
    with served([*broken, APPS[0]]) as (_, base_url):
        write_configuration(tmp_path, base_url, (*broken, APPS[0]), timeout="30s")
        with running(tmp_path, SECRET_1="secret-of-the-app", SECRET_4="secret-of-the-app") as exporter:
            fetches = "fetches_total", APPS[0].appid, "weekly"
            samples = exporter.scrape_until(lambda samples: samples.get(fetches) == WEEKS, 5)
            assert samples["fetch_state", APPS[0].appid, "weekly", "ok"] == 1
            assert samples["fetch_state", broken[0].appid, "weekly", "pending"] == 1
            exporter.stop()


FAULTS = {
    "hang": ("failed", "timeout"),
    "trickled_body": ("failed", "timeout"),
    "trickled_head": ("failed", "timeout"),
    "endless": ("failed", "malformed"),
    "reset": ("failed", "connection"),
    "short": ("failed", "connection"),
    "deep": ("failed", "malformed"),
    "empty": ("failed", "malformed"),
    "html": ("failed", "malformed"),
    "truncated": ("failed", "malformed"),
    "not_utf8": ("failed", "malformed"),
    "nan": ("failed", "malformed"),
    "infinite": ("failed", "malformed"),
    "huge_number": ("failed", "malformed"),
    "fraction": ("failed", "malformed"),
    "negative": ("failed", "malformed"),
    "text_figure": ("failed", "malformed"),
    "no_figures": ("failed", "malformed"),
    "no_list": ("failed", "malformed"),
    "two_rows": ("failed", "malformed"),
    "wrong_period": ("failed", "malformed"),
    "compressed": ("failed", "malformed"),
    "redirect": ("failed", "malformed"),
    "http_403": ("failed", "http_4xx"),
    "http_429": ("failed", "http_4xx"),
    "http_500": ("failed", "http_5xx"),
    "http_502": ("failed", "http_5xx"),
    "no_rows": ("not_ready", ""),
    "-1": ("not_ready", "-1"),
    "61503": ("not_ready", "61503"),
    "45009": ("quota_spent", "45009"),
    "45011": ("quota_spent", "45011"),
    "40001": ("refused", "40001"),
    "48001": ("refused", "48001"),
    "61502": ("refused", "61502"),
    **dict.fromkeys(("no_later_keys", "no_size", "zeros"), ("ok", "")),  # they change figures in parts only
    "61501": ("failed", "61501"),
    "99999": ("failed", "other"),
}


def test_every_fault_has_its_state_and_code_and_leaks_no_secret(tmp_path: Path) -> None:
    assert {kind for kind in FAULTS if not kind.lstrip("-").isdigit()} == set(KINDS)
    apps = {
        kind: SimulatedApp(f"wx00000000000001{n:02x}", f"secret-of-{n:02x}-{'x' * 20}", faults=(InjectedFault(kind),))
        for n, kind in enumerate(FAULTS)
    }
    with served(list(apps.values())) as (wechat, base_url):
        entries = [{"appid": app.appid, "secret": app.secret} for app in apps.values()]
        main = {
            "fetch": {"history_weeks": 2, "timeout": "1s", "concurrency": 40},
            "api": {"base_url": base_url},
            "apps": entries,
        }
        (tmp_path / "config.yaml").write_text(json.dumps(main))
        with running(tmp_path, "--log.level=debug") as exporter:
            exporter.scrape_until(lambda found: sum(key[0] == "up" for key in found) == len(apps))
            samples = exporter.scrape()
            states = {key[1]: key[3] for key in samples if key[0] == "fetch_state"}
            errors: dict[str, set[str]] = {app.appid: set() for app in apps.values()}
            for key in samples:
                if key[0] == "api_errors_total":
                    errors[key[1]].add(key[2])
            found = {kind: (states[app.appid], "".join(sorted(errors[app.appid]))) for kind, app in apps.items()}
            assert found == FAULTS
            pages = [exporter.get(path).text for path in ("/", "/metrics", "/-/ready", "/-/healthy", "/nowhere")]
            exporter.stop()
            log = "".join(exporter.log)
        written = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir()).decode("latin-1")
        tokens = [token.value for token in wechat._tokens]
    assert len(tokens) >= len(apps)
    everything = "\n".join((*pages, log, written))
    hidden = (*tokens, *(app.secret for app in apps.values()))

    def leaked(text: str) -> list[str]:
        return [word for word in hidden if word in text]

    assert leaked(everything) == []
    assert leaked(f"{everything} {tokens[1]}") == [tokens[1]], "the search finds a planted secret"
    assert "Traceback" not in log


def test_changes_are_exposed_within_2_seconds_and_atomically(tmp_path: Path) -> None:
    """All values of an app change together."""
    app = APPS[0]
    with served([app]) as (wechat, base_url):
        write_configuration(tmp_path, base_url, (app,), interval="1s", retry_interval="1s")
        with running(tmp_path) as exporter:
            exporter.scrape_until(lambda samples: samples["fetches_total", app.appid, "weekly"] >= WEEKS)
            row = {**wechat.row(app.appid, NEWEST_WEEK), "visit_uv": 987654, "session_cnt": 987654}
            wechat.publish(app.appid, row)
            seen = len(wechat.calls)
            while len(wechat.calls) == seen:
                time.sleep(0.01)
            answered = time.monotonic()
            pairs = []
            while not pairs or pairs[-1] != (987654, 987654):
                samples = exporter.scrape()
                pairs.append(
                    tuple(samples[f"weekly_{name}", app.appid, NEWEST_WEEK.label] for name in ("visitors", "sessions"))
                )
                assert time.monotonic() - answered < 2, "contract: at most 2 seconds after the response"
            assert all((visitors == 987654) == (sessions == 987654) for visitors, sessions in pairs)
            assert exporter.scrape()["revisions_total", app.appid, "weekly"] == 1
            exporter.stop()


def test_invalid_app_file_affects_only_its_own_apps(tmp_path: Path) -> None:
    """The error is in the metrics, in the log, on the status page and in the output of check."""
    with served(APPS) as (_, base_url):
        write_configuration(tmp_path, base_url)
        (tmp_path / "apps.d" / "broken.yaml").write_text("- appid: wx00000000000000ff\n  secrte: x\n")
        with running(tmp_path, **ENVIRON) as exporter:
            samples = exporter.scrape_until(complete)
            (key,) = [key for key in samples if key[0] == "exporter_config_file_errors"]
            assert key[1].endswith("apps.d/broken.yaml")
            assert samples["exporter_config_last_reload_successful",] == 1
            assert "app file invalid, apps missing" in exporter.logged(
                "apps.d/broken.yaml:2: [0].secrte: unknown option; did you mean secret?"
            )
            assert "apps.d/broken.yaml:2: [0].secrte: unknown option; did you mean secret?" in exporter.get("/").text
            exporter.stop()
        checked = command(tmp_path, "check", **ENVIRON)
        assert checked.returncode == 1
        assert "apps.d/broken.yaml:2: [0].secrte: unknown option; did you mean secret?" in checked.stdout


def test_unusable_store_is_reported_and_figures_are_served(tmp_path: Path) -> None:
    """It is reported in the log, in the metrics and on the status page."""
    (tmp_path / "data").mkdir()
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as db:
        db.executescript(f"PRAGMA user_version = 999; PRAGMA application_id = {APPLICATION_ID}")
    with served(APPS) as (_, base_url):
        write_configuration(tmp_path, base_url)
        with running(tmp_path, **ENVIRON) as exporter:
            samples = exporter.scrape_until(complete)
            assert samples["exporter_store_up",] == 0
            assert len(figures(samples)) == 3 * len(WEEKLY.fields) * len(APPS)
            assert "newer version" in exporter.logged("store unavailable")
            assert "newer version" in exporter.get("/").text
            assert exporter.get("/-/ready").status_code == 200
            exporter.stop()


def test_second_exporter_on_the_same_storage_is_rejected(tmp_path: Path) -> None:
    """The command fetch works on the same storage."""
    with served(APPS) as (_, base_url):
        write_configuration(tmp_path, base_url)
        with running(tmp_path, **ENVIRON) as exporter:
            exporter.scrape_until(complete)
            second = command(tmp_path, "--web.listen-address=127.0.0.1:0", **ENVIRON)
            assert second.returncode == 1
            assert second.stderr.splitlines()[-1].startswith("another exporter runs on data: stop it")
            assert command(tmp_path, "fetch", **ENVIRON).returncode == 0
            exporter.stop()


def test_port_in_use_is_a_clear_startup_error(tmp_path: Path) -> None:
    with served(APPS) as (_, base_url), closing(socket.create_server(("127.0.0.1", 0))) as occupied:
        write_configuration(tmp_path, base_url)
        port = occupied.getsockname()[1]
        result = command(tmp_path, f"--web.listen-address=127.0.0.1:{port}", **ENVIRON)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"cannot listen on 127.0.0.1:{port}: address already in use"
    assert "Traceback" not in result.stderr


def test_proxy_of_the_environment_is_used(tmp_path: Path) -> None:
    write_configuration(tmp_path, "https://api.weixin.qq.com", APPS[:1])
    with closing(socket.create_server(("127.0.0.1", 0))) as proxy:
        url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        with running(tmp_path, HTTPS_PROXY=url, NO_PROXY="") as exporter:
            client, _ = proxy.accept()
            with client:
                assert client.recv(100).startswith(b"CONNECT api.weixin.qq.com:443 HTTP/1.")
            exporter.stop()


def test_prometheus_scrapes_the_exporter(tmp_path: Path, prometheus: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with served(APPS) as (wechat, base_url):
        write_configuration(tmp_path, base_url)
        with running(tmp_path, **ENVIRON) as exporter:
            exporter.scrape_until(complete)
            job = {"job_name": "wechat-miniprogram", "static_configs": [{"targets": [exporter.address]}]}
            (tmp_path / "prometheus.yml").write_text(
                json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
            )
            server = subprocess.Popen(
                [
                    prometheus,
                    f"--config.file={tmp_path}/prometheus.yml",
                    f"--storage.tsdb.path={tmp_path}/tsdb",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--log.level=error",
                ]
            )
            try:
                query = "wechat_miniprogram_weekly_visitors / wechat_miniprogram_previous_week_visitors"
                deadline = time.monotonic() + 30
                found: list[dict[str, dict[str, str]]] = []
                while len(found) < len(APPS):
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                    try:
                        answer = requests.get(
                            f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=5
                        )
                    except requests.ConnectionError:
                        continue
                    if answer.ok:
                        found = answer.json()["data"]["result"]
            finally:
                server.terminate()
                server.wait(10)
            for result in found:
                appid = result["metric"]["appid"]
                now, before = (wechat.row(appid, about)["visit_uv"] for about in (NEWEST_WEEK, NEWEST_WEEK.before()))
                assert float(result["value"][1]) == pytest.approx(now / before)  # type: ignore[operator]
            exporter.stop()

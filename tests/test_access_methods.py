"""End-to-end tests of nine apps, one for each access method, in one configuration: successful and with every error."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from harness import NEWEST_WEEK, NOW, PREFIX, Running, Samples, command, running, served

from exporter.reports import REPORTS, WEEKLY
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp, SimulatedServices
from exporter.wechat.simulator.access_methods import HTTP_ACCESS, KEY_HEADER, TOKEN_SERVER

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.wechat.simulator import Simulator

pytestmark = pytest.mark.usefixtures("fixed_time")
WEEKS = 5
KEY = "secret-of-the-services-beside-wechat"
COMPONENT_TOKEN = "component-secret-of-the-platform"
METHODS = (
    "secret",
    "token_file",
    "token_url",
    "authorizer",
    "cloud_function",
    "http_function",
    "cloud_hosting",
    "from_appid",
    "cloudbase_token",
)
APPS = tuple(
    SimulatedApp(
        f"wx{number:016x}",
        f"app-secret-of-number-{number}",
        Audience(1000 * (number + 1)),
        refresh_token=f"refresh-secret-of-number-{number}",
        cloud_env="prod-1",
        cloudbase_token=f"cloudbase-secret-of-number-{number}",
    )
    for number in range(len(METHODS))
)
SERVICES = SimulatedServices(
    component_token=COMPONENT_TOKEN, hosting_appid=APPS[METHODS.index("cloud_hosting")].appid, key=KEY
)
Entry = dict[str, Any]


def entries(folder: Path, wechat: Simulator, base_url: str) -> dict[str, Entry]:
    """Return the configuration of each access method, and write the files that it names."""

    def kept(name: str, content: str) -> str:
        (folder / name).write_text(f"{content}\n")
        (folder / name).chmod(0o600)
        return name

    by_method = dict(zip(METHODS, APPS, strict=True))
    headers = {KEY_HEADER: {"file": kept("key", KEY)}}
    configured: dict[str, Entry] = {
        "secret": {"secret_file": kept("secret", by_method["secret"].secret)},
        "token_file": {"token_file": kept("token", wechat.live_token(by_method["token_file"].appid)[0])},
        "token_url": {
            "token_url": {
                "url": f"{base_url}{TOKEN_SERVER}{{appid}}",
                "headers": headers,
                "json_field": "data.token",
                "expires_in": "data.seconds",
            }
        },
        "authorizer": {
            "authorizer": {
                "component_appid": SERVICES.component_appid,
                "component_token_file": kept("component", COMPONENT_TOKEN),
                "refresh_token_file": kept("refresh", by_method["authorizer"].refresh_token),
            }
        },
        "cloud_function": {
            "secret": by_method["cloud_function"].secret,
            "cloud_function": {"env": "prod-1", "name": "analysis"},
        },
        "http_function": {"http_function": {"url": f"{base_url}{HTTP_ACCESS}{{appid}}", "headers": headers}},
        "cloud_hosting": {"cloud_hosting": {}},
        "from_appid": {"cloud_hosting": {"from_appid": by_method["from_appid"].appid}},
        "cloudbase_token": {
            "cloud_hosting": {"cloudbase_token_file": kept("cloudbase", by_method["cloudbase_token"].cloudbase_token)}
        },
    }
    return {option: {"appid": by_method[option].appid, "name": option, **entry} for option, entry in configured.items()}


def configure(folder: Path, base_url: str, apps: dict[str, Entry], **fetch: object) -> None:
    main = {"fetch": {"history_weeks": WEEKS, "timeout": "1s", **fetch}, "api": {"base_url": base_url}}
    (folder / "config.yaml").write_text(json.dumps({**main, "apps": list(apps.values())}))
    (folder / "config.yaml").chmod(0o600)


def appid(option: str) -> str:
    return APPS[METHODS.index(option)].appid


def assert_nothing_secret(exporter: Running, wechat: Simulator, folder: Path) -> None:
    """Search all output of the exporter: log, pages, metrics, store."""
    given = "".join(exporter.log) + exporter.get("/").text + exporter.get("/metrics").text
    given += "".join(file.read_bytes().decode("latin-1") for file in sorted((folder / "data").iterdir()))
    secrets = {KEY, COMPONENT_TOKEN, *(token.value for token in wechat._tokens)}
    for app in APPS:
        secrets |= {app.secret, app.refresh_token, app.cloudbase_token}
    assert len(secrets) >= 3 * len(APPS) + 2
    assert [secret for secret in secrets if secret in given] == []
    assert all(app.appid in given for app in APPS), "the search finds an existing text"


def test_nine_access_methods_expose_all_figures_and_no_secret(tmp_path: Path) -> None:
    with served(APPS, services=SERVICES) as (wechat, base_url):  # type: ignore[arg-type]
        apps = entries(tmp_path, wechat, base_url)
        assert len(apps) == 9
        configure(tmp_path, base_url, apps)
        with running(tmp_path, "--log.level=debug") as exporter:
            samples = exporter.scrape_until(
                lambda samples: sum(key[0] == "fetches_total" and value == WEEKS for key, value in samples.items()) == 9
            )
            for app in APPS:
                figures = {key[0] for key in samples if key[1:] == (app.appid, NEWEST_WEEK.label)}
                assert figures > {info.removeprefix(PREFIX) for info in map(WEEKLY.metric, WEEKLY.fields)}
                for field in WEEKLY.fields:
                    value = samples[f"weekly_{field.metric}", app.appid, NEWEST_WEEK.label]
                    assert value == wechat.row(app.appid, NEWEST_WEEK)[field.wechat]
                assert samples["fetch_state", app.appid, "weekly", "ok"] == 1
            calls = {key[1]: value for key, value in samples.items() if key[0].endswith("duration_seconds_count")}
            assert calls == {
                "stable_token": 2,
                "token_url": 1,
                "api_authorizer_token": 1,
                "weekly": 7 * WEEKS,
                "invokecloudfunction": WEEKS,
                "http_function": WEEKS,
            }
            assert_nothing_secret(exporter, wechat, tmp_path)


def test_every_access_method_serves_every_report(tmp_path: Path) -> None:
    """Nine apps, nine access methods, six reports each: the newest periods are exposed with the figures of WeChat."""
    with served(APPS, services=SERVICES) as (wechat, base_url):  # type: ignore[arg-type]
        apps = {
            option: {**entry, "reports": list(REPORTS)} for option, entry in entries(tmp_path, wechat, base_url).items()
        }
        configure(tmp_path, base_url, apps, history_weeks=2)
        wanted = sum(report.periods_in_weeks(2) for report in REPORTS.values())
        with running(tmp_path, "--log.level=debug") as exporter:
            samples = exporter.scrape_until(
                lambda samples: (
                    sum(samples.get(("fetches_total", app.appid, name), 0) for app in APPS for name in REPORTS)
                    == wanted * len(APPS)
                )
            )
            for report in REPORTS.values():
                period = report.newest_wanted(NOW, 36_000)
                for app, field in ((app, field) for app in APPS for field in report.plain_fields):
                    value = samples[report.metric(field).removeprefix(PREFIX), app.appid, period.label]
                    assert value == wechat.content(app.appid, report, period)["list"][0][field.wechat]  # type: ignore[index]
                assert all(samples["fetch_state", app.appid, report.name, "ok"] == 1 for app in APPS)
            for app in APPS:
                for name, number in (("weekly_retained_visitors", 2), ("daily_stay_sessions", 8)):
                    assert len([key for key in samples if key[:2] == (name, app.appid)]) == number
                entrances = [key for key in samples if key[:2] == ("daily_source_sessions", app.appid)]
                assert sum(samples[key] for key in entrances) == samples["daily_sessions", app.appid, entrances[0][2]]
            assert_nothing_secret(exporter, wechat, tmp_path)


def test_check_live_works_with_every_access_method(tmp_path: Path) -> None:
    with served(APPS, services=SERVICES) as (wechat, base_url):  # type: ignore[arg-type]
        configure(tmp_path, base_url, entries(tmp_path, wechat, base_url))
        result = command(tmp_path, "check", "--live")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:-1]] == [f"{appid(option)} ({option})" for option in METHODS]
    assert all(": ok: week" in line for line in lines[:-1])
    assert lines[-1] == "SUCCESS: 9 apps"


@dataclass(frozen=True)
class Broken:
    """The expected result of an app: its state, the errcode label, and a part of its log line."""

    state: str
    errcode: str
    message: str


LAST_CALL = {
    "secret": "weekly",
    "token_file": "weekly",
    "token_url": "token_url",
    "authorizer": "api_authorizer_token",
    "cloud_function": "invokecloudfunction",
    "http_function": "http_function",
    "cloud_hosting": "weekly",
    "from_appid": "weekly",
    "cloudbase_token": "weekly",
}
"""The call of each access method that fails."""

REJECTED = {
    "secret": Broken("refused", "40125", "correct the app's secret"),
    "token_file": Broken("refused", "40001", "the token file is unchanged"),
    "token_url": Broken("refused", "http_4xx", "the token server denied access (HTTP 401)"),
    "authorizer": Broken("refused", "61007", "grant permission set 18"),
    "cloud_function": Broken("refused", "-604101", "in the cloud function's config.json"),
    "http_function": Broken("refused", "http_4xx", "the HTTP access service denied access (HTTP 401)"),
    "cloud_hosting": Broken("refused", "41001", "enable the open interface service"),
    "from_appid": Broken("refused", "41001", "enable the open interface service"),
    "cloudbase_token": Broken("refused", "40001", "the token file is unchanged"),
}


def test_rejected_credentials_are_refused_with_advice(tmp_path: Path) -> None:
    assert set(REJECTED) == set(METHODS)
    apps = [replace(app, cloud_permission=False) for app in APPS]
    outside = replace(SERVICES, hosting_appid="")
    with served(apps, services=outside) as (wechat, base_url):  # type: ignore[arg-type]
        written = entries(tmp_path, wechat, base_url)
        for file in ("secret", "token", "key", "refresh", "cloudbase"):
            (tmp_path / file).write_text(f"wrong-secret-of-{file}\n")
        configure(tmp_path, base_url, written)
        assert_broken(tmp_path, wechat, REJECTED)


FAULTS = {
    "reset": ("unreachable", Broken("failed", "connection", "closed without a response")),
    "html": ("nonsense", Broken("failed", "malformed", "not JSON")),
    "hang": ("too late", Broken("failed", "timeout", "no complete response")),
    "http_500": ("broken", Broken("failed", "http_5xx", "HTTP status 500")),
}


@pytest.mark.parametrize("kind", FAULTS, ids=[name for name, _ in FAULTS.values()])
def test_every_access_method_reports_a_fault_with_one_message(kind: str, tmp_path: Path) -> None:
    assert set(LAST_CALL) == set(METHODS)
    apps = [
        replace(app, faults=(InjectedFault(kind, LAST_CALL[option]),))
        for option, app in zip(METHODS, APPS, strict=True)
    ]
    with served(apps, services=SERVICES) as (wechat, base_url):  # type: ignore[arg-type]
        configure(tmp_path, base_url, entries(tmp_path, wechat, base_url), timeout="300ms")
        assert_broken(tmp_path, wechat, dict.fromkeys(METHODS, FAULTS[kind][1]))


def assert_broken(folder: Path, wechat: Simulator, expected: dict[str, Broken]) -> None:
    def reported(samples: Samples) -> bool:
        return all(
            ("fetch_state", appid(option), "weekly", broken.state) in samples for option, broken in expected.items()
        )

    with running(folder, "--log.level=debug") as exporter:
        samples = exporter.scrape_until(reported)
        for option, broken in expected.items():
            assert samples["api_errors_total", appid(option), broken.errcode, "weekly"] >= 1, option
            line = exporter.logged(
                f"appid={appid(option)} report=weekly state={broken.state} errcode={broken.errcode} "
            )
            assert "app failing" in line
            assert broken.message in line, option
        assert_nothing_secret(exporter, wechat, folder)


def test_token_server_without_a_listener_is_a_connection_error(tmp_path: Path) -> None:
    with served(APPS, services=SERVICES) as (wechat, base_url):  # type: ignore[arg-type]
        written = entries(tmp_path, wechat, base_url)
        written["token_url"]["token_url"]["url"] = "http://127.0.0.1:9/{appid}"
        written["http_function"]["http_function"]["url"] = "http://127.0.0.1:9/"
        configure(tmp_path, base_url, {option: written[option] for option in ("token_url", "http_function")})
        result = command(tmp_path, "check", "--live")
    assert result.returncode == 1
    assert result.stdout.count(": failed: connection refused") == 2

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from harness import COMMAND, NEWEST_WEEK, NOW, command, running, samples_of, served
from launcher import Forked

from exporter import __version__
from exporter.apps import State
from exporter.cli.backfill_flags import BackfillOptions
from exporter.cli.flags import COMMANDS, SYSTEMD_UNITS, Options, parse
from exporter.reports import DAILY_SOURCES, REPORTS, WEEKLY_RETENTION
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import KINDS, InjectedFault, SimulatedApp

GOOD = SimulatedApp("wx00000000000000a0", "secret-of-the-good-app")
VISITORS = ("weekly_visitors", GOOD.appid, NEWEST_WEEK.label)


def configured(
    folder: Path, base_url: str, *apps: SimulatedApp, reports: tuple[str, ...] = ("weekly",), **fetch: object
) -> None:
    entries = [{"appid": app.appid, "name": f"App {n}", "secret": app.secret} for n, app in enumerate(apps)]
    main = {
        "reports": reports,
        "fetch": {"timeout": "1s", **fetch},
        "api": {"base_url": base_url},
        "apps": entries,
    }
    (folder / "config.yaml").write_text(json.dumps(main))
    (folder / "config.yaml").chmod(0o600)


# --- flags ---------------------------------------------------------------------------------------

FLAGS = [
    (
        ["--config.auto-reload-interval=1m30s", "--web.enable-lifecycle"],
        Options(auto_reload_interval=90.0, enable_lifecycle=True),
    ),
    ([], Options()),
    (["check"], Options("check")),
    (["check", "--config.file", "a"], Options("check", Path("a"))),
    (["--config.file", "a", "check"], Options("check", Path("a"))),
    (["--config.file=a", "check", "--live"], Options("check", Path("a"), live=True)),
    (["--log.level=debug", "fetch", "--log.format=json"], Options("fetch", log_level="debug", log_format="json")),
    (["--storage.path", ":memory:"], Options(storage_path=":memory:")),
    (["fetch", "--output=x.prom"], Options("fetch", output=Path("x.prom"))),
    (
        ["--web.listen-address=:1", "--web.listen-address=[::1]:2"],
        Options(listen_addresses=(":1", "[::1]:2")),
    ),
    (["--web.telemetry-path=/m", "demo", "--seed=3"], Options("demo", telemetry_path="/m", seed=3)),
    (["simulator", "--fault=a=b", "--fault=c=d"], Options("simulator", faults=("a=b", "c=d"))),
    (["dashboard"], Options("dashboard")),
    (
        ["rules", "--kubernetes", "--dashboard.url=https://g/d/x", "--runbook.url=https://w/a"],
        Options("rules", kubernetes=True, dashboard_url="https://g/d/x", runbook_url="https://w/a"),
    ),
    (
        ["--storage.path=d", "backfill", "--from=20250102", "--to=2025-12-31", "--report=daily", "--label=job=j"],
        Options(
            "backfill",
            storage_path="d",
            backfill=BackfillOptions(
                begin=date(2025, 1, 2), end=date(2025, 12, 31), reports=("daily",), labels=(("job", "j"),)
            ),
        ),
    ),
    (
        ["backfill", "--weeks=9", "--output=-", "--sample-interval=period", "--until=1795600000"],
        Options(
            "backfill", output=Path("-"), backfill=BackfillOptions(weeks=9, sample_interval=0, until=1_795_600_000.0)
        ),
    ),
    (
        ["backfill", "--evaluate", "--min-ratio=0.8", "--format=json", "--log.level=debug"],
        Options("backfill", log_level="debug", backfill=BackfillOptions(evaluate=True, min_ratio=0.8, format="json")),
    ),
    (["config", "--example"], Options("config", example=True)),
    (["config", "--systemd"], Options("config", systemd="service")),
    (["config", "--systemd=fetch.timer"], Options("config", systemd="fetch.timer")),
    (
        ["rules", "--web.external-url=https://tools.example/wechat/"],
        Options("rules", external_url="https://tools.example/wechat"),
    ),
    (["--web.external-url=http://[::1]:8080"], Options(external_url="http://[::1]:8080")),
    (["--web.external-url="], Options()),
    (["--dashboard.url="], Options()),
    (
        ["--dashboard.url=HTTPS://[::1]:3000/d/x?orgId=1", "demo"],
        Options("demo", dashboard_url="HTTPS://[::1]:3000/d/x?orgId=1"),
    ),
    (["healthcheck", "--web.listen-address=:1"], Options("healthcheck", listen_addresses=(":1",))),
    (["--web.config.file=web.yml", "check"], Options("check", web_config_file=Path("web.yml"))),
]


@pytest.mark.parametrize(("argv", "options"), FLAGS, ids=[" ".join(row[0]) for row in FLAGS])
def test_flags_are_accepted_before_or_after_the_command(argv: list[str], options: Options) -> None:
    assert parse(argv) == options


WRONG_USAGE = [
    ["--config.auto-reload-interval=30"],
    ["--config.auto-reload-interval=500ms"],
    ["--web.enable-lifecycle=yes"],
    ["--config"],
    ["--web.listen", ":1"],
    ["--nonsense"],
    ["nonsense"],
    ["--log.level=loud"],
    ["--log.format=xml"],
    ["--web.telemetry-path=metrics"],
    ["--web.telemetry-path=/"],
    ["--web.telemetry-path=/-/healthy"],
    ["--web.telemetry-path=/metrics#x"],
    ["--web.telemetry-path=/a b"],
    ["--web.telemetry-path=//other.example/metrics"],
    ["--web.telemetry-path=/api/v1/apps"],
    ["--web.telemetry-path=/docs"],
    ["--web.telemetry-path=/docs/alerts"],
    ["--web.telemetry-path=/apps/metrics"],
    ["--web.telemetry-path=/api/v1/apps/metrics"],
    ["--web.external-url=tools.example/wechat"],
    ["--web.external-url=ftp://tools.example"],
    ["--web.external-url=https://user:password@tools.example"],
    ["--web.external-url=https://tools.example/?q"],
    ["--web.external-url=https://tools.example/#f"],
    ["--web.external-url=https://tools.example//wechat"],
    ["--web.external-url=https://tools.example/metrics"],
    ["--web.external-url=https://tools.example/api"],
    ["--web.external-url=https://tools.example/docs/"],
    ["--web.external-url=https://tools.example/-"],
    ["--web.external-url=https://tools.example/wechat", "--web.telemetry-path=/wechat/metrics"],
    ["--web.listen-address=10717"],
    ["demo", "--seed=x"],
    ["check", "--output=x"],
    ["config", "--example", "--systemd"],
    ["config", "--systemd=timer"],
]


@pytest.mark.parametrize("argv", WRONG_USAGE, ids=[" ".join(row) for row in WRONG_USAGE])
def test_wrong_usage_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: wechat-miniprogram-exporter")


def test_tables_of_flags_are_complete() -> None:
    assert {options.command for _, options in FLAGS} == {"run", *COMMANDS}


def test_version_names_program_version_and_python(tmp_path: Path) -> None:
    result = command(tmp_path, "--version")
    assert result.returncode == 0
    assert re.fullmatch(
        rf"wechat-miniprogram-exporter {re.escape(__version__)} \(Python 3\.\d+\.\d+\)\n", result.stdout
    )


def test_python_m_exporter_is_the_same_program(tmp_path: Path) -> None:
    python = str(Path(COMMAND[0]).parent / "python")
    result = subprocess.run(
        [python, "-m", "exporter", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout == command(tmp_path, "--version").stdout


# --- files delivered with the program ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "file"),
    [("--example", "config.example.yaml"), *((f"--systemd={unit}", path) for unit, path in SYSTEMD_UNITS.items())],
)
def test_config_prints_a_file_of_the_repository(argument: str, file: str, tmp_path: Path) -> None:
    result = command(tmp_path, "config", argument)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (Path(__file__).parent.parent / file).read_text()


def test_config_alone_names_what_it_can_print(tmp_path: Path) -> None:
    result = command(tmp_path, "config")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith("one of the arguments --example --systemd is required\n")


# --- configuration that cannot be used -------------------------------------------------------------

BROKEN = [
    ("no file", None, "config.yaml: "),
    ("syntax", "apps: [", "config.yaml:1: "),
    ("unknown", "aps: []\n", "config.yaml:1: aps: unknown option; did you mean apps?"),
    ("no apps", "apps: []\n", "config.yaml"),
]


@pytest.mark.parametrize(("why", "text", "message"), BROKEN, ids=[row[0] for row in BROKEN])
def test_invalid_configuration_exits_2_and_check_exits_1(
    tmp_path: Path, why: str, text: str | None, message: str
) -> None:
    """Both print the same messages."""
    assert why
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    run, check = command(tmp_path), command(tmp_path, "check")
    assert (run.returncode, check.returncode) == (2, 1)
    assert message in run.stderr
    assert run.stderr == check.stdout
    assert "Traceback" not in run.stderr + check.stderr


def test_check_prints_every_problem_at_once_or_success(tmp_path: Path) -> None:
    configured(tmp_path, "https://api.weixin.qq.com", GOOD)
    result = command(tmp_path, "check")
    assert (result.returncode, result.stdout) == (0, "SUCCESS: 1 apps\n")
    bad = "fetch: {interval: 0s, timeout: x}\napps:\n- appid: wx00000000000000a0\n  secret_file: none\n"
    (tmp_path / "config.yaml").write_text(bad)
    lines = command(tmp_path, "check").stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["config.yaml:1", "fetch.interval"],
        ["config.yaml:1", "fetch.timeout"],
        ["config.yaml:4", "apps[0].secret_file"],
    ]


def test_check_warns_without_failing(tmp_path: Path) -> None:
    configured(tmp_path, "https://api.weixin.qq.com", GOOD, history_weeks=2)
    result = command(tmp_path, "check")
    assert result.returncode == 0
    assert result.stdout.startswith("warning: config.yaml:1: fetch.history_weeks: ")


# --- check --live ----------------------------------------------------------------------------------

LIVE = {
    "40164": ("refused: 40164 invalid ip 203.0.113.7", "add 203.0.113.7 to the app's IP allow list"),
    "48001": ("refused: 48001 api unauthorized", "must belong to a Mini Program"),
    "40125": ("refused: 40125 invalid appsecret", "correct the app's secret"),
    "40013": ("refused: 40013 invalid appid", "correct `appid` in the configuration"),
    "61502": ("refused: 61502 this is game miniprogram", "WeChat has no figures for games"),
    "61501": ("failed: 61501 date range error", "check this machine's clock"),
    "45009": ("quota_spent: 45009 reach max api daily quota limit", "until tomorrow"),
    "99999": ("failed: 99999 unknown error", "unknown error code"),
    "hang": ("failed: no complete response within 1s", ""),
    "http_502": ("failed: unexpected HTTP status 502", ""),
    "61503": ("ok, but week", "not published yet"),
}


@pytest.mark.usefixtures("fixed_time")
def test_check_live_fetches_each_app_and_says_what_to_do(tmp_path: Path) -> None:
    apps = [
        SimulatedApp(f"wx00000000000000b{n:x}", f"secret-of-app-{n}", faults=(InjectedFault(kind),))
        for n, kind in enumerate(LIVE)
    ]
    with served([GOOD, *apps]) as (wechat, base_url):
        configured(tmp_path, base_url, GOOD, *apps)
        result = command(tmp_path, "check", "--live")
        assert len([call for call in wechat.calls if call.appid == GOOD.appid]) == 2
    first, *lines, last = result.stdout.splitlines()
    assert first.startswith(f"{GOOD.appid} (App 0): weekly: ok: week {NEWEST_WEEK.label}: session_cnt ")
    for app, line, (state, cure) in zip(apps, lines, LIVE.values(), strict=True):
        assert line.startswith(f"{app.appid} (App ")
        assert state in line
        assert cure in line
    assert last == "FAILED: 0 problems, 10 of 12 apps failed"
    assert result.returncode == 1
    assert not (tmp_path / "data").exists(), "nothing is stored"
    assert "secret-" not in result.stdout + result.stderr


def test_check_live_requests_a_refused_token_once(tmp_path: Path) -> None:
    refused = replace(GOOD, faults=(InjectedFault("40164", STABLE_TOKEN),))
    with served([refused]) as (wechat, base_url):
        configured(tmp_path, base_url, refused, reports=tuple(REPORTS))
        result = command(tmp_path, "check", "--live")
        assert [call.endpoint for call in wechat.calls] == [STABLE_TOKEN]
    (line, last) = result.stdout.splitlines()
    assert line.startswith(f"{GOOD.appid} (App 0): refused: 40164 ")
    assert last == "FAILED: 0 problems, 1 of 1 apps failed"


def test_check_live_succeeds_when_every_app_does(tmp_path: Path) -> None:
    with served([GOOD]) as (_, base_url):
        configured(tmp_path, base_url, GOOD)
        result = command(tmp_path, "check", "--live")
    assert result.stdout.splitlines()[-1] == "SUCCESS: 1 apps"
    assert result.returncode == 0


@pytest.mark.usefixtures("fixed_time")
def test_check_live_prints_totals_and_number_of_parts(tmp_path: Path) -> None:
    """Of a cohort: its size, and how many came back in each later week that is known."""
    early = replace(GOOD, appid="wx00000000000000b1", faults=(InjectedFault("no_later_keys", WEEKLY_RETENTION.name),))
    with served([GOOD, early]) as (wechat, base_url):
        configured(tmp_path, base_url, GOOD, early, reports=tuple(REPORTS))
        result = command(tmp_path, "check", "--live")
        week, day = (report.newest_wanted(NOW, 36_000) for report in (WEEKLY_RETENTION, DAILY_SOURCES))
        cohort: Any = wechat.content(GOOD.appid, WEEKLY_RETENTION, week)
        sources: Any = wechat.content(GOOD.appid, DAILY_SOURCES, day)
    lines = {line.split(": ")[1]: line for line in result.stdout.splitlines() if line.startswith(GOOD.appid)}
    assert list(lines) == list(REPORTS)
    sizes = {name: [entry["value"] for entry in cohort[name]][:2] for name in ("visit_uv", "visit_uv_new")}
    came_back = ", ".join(f"{name} {size} ({back} of them 1 week later)" for name, (size, back) in sizes.items())
    assert lines["weekly_retention"].endswith(f": weekly_retention: ok: week {week.label}: {came_back}")
    parts = {entry["index"]: [item["value"] for item in entry["item_list"]] for entry in sources["list"]}
    labels = ("source", "source", "stay", "pages")
    totals = [
        f"{field.wechat} {sum(parts[field.wechat])} in {len(parts[field.wechat])} parts"
        for field in DAILY_SOURCES.fields
    ]
    shown = ", ".join(f"{total} ({label})" for total, label in zip(totals, labels, strict=True))
    assert lines["daily_sources"].endswith(f": daily_sources: ok: day {day.label}: {shown}")
    assert re.search(
        r": daily_summary: ok: day \d{8}: share_pv \d+, share_uv \d+, visit_total \d+$", lines["daily_summary"]
    )
    (missing,) = re.findall(rf"^{early.appid} .*: weekly_retention: (.*)", result.stdout, re.MULTILINE)
    assert missing == (
        f"ok, but week {week.label} is not published yet: WeChat has not (yet) published how many visitors of week"
        f" {week.label} came back 1 week later"
    )
    assert (result.stdout.splitlines()[-1], result.returncode) == ("SUCCESS: 2 apps", 0)


def test_check_live_can_be_interrupted(tmp_path: Path) -> None:
    hanging = SimulatedApp(GOOD.appid, GOOD.secret, faults=(InjectedFault("hang", "stable_token"),))
    with served([hanging]) as (wechat, base_url):
        configured(tmp_path, base_url, hanging, timeout="2s")
        process = subprocess.Popen(
            [*COMMAND, "check", "--live"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts its background jobs, and so perhaps this test, with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 (no threads use it)
        )
        while not wechat.calls:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors


# --- fetch -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fixed_time")
def test_fetch_prints_only_our_families_and_requests_what_is_due(tmp_path: Path) -> None:
    with served([GOOD]) as (wechat, base_url):
        configured(tmp_path, base_url, GOOD)
        result = command(tmp_path, "fetch")
        assert result.returncode == 0
        samples = samples_of(result.stdout)
        assert samples[VISITORS] > 0
        assert samples["fetches_total", GOOD.appid, "weekly"] == 9
        names = {line.split(" ")[2] for line in result.stdout.splitlines() if line.startswith("# TYPE")}
        assert names
        assert all(name.startswith("wechat_miniprogram_") for name in names)
        calls = len(wechat.calls)
        again = samples_of(command(tmp_path, "fetch").stdout)
        assert again[VISITORS] == samples[VISITORS]
        assert len(wechat.calls) == calls


@pytest.mark.usefixtures("fixed_time")
def test_fetch_writes_a_complete_file_or_none(tmp_path: Path) -> None:
    output = tmp_path / "textfile" / "wechat.prom"
    with served([GOOD]) as (_, base_url):
        configured(tmp_path, base_url, GOOD)
        missing = command(tmp_path, "fetch", f"--output={output}")
        output.parent.mkdir()
        written = command(tmp_path, "fetch", f"--output={output}")
    assert missing.returncode == 2
    assert missing.stderr.endswith("must be a file in an existing directory\n")
    assert (written.returncode, written.stdout) == (0, "")
    assert samples_of(output.read_text())[VISITORS] > 0
    assert list(output.parent.iterdir()) == [output]
    assert output.stat().st_mode & 0o777 == 0o644


HINTS = [
    (["--config.fil", "x"], "unknown flag --config.fil; did you mean --config.file?"),
    (["-config.file=x"], "unknown flag -config.file; did you mean --config.file?"),
    (["check", "--lvie"], "unknown flag --lvie; did you mean --live?"),
    (["--password=hush-hush"], "unknown flag --password"),
    (["chek"], "; did you mean check?"),
    (["--log.level=inf"], "; did you mean info?"),
]


@pytest.mark.parametrize(("arguments", "message"), HINTS)
def test_an_unknown_flag_or_command_gets_a_hint(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.endswith(f"{message}\n")
    assert "hush" not in shown


def test_an_output_with_a_symlink_loop_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("apps:\n- {appid: wx0123456789abcdef, secret: secret-of-the-app}\n")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for output in ("a", "a/metrics.prom"):
        ended = command(tmp_path, "fetch", f"--output={output}")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.splitlines()[-1] == f"--output {output}: too many levels of symbolic links"


@pytest.mark.usefixtures("fixed_time")
def test_fetch_output_follows_links_and_writes_to_pipes(tmp_path: Path) -> None:
    """Neither a link nor a pipe is replaced; a directory is refused before any request."""
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    with served([GOOD]) as (wechat, base_url):
        configured(tmp_path, base_url, GOOD)
        assert command(tmp_path, "fetch", f"--output={tmp_path}").returncode == 2
        assert not wechat.calls, "an invalid output is rejected before any request"
        assert command(tmp_path, "fetch", f"--output={link}").returncode == 0
        line = [*COMMAND, "fetch", f"--output={pipe}"]
        process = Forked(line, cwd=tmp_path, env=os.environ, stderr=subprocess.DEVNULL)
        read = pipe.read_text()
        assert process.wait(10) == 0
    assert link.is_symlink()
    assert pipe.is_fifo()
    for text in (target.read_text(), read):
        assert samples_of(text)[VISITORS] > 0


def test_fetch_requests_each_app_once(tmp_path: Path) -> None:
    """Apps that become due again meanwhile are not fetched twice."""
    failing = [SimulatedApp(f"wx{n:016x}", "secret-of-the-app", faults=(InjectedFault("hang"),)) for n in range(6)]
    with served(failing) as (wechat, base_url):
        configured(tmp_path, base_url, *failing, timeout="500ms", concurrency=1, interval="1s", retry_interval="1s")
        assert command(tmp_path, "fetch").returncode == 1
        assert [call.endpoint for call in wechat.calls].count("weekly") == len(failing)


@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "ascii"])
def test_exposition_is_utf_8_in_every_locale(tmp_path: Path, encoding: str) -> None:
    with served([GOOD]) as (_, base_url):
        configured(tmp_path, base_url, GOOD)
        text = (tmp_path / "config.yaml").read_text().replace("App 0", "店铺")
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        environ = os.environ | {"PYTHONIOENCODING": encoding}
        found = subprocess.run([*COMMAND, "fetch"], cwd=tmp_path, env=environ, capture_output=True, check=True)
        checked = subprocess.run(
            [*COMMAND, "check", "--live"], cwd=tmp_path, env=environ, capture_output=True, check=True
        )
    assert 'name="店铺"' in found.stdout.decode()
    assert b"Traceback" not in checked.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_closed_standard_streams_do_not_end_the_exporter(tmp_path: Path, closed: str) -> None:
    with closing(create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    line = f'exec "$0" demo --web.listen-address=127.0.0.1:{port} {closed}'
    process = subprocess.Popen(["sh", "-c", line, *COMMAND], cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while command(tmp_path, "healthcheck", f"--web.listen-address=127.0.0.1:{port}").returncode:
        assert time.monotonic() < deadline
    process.terminate()
    assert process.wait(10) == 0


@pytest.mark.usefixtures("fixed_time")
def test_fetch_exits_1_if_an_app_failed_and_prints_the_others(tmp_path: Path) -> None:
    refused = SimulatedApp("wx00000000000000a1", "secret-of-the-app", faults=(InjectedFault("40164", "stable_token"),))
    with served([GOOD, refused]) as (wechat, base_url):
        configured(tmp_path, base_url, GOOD, refused)
        result = command(tmp_path, "fetch")
        calls = len(wechat.calls)
        assert command(tmp_path, "fetch").returncode == 1
        assert len(wechat.calls) == calls, "a timer does not repeat a refused request"
    assert result.returncode == 1
    samples = samples_of(result.stdout)
    assert samples["up", refused.appid, "weekly"] == 0
    assert samples[VISITORS] > 0


# --- healthcheck -----------------------------------------------------------------------------------


def test_healthcheck_succeeds_for_any_response(tmp_path: Path) -> None:
    with running(tmp_path, "demo") as exporter:
        result = command(tmp_path, "healthcheck", f"--web.listen-address={exporter.address}")
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        port = exporter.address.rpartition(":")[2]
        assert command(tmp_path, "healthcheck", f"--web.listen-address=:{port}").returncode == 0
        assert command(tmp_path, "healthcheck", f"--web.listen-address=0.0.0.0:{port}").returncode == 0
        exporter.stop()
        result = command(tmp_path, "healthcheck", f"--web.listen-address={exporter.address}")
        assert result.returncode == 1
        assert f"{exporter.address}: no response: " in result.stderr


def test_healthcheck_fails_without_an_http_response(tmp_path: Path) -> None:
    assert command(tmp_path, "healthcheck", "--web.listen-address=:0").returncode == 2
    assert command(tmp_path, "healthcheck", "--web.listen-address=a..b:80").returncode == 1
    with closing(create_server(("127.0.0.1", 0))) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [*COMMAND, "healthcheck", f"--web.listen-address={address}"], stderr=subprocess.PIPE, text=True
        )
        client, _ = silent.accept()
        with client:
            client.sendall(b"this is not HTTP\r\n\r\n")
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "no response" in errors


# --- demo and simulator ------------------------------------------------------------------------------


def demo_is_complete(samples: dict[tuple[str, ...], float]) -> bool:
    """Whether the demo shows every state but pending, and the figures of its four apps that have two weeks."""
    shown = {key[3] for key in samples if key[0] == "fetch_state"}
    figures = [key for key in samples if key[0] == "previous_week_visitors"]
    return shown == {str(state) for state in State} - {"pending"} and len(figures) == 4


def test_demo_is_complete_within_5_seconds(tmp_path: Path) -> None:
    """At one of three starts: other tests slow it down, and the promise is about a machine that does nothing else."""

    def seconds() -> float:
        began = time.monotonic()
        with running(tmp_path, "demo", "--config.file=none") as exporter:
            exporter.scrape_until(demo_is_complete, 60)
            return time.monotonic() - began

    assert any(seconds() < 5 for _ in range(3))


def test_demo_shows_all_states_and_figures(tmp_path: Path) -> None:
    """It stores nothing on disk."""
    with running(tmp_path, "demo", "--config.file=none") as exporter:
        samples = exporter.scrape_until(demo_is_complete, 60)
        ratios = {
            key[1]: value / samples["previous_week_visitors", *key[1:]]
            for key, value in samples.items()
            if key[0] == "weekly_visitors" and ("previous_week_visitors", *key[1:]) in samples
        }
        assert sum(ratio < 0.6 for ratio in ratios.values()) == 1, "one app drops this week"
        assert exporter.get("/").status_code == 200
        assert exporter.stop() == 0
        assert exporter.process.stdout is not None
        output = exporter.process.stdout.read()
    assert output == f"status page: http://{exporter.address}/\nmetrics:     http://{exporter.address}/metrics\n"
    assert list(tmp_path.iterdir()) == [], "the demo keeps its store in memory"


def test_simulator_prints_a_configuration_that_works(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "simulator", "--web.listen-address=127.0.0.1:0", "--fault=wx0000000000000001=48001"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "# configuration for this simulator (JSON is valid YAML)\n"
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(process.stdout.readline())
        (tmp_path / "config.yaml").write_text("".join(lines))
        result = command(tmp_path, "check", "--live")
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()
    assert "wx0000000000000001 (Corner Bakery): weekly: refused: 48001" in result.stdout
    assert "wx0000000000000002 (Travel Buddy): weekly: ok: " in result.stdout


BAD_FAULTS = {
    "wx0000000000000001=dayly:48001": "--fault wx0000000000000001=dayly:48001: unknown endpoint; valid endpoints: ",
    "wxnone=48001": "--fault wxnone=48001: unknown app wxnone; simulated apps: wx0000000000000001, ",
    "wx0000000000000001=nonsense": "--fault wx0000000000000001=nonsense: unknown fault: use an errcode or one of ",
}


@pytest.mark.parametrize(("fault", "message"), BAD_FAULTS.items())
def test_unknown_fault_is_a_usage_error(tmp_path: Path, fault: str, message: str) -> None:
    result = command(tmp_path, "simulator", f"--fault={fault}")
    assert result.returncode == 2
    assert result.stderr.startswith(message)


def test_the_simulator_names_its_faults(tmp_path: Path) -> None:
    result = command(tmp_path, "simulator", "--fault=help")
    assert result.returncode == 0
    assert result.stdout.splitlines()[1:] == sorted(KINDS)


def test_closed_log_pipe_does_not_end_the_exporter(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "demo", "--web.listen-address=127.0.0.1:0"], cwd=tmp_path, stderr=write, stdout=subprocess.DEVNULL
    )
    os.close(write)
    assert os.read(read, 1)
    os.close(read)
    time.sleep(1.5)
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 0

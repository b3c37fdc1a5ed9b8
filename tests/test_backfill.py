"""The command ``backfill`` as a process, against a served simulator."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import termios
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from harness import COMMAND, NEWEST_DAY, NEWEST_WEEK, command, now, running, served, starting_at_now
from launcher import Forked
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.holidays import public_holidays
from exporter.periods import DAY, Week
from exporter.store.files import DATABASE
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("fixed_time")
HOUR = 3600.0
SHOP = SimulatedApp("wx00000000000000d1", "secret-of-the-shop-with-history")
CAFE = SimulatedApp("wx00000000000000d2", "secret-of-the-cafe-with-history", Audience(700))
FAST = "--max-requests-per-second=1000"
CONTINUE = "to continue, run the same command again"


def configured(folder: Path, base_url: str, *apps: SimulatedApp, **main: object) -> None:
    entries = [{"appid": app.appid, "name": "店铺", "secret": app.secret} for app in apps]
    document = {"reports": ["weekly", "daily"], "api": {"base_url": base_url}, "apps": entries, **main}
    (folder / "config.yaml").write_text(json.dumps(document))
    (folder / "config.yaml").chmod(0o600)


def requested(wechat: Simulator) -> list[tuple[str, str, str]]:
    """Return every request for a period: app, report, period."""
    return [(call.appid, call.endpoint, call.period) for call in wechat.calls if call.endpoint != STABLE_TOKEN]


def stored(folder: Path) -> int:
    """Return the number of stored readings; -1 while a process that was stopped has locked the database."""
    with closing(sqlite3.connect(folder / "data" / DATABASE, timeout=1)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM reading").fetchone()[0])
        except sqlite3.OperationalError:
            return -1


def series(text: str) -> dict[str, dict[tuple[str, ...], list[tuple[float, float]]]]:
    """Return time and value of each sample, by metric and label values."""
    found: dict[str, dict[tuple[str, ...], list[tuple[float, float]]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            of_series = found.setdefault(family.name, {}).setdefault(tuple(sample.labels.values()), [])
            of_series.append((float(sample.timestamp), sample.value))
    return found


@contextmanager
def begun(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command; kill it at the end if it still runs."""
    line, pipe = [*COMMAND, "backfill", *arguments], subprocess.PIPE
    with Forked(line, cwd=folder, env=os.environ, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


# --- what is fetched -------------------------------------------------------------------------------


def test_periods_in_the_store_are_not_requested_again(tmp_path: Path) -> None:
    with served([SHOP, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, SHOP, CAFE)
        first = command(tmp_path, "backfill", "--weeks=2", "--output=a.om", FAST)
        assert (first.returncode, first.stdout) == (0, ""), first.stderr
        weeks = {NEWEST_WEEK.before(back).label for back in range(2)}
        days = {NEWEST_DAY.before(back).label for back in range(14)}
        for app in (SHOP, CAFE):
            for report, periods in (("weekly", weeks), ("daily", days)):
                found = [period for appid, name, period in requested(wechat) if (appid, name) == (app.appid, report)]
                assert sorted(found) == sorted(periods)
        calls = len(wechat.calls)
        assert command(tmp_path, "backfill", "--weeks=3", "--output=a.om", FAST).returncode == 0
        assert len(wechat.calls) - calls == 2 + 2 * (1 + 7), "a token and the older periods of each app"
        again = command(tmp_path, "backfill", "--weeks=3", "--output=b.om", FAST)
        assert len(wechat.calls) - calls == 2 + 2 * (1 + 7)
        assert again.stderr.startswith("all periods are in the store: nothing to request\n")


def test_days_and_names_select_periods_apps_and_reports(tmp_path: Path) -> None:
    week = NEWEST_WEEK.before(3)
    with served([SHOP, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, SHOP, CAFE)
        days = f"--from={week.days[2].isoformat()}", f"--to={week.after().begin_date}"
        chosen = (f"--appid={CAFE.appid}", "--report=weekly")
        assert command(tmp_path, "backfill", *days, *chosen, "--output=a.om", FAST).returncode == 0
        assert sorted(requested(wechat)) == [(CAFE.appid, "weekly", each.label) for each in (week, week.after())]
    figures = series((tmp_path / "a.om").read_text())
    samples = figures["wechat_miniprogram_weekly_visitors"]
    assert len(samples) == 2
    last = max(at for times in samples.values() for at, _ in times)
    assert last == week.before(-2).end + 10 * HOUR - HOUR, "the file ends where the next week became wanted"
    assert figures["wechat_miniprogram_previous_week_visitors"].keys() == {*samples} - {next(iter(samples))}


def test_missing_periods_are_listed_and_not_requested_again(tmp_path: Path) -> None:
    week = NEWEST_WEEK
    empty = InjectedFault("no_rows", "weekly", frozenset({week.before(4), week.before(5), week.before(7)}))
    new = replace(SHOP, faults=(empty,), launched=week.before(8))
    with served([new]) as (wechat, base_url):
        configured(tmp_path, base_url, new, reports=["weekly"])
        result = command(tmp_path, "backfill", "--weeks=12", "--output=a.om", FAST)
        assert result.returncode == 0, "WeChat has no more"
        calls = len(wechat.calls)
        again = command(tmp_path, "backfill", "--weeks=12", "--output=b.om", FAST)
        assert len(wechat.calls) == calls
    expected = (
        "periods without data:",
        f"  {SHOP.appid}: weekly: {week.before(11).begin_date} to {week.before(9).end_date} (3 weeks)",
        f"  {SHOP.appid}: weekly: {week.before(7).label}",
        f"  {SHOP.appid}: weekly: {week.before(5).begin_date} to {week.before(4).end_date} (2 weeks)",
    )
    for printed in (result.stderr, again.stderr):
        assert tuple(printed.splitlines()[-4:]) == expected
    assert "fetched 6 periods, 6 without data\n" in result.stderr


def test_unpublished_period_is_requested_again_next_time(tmp_path: Path) -> None:
    late = replace(SHOP, published_after=30 * DAY)
    with served([late]) as (wechat, base_url):
        configured(tmp_path, base_url, late, reports=["weekly"])
        result = command(tmp_path, "backfill", "--weeks=3", "--output=a.om", FAST)
        assert result.returncode == 0
        assert "fetched 0 periods, 3 not published yet\n" in result.stderr
        command(tmp_path, "backfill", "--weeks=3", "--output=a.om", FAST)
        assert len(requested(wechat)) == 6


# --- interrupted -----------------------------------------------------------------------------------


def test_killed_backfill_requests_no_period_twice(tmp_path: Path) -> None:
    with served([SHOP, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, SHOP, CAFE)
        with begun(tmp_path, "--weeks=3", "--output=a.om", "--max-requests-per-second=8") as process:
            # Between two requests: those that were received are answered and stored.
            while len(requested(wechat)) < 12 or stored(tmp_path) < len(requested(wechat)):
                process.send_signal(signal.SIGCONT)
                time.sleep(0.02)
                assert process.poll() is None
                process.send_signal(signal.SIGSTOP)
                time.sleep(0.1)  # until the simulator has received what was sent
            process.send_signal(signal.SIGKILL)
            assert process.wait(10) == -signal.SIGKILL
        before = len(requested(wechat))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "data"]
        result = command(tmp_path, "backfill", "--weeks=3", "--output=a.om", FAST)
        assert result.returncode == 0
        calls = requested(wechat)
    assert 12 <= before < len(calls) == 2 * (3 + 21)
    assert len({*calls}) == len(calls)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_backfill_says_how_to_continue(tmp_path: Path, number: signal.Signals) -> None:
    with served([SHOP, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, SHOP, CAFE)
        (tmp_path / "a.om").write_text("previous")
        with begun(tmp_path, "--weeks=3", "--output=a.om", "--max-requests-per-second=20") as process:
            while len(requested(wechat)) < 4:
                time.sleep(0.005)
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert errors.splitlines()[-1] == f"interrupted; {CONTINUE}: periods in the store are not requested again"
        assert re.search(r"^fetched \d+ periods$", errors, re.MULTILINE)
        assert (tmp_path / "a.om").read_text() == "previous"
        assert command(tmp_path, "backfill", "--weeks=3", "--output=a.om", FAST).returncode == 0
        assert len({*requested(wechat)}) == len(requested(wechat)) == 2 * (3 + 21)


def test_spent_quota_stops_one_report_until_tomorrow(tmp_path: Path) -> None:
    spent = replace(SHOP, faults=(InjectedFault("45009", "daily"),))
    with served([spent, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, spent, CAFE)
        result = command(tmp_path, "backfill", "--weeks=2", "--output=a.om", FAST)
        assert result.returncode == 1
        assert requested(wechat).count((SHOP.appid, "daily", NEWEST_DAY.label)) == 1
        assert len(requested(wechat)) == 2 * (2 + 14) - 13
    assert f"{SHOP.appid}: daily: 14 periods not fetched: 45009 " in result.stderr
    assert f"{CONTINUE} tomorrow: " in result.stderr
    found = series((tmp_path / "a.om").read_text())
    apps = {labels[0] for labels in found["wechat_miniprogram_weekly_visitors"]}
    assert apps == {SHOP.appid, CAFE.appid}, "what is there is written"
    assert {labels[0] for labels in found["wechat_miniprogram_daily_visitors"]} == {CAFE.appid}


def test_refused_app_stops_and_others_continue(tmp_path: Path) -> None:
    refused = replace(SHOP, faults=(InjectedFault("40164", STABLE_TOKEN),))
    with served([refused, CAFE]) as (wechat, base_url):
        configured(tmp_path, base_url, refused, CAFE)
        result = command(tmp_path, "backfill", "--weeks=2", "--output=a.om", FAST)
        assert result.returncode == 1
        assert [call.endpoint for call in wechat.calls if call.appid == SHOP.appid] == [STABLE_TOKEN]
        assert len(requested(wechat)) == 2 + 14
    assert f"{SHOP.appid}: 16 periods not fetched: 40164 " in result.stderr
    assert "periods without data" not in result.stderr, "WeChat was not able to say so"


# --- where it writes -------------------------------------------------------------------------------


def test_output_is_replaced_as_a_whole_and_readable(tmp_path: Path) -> None:
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP)
        (tmp_path / "a.om").write_text("previous")
        result = command(tmp_path, "backfill", "--weeks=1", "--output=a.om", FAST)
        printed = command(tmp_path, "backfill", "--weeks=1", "--output=-", f"--until={int(now() - 4 * HOUR)}")
        os.mkfifo(tmp_path / "pipe")
        with begun(tmp_path, "--weeks=1", "--output=pipe") as process:
            piped = (tmp_path / "pipe").read_text()
            assert process.wait(10) == 0
    assert result.returncode == printed.returncode == 0
    text = (tmp_path / "a.om").read_text()
    assert (tmp_path / "a.om").stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.om", "config.yaml", "data", "pipe"]
    for each in (text, printed.stdout, piped):
        assert each.endswith("\n# EOF\n")
        assert set(series(each)["wechat_miniprogram_app_info"]) == {(SHOP.appid, "店铺")}
    samples = len([line for line in text.splitlines() if not line.startswith("#")])
    assert f"wrote {samples} samples to {tmp_path / 'a.om'}\n" in result.stderr


def test_a_history_without_samples_replaces_no_file(tmp_path: Path) -> None:
    refused = replace(SHOP, faults=(InjectedFault("40164", STABLE_TOKEN),))
    with served([refused]) as (_, base_url):
        configured(tmp_path, base_url, refused)
        (tmp_path / "a.om").write_text("previous")
        result = command(tmp_path, "backfill", "--weeks=1", "--output=a.om", FAST)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "no figures in this range: nothing was written"
    assert (tmp_path / "a.om").read_text() == "previous"


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path) -> None:
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP)
        result = command(tmp_path, "backfill", "--weeks=1", "--output=/dev/full", FAST)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "--output /dev/full: No space left on device; what was fetched is in the store"
    )


def test_expected_size_is_printed_for_both_intervals(tmp_path: Path) -> None:
    written = {}
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP)
        for interval in ("2h", "period"):
            name = f"{interval}.om"
            result = command(
                tmp_path, "backfill", "--weeks=20", f"--output={name}", f"--sample-interval={interval}", FAST
            )
            written[interval] = (tmp_path / name).stat().st_size, result.stderr
    for printed, hours in ((written["2h"][1], "2h"), (written["period"][1], "1h")):
        expected = re.search(
            rf"expected size: .*\(([\d.,]+) MB\) with --sample-interval={hours}, .*\(([\d.]+) MB\)", printed
        )
        assert expected is not None, printed
        every, single = (float(number) * 1e6 for number in expected.groups())
        assert every == pytest.approx(written["2h"][0] * (1 if hours == "2h" else 2), rel=0.15)
        assert single == pytest.approx(written["period"][0], rel=0.15)


def test_last_samples_are_right_before_the_live_data(tmp_path: Path) -> None:
    until = int(now() - 5 * HOUR) - 17
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP, reports=["weekly"])
        for option, last in ((f"--until={until}", until - 1), ("--label=job=j", None)):
            result = command(tmp_path, "backfill", "--weeks=2", "--output=a.om", FAST, option)
            assert result.returncode == 0
            ended = now()
            times = series((tmp_path / "a.om").read_text())["wechat_miniprogram_app_info"].popitem()[1]
            assert times[-1][0] == last or (last is None and ended - 3 * HOUR - 60 < times[-1][0] < ended - 3 * HOUR)


# --- progress --------------------------------------------------------------------------------------


def test_terminal_shows_a_bar_with_rate_and_time_left(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP)
        line = [*COMMAND, "backfill", "--weeks=2", "--output=a.om", "--max-requests-per-second=20"]
        process = Forked(line, cwd=tmp_path, env=os.environ, stderr=theirs, stdout=theirs)
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(10) == 0
    os.close(ours)
    assert re.search(rb"fetching: +\d+%\|.+\| \d+/16 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ periods/s\]", shown), shown
    assert b"backfill in progress" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: the process has closed it
        return b""


# --- beside a running exporter -----------------------------------------------------------------------


def test_backfill_runs_beside_the_exporter(tmp_path: Path) -> None:
    with served([SHOP, CAFE]) as (_, base_url):
        configured(tmp_path, base_url, SHOP, CAFE, fetch={"history_weeks": 2, "interval": "1s", "retry_interval": "1s"})
        with running(tmp_path) as exporter:
            result = command(tmp_path, "backfill", "--weeks=6", "--output=a.om", "--sample-interval=period", FAST)
            assert result.returncode == 0, result.stderr
            visitors = exporter.scrape()["weekly_visitors", SHOP.appid, NEWEST_WEEK.label]
            assert exporter.scrape()["exporter_store_up",] == 1
            assert exporter.stop() == 0
            assert "stored data damaged" not in "".join(exporter.log)
    found = series((tmp_path / "a.om").read_text())
    live = found["wechat_miniprogram_weekly_visitors"].get((SHOP.appid, NEWEST_WEEK.label))
    assert live is None or {value for _, value in live} == {visitors}
    assert stored(tmp_path) == 2 * (6 + 42)


# --- evaluation ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with 20 weeks of an app whose visitors dropped in one week, and of one whose did not."""
    folder = tmp_path_factory.mktemp("fallen")
    fallen = replace(SHOP, audience=Audience(5000, drops_in=dropped()))
    with starting_at_now(), served([fallen, CAFE]) as (_, base_url):
        configured(folder, base_url, fallen, CAFE, reports=["weekly"])
        yield folder


def dropped() -> Week:
    """Return the week of the drop: an ordinary one in the past."""
    return next(week for week in map(NEWEST_WEEK.before, range(4, 12)) if not public_holidays(week))


def test_evaluation_names_past_alerts_and_totals(fallen: Path) -> None:
    result = command(fallen, "backfill", "--weeks=20", "--evaluate", FAST)
    assert result.returncode == 0, result.stderr
    table, _, totals = result.stdout.partition("\n\n")
    head, *rows = table.splitlines()
    assert head.split() == ["app", "alert", "severity", "period", "value", "baseline", "ratio"]
    names = [row.split()[1] for row in rows]
    assert names == [f"{figure}BelowNormal" for figure in ("Visitors", "NewVisitors", "Sessions", "Visits")]
    assert {row.split()[3] for row in rows} == {dropped().label}
    assert totals.splitlines()[-1].split()[:2] == ["total", "4"]
    years = 2 * (20 * 7 + 2) / 365.25
    assert float(totals.split()[-1]) == pytest.approx(4 / years, rel=0.05)


def test_evaluation_takes_another_threshold_and_prints_json(fallen: Path) -> None:
    result = command(fallen, "backfill", "--weeks=20", "--evaluate", "--min-ratio=0.3", "--format=json", FAST)
    assert json.loads(result.stdout) == {"alerts": [], "totals": []}
    result = command(fallen, "backfill", "--weeks=20", "--evaluate", "--format=json", FAST)
    found = json.loads(result.stdout)
    (visitors,) = (alert for alert in found["alerts"] if alert["figure"] == "visitors")
    assert visitors.pop("ratio") == visitors.pop("value") / visitors.pop("baseline")
    assert visitors == {
        "appid": SHOP.appid,
        "name": "店铺",
        "alert": "VisitorsBelowNormal",
        "severity": "warning",
        "report": "weekly",
        "figure": "visitors",
        "first_period": dropped().label,
        "last_period": dropped().label,
        "reported_by_daily_alert": False,
    }
    assert {total["alerts"] for total in found["totals"]} == {1}


# --- usage -----------------------------------------------------------------------------------------

WRONG = {
    "": "--output FILE is required (- for standard output), or --evaluate",
    "--output=missing/a.om": "--output missing/a.om: must be a file in an existing directory",
    "--output=a.om --evaluate": "--evaluate prints a table and writes no file: omit --output",
    "--output=- --appid=wxnone": f"--appid wxnone: not configured; configured: {SHOP.appid}",
    "--output=- --report=monthly": "--report monthly: not configured; configured: weekly, daily",
    "--output=- --until=4000000000": "--until: is in the future",
    "--output=- --from=2999-01-01": "this range has no period that is finished and published: change --from or --to",
    "--output=- --to=2016-01-01": "this range has no period that is finished and published: change --from or --to",
    "--output=- --from=2026-10-01 --to=2026-09-01": "--from must not be after --to",
    "--output=- --label=job=a --label=job=b": "--label: the same name was given twice",
    "--output=- --weeks=2 --from=2026-01-01": "argument --from: not allowed with argument --weeks",
    "--weeks=0": "argument --weeks: must be a number from 1 to 1040",
    "--from=yesterday": "argument --from: must be a day from 2000 to 2999, such as 2026-11-02 or 20261102",
    "--from=0001-01-01": "argument --from: must be a day from 2000 to 2999",
    "--to=2026-02-30": "argument --to: must be a day from 2000 to 2999, such as 2026-11-02 or 20261102",
    "--sample-interval=0s": "argument --sample-interval: must be whole seconds, at least 1s, or period",
    "--sample-interval=1500ms": "argument --sample-interval: must be whole seconds, at least 1s, or period",
    "--max-requests-per-second=0": "argument --max-requests-per-second: must be a number from 0.001 to 1000",
    "--max-requests-per-second=nan": "argument --max-requests-per-second: must be a number from 0.001 to 1000",
    "--max-requests-per-second=1e-320": "argument --max-requests-per-second: must be a number from 0.001 to 1000",
    "--until=2026-11-25T10:00:00": "argument --until: must be a time such as 2026-11-25T10:00:00+08:00",
    "--label=appid=x": "argument --label: the exporter's own series have the label appid",
    "--label=__name__=x": "argument --label: must be NAME=VALUE; a name has letters, digits and _",
    "--label=job": "argument --label: must be NAME=VALUE; a name has letters, digits and _",
    "--label=job=": "argument --label: the value must be printable and not empty",
    "--output=- --min-ratio=0.7": "--min-ratio requires --evaluate: the history has the configured thresholds",
    "--output=- --format=json": "--format requires --evaluate",
    "--evaluate --min-ratio=70": "argument --min-ratio: must be a number from 0 to 1",
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.items(), ids=WRONG)
def test_wrong_usage_is_reported_before_any_request(tmp_path: Path, arguments: str, message: str) -> None:
    with served([SHOP]) as (wechat, base_url):
        configured(tmp_path, base_url, SHOP)
        result = command(tmp_path, "backfill", *arguments.split())
        assert (result.returncode, result.stdout) == (2, "")
        assert (
            result.stderr.splitlines()[-1]
            .removeprefix("wechat-miniprogram-exporter backfill: error: ")
            .startswith(message)
        )
        assert not wechat.calls


def test_recent_seam_is_refused_with_the_time_to_run_again(tmp_path: Path) -> None:
    with served([SHOP]) as (_, base_url):
        configured(tmp_path, base_url, SHOP)
        result = command(tmp_path, "backfill", "--output=a.om", f"--until={int(now()) - 600}")
    assert result.returncode == 2
    assert result.stderr.startswith("--until: less than 3 hours ago; run the command at ")

"""What evaluating rules costs Prometheus: CPU and memory with many apps, of which some have fallen.

    git show v0.1.0:prometheus/rules.yml > old.yml
    python benchmarks/rules.py --apps 10000 --fallen 400 old.yml prometheus/rules.yml

Starts a real Prometheus (from PATH) for each file of rules, and one without rules, on the same page of metrics, and
prints one line for each: seconds of CPU for one evaluation of all rules, and resident memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import yaml

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.metrics import Format, Meters, Renderer, compose
from exporter.reports import REPORTS, History, Reading, Report, StoredReading, Thresholds

if TYPE_CHECKING:
    from exporter.periods import Period

SCRAPE = 15
"""Seconds between scrapes."""
FALLEN = 3
"""Newest periods that are low in an app that fell."""


def app(number: int, reports: tuple[Report, ...], *, fell: bool) -> AppStatus:
    """Return an app with a history of each report, whose newest three periods may be at a third of the others."""
    random = Random(number)  # noqa: S311 (figures, no secrets)
    of_reports = []
    for report in reports:
        live = report.newest_wanted(time.time(), 36_000)
        history = History(report)
        for back in reversed(range(report.lookback + 1)):
            left = 1 / 3 if fell and back < FALLEN else 1
            visitors = round(1000 * left * random.uniform(0.95, 1.05))
            history = history.with_reading(reading(report, live.before(back), visitors))
        result = LastResult(live, State.OK, 1.0, 1.0, succeeded=1.0)
        of_reports.append(ReportStatus(report, State.OK, result, history, 2.0, Counters(9)))
    return AppStatus(f"wx{number:016x}", f"App {number}", tuple(of_reports), Thresholds())


def reading(report: Report, period: Period, visitors: int) -> StoredReading:
    """Return figures of a period; those in parts have ten parts, of which the first one is half of the total."""
    values = (2 * visitors, 6 * visitors, visitors, visitors // 3, 90.0, 60.0, 3.0)
    if report.plain_fields:
        return StoredReading(Reading(report, period, values[: len(report.fields)]), 1.0)
    keys = [str(number) for number in range(1, 1 + (report.later or 10))]
    parts = tuple(
        (field.wechat, key, float(visitors // (2 if key == "1" else 20))) for field in report.fields for key in keys
    )
    return StoredReading(Reading(report, period, (visitors,) * len(report.fields), tuple(sorted(parts))), 1.0)


def serve(body: bytes) -> ThreadingHTTPServer:
    """Serve a page of metrics on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def measure(target: int, rules: Path | None, seconds: int) -> dict[str, float]:
    """Run a Prometheus with some rules; return CPU seconds of one evaluation of them, and its resident memory."""
    program = shutil.which("prometheus") or sys.exit("prometheus is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            "global": {"scrape_interval": f"{SCRAPE}s", "scrape_timeout": f"{SCRAPE}s"},
            "scrape_configs": [
                {"job_name": "wechat-miniprogram", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
            ],
        }
        if rules:
            content = yaml.safe_load(rules.read_text())
            for group in content["groups"]:
                group["interval"] = "30s"  # more evaluations than in operation, for a steadier figure
            Path(folder, "rules.yml").write_text(yaml.safe_dump(content))
            config["rule_files"] = ["rules.yml"]
        Path(folder, "prometheus.yml").write_text(json.dumps(config))
        port = 19_600 + len(str(rules))
        address = f"127.0.0.1:{port}"
        process = subprocess.Popen(  # noqa: S603 (Prometheus)
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
                "--log.level=error",
            ]
        )
        try:
            time.sleep(seconds)
            return {
                "evaluation": value(address, "sum(prometheus_rule_group_last_duration_seconds) or vector(0)"),
                "cpu": value(address, "max(process_cpu_seconds_total)"),
                "memory": resident(process.pid),
                "firing": value(address, "count(ALERTS) or vector(0)"),
            }
        finally:
            process.terminate()
            process.wait(60)


def value(address: str, query: str) -> float:
    """Return what an instant query gives; from Prometheus' own page for what it measures of itself."""
    with urlopen(f"http://{address}/metrics") as response:
        own = response.read().decode()
    if "prometheus_rule_group_last_duration_seconds" in query:
        return sum(_samples(own, "prometheus_rule_group_last_duration_seconds"))
    if "process_cpu_seconds_total" in query:
        return sum(_samples(own, "process_cpu_seconds_total"))
    with urlopen(f"http://{address}/api/v1/query?query={query.replace(' ', '%20')}") as response:
        return float(json.load(response)["data"]["result"][0]["value"][1])


def _samples(text: str, name: str) -> list[float]:
    return [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name)]


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Print one line for each file of rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=1000)
    parser.add_argument("--fallen", type=int, default=400)
    parser.add_argument("--reports", default="weekly,daily")
    parser.add_argument("--seconds", type=int, default=150, help="How long each Prometheus runs.")
    parser.add_argument("rules", nargs="*", type=Path)
    options = parser.parse_args()
    reports = tuple(REPORTS[name] for name in options.reports.split(","))
    apps = tuple(app(number, reports, fell=number < options.fallen) for number in range(options.apps))
    registry = Meters(lambda: True, process=False).registry
    body = compose(Renderer().render(apps), registry, Format.TEXT, gzip=True)
    server = serve(body)
    for rules in (None, *options.rules):
        found = measure(server.server_port, rules, options.seconds)
        print(
            f"{rules or 'no rules'!s:30} one evaluation {found['evaluation']:6.2f} s,"
            f" CPU {found['cpu']:6.1f} s in {options.seconds} s, memory {found['memory']:6.0f} MB,"
            f" {found['firing']:.0f} alerts",
            flush=True,
        )
    server.shutdown()


if __name__ == "__main__":
    main()

"""An outage of WeChat in the middle of a week, on the schedule of the exporter: which alerts fire, and when."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
import yaml
from harness import FakeClock
from rule_cases import relevant
from scale import scaled

from exporter import demo
from exporter.apps import State
from exporter.config import Fetch
from exporter.metrics import catalogue
from exporter.periods import BEIJING
from exporter.runtime.engine import Engine
from exporter.wechat.simulator import Audience, SimulatedApp, Simulator

if TYPE_CHECKING:
    from pathlib import Path

APPS = scaled(40, 500)
MINUTE, HOUR = 60, 3600
SPREAD = 24
"""Hours that pass before the outage, in which jitter spreads the fetches of the apps."""
OUTAGE, AFTERWARDS = 3, 8
"""Hours of the outage, and hours that are watched after it."""
BEGIN = datetime(2026, 11, 19, 22, 10, tzinfo=BEIJING).timestamp()
"""A Thursday night, when the week's figures have long been there."""


@dataclass
class Series:
    """Samples of each series, one a minute."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def take(self, engine: Engine) -> None:
        """Take what a scrape would have of calls, failures and states."""
        for family in engine.meters.registry.collect():
            for sample in family.samples:
                if sample.name in {f"{catalogue.REQUEST_DURATION.name}_count", catalogue.REQUEST_FAILURES.name}:
                    self._add(sample.name, sample.value, endpoint=sample.labels["endpoint"])
        for app in engine.poller.statuses():
            (report,) = app.reports
            self._add(catalogue.APP_INFO.name, 1, appid=app.appid, name=app.name)
            labels = {"appid": app.appid, "report": report.report.name}
            self._add(catalogue.FETCH_FAILURES.name, report.counters.failures, **labels)
            # Only the state that holds has a sample.
            failed = 1 if report.state is State.FAILED else None
            self._add(catalogue.FETCH_STATE.name, failed, **labels, state=State.FAILED.value)

    def _add(self, metric: str, value: float | None, **labels: str) -> None:
        series = metric + "{" + ",".join(f'{label}="{text}"' for label, text in labels.items()) + "}"
        self.values.setdefault(series, []).append("_" if value is None else f"{value:g}")


@pytest.mark.timeout(600)
@pytest.mark.soak
def test_outage_is_known_before_any_app_alerts(tmp_path: Path, promtool: str) -> None:
    """WeChatUnreachable fires within half an hour, and while it fires every alert of a single app is inhibited."""
    apps = tuple(
        demo.DemoApp(f"Shop {number}", SimulatedApp(f"wx{number:016x}", f"secret-of-app-{number}", Audience(1000)))
        for number in range(APPS)
    )
    clock = FakeClock(BEGIN - SPREAD * HOUR)
    series = Series()
    wechat = Simulator((each.app for each in apps), clock)
    server = demo.serve(wechat, "127.0.0.1:0")
    address = server.addresses[0]
    config = demo.configuration(apps, f"http://{address}")
    engine = Engine(replace(config, fetch=Fetch(history_weeks=1)), ":memory:", clock)
    try:
        while clock.now < BEGIN + (OUTAGE + AFTERWARDS) * HOUR:
            engine.poller.drain()
            if clock.now >= BEGIN - HOUR:
                series.take(engine)
            clock.now += MINUTE
            if clock.now == BEGIN:
                server.stop()
            if clock.now == BEGIN + OUTAGE * HOUR:
                server = demo.serve(wechat, address)
    finally:
        server.stop()
        engine.close()
    minutes = range(60, (1 + OUTAGE + AFTERWARDS) * 60 - 1)
    failed, outage = (
        f'ALERTS{{alertname="WeChatMiniProgram{name}", alertstate="firing"}}'
        for name in ("Failed", "WeChatUnreachable")
    )
    alone = f"count({failed}) unless on () {outage}"
    one = [{"labels": "{}", "value": 1}]
    checks = [{"expr": alone, "eval_time": f"{minute}m", "exp_samples": []} for minute in minutes]
    checks += [
        {"expr": f"count({outage})", "eval_time": "89m", "exp_samples": one},  # 29 minutes after its begin
        {"expr": f"count({failed}) > bool {APPS // 20}", "eval_time": f"{(1 + OUTAGE) * 60}m", "exp_samples": one},
        {"expr": f"count({failed})", "eval_time": f"{minutes[-1]}m", "exp_samples": []},
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": " ".join(values)} for name, values in series.values.items()],
        "promql_expr_test": checks,
    }
    file = tmp_path / "outage.yml"
    file.with_suffix(".rules").write_text(relevant(test))
    content = {"rule_files": ["outage.rules"], "evaluation_interval": "1m", "tests": [test]}
    file.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, width=10**9))
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[:3000]

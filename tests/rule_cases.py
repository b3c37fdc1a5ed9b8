"""Apps in states of their own, and whether Prometheus' rules call for the alerts that are expected of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from exporter.alerts.drops import RULES, find_drops
from exporter.apps import AppStatus, Counters, ReportStatus, State
from exporter.metrics.families import families
from exporter.reports import REPORTS, WEEKLY_RETENTION, Reading, StoredReading, Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.periods import Period, Week
    from exporter.reports import History, Report

RULES_FILE = Path(__file__).parent.parent / "prometheus" / "rules.yml"
RULES_TEXT = RULES_FILE.read_text()


def stored(report: Report, period: Period, *values: float | None) -> StoredReading:
    """A period's figures, in the order of the report's fields."""
    return StoredReading(Reading(report, period, values), 1.0)


def cohort(week: Week, size: int | None, back: int) -> StoredReading:
    """A week's new visitors, and how many of them came back in the week after it."""
    reading = Reading(WEEKLY_RETENTION, week, (None, size), (("visit_uv_new", "1", back),))
    return StoredReading(reading, 1.0)


def status(history: History, thresholds: Thresholds | None = None, appid: str = "wx2") -> AppStatus:
    """An app that fetches one report."""
    report = ReportStatus(history.report, State.OK, None, history, 7.0, Counters())
    return AppStatus(appid, "", (report,), thresholds or Thresholds())


def alerts_of(app: AppStatus) -> set[str]:
    """The alerts that the conditions call for, of all reports."""
    return {fall.rule.name for report in REPORTS.values() for fall in find_drops(app, report)}


def rule_test(apps: Iterable[AppStatus], expected: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a test for promtool: what the exporter exposes for these apps, and the alerts, (appid, name), pending."""
    series = [
        {
            "series": sample.name + "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}",
            "values": f"{float(sample.value)!r}x1",
        }
        for family in families(tuple(REPORTS.values()), tuple(apps))
        for sample in family.samples
    ]
    samples = [{"labels": f'{{appid="{appid}",alert="{name}"}}', "value": 1} for appid, name in expected]
    names = "|".join(sorted({rule.name for rule in RULES}))
    alerts = f'ALERTS{{alertname=~"WeChatMiniProgram({names})"}}'
    query = f'group by (appid, alert) (label_replace({alerts}, "alert", "$1", "alertname", "WeChatMiniProgram(.*)"))'
    return {
        "interval": "5m",
        "input_series": series,
        "promql_expr_test": [{"expr": query, "eval_time": "0m", "exp_samples": samples}],
    }


def relevant(tests: dict[str, Any], rules: str = RULES_TEXT) -> str:
    """Return the rules, leaving out alerts that are neither changed nor named in the tests.

    Evaluating all of them takes ten times as long.
    """
    part_begins = re.compile(r"(?m)^(?=  - (?:alert|record): |- name: )")
    own, text = set(part_begins.split(RULES_TEXT)), str(tests)
    alerts = {part: re.match(r"  - alert: WeChatMiniProgram(\S+)", part) for part in part_begins.split(rules)}
    return "".join(part for part, alert in alerts.items() if not alert or alert[1] in text or part not in own)


def promtool_agrees(promtool: str, folder: Path, apps: Sequence[AppStatus], expected: Iterable[tuple[str, str]]) -> str:
    """Evaluate the rules on what the exporter exposes for these apps, once.

    Returns:
        What promtool says; empty if exactly the expected alerts, (appid, name), are pending.
    """
    file = folder / "rules_test.yml"
    document = {"rule_files": [str(RULES_FILE)], "evaluation_interval": "5m", "tests": [rule_test(apps, expected)]}
    file.write_text(yaml.safe_dump(document))
    result = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr

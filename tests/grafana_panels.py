"""What Grafana shows: every panel as its own data engine computes it from the fixture, and how tests read a panel."""

from __future__ import annotations

import json
import subprocess
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_fixture import VARIABLES

from exporter.dashboards import dashboard

if TYPE_CHECKING:
    from grafana_fixture import GrafanaFixture

    from exporter.periods import Period

ENGINE = Path(__file__).parent / "grafana" / "panels.js"

Column = dict[str, Any]
Frames = list[list[Column]]
"""Grafana's result for a panel: one frame for a table, one for each line of a graph."""

WHY = {
    "Entrances this week, largest loss first": "daily_sources",
    "Entrances this week and the week before": "daily_sources",
    "Sessions per week by entrance": "daily_sources",
    "Shares per day": "daily_summary",
    "New visitors who came back": "weekly_retention",
    "Visitors who came back a week later": "weekly_retention",
    "Length of stay": "daily_sources",
    "Pages per session": "daily_sources",
}
"""The panels about causes, and the report from which each has its figures."""


def render(node: str, grafana: GrafanaFixture, app: str) -> dict[str, Frames]:
    """Compute the dashboard for the five minutes before a moment just after a new week, with one app in detail."""
    moment = grafana.moments["switch"]
    question = {
        "dashboard": json.loads(dashboard()),
        "url": grafana.prometheus.url,
        "variables": VARIABLES | {"app": grafana.appid(app), "datasource": "prometheus"},
        "range": {"from": moment - 300, "to": moment, "step": 1},
        "timeZone": "Asia/Shanghai",
    }
    answer = subprocess.run([node, ENGINE], input=json.dumps(question), capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)  # type: ignore[no-any-return]


def row(frames: Frames, name: str, part: str = "text") -> dict[str, Any]:
    """Return the row that starts with that name, by the titles of the columns."""
    (columns,) = frames
    (place,) = [place for place, cell in enumerate(columns[0]["cells"]) if cell["text"] == name]
    return {column["title"]: column["cells"][place][part] for column in columns}


def texts(column: Column) -> list[str]:
    """Return the cells of a column."""
    return [cell["text"] for cell in column["cells"]]


def titles(frames: Frames) -> list[str]:
    """Return the titles of the columns of a table or bar chart."""
    return [column["title"] for column in frames[0]]


def figures(grafana: GrafanaFixture, name: str, period: Period) -> dict[str, Any]:
    """Return WeChat's figures of an app's visits in a period."""
    return dict(grafana.wechat.row(grafana.appid(name), period))


def as_count(value: float) -> str:
    """Return a count in the format of Grafana."""
    return f"{Decimal(value).quantize(Decimal(1), ROUND_HALF_UP)}"

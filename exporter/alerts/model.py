"""What a rule is, and how it is written for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PREFIX = "WeChatMiniProgram"
"""Every alert's name begins with it."""

FOR = "30m"
KEEP_FIRING_FOR = "2h"
"""Bridges an outage of the exporter: an alert that fires stays one alert."""

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Links:
    """The addresses in the annotations of alerts."""

    dashboard: str
    """The address of the dashboard."""
    runbook: str
    """The address of docs/alerts.md as a page, whose headings are the alerts' names."""


@dataclass(frozen=True, slots=True)
class Recording:
    """An expression under a name of its own, evaluated once for everything that uses it."""

    name: str
    expr: str

    def written(self, _links: Links) -> dict[str, object]:
        """Return the rule as Prometheus reads it."""
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition of which people are notified, and the message."""

    name: str
    """Without ``PREFIX``."""
    severity: Severity
    expr: str
    summary: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)
    of_app: bool = True
    """Its series have an ``appid`` label, at which the dashboard can be opened."""

    @property
    def full_name(self) -> str:
        """Return the name that people see."""
        return PREFIX + self.name

    def written(self, links: Links) -> dict[str, object]:
        """Return the rule as Prometheus reads it."""
        begin = "&" if "?" in links.dashboard else "?"
        at_app = begin + "var-appid={{ $labels.appid | urlquery }}" if self.of_app else ""
        return {
            "alert": self.full_name,
            "expr": self.expr,
            "for": FOR,
            "keep_firing_for": KEEP_FIRING_FOR,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "dashboard_url": links.dashboard + at_app,
                "runbook_url": f"{links.runbook}#{self.full_name.lower()}",
            },
        }

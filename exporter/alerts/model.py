"""Prometheus rules as values: recording rules and alerting rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PREFIX = "WeChatMiniProgram"
"""The prefix of every alert name."""

# Conditions that last less than half an hour do not notify, for example a figure that WeChat revises at once. Figures
# change at most once a day, so the delay costs nothing.
FOR = "30m"
# During an outage of the exporter the condition has no samples. A 90-minute outage split a week-long alert into two
# with `for` alone, and also with last_over_time(..[1h]); `keep_firing_for` keeps it one alert.
KEEP_FIRING_FOR = "2h"

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Links:
    """URLs for the annotations of alerts."""

    dashboard: str
    """URL of the Grafana dashboard."""
    runbook: str
    """URL of the runbook, docs/alerts.md; the anchor is the alert name in lower case."""


def link_to_app(dashboard: str, appid: str) -> str:
    """Return the URL of the dashboard for one app; the caller has percent-encoded the AppID."""
    return f"{dashboard}{'&' if '?' in dashboard else '?'}var-appid={appid}"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """An expression whose result Prometheus stores under a name, evaluated once for all alerts that use it."""

    name: str
    expr: str

    def as_rule(self, _links: Links) -> dict[str, object]:
        """Return the rule as a mapping of Prometheus' rule file."""
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """A condition that notifies people, with its annotations."""

    name: str
    """The alert name without ``PREFIX``."""
    severity: Severity
    expr: str
    summary: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)
    notification: dict[str, str] = field(default_factory=dict)
    """Further annotations, from which prometheus/templates/ makes one short text for many alerts."""
    wait: str = FOR
    keep_firing_for: str = KEEP_FIRING_FOR
    is_per_app: bool = True
    """Whether its series have an ``appid`` label, so that the link opens the dashboard for that app."""

    @property
    def full_name(self) -> str:
        """The value of the ``alertname`` label."""
        return PREFIX + self.name

    def as_rule(self, links: Links) -> dict[str, object]:
        """Return the rule as a mapping of Prometheus' rule file."""
        appid = "{{ $labels.appid | urlquery }}"
        return {
            "alert": self.full_name,
            "expr": self.expr,
            "for": self.wait,
            "keep_firing_for": self.keep_firing_for,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "dashboard_url": link_to_app(links.dashboard, appid) if self.is_per_app else links.dashboard,
                "runbook_url": f"{links.runbook}#{self.full_name.lower()}",
                **self.notification,
            },
        }

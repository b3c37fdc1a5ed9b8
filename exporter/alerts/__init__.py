"""Prometheus rules for the exporter's metrics: recording rules and alerts."""

from exporter.alerts.model import AlertingRule, Links, RecordingRule
from exporter.alerts.rule_files import DEFAULT_LINKS, RUNBOOK_PAGE, render_prometheus_rule, render_rules

__all__ = [
    "DEFAULT_LINKS",
    "RUNBOOK_PAGE",
    "AlertingRule",
    "Links",
    "RecordingRule",
    "render_prometheus_rule",
    "render_rules",
]

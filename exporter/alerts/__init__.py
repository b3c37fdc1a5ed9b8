"""Prometheus' rules for the metrics of the exporter: recording rules and alerts."""

from exporter.alerts.model import Alert, Links, Recording
from exporter.alerts.rule_files import DEFAULT_LINKS, GROUP, render_prometheus_rule, render_rules

__all__ = ["DEFAULT_LINKS", "GROUP", "Alert", "Links", "Recording", "render_prometheus_rule", "render_rules"]

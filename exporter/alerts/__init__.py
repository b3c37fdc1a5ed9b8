"""Prometheus' rules for the metrics of the exporter: recording rules and alerts."""

from exporter.alerts.document import DEFAULT_LINKS, GROUP, RUNBOOK_PAGE, document, kubernetes
from exporter.alerts.model import Alert, Links, Recording

__all__ = ["DEFAULT_LINKS", "GROUP", "RUNBOOK_PAGE", "Alert", "Links", "Recording", "document", "kubernetes"]

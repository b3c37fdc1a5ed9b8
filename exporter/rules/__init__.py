"""Prometheus' rules about what the exporter exposes: recordings, and the alerts that people are woken by."""

from exporter.rules.document import DEFAULT_LINKS, GROUP, document, kubernetes
from exporter.rules.model import Alert, Links, Recording

__all__ = ["DEFAULT_LINKS", "GROUP", "Alert", "Links", "Recording", "document", "kubernetes"]

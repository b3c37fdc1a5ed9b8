"""The state of apps and their reports, as values."""

from exporter.apps.state import SEVERITY, State
from exporter.apps.values import AppStatus, Counters, LastResult, ReportStatus

__all__ = ["SEVERITY", "AppStatus", "Counters", "LastResult", "ReportStatus", "State"]

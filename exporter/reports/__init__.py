"""The catalogue of reports: ``model`` says what a report is, ``figures`` what its figures are compared with."""

from exporter.reports.catalogue import DAILY, DEFAULT_REPORTS, MONTHLY, REPORTS, WEEKLY, register
from exporter.reports.history import History, StoredReading
from exporter.reports.model import (
    PREFIX,
    CalendarFact,
    Comparison,
    Derived,
    Field,
    Reading,
    Report,
    Unit,
    Watched,
    is_figure,
)
from exporter.reports.thresholds import Thresholds

__all__ = [
    "DAILY",
    "DEFAULT_REPORTS",
    "MONTHLY",
    "PREFIX",
    "REPORTS",
    "WEEKLY",
    "CalendarFact",
    "Comparison",
    "Derived",
    "Field",
    "History",
    "Reading",
    "Report",
    "StoredReading",
    "Thresholds",
    "Unit",
    "Watched",
    "is_figure",
    "register",
]

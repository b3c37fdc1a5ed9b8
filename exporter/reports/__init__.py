"""The catalogue of reports: ``model`` says what a report is, ``figures`` what its figures are compared with."""

from exporter.reports.catalogue import DAILY, DEFAULT_REPORTS, MONTHLY, REPORTS, WEEKLY, register
from exporter.reports.history import History, StoredReading
from exporter.reports.model import (
    PREFIX,
    AlertThreshold,
    CalendarFact,
    Comparison,
    DerivedFigure,
    Field,
    Reading,
    Report,
    Unit,
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
    "AlertThreshold",
    "CalendarFact",
    "Comparison",
    "DerivedFigure",
    "Field",
    "History",
    "Reading",
    "Report",
    "StoredReading",
    "Thresholds",
    "Unit",
    "is_figure",
    "register",
]

"""The catalogue of reports; everything that repeats a fact about a report is derived from its entry.

``model`` has the types, ``catalogue`` the entries, ``comparisons`` the calculation of comparison figures, ``history``
the readings of one app, ``thresholds`` the alert thresholds of one app.
"""

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

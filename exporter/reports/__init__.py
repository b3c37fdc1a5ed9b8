"""The catalogue of reports; everything that repeats a fact about a report is derived from its entry.

``model`` has the types, ``catalogue`` the entries, ``dimensions`` the tables of entrances and buckets, ``comparisons``,
``retention`` and ``sources`` the calculation of figures, ``history`` the readings of one app, ``thresholds`` the alert
thresholds of one app.
"""

from exporter.reports.catalogue import (
    DAILY,
    DAILY_SOURCES,
    DAILY_SUMMARY,
    DEFAULT_REPORTS,
    MONTHLY,
    REPORTS,
    WEEKLY,
    WEEKLY_RETENTION,
    register,
)
from exporter.reports.figure_types import Dimension, Field, Unit, is_figure, is_key
from exporter.reports.history import History, StoredReading
from exporter.reports.model import (
    PREFIX,
    AlertThreshold,
    CalendarFact,
    Comparison,
    CrossCheck,
    DerivedFigure,
    Reading,
    Report,
    Shape,
)
from exporter.reports.thresholds import Thresholds

__all__ = [
    "DAILY",
    "DAILY_SOURCES",
    "DAILY_SUMMARY",
    "DEFAULT_REPORTS",
    "MONTHLY",
    "PREFIX",
    "REPORTS",
    "WEEKLY",
    "WEEKLY_RETENTION",
    "AlertThreshold",
    "CalendarFact",
    "Comparison",
    "CrossCheck",
    "DerivedFigure",
    "Dimension",
    "Field",
    "History",
    "Reading",
    "Report",
    "Shape",
    "StoredReading",
    "Thresholds",
    "Unit",
    "is_figure",
    "is_key",
    "register",
]

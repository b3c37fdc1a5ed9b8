"""The history of apps for Prometheus: fetch what the store lacks, and write what scrapes would have stored.

``selection`` says which periods, ``fetching`` fetches them, ``timeline`` has the statuses of an app over time, from
which ``openmetrics`` writes a file. ``pace`` limits the rate of requests, ``progress`` shows the progress.
"""

from exporter.backfill.fetching import AppTask, FetchSummary, HistoryFetcher, ReportTask, Stop
from exporter.backfill.openmetrics import Grid, HistoryFile, Size, expected_size
from exporter.backfill.pace import PacedSender
from exporter.backfill.progress import Progress
from exporter.backfill.selection import WEEKS, PeriodRange, Selection, missing_periods, stored_readings
from exporter.backfill.timeline import Moment, Timelines

__all__ = [
    "WEEKS",
    "AppTask",
    "FetchSummary",
    "Grid",
    "HistoryFetcher",
    "HistoryFile",
    "Moment",
    "PacedSender",
    "PeriodRange",
    "Progress",
    "ReportTask",
    "Selection",
    "Size",
    "Stop",
    "Timelines",
    "expected_size",
    "missing_periods",
    "stored_readings",
]

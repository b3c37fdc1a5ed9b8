"""Statuses of apps to metric families to bytes, and the metrics of the exporter itself."""

from exporter.metrics.meters import Meters
from exporter.metrics.page import Format, Page, Renderer, chunks, compose
from exporter.metrics.series import SeriesRenderer, label_names

__all__ = ["Format", "Meters", "Page", "Renderer", "SeriesRenderer", "chunks", "compose", "label_names"]

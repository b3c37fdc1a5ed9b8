"""The Grafana dashboard: queries from the catalogue, panels from the queries, one JSON text from the panels."""

from exporter.dashboards.overview import dashboard

__all__ = ["dashboard"]

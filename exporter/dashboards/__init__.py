"""The Grafana dashboard: queries from the catalogue, panels from the queries, JSON from the panels."""

from exporter.dashboards.overview import dashboard

__all__ = ["dashboard"]

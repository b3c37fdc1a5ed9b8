"""Prometheus exporter for the visit figures of WeChat Mini Programs."""

__version__ = "0.1.0"

"""What is known becomes what Prometheus reads: families, then bytes."""

from exporter.metrics.meters import Meters
from exporter.metrics.page import Format, Page, Renderer, compose, pieces

__all__ = ["Format", "Meters", "Page", "Renderer", "compose", "pieces"]

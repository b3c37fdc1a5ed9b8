"""What is known becomes what Prometheus reads: families, then bytes."""

from exporter.metrics.families import families
from exporter.metrics.meters import Meters
from exporter.metrics.page import Format, Page, compose, render_page

__all__ = ["Format", "Meters", "Page", "compose", "families", "render_page"]

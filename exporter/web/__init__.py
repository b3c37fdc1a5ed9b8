"""The exporter's web site: routes, pages, and what a client may prefer."""

from exporter.web.pages import Generation, Pages
from exporter.web.routes import Site, Verdict
from exporter.web.statuspage import Surroundings

__all__ = ["Generation", "Pages", "Site", "Surroundings", "Verdict"]

"""The exporter's web site: routes, pages, and what a client may prefer."""

from exporter.web.documents import Surroundings
from exporter.web.pages import Generation, Pages
from exporter.web.routes import Site, Verdict

__all__ = ["Generation", "Pages", "Site", "Surroundings", "Verdict"]

"""The exporter's web site: routes, pages, what a client may prefer, and what stands before it."""

from exporter.web.documentation import DOCS
from exporter.web.documents import Surroundings, Trouble
from exporter.web.pages import Generation, Pages
from exporter.web.prefix import hides_page, with_prefix
from exporter.web.protection import Protection
from exporter.web.routes import APPS, Entrance, Site, Verdict

__all__ = [
    "APPS",
    "DOCS",
    "Entrance",
    "Generation",
    "Pages",
    "Protection",
    "Site",
    "Surroundings",
    "Trouble",
    "Verdict",
    "hides_page",
    "with_prefix",
]

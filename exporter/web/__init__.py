"""The exporter's web site: routes, metrics, status page, JSON, TLS and passwords."""

from exporter.web.approutes import APPS, PAGES
from exporter.web.documentation import DOCS
from exporter.web.documents import Issue, PageContext
from exporter.web.pages import Pages, Snapshot
from exporter.web.prefix import hides_page, with_prefix
from exporter.web.protection import Protection
from exporter.web.routes import ReloadResult, Site, StartupHandler

__all__ = [
    "APPS",
    "DOCS",
    "PAGES",
    "Issue",
    "PageContext",
    "Pages",
    "Protection",
    "ReloadResult",
    "Site",
    "Snapshot",
    "StartupHandler",
    "hides_page",
    "with_prefix",
]

"""The exporter's web site: routes, metrics, status page, JSON, TLS and passwords."""

from exporter.web.documents import Issue, PageContext
from exporter.web.pages import Pages, Snapshot
from exporter.web.protection import Protection
from exporter.web.routes import APPS, ReloadResult, Site, StartupHandler

__all__ = ["APPS", "Issue", "PageContext", "Pages", "Protection", "ReloadResult", "Site", "Snapshot", "StartupHandler"]

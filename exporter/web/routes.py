"""The HTTP routes of the exporter. No request ever causes a request to WeChat or waits for one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.httpd import Request, Response, text_response
from exporter.metrics import chunks
from exporter.reports import DEFAULT_REPORTS, REPORTS
from exporter.web import appsjson, statuspage
from exporter.web.approutes import APPS, PAGES, AppRoutes
from exporter.web.documentation import DOCS, Documentation
from exporter.web.documents import CachedDocument, Fragment
from exporter.web.negotiation import accepts_gzip, preferred_format
from exporter.web.recent import RecentDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.registry import Collector

    from exporter.apps import AppStatus
    from exporter.httpd import Handler
    from exporter.web.approutes import ReadPeriods, Version
    from exporter.web.documents import PageContext
    from exporter.web.pages import Pages, Snapshot

READ = ("GET", "HEAD")

_SECURITY_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
"""Of the status page and the JSON: no guessing of the media type, and no copy in a cache."""
_HEALTHY = "healthy"
_STARTING = "starting, nothing rendered yet"

Route = tuple[tuple[str, ...], "Callable[[Request], Response]"]


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a configuration reload."""

    applied: bool
    """Whether the new configuration is in use; otherwise the previous one is."""
    message: str
    """What changed or what is wrong; one line or more."""


class StartupHandler:
    """Handles requests before the site exists: ``/-/healthy`` is 200, everything else 503.

    Opening a slow or locked store takes seconds, in which a liveness probe must not restart the exporter.
    """

    def __init__(self) -> None:
        self._site: Handler = _starting

    def switch_to(self, site: Handler) -> None:
        """Pass all further requests to the site."""
        self._site = site  # one assignment: a worker thread sees either handler, never a mixture

    def __call__(self, request: Request) -> Response:
        """Respond to one request."""
        return self._site(request)


def _starting(request: Request) -> Response:
    if request.path == "/-/healthy" and request.method in READ:
        return text_response(200, _HEALTHY)
    return text_response(503, "starting")


@dataclass(frozen=True, slots=True)
class Site:
    """The exporter's web site: a handler for ``httpd``."""

    telemetry_path: str
    pages: Pages
    live: Collector
    """The metrics that are rendered at each scrape."""
    context: Callable[[], PageContext]
    """Returns what the status page and the JSON show besides the apps."""
    read_periods: ReadPeriods
    """Reads the stored periods of an app."""
    reload: Callable[[], ReloadResult] | None = None
    """Reloads the configuration; None if that is not allowed over HTTP."""
    views: dict[str, CachedDocument[statuspage.AppRow | None]] = field(default_factory=dict)
    """The status page of each report, created when it is first requested."""
    apps: CachedDocument[bytes] = field(default_factory=lambda: CachedDocument(appsjson.AppsJson()))
    of_apps: RecentDocuments[Version] = field(default_factory=RecentDocuments)
    """The documents about single apps."""
    documentation: Documentation = field(default_factory=Documentation)

    def __call__(self, request: Request) -> Response:
        """Respond to one request."""
        route = self._routes().get(request.path) or self._route_below(request.path)
        if route is None:
            return text_response(404, f"not found: metrics at {self.telemetry_path}, status page at /")
        methods, handle = route
        if request.method not in methods:
            return text_response(405, f"method not allowed, use {' or '.join(methods)}", ("Allow", ", ".join(methods)))
        return handle(request)

    def _route_below(self, path: str) -> Route | None:
        """Return the route of a path that is below another one; None if there is none."""
        if path == DOCS or path.startswith(f"{DOCS}/"):
            return READ, self._documentation
        return (READ, self._of_app) if path.startswith((f"{PAGES}/", f"{APPS}/")) else None

    def _routes(self) -> dict[str, Route]:
        return {
            "/": (READ, self._status_page),
            APPS: (READ, self._apps),
            "/-/healthy": (READ, self._healthy),
            "/-/ready": (READ, self._ready),
            "/-/reload": (("POST", "PUT"), self._reload),
            self.telemetry_path: (READ, self._metrics),
        }

    def _documentation(self, request: Request) -> Response:
        return self.documentation(request) or text_response(404, f"not found: the documentation is at {DOCS}/")

    def _metrics(self, request: Request) -> Response:
        snapshot = self.pages.current
        if snapshot is None:
            return text_response(503, _STARTING)
        format_ = preferred_format(request.headers.get("Accept", ""))
        gzip = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [("Content-Type", format_.value), ("Vary", "Accept, Accept-Encoding")]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), chunks(snapshot.page, self.live, format_, gzip=gzip))

    def _status_page(self, request: Request) -> Response:
        snapshot = self.pages.current
        if snapshot is None:
            return text_response(503, _STARTING)
        # Only reports that some app fetches have a view. Without any app the default reports have, with an empty table.
        fetched = {of.report.name for status in snapshot.statuses for of in status.reports}
        names = [name for name in REPORTS if name in fetched] or [report.name for report in DEFAULT_REPORTS]
        name = dict(parse_qsl(request.query)).get("report", names[0])
        if name not in names:
            return text_response(404, f"unknown report, use one of: {', '.join(names)}")
        report = REPORTS[name]
        if (view := self.views.get(name)) is None:
            page = statuspage.StatusPage(report, self.context().dashboard_url)
            # setdefault is atomic, so two first requests at the same time share one document and its lock.
            view = self.views.setdefault(name, CachedDocument(page))
        headers = (
            ("Content-Security-Policy", statuspage.content_security_policy(report)),
            ("Referrer-Policy", "no-referrer"),
        )
        return self._cached(view, request, snapshot, "text/html; charset=utf-8", *headers)

    def _apps(self, request: Request) -> Response:
        snapshot = self.pages.current
        if snapshot is None:
            headers = (("Content-Type", appsjson.MEDIA_TYPE), *_SECURITY_HEADERS)
            return Response(503, headers, appsjson.error("unavailable", _STARTING))
        return self._cached(self.apps, request, snapshot, appsjson.MEDIA_TYPE)

    def _of_app(self, request: Request) -> Response:
        snapshot = self.pages.current
        if snapshot is None:
            return text_response(503, _STARTING) if request.path.startswith(PAGES) else self._apps(request)

        def statuses() -> tuple[AppStatus, ...]:
            return (self.pages.current or snapshot).statuses

        return AppRoutes(statuses, self.read_periods, self.context, self.of_apps)(request)

    def _cached(
        self,
        document: CachedDocument[Fragment],
        request: Request,
        snapshot: Snapshot,
        media_type: str,
        *more: tuple[str, str],
    ) -> Response:
        """Return a response with a document about the newest snapshot, which is at least ``snapshot``."""

        # Called under the lock of the document: a client that waited for it must not bring back an older snapshot.
        def newest() -> tuple[Sequence[AppStatus], PageContext]:
            return (self.pages.current or snapshot).statuses, self.context()

        gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [("Content-Type", media_type), ("Vary", "Accept-Encoding"), *_SECURITY_HEADERS, *more]
        if gzipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), document.body(newest, gzipped=gzipped))

    def _healthy(self, _request: Request) -> Response:
        return text_response(200, _HEALTHY)

    def _ready(self, _request: Request) -> Response:
        return text_response(503, "not ready") if self.pages.current is None else text_response(200, "ready")

    def _reload(self, _request: Request) -> Response:
        if self.reload is None:
            return text_response(403, "reload over HTTP is disabled, start with --web.enable-lifecycle")
        result = self.reload()
        return text_response(200 if result.applied else 500, result.message)

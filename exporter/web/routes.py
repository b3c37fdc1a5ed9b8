"""The paths that the exporter answers (design, "HTTP"). No route asks WeChat anything or waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.httpd import Request, Response
from exporter.metrics import pieces
from exporter.reports import DEFAULT_REPORTS, REPORTS
from exporter.web import appsjson, statuspage
from exporter.web.documentation import DOCS, Documentation
from exporter.web.documents import Document, Piece
from exporter.web.negotiation import accepts_gzip, preferred_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.registry import Collector

    from exporter.apps import AppStatus
    from exporter.httpd import Handler
    from exporter.web.documents import Surroundings
    from exporter.web.pages import Pages

READ = ("GET", "HEAD")
APPS = "/api/v1/apps"

_GUARDED = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
"""Headers of what is about all apps: it is what it says it is, and nobody keeps it."""
_HEALTHY = "healthy"
_NOT_YET = "the first page is not rendered yet"

Route = tuple[tuple[str, ...], "Callable[[Request], Response]"]


def text(status: int, words: str, *headers: tuple[str, str]) -> Response:
    """A short answer for people."""
    return Response(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), f"{words}\n".encode())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a reload."""

    taken: bool
    """Whether the next configuration holds; else the one before goes on."""
    words: str
    """What changed or what is wrong, for people, on one line or more."""


class Entrance:
    """Serves requests from the start: 503 and a healthy ``/-/healthy``, until the site is open.

    Opening a slow or locked store takes seconds, in which a probe must not find the exporter dead.
    """

    def __init__(self) -> None:
        self._site: Handler = _starting

    def open(self, site: Handler) -> None:
        """Hand every request from now on to the site."""
        self._site = site

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        return self._site(request)


def _starting(request: Request) -> Response:
    if request.path == "/-/healthy" and request.method in READ:
        return text(200, _HEALTHY)
    return text(503, "starting")


@dataclass(frozen=True, slots=True)
class Site:
    """The exporter's web site: a handler for ``httpd``."""

    telemetry_path: str
    pages: Pages
    live: Collector
    """The families that are rendered at each scrape."""
    surroundings: Callable[[], Surroundings]
    """What the status page and the JSON say beside the apps."""
    reload: Callable[[], Verdict] | None = None
    """Has the configuration read again; None where that is not allowed over HTTP."""
    views: dict[str, Document[statuspage.Row | None]] = field(default_factory=dict)
    """The status page by report, each made when it is first requested."""
    apps: Document[bytes] = field(default_factory=lambda: Document(appsjson.AppsJson()))
    documentation: Documentation = field(default_factory=Documentation)

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        docs = request.path == DOCS or request.path.startswith(f"{DOCS}/")
        route = (READ, self._documentation) if docs else self._routes().get(request.path)
        if route is None:
            return text(404, f"not found: the metrics are at {self.telemetry_path}, the status page is at /")
        methods, answer = route
        if request.method not in methods:
            return text(405, f"only {' and '.join(methods)} here", ("Allow", ", ".join(methods)))
        return answer(request)

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
        return self.documentation(request) or text(404, f"not found: the documentation is at {DOCS}/")

    def _metrics(self, request: Request) -> Response:
        generation = self.pages.current
        if generation is None:
            return text(503, _NOT_YET)
        format_ = preferred_format(request.headers.get("Accept", ""))
        gzip = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [("Content-Type", format_.value), ("Vary", "Accept, Accept-Encoding")]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), pieces(generation.page, self.live, format_, gzip=gzip))

    def _status_page(self, request: Request) -> Response:
        generation = self.pages.current
        if generation is None:
            return text(503, _NOT_YET)
        fetched = {of.report.name for status in generation.statuses for of in status.reports}
        names = [name for name in REPORTS if name in fetched] or [report.name for report in DEFAULT_REPORTS]
        name = dict(parse_qsl(request.query)).get("report", names[0])
        if name not in names:
            return text(404, f"unknown report; apps fetch: {', '.join(names)}")
        report = REPORTS[name]
        view = self.views.setdefault(name, Document(statuspage.StatusPage(report)))
        headers = (("Content-Security-Policy", statuspage.policy(report)), ("Referrer-Policy", "no-referrer"))
        return self._written(view, request, "text/html; charset=utf-8", *headers) or text(503, _NOT_YET)

    def _apps(self, request: Request) -> Response:
        not_yet = Response(503, (("Content-Type", appsjson.MEDIA_TYPE), *_GUARDED), appsjson.problem(_NOT_YET))
        return self._written(self.apps, request, appsjson.MEDIA_TYPE) or not_yet

    def _written(
        self, document: Document[Piece], request: Request, media_type: str, *more: tuple[str, str]
    ) -> Response | None:
        """A document about the newest generation; None before the first."""
        generation = self.pages.current
        if generation is None:
            return None

        def newest() -> tuple[Sequence[AppStatus], Surroundings]:
            return (self.pages.current or generation).statuses, self.surroundings()

        gzipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [
            ("Content-Type", media_type),
            ("Vary", "Accept-Encoding"),
            *_GUARDED,
            *more,
        ]
        if gzipped:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), document.body(newest, gzipped=gzipped))

    def _healthy(self, _request: Request) -> Response:
        return text(200, _HEALTHY)

    def _ready(self, _request: Request) -> Response:
        return text(503, "not ready yet") if self.pages.current is None else text(200, "ready")

    def _reload(self, _request: Request) -> Response:
        if self.reload is None:
            return text(403, "reloading over HTTP is not enabled (--web.enable-lifecycle)")
        verdict = self.reload()
        return text(200 if verdict.taken else 500, verdict.words)

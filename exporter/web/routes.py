"""The paths that the exporter answers (design, "HTTP"). No route asks WeChat anything or waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.httpd import Request, Response
from exporter.metrics import pieces
from exporter.web.negotiation import accepts_gzip, preferred_format
from exporter.web.statuspage import StatusPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client.registry import Collector

    from exporter.web.pages import Pages
    from exporter.web.statuspage import Surroundings

READ = ("GET", "HEAD")

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


@dataclass(frozen=True, slots=True)
class Site:
    """The exporter's web site: a handler for ``httpd``."""

    telemetry_path: str
    pages: Pages
    live: Collector
    """The families that are rendered at each scrape."""
    surroundings: Callable[[], Surroundings]
    """What the status page says beside the apps."""
    reload: Callable[[], Verdict] | None = None
    """Has the configuration read again; None where that is not allowed over HTTP."""
    status_page: StatusPage = field(default_factory=StatusPage)

    def __call__(self, request: Request) -> Response:
        """Answers one request."""
        route = self._routes().get(request.path)
        if route is None:
            return text(404, f"not found: the metrics are at {self.telemetry_path}, the status page is at /")
        methods, answer = route
        if request.method not in methods:
            return text(405, f"only {' and '.join(methods)} here", ("Allow", ", ".join(methods)))
        return answer(request)

    def _routes(self) -> dict[str, Route]:
        return {
            "/": (READ, self._status_page),
            "/-/healthy": (READ, self._healthy),
            "/-/ready": (READ, self._ready),
            "/-/reload": (("POST", "PUT"), self._reload),
            self.telemetry_path: (READ, self._metrics),
        }

    def _metrics(self, request: Request) -> Response:
        generation = self.pages.current
        if generation is None:
            return text(503, "the first page is not rendered yet")
        format_ = preferred_format(request.headers.get("Accept", ""))
        gzip = accepts_gzip(request.headers.get("Accept-Encoding", ""))
        headers = [("Content-Type", format_.value), ("Vary", "Accept, Accept-Encoding")]
        if gzip:
            headers.append(("Content-Encoding", "gzip"))
        return Response(200, tuple(headers), pieces(generation.page, self.live, format_, gzip=gzip))

    def _status_page(self, _request: Request) -> Response:
        generation = self.pages.current
        if generation is None:
            return text(503, "the first page is not rendered yet")
        body = self.status_page.body(generation.statuses, self.surroundings())
        headers = (
            ("Content-Type", "text/html; charset=utf-8"),
            (
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            ),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        )
        return Response(200, headers, body)

    def _healthy(self, _request: Request) -> Response:
        return text(200, "healthy")

    def _ready(self, _request: Request) -> Response:
        return text(503, "not ready yet") if self.pages.current is None else text(200, "ready")

    def _reload(self, _request: Request) -> Response:
        if self.reload is None:
            return text(403, "reloading over HTTP is not enabled (--web.enable-lifecycle); send SIGHUP")
        verdict = self.reload()
        return text(200 if verdict.taken else 500, verdict.words)

"""The routes about one app: its page, and each of its reports as JSON and CSV.

The periods come from the store on request, so these routes read it while the poller may write; the lock of the store is
held for the read only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from exporter.alerts.past_periods import past_periods
from exporter.httpd import Response, text_response
from exporter.web import apppage, appsjson, reportcsv, reportjson
from exporter.web.days import Days
from exporter.web.negotiation import accepts_gzip
from exporter.web.recent import TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.alerts.past_periods import PastPeriod
    from exporter.apps import AppStatus, ReportStatus
    from exporter.httpd import Request
    from exporter.periods import Period
    from exporter.reports import Report, StoredReading
    from exporter.web.documents import PageContext
    from exporter.web.recent import CompressedDocument, RecentDocuments

    ReadPeriods = Callable[[str, Report, Period | None, Period | None], tuple[StoredReading, ...]]
    """Returns the stored readings of an app's report between two periods; see ``store.Store.periods``."""

    Version = tuple[AppStatus, PageContext]

APPS = "/api/v1/apps"
PAGES = "/apps"

_PAGE = re.compile(rf"{PAGES}/([^/]+)")
_REPORT = re.compile(rf"{APPS}/([^/]+)/reports/([^/]+?)(\.csv)?")
_MAX_AGE = 60.0
"""Seconds after which an unchanged document is rendered again: it shows when it was rendered, and another process, such
as ``backfill``, may have added periods to the store."""
_SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)
_RETRY = ("Retry-After", "5")
_BUSY = "too many requests for the figures of apps, try again later"


@dataclass(frozen=True, slots=True)
class AppRoutes:
    """Responds to requests about one app; for any thread."""

    statuses: Callable[[], tuple[AppStatus, ...]]
    """Returns the newest statuses of all apps."""
    read_periods: ReadPeriods
    context: Callable[[], PageContext]
    """Returns what the page shows besides the app."""
    documents: RecentDocuments[Version]

    def __call__(self, request: Request) -> Response:
        """Respond to one request."""
        if match := _PAGE.fullmatch(request.path):
            return self._page(request, unquote(match[1]))
        if match := _REPORT.fullmatch(request.path):
            return self._report(request, unquote(match[1]), unquote(match[2]), is_csv=bool(match[3]))
        return _error(
            404, "not_found", f"not found: use {APPS}/APPID/reports/REPORT or {APPS}/APPID/reports/REPORT.csv"
        )

    def _page(self, request: Request, appid: str) -> Response:
        known = self._find(appid)
        if known is None:
            return text_response(404, "unknown app: the status page at / has a link to the page of each app")

        def render(version: Version) -> bytes:
            app, context = version
            return apppage.render(app, [self._periods(app, of, Days()) for of in app.reports], context)

        policy = ("Content-Security-Policy", apppage.content_security_policy())
        try:
            document = self.documents.get(("page", appid), partial(self._newest, known), render)
        except TooManyRequests:
            return text_response(503, _BUSY, _RETRY)
        return _respond(request, document, ("Content-Type", "text/html; charset=utf-8"), policy)

    def _report(self, request: Request, appid: str, name: str, *, is_csv: bool) -> Response:
        known = self._find(appid)
        of = None if known is None else next((each for each in known.reports if each.report.name == name), None)
        if known is None or of is None:
            return _error(404, "not_found", self._unknown(known))
        try:
            days = Days.of_query(request.query)
            document = self.documents.get(
                (is_csv, appid, name, days),
                partial(self._newest, known),
                partial(self._render_report, of, days, is_csv=is_csv),
            )
        except ValueError as error:
            return _error(400, "bad_data", str(error))
        except TooManyRequests:
            return _error(503, "unavailable", _BUSY, _RETRY)
        if not is_csv:
            return _respond(request, document, ("Content-Type", appsjson.MEDIA_TYPE))
        file = ("Content-Disposition", f'attachment; filename="{reportcsv.file_name(known, of.report)}"')
        return _respond(request, document, ("Content-Type", reportcsv.MEDIA_TYPE), file)

    def _unknown(self, app: AppStatus | None) -> str:
        """Return what is unknown and the known names, but not what the client sent, which may be a secret."""
        found = (app,) if app else self.statuses()
        names = ", ".join(dict.fromkeys(of.report.name for each in found for of in each.reports)) or "none"
        if app:
            return f"unknown report: the app has {names}"
        return f"unknown app: {APPS} lists the apps; their reports are {names}"

    def _render_report(self, known: ReportStatus, days: Days, version: Version, *, is_csv: bool) -> bytes:
        app, _ = version
        of = app.of(known.report) or known
        periods = self._periods(app, of, days)
        return reportcsv.render(app, of.report, periods) if is_csv else reportjson.render(app, of, periods)

    def _periods(self, app: AppStatus, of: ReportStatus, days: Days) -> list[PastPeriod]:
        first, last = days.periods(of.report.period)
        # The comparisons of the first period need earlier ones.
        oldest = None if first is None else first.before(of.report.lookback)
        stored = self.read_periods(app.appid, of.report, oldest, last)
        return list(past_periods(of.report, stored, app.thresholds, first))

    def _newest(self, known: AppStatus) -> Version:
        context = self.context()
        # Rounded down to a minute, so that contexts of the same minute are equal.
        return self._find(known.appid) or known, replace(context, now=context.now // _MAX_AGE * _MAX_AGE)

    def _find(self, appid: str) -> AppStatus | None:
        return next((status for status in self.statuses() if status.appid == appid), None)


def _respond(request: Request, document: CompressedDocument, *headers: tuple[str, str]) -> Response:
    headers = (*headers, ("Vary", "Accept-Encoding"), *_SECURITY_HEADERS)
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return Response(200, (*headers, ("Content-Encoding", "gzip")), document.gzipped)
    return Response(200, (*headers, ("Content-Length", str(document.length))), document.plain())


def _error(status: int, kind: str, message: str, *headers: tuple[str, str]) -> Response:
    media_type = ("Content-Type", appsjson.MEDIA_TYPE)
    return Response(status, (media_type, *_SECURITY_HEADERS, *headers), appsjson.error(kind, message))

"""A simulated WeChat that follows docs/wechat-api.md: the only test double of WeChat in the project.

It turns a request into a response and opens no socket; ``demo`` serves it over HTTP. It checks what WeChat checks
(method, body, token, dates), so that tests find a client that breaks these rules.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.httpd import Response
from exporter.periods import DAY, Day, Month, Week, parse_day
from exporter.reports import REPORTS, Shape
from exporter.wechat.access.access_methods import HTTP_FUNCTION, INVOKE_FUNCTION
from exporter.wechat.access.sources import AUTHORIZER_TOKEN, STABLE_TOKEN, STABLE_TOKEN_PATH, TOKEN_URL
from exporter.wechat.simulator.access_methods import PREFIXES, ROUTES, SimulatedServices, hosted_app
from exporter.wechat.simulator.contents import Subject, content, is_summary
from exporter.wechat.simulator.faults import KINDS, InjectedFault
from exporter.wechat.simulator.figures import Audience, row
from exporter.wechat.simulator.messages import error_response, json_response, query_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from exporter.httpd import Request
    from exporter.periods import Period
    from exporter.reports import Report

__all__ = [
    "KINDS",
    "OTHER_ENDPOINTS",
    "Audience",
    "InjectedFault",
    "RecordedCall",
    "SimulatedApp",
    "SimulatedServices",
    "Simulator",
]

OTHER_ENDPOINTS = (STABLE_TOKEN, TOKEN_URL, AUTHORIZER_TOKEN, INVOKE_FUNCTION, HTTP_FUNCTION)
"""The ``endpoint`` labels, beside those of the reports, at which a fault can be injected."""

PUBLISHED_AFTER = 9 * 3600.0
"""Seconds from a period's end to its publication. WeChat publishes before about 10:00 in Beijing."""

_RENEWED_BEFORE_END = 300.0
_STRAGGLER_SECONDS = 5 * 3600.0


@dataclass(frozen=True, slots=True)
class SimulatedApp:
    """One Mini Program of the simulated WeChat."""

    appid: str
    secret: str = field(repr=False)
    audience: Audience = Audience()  # noqa: RUF009 (a frozen value)
    launched: Week | None = None
    """Its first week; there are no rows before it."""
    published_after: float = PUBLISHED_AFTER
    """Seconds from a period's end to its publication."""
    stragglers: float = 0.0
    """The share of days that are published five hours later, as happens at WeChat."""
    faults: tuple[InjectedFault, ...] = ()
    refresh_token: str = field(default="", repr=False)
    """The refresh token of the third-party platform; empty: the app has not authorized it."""
    next_refresh_token: str = field(default="", repr=False)
    """The refresh token that replaces it with the next response."""
    cloud_env: str = ""
    """The id of its cloud environment; empty: cloud development is not enabled."""
    cloud_function: str = "analysis"
    cloud_permission: bool = True
    """Whether the function's config.json allows the Cloud Call."""
    cloudbase_token: str = field(default="", repr=False)
    """The token of its container in WeChat Cloud Hosting."""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One received call: its app, and its period (empty for a token)."""

    endpoint: str
    appid: str
    period: str
    at: float


@dataclass(slots=True)
class _Token:
    appid: str
    value: str
    expires_at: float
    revoked: bool = False


class Simulator:
    """Responds like WeChat. Safe for use from several threads: one lock covers each request.

    Args:
        apps: the Mini Programs that exist.
        clock: the wall clock, Unix seconds.
        seed: determines the figures and tokens.
        token_seconds: the lifetime of a token.
        services: a third-party platform, a hosting account, services with a key.
    """

    def __init__(
        self,
        apps: Iterable[SimulatedApp],
        clock: Callable[[], float],
        *,
        seed: int = 0,
        token_seconds: float = 7200.0,
        services: SimulatedServices = SimulatedServices(),  # noqa: B008 (a frozen value)
    ) -> None:
        self.services = services
        self.apps = {app.appid: app for app in apps}
        self.calls: list[RecordedCall] = []
        self._clock = clock
        self._seed = seed
        self._token_seconds = token_seconds
        self._tokens: list[_Token] = []
        self._rows: dict[tuple[str, Period], Mapping[str, object]] = {}
        self._contents: dict[tuple[str, str, Period], Mapping[str, object]] = {}
        self._lock = threading.Lock()

    def put(self, app: SimulatedApp) -> None:
        """Add an app or replace it, for example with another secret or other faults."""
        with self._lock:
            self.apps[app.appid] = app

    def publish(self, appid: str, row: Mapping[str, object]) -> None:
        """Serve this row for its period from now on: a recorded response, or a revision."""
        with self._lock:
            self._rows[appid, _period_of(str(row["ref_date"]))] = row

    def publish_content(self, appid: str, report: Report, period: Period, content: Mapping[str, object]) -> None:
        """Serve this content of a response from now on, for a report that is not a visit trend."""
        with self._lock:
            self._contents[appid, report.name, period] = content

    def content(self, appid: str, report: Report, period: Period) -> Mapping[str, object]:
        """Return the content of the response to a report of an app, published or not."""
        published = self._contents.get((appid, report.name, period))
        if published is not None:
            return published
        if report.shape is Shape.ROW and not is_summary(report):
            return {"list": [self.row(appid, period)]}
        app = self.apps[appid]
        age = self._clock() - period.end - app.published_after
        subject = Subject(app.audience, f"{self._seed} {appid}", app.launched)
        return content(subject, report, period, known_weeks=max(0, int(age // (7 * DAY))))

    def revoke_tokens(self, appid: str) -> None:
        """Invalidate every token of an app, as a reset of its secret does."""
        with self._lock:
            for token in self._tokens:
                token.revoked |= token.appid == appid

    def row(self, appid: str, period: Period) -> Mapping[str, object]:
        """Return the row of a period of an app, published or not."""
        published, app = self._rows.get((appid, period)), self.apps[appid]
        return published or row(app.audience, period, f"{self._seed} {appid}", app.launched)

    def respond(self, request: Request) -> Response:
        """Return the response to one request."""
        with self._lock:
            if request.path == STABLE_TOKEN_PATH:
                return self._stable_token(request)
            for report in REPORTS.values():
                if request.path == report.path:
                    return self._report_response(request, report)
            if request.path in ROUTES:
                return ROUTES[request.path](self, request)
            for prefix, route in PREFIXES.items():
                if request.path.startswith(prefix):
                    return route(self, request)
        return Response(404, body=b"not found")

    def now(self) -> float:
        """Return the simulated WeChat's time, Unix seconds."""
        return self._clock()

    def record(self, endpoint: str, appid: str, period: str = "") -> None:
        """Record a received call."""
        self.calls.append(RecordedCall(endpoint, appid, period, self._clock()))

    def live_token(self, appid: str, *, forced: bool = False) -> tuple[str, int]:
        """Return the app's current token and its remaining seconds."""
        token = self._live_token(appid, forced=forced)
        return token.value, int(token.expires_at - self._clock())

    def app_of_token(self, value: str) -> SimulatedApp | Response:
        """Return the app of a token, or WeChat's response to an invalid token."""
        token = next((token for token in self._tokens if token.value == value), None)
        if not value or token is None or token.revoked:
            return self.error(40001 if value else 41001)
        return self.error(42001) if token.expires_at <= self._clock() else self.apps[token.appid]

    def _stable_token(self, request: Request) -> Response:
        body = self.read_object(request)
        if isinstance(body, Response):
            return body
        appid, secret = body.get("appid"), body.get("secret")
        self.record(STABLE_TOKEN, str(appid))
        if body.get("grant_type") != "client_credential":
            return self.error(40002)
        if not appid or not secret:
            return self.error(41004 if appid else 41002)
        app = self.apps.get(str(appid))
        if app is None or app.secret != secret:
            return self.error(40125 if app else 40013)
        value, left = self.live_token(app.appid, forced=bool(body.get("force_refresh")))
        good = {"access_token": value, "expires_in": left}
        return self.injected(app, STABLE_TOKEN, None, good) or json_response(good)

    def _live_token(self, appid: str, *, forced: bool) -> _Token:
        """Return the app's token: the same until five minutes before its end; the old one stays valid for these."""
        now = self._clock()
        # In normal mode the old token is not revoked: both work for the last five minutes. A forced refresh revokes it.
        mine = [token for token in self._tokens if token.appid == appid and not token.revoked]
        for token in mine:
            if not forced and token.expires_at - now > _RENEWED_BEFORE_END:
                return token
            token.revoked |= forced
        # 128 hex digits: real tokens are long, too, and tests of redaction and of URL lengths need that.
        digest = hashlib.sha512(f"{self._seed} {appid} {len(self._tokens)}".encode()).hexdigest()
        token = _Token(appid, f"SIMULATED_{digest}", now + self._token_seconds)
        self._tokens.append(token)
        return token

    def _report_response(self, request: Request, report: Report) -> Response:
        query = query_of(request)
        # Without any access_token the request is one from Cloud Hosting; an empty one is an error of its own.
        token = query.get("access_token")
        app = hosted_app(self, query) if token is None else self.app_of_token(token)
        if isinstance(app, Response):
            return app
        body = self.read_object(request)
        if isinstance(body, Response):
            return body
        return self.report(app, report, str(body.get("begin_date")), str(body.get("end_date")))

    def report(self, app: SimulatedApp, report: Report, begin: str, end: str) -> Response:
        """Return the response for a period of an app, from any access method."""
        first, last = _date(begin), _date(end)
        period = None if first is None or last is None else report.period.containing_day(first)
        is_whole = period is not None and (period.first, period.last) == (first, last)
        self.record(report.name, app.appid, period.label if period is not None and is_whole else f"{begin}-{end}")
        if period is None:
            return self.error(61500)
        if not is_whole:
            return self.error(61501)
        good = self.content(app.appid, report, period)
        return self.injected(app, report.name, period, good) or self._published(app, period) or json_response(good)

    def _published(self, app: SimulatedApp, period: Period) -> Response | None:
        """Return WeChat's response for a period that is not published; None if it is."""
        now = self._clock()
        if period >= period.containing(now):
            return self.error(61501)
        if app.launched is not None and period.last < app.launched.first:
            return json_response({"list": []})
        if now < period.end + app.published_after + self._straggles(app, period):
            return self.error(61503)
        return None

    def _straggles(self, app: SimulatedApp, period: Period) -> float:
        """Return by how many seconds a day is late. A hash, so that it is the same for every request."""
        digest = hashlib.sha256(f"{self._seed} {app.appid} {period.label}".encode()).digest()
        is_late = period.first == period.last and digest[0] / 256 < app.stragglers
        return _STRAGGLER_SECONDS if is_late else 0.0

    def injected(
        self, app: SimulatedApp, endpoint: str, period: Period | None, good: Mapping[str, object]
    ) -> Response | None:
        """Return the faulty response if the app has a fault at that endpoint and period."""
        for fault in app.faults:
            if fault.endpoint == endpoint and (not fault.periods or period in fault.periods):
                return fault.response(good, self._clock())
        return None

    def read_object(self, request: Request) -> dict[str, object] | Response:
        """Return the JSON object of a request, or WeChat's response to a request without one."""
        if request.method != "POST":
            return self.error(43002)
        if not request.body:
            return self.error(44002)
        try:
            body = json.loads(request.body)
        except ValueError:
            return self.error(47001)
        return body if isinstance(body, dict) else self.error(47001)

    def error(self, number: int) -> Response:
        """Return an error response."""
        return error_response(number, self._clock())


def _date(text: str) -> date | None:
    try:
        return parse_day(text)
    except ValueError:
        return None


def _period_of(ref_date: str) -> Period:
    """Return the period of a row: day, week or month, by the form of its ref_date."""
    for kind in (Day, Week, Month):
        with suppress(ValueError):
            return kind.from_ref_date(ref_date)
    raise ValueError(f"invalid ref_date {ref_date}")

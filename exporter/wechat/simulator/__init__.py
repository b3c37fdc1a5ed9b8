"""A pretend WeChat that follows wechat-api.md: the only double of WeChat in the project.

It knows nothing of sockets; ``demo`` serves it over real HTTP.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exporter.periods import Day, Month, Week, parse_day
from exporter.reports import REPORTS
from exporter.wechat.access.sources import AUTHORIZER_TOKEN, STABLE_TOKEN, STABLE_TOKEN_PATH, TOKEN_URL
from exporter.wechat.access.ways import HTTP_FUNCTION, INVOKE_FUNCTION
from exporter.wechat.simulator.faults import KINDS, Answer, Fault, as_json, error
from exporter.wechat.simulator.figures import Audience, row
from exporter.wechat.simulator.ways import PREFIXES, ROUTES, Surroundings, hosted_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from exporter.periods import Period
    from exporter.reports import Report

__all__ = [
    "KINDS",
    "OTHER_ENDPOINTS",
    "Answer",
    "Asked",
    "Audience",
    "Fault",
    "SeenCall",
    "SimulatedApp",
    "Simulator",
    "Surroundings",
]

OTHER_ENDPOINTS = (STABLE_TOKEN, TOKEN_URL, AUTHORIZER_TOKEN, INVOKE_FUNCTION, HTTP_FUNCTION)
"""The ``endpoint`` labels that a fault can have beside those of the reports."""

PUBLISHED_AFTER = 9 * 3600.0
"""Seconds after a period's end when it is published; WeChat does it about 10:00 Beijing."""

_RENEWED_BEFORE_END = 300.0
_STRAGGLER_SECONDS = 5 * 3600.0


@dataclass(frozen=True, slots=True)
class SimulatedApp:
    """One Mini Program that the pretended WeChat knows."""

    appid: str
    secret: str = field(repr=False)
    audience: Audience = Audience()  # noqa: RUF009 (a frozen value)
    launched: Week | None = None
    """Its first week; before it there are no rows."""
    published_after: float = PUBLISHED_AFTER
    """Seconds after a period's end when WeChat publishes it."""
    stragglers: float = 0.0
    """The share of days that are published five hours later, as WeChat sometimes does."""
    faults: tuple[Fault, ...] = ()
    refresh_token: str = field(default="", repr=False)
    """What the third-party platform has, if the app has authorized it."""
    next_refresh_token: str = field(default="", repr=False)
    """What WeChat hands out in its place."""
    cloud_env: str = ""
    """The app's cloud environment; empty: it has no cloud development."""
    cloud_function: str = "analysis"
    cloud_permission: bool = True
    """Whether the function's config.json allows the call."""
    cloudbase_token: str = field(default="", repr=False)
    """The token of its container in WeChat Cloud Hosting."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as it came in."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call that came in: about which app, and which period (empty for a token)."""

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
    """Answers like WeChat. Safe for use from several threads.

    Args:
        apps: the Mini Programs it knows.
        clock: the wall clock, Unix seconds.
        seed: other figures for another seed.
        token_seconds: how long a token lives.
        surroundings: a third-party platform, a hosting account, services with a key.
    """

    def __init__(
        self,
        apps: Iterable[SimulatedApp],
        clock: Callable[[], float],
        *,
        seed: int = 0,
        token_seconds: float = 7200.0,
        surroundings: Surroundings = Surroundings(),  # noqa: B008 (a frozen value)
    ) -> None:
        self.surroundings = surroundings
        self.apps = {app.appid: app for app in apps}
        self.calls: list[SeenCall] = []
        self._clock = clock
        self._seed = seed
        self._token_seconds = token_seconds
        self._tokens: list[_Token] = []
        self._rows: dict[tuple[str, Period], Mapping[str, object]] = {}
        self._lock = threading.Lock()

    def put(self, app: SimulatedApp) -> None:
        """Adds an app, or replaces it: another secret, other faults."""
        with self._lock:
            self.apps[app.appid] = app

    def publish(self, appid: str, row: Mapping[str, object]) -> None:
        """From now on serves this row for the period it names: a recorded answer, or a revision."""
        with self._lock:
            self._rows[appid, _period_of(str(row["ref_date"]))] = row

    def revoke_tokens(self, appid: str) -> None:
        """Makes every token of an app worthless, as a reset of its secret does."""
        with self._lock:
            for token in self._tokens:
                token.revoked |= token.appid == appid

    def row(self, appid: str, period: Period) -> Mapping[str, object]:
        """The row that is published, or will be, about a period of an app."""
        published, app = self._rows.get((appid, period)), self.apps[appid]
        return published or row(app.audience, period, f"{self._seed} {appid}", app.launched)

    def answer(self, asked: Asked) -> Answer:
        """Answers one request."""
        with self._lock:
            if asked.path == STABLE_TOKEN_PATH:
                return self._stable_token(asked)
            for report in REPORTS.values():
                if asked.path == report.path:
                    return self._asked_for_report(asked, report)
            if asked.path in ROUTES:
                return ROUTES[asked.path](self, asked)
            for prefix, route in PREFIXES.items():
                if asked.path.startswith(prefix):
                    return route(self, asked)
        return Answer(404, body=b"not found")

    def now(self) -> float:
        """The pretended WeChat's clock, Unix seconds."""
        return self._clock()

    def saw(self, endpoint: str, appid: str, period: str = "") -> None:
        """Notes a call that came in."""
        self.calls.append(SeenCall(endpoint, appid, period, self._clock()))

    def live_token(self, appid: str, *, forced: bool = False) -> tuple[str, int]:
        """The app's token and the seconds that it has left."""
        token = self._live_token(appid, forced=forced)
        return token.value, int(token.expires_at - self._clock())

    def app_of_token(self, value: str) -> SimulatedApp | Answer:
        """The app that a token belongs to, or what WeChat says to a token that is none."""
        token = next((token for token in self._tokens if token.value == value), None)
        if not value or token is None or token.revoked:
            return self.error(40001 if value else 41001)
        return self.error(42001) if token.expires_at <= self._clock() else self.apps[token.appid]

    def _stable_token(self, asked: Asked) -> Answer:
        body = self.object_of(asked)
        if isinstance(body, Answer):
            return body
        appid, secret = body.get("appid"), body.get("secret")
        self.saw(STABLE_TOKEN, str(appid))
        if body.get("grant_type") != "client_credential":
            return self.error(40002)
        if not appid or not secret:
            return self.error(41004 if appid else 41002)
        app = self.apps.get(str(appid))
        if app is None or app.secret != secret:
            return self.error(40125 if app else 40013)
        value, left = self.live_token(app.appid, forced=bool(body.get("force_refresh")))
        good = {"access_token": value, "expires_in": left}
        return self.spoilt(app, STABLE_TOKEN, None, good) or as_json(good)

    def _live_token(self, appid: str, *, forced: bool) -> _Token:
        """The app's token: the same while it lives, renewed a little early while the old one still works."""
        now = self._clock()
        mine = [token for token in self._tokens if token.appid == appid and not token.revoked]
        for token in mine:
            if not forced and token.expires_at - now > _RENEWED_BEFORE_END:
                return token
            token.revoked |= forced
        digest = hashlib.sha512(f"{self._seed} {appid} {len(self._tokens)}".encode()).hexdigest()
        token = _Token(appid, f"SIMULATED_{digest}", now + self._token_seconds)
        self._tokens.append(token)
        return token

    def _asked_for_report(self, asked: Asked, report: Report) -> Answer:
        token = asked.query.get("access_token")
        app = hosted_app(self, asked.query) if token is None else self.app_of_token(token)
        if isinstance(app, Answer):
            return app
        body = self.object_of(asked)
        if isinstance(body, Answer):
            return body
        return self.report(app, report, str(body.get("begin_date")), str(body.get("end_date")))

    def report(self, app: SimulatedApp, report: Report, begin: str, end: str) -> Answer:
        """The answer about a period of an app, whoever requests it."""
        first, last = _date(begin), _date(end)
        period = None if first is None or last is None else report.period.containing_day(first)
        is_whole = period is not None and (period.first, period.last) == (first, last)
        self.saw(report.name, app.appid, period.label if period is not None and is_whole else f"{begin}-{end}")
        if period is None:
            return self.error(61500)
        if not is_whole:
            return self.error(61501)
        good = {"list": [self.row(app.appid, period)]}
        return self.spoilt(app, report.name, period, good) or self._published(app, period) or as_json(good)

    def _published(self, app: SimulatedApp, period: Period) -> Answer | None:
        """What is said in place of a row that is not there."""
        now = self._clock()
        if period >= period.containing(now):
            return self.error(61501)
        if app.launched is not None and period.last < app.launched.first:
            return as_json({"list": []})
        if now < period.end + app.published_after + self._straggles(app, period):
            return self.error(61503)
        return None

    def _straggles(self, app: SimulatedApp, period: Period) -> float:
        """Seconds that a day is late, the same each time it is requested."""
        digest = hashlib.sha256(f"{self._seed} {app.appid} {period.label}".encode()).digest()
        is_late = period.first == period.last and digest[0] / 256 < app.stragglers
        return _STRAGGLER_SECONDS if is_late else 0.0

    def spoilt(
        self, app: SimulatedApp, endpoint: str, period: Period | None, good: Mapping[str, object]
    ) -> Answer | None:
        """What comes in place of a good answer where the app has a fault at that endpoint."""
        for fault in app.faults:
            if fault.endpoint == endpoint and (not fault.periods or period in fault.periods):
                return fault.answer(good, self._clock())
        return None

    def object_of(self, asked: Asked) -> dict[str, object] | Answer:
        """The JSON object of a request, or what WeChat says to one that holds none."""
        if asked.method != "POST":
            return self.error(43002)
        if not asked.body:
            return self.error(44002)
        try:
            body = json.loads(asked.body)
        except ValueError:
            return self.error(47001)
        return body if isinstance(body, dict) else self.error(47001)

    def error(self, number: int) -> Answer:
        """An error as WeChat words it."""
        return error(number, self._clock())


def _date(text: str) -> date | None:
    try:
        return parse_day(text)
    except ValueError:
        return None


def _period_of(ref_date: str) -> Period:
    """The period that a row is about, of whichever kind its form says."""
    for kind in (Day, Week, Month):
        with suppress(ValueError):
            return kind.from_ref_date(ref_date)
    raise ValueError(f"no period is called {ref_date}")

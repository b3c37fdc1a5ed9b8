"""A pretend WeChat that follows wechat-api.md: the only double of WeChat in the project.

It knows nothing of sockets; ``demo`` serves it over real HTTP.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.periods import Week, week_containing, week_from_ref_date
from exporter.reports import WEEKLY
from exporter.wechat.access import STABLE_TOKEN, STABLE_TOKEN_PATH
from exporter.wechat.simulator.faults import KINDS, Answer, Fault, as_json, error
from exporter.wechat.simulator.figures import Audience, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["KINDS", "Answer", "Audience", "Fault", "SeenCall", "SimulatedApp", "Simulator"]

PUBLISHED_AFTER = 9 * 3600.0
"""Seconds after a week's end when it is published; WeChat does it on Monday about 10:00 Beijing."""

_RENEWED_BEFORE_END = 300.0


@dataclass(frozen=True, slots=True)
class SimulatedApp:
    """One Mini Program that the pretended WeChat knows."""

    appid: str
    secret: str = field(repr=False)
    audience: Audience = Audience()  # noqa: RUF009 (a frozen value)
    launched: Week | None = None
    """Its first week; before it there are no rows."""
    published_after: float = PUBLISHED_AFTER
    """Seconds after a week's end when WeChat publishes it."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call that came in: about which app, and which week (empty for a token)."""

    endpoint: str
    appid: str
    week: str
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
    """

    def __init__(
        self,
        apps: Iterable[SimulatedApp],
        clock: Callable[[], float],
        *,
        seed: int = 0,
        token_seconds: float = 7200.0,
    ) -> None:
        self.apps = {app.appid: app for app in apps}
        self.calls: list[SeenCall] = []
        self._clock = clock
        self._seed = seed
        self._token_seconds = token_seconds
        self._tokens: list[_Token] = []
        self._rows: dict[tuple[str, Week], Mapping[str, object]] = {}
        self._lock = threading.Lock()

    def put(self, app: SimulatedApp) -> None:
        """Adds an app, or replaces it: another secret, other faults."""
        with self._lock:
            self.apps[app.appid] = app

    def publish(self, appid: str, row: Mapping[str, object]) -> None:
        """From now on serves this row for the week it names: a recorded answer, or a revision."""
        with self._lock:
            self._rows[appid, week_from_ref_date(str(row["ref_date"]))] = row

    def revoke_tokens(self, appid: str) -> None:
        """Makes every token of an app worthless, as a reset of its secret does."""
        with self._lock:
            for token in self._tokens:
                token.revoked |= token.appid == appid

    def row(self, appid: str, week: Week) -> Mapping[str, object]:
        """The row that is published, or will be, about an app's week."""
        published = self._rows.get((appid, week))
        return published or row(self.apps[appid].audience, week, f"{self._seed} {appid}")

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        """Answers one request."""
        with self._lock:
            if path == STABLE_TOKEN_PATH:
                return self._stable_token(method, body)
            if path == WEEKLY.path:
                return self._weekly(method, query, body)
        return Answer(404, body=b"not found")

    def _stable_token(self, method: str, body: bytes) -> Answer:
        asked = self._asked(method, body)
        if isinstance(asked, Answer):
            return asked
        appid, secret = asked.get("appid"), asked.get("secret")
        self.calls.append(SeenCall(STABLE_TOKEN, str(appid), "", self._clock()))
        if asked.get("grant_type") != "client_credential":
            return self._error(40002)
        if not appid or not secret:
            return self._error(41004 if appid else 41002)
        app = self.apps.get(str(appid))
        if app is None or app.secret != secret:
            return self._error(40125 if app else 40013)
        token = self._live_token(app.appid, forced=bool(asked.get("force_refresh")))
        left = int(token.expires_at - self._clock())
        good = {"access_token": token.value, "expires_in": left}
        return self._spoilt(app, STABLE_TOKEN, None, good) or as_json(good)

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

    def _weekly(self, method: str, query: Mapping[str, str], body: bytes) -> Answer:
        value = query.get("access_token", "")
        token = next((token for token in self._tokens if token.value == value), None)
        if not value or token is None or token.revoked:
            return self._error(40001 if value else 41001)
        if token.expires_at <= self._clock():
            return self._error(42001)
        asked = self._asked(method, body)
        if isinstance(asked, Answer):
            return asked
        app = self.apps[token.appid]
        begin, end = str(asked.get("begin_date")), str(asked.get("end_date"))
        self.calls.append(SeenCall(WEEKLY.name, app.appid, f"{begin}-{end}", self._clock()))
        if not _is_date(begin) or not _is_date(end):
            return self._error(61500)
        try:
            week = week_from_ref_date(f"{begin}-{end}")
        except ValueError:
            return self._error(61501)
        good = {"list": [self.row(app.appid, week)]}
        return self._spoilt(app, WEEKLY.name, week, good) or self._published(app, week) or as_json(good)

    def _published(self, app: SimulatedApp, week: Week) -> Answer | None:
        """What is said in place of a row that is not there."""
        now = self._clock()
        if week >= week_containing(now):
            return self._error(61501)
        if app.launched is not None and week < app.launched:
            return as_json({"list": []})
        if now < week.end + app.published_after:
            return self._error(61503)
        return None

    def _spoilt(self, app: SimulatedApp, endpoint: str, week: Week | None, good: Mapping[str, object]) -> Answer | None:
        for fault in app.faults:
            if fault.endpoint == endpoint and (not fault.weeks or week in fault.weeks):
                return fault.answer(good, self._clock())
        return None

    def _asked(self, method: str, body: bytes) -> dict[str, object] | Answer:
        """The JSON object of a request, or what WeChat says to one that holds none."""
        if method != "POST":
            return self._error(43002)
        if not body:
            return self._error(44002)
        try:
            asked = json.loads(body)
        except ValueError:
            return self._error(47001)
        return asked if isinstance(asked, dict) else self._error(47001)

    def _error(self, number: int) -> Answer:
        return error(number, self._clock())


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 (only its form matters)
    except ValueError:
        return False
    return True

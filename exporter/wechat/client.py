"""Fetch one report of one app: drive the app's access method over the network and return the outcome.

Each app has its own access method, and so its own token, for as long as its configuration is the same. A reload makes a
new client, which takes the unchanged access methods over from the previous one: with a new token source per reload,
every reload would cost one token request per app. Fetches of the previous client that are in flight finish there.

No lock: the poller has at most one fetch in flight per access method, and different access methods share no mutable
object except the transport and ``RefreshTokens``, which are safe for use from several threads.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from exporter.wechat.access import AccessContext, AccessMethod, RequestFlow, open_access
from exporter.wechat.access.refresh_tokens import RefreshTokens
from exporter.wechat.codes import MALFORMED, Failed, FetchError
from exporter.wechat.messages import ApiRequest, ApiResponse, TransportError
from exporter.wechat.protocol import error_label, server_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.config import AccessConfig, App
    from exporter.periods import Period
    from exporter.reports import Reading, Report

T = TypeVar("T")
AccessKey = tuple[str, str, "AccessConfig"]
"""What must be equal for an access method, and so its token, to be kept: API address, appid, configuration."""


class Observe(Protocol):
    """Records a request."""

    def __call__(self, endpoint: str, seconds: float, *, failed: bool) -> None:
        """Record its endpoint, its duration, and whether it failed without a response of WeChat."""


_HTTP_ERROR = 400

log = structlog.get_logger()


class Sender(Protocol):
    """The network: ``transport.Transport``."""

    def send(self, request: ApiRequest, owner: str = "") -> ApiResponse:
        """Send one request over a connection of this owner; raises TransportError."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of fetching one period: a reading, or the reason why there is none."""

    result: Reading | FetchError
    errors: tuple[str, ...] = ()
    """The ``errcode`` label of every error of the fetch, including those that a retry recovered from."""
    server_time: float | None = None
    """The server's clock at the last response, Unix seconds; None if it sent no Date."""


class Client:
    """Fetches reports. Safe for use from several threads, with one fetch per app at a time.

    Args:
        apps: the apps whose reports can be fetched.
        base_url: the API's address.
        sender: the network.
        clock: the wall clock, Unix seconds.
        observe: called after each request.
        previous: the client before a reload; unchanged access methods and all refresh tokens are kept.
    """

    def __init__(  # noqa: PLR0913 (called from the composition root)
        self,
        apps: Iterable[App],
        base_url: str,
        *,
        sender: Sender,
        clock: Callable[[], float],
        observe: Observe = lambda _endpoint, _seconds, *, failed: None,  # noqa: ARG005
        previous: Client | None = None,
    ) -> None:
        self._base_url = base_url
        self._sender = sender
        self._observe = observe
        self.refresh_tokens: RefreshTokens = previous.refresh_tokens if previous else RefreshTokens()
        """Shared by all clients of the process."""
        context = AccessContext(base_url, clock, self.refresh_tokens)
        known = previous.access_methods if previous else {}
        self.access_methods: dict[AccessKey, AccessMethod] = {}
        """The access method of each app, which holds its token."""
        for app in apps:
            key = self._key(app)
            self.access_methods[key] = known.get(key) or open_access(app, context)

    def fetch(self, app: App, report: Report, period: Period) -> Outcome:
        """Fetch one period of one report of one app."""
        errors: list[str] = []
        responses: list[ApiResponse] = []
        result: Reading | FetchError
        try:
            method = self.access_methods[self._key(app)]
            # A kept connection is used by one fetch only; transport.py explains why.
            owner = f"{app.appid} {report.name} {period.label}"
            result = self._drive(owner, app, method.fetch(report, period), errors, responses)
        except FetchError as reason:
            if reason.errcode == MALFORMED:
                errors.append(MALFORMED)
            result = reason
        return Outcome(result, tuple(errors), server_time(responses[-1]) if responses else None)

    def _key(self, app: App) -> AccessKey:
        return self._base_url, app.appid, app.access

    def _drive(self, owner: str, app: App, flow: RequestFlow[T], errors: list[str], responses: list[ApiResponse]) -> T:
        """Send the requests of a flow and pass it the responses until it returns or raises."""
        try:
            request = next(flow)
            while True:
                try:
                    responses.append(self._send(owner, app, request, errors))
                except Failed as failed:
                    # Thrown into the flow, which knows whether the request was for a token and so concerns the app.
                    request = flow.throw(failed)
                else:
                    request = flow.send(responses[-1])
        except StopIteration as end:
            result: T = end.value
            return result

    def _send(self, owner: str, app: App, request: ApiRequest, errors: list[str]) -> ApiResponse:
        began = time.perf_counter()
        failed = True
        try:
            response = self._sender.send(request, owner)
            failed = response.status >= _HTTP_ERROR
        except TransportError as error:
            if error.kind != MALFORMED:  # counted once, in fetch()
                errors.append(error.kind)
            log.debug("api request failed", appid=app.appid, endpoint=request.endpoint, error=str(error))
            raise Failed(str(error), error.kind) from None
        finally:
            seconds = time.perf_counter() - began
            self._observe(request.endpoint, seconds, failed=failed)
        label = error_label(response)
        if label and label != MALFORMED:
            errors.append(label)
        log.debug(
            "api request completed",
            appid=app.appid,
            endpoint=request.endpoint,
            status=response.status,
            errcode=label,
            seconds=round(seconds, 3),
        )
        return response

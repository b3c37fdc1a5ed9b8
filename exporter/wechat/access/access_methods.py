"""From a report and a period to a reading, by each of the ways that WeChat allows (wechat-api.md section 5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from exporter.config import (
    CloudFunction,
    CloudHosting,
    Datacube,
    HttpFunction,
    TokenFile,
)
from exporter.wechat.access.request_flow import (
    Clock,
    RequestFlow,
    expand_url,
    parse_redacted,
    possible_secrets,
    read_headers,
)
from exporter.wechat.access.sources import FileToken, TokenSource, source_of, token_endpoints
from exporter.wechat.codes import Failed, Refused
from exporter.wechat.messages import JSON, ApiRequest, ApiResponse
from exporter.wechat.protocol import event_body, parse_function, parse_invoked, parse_rows, report_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config import App, Way
    from exporter.periods import Period
    from exporter.reports import Reading, Report

INVOKE_FUNCTION = "invokecloudfunction"
INVOKE_FUNCTION_PATH = "/tcb/invokecloudfunction"
HTTP_FUNCTION = "http_function"

_CLOUDBASE_SECONDS = 600.0
"""So often the container's own token must be read anew (wechat-api.md section 5)."""
_SWITCHED_OFF = "41001"
_NOT_ALLOWED = 502


class AccessMethod(Protocol):
    """One way by which one app's reports can be read."""

    ENDPOINTS: ClassVar[tuple[str, ...]]
    """The ``endpoint`` labels of its own calls; none where they are the names of the reports."""

    @property
    def tokens(self) -> TokenSource | None:
        """Where its tokens come from, if it needs any."""
        ...

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Asks for one period.

        Raises:
            FetchError: why there is no reading.
        """
        ...


class DatacubeAccess:
    """The report's own call, with a token."""

    ENDPOINTS = ()

    def __init__(self, way: Datacube, app: App, base_url: str, clock: Clock) -> None:
        self.tokens = source_of(way.tokens, app.appid, base_url, clock)
        self._base_url = base_url
        self._clock = clock

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Asks with a token; if that is rejected, once more with a different one."""

        def attempt(token: str) -> RequestFlow[Reading]:
            reply = yield _call(report, period, self._base_url, ("access_token", token))
            parse = partial(parse_rows, report=report, period=period, now=self._clock())
            return parse_redacted(parse, reply, self.tokens.secrets)

        return (yield from self.tokens.try_with(attempt))


class CloudFunctionAccess:
    """A cloud function of the app's, called through the API with a token; its answer is encoded twice."""

    ENDPOINTS = (INVOKE_FUNCTION,)

    def __init__(self, way: CloudFunction, app: App, base_url: str, clock: Clock) -> None:
        self.tokens = source_of(way.tokens, app.appid, base_url, clock)
        self._function = (("env", way.env), ("name", way.name))
        self._url = base_url + INVOKE_FUNCTION_PATH
        self._clock = clock

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Lets the function ask; if the token for calling it is rejected, once more with a different one."""

        def attempt(token: str) -> RequestFlow[Reading]:
            query = (("access_token", token), *self._function)
            reply = yield ApiRequest(INVOKE_FUNCTION, "POST", self._url, query, JSON, event_body(report, period))
            parse = partial(parse_invoked, report=report, period=period, now=self._clock())
            return parse_redacted(parse, reply, self.tokens.secrets)

        return (yield from self.tokens.try_with(attempt))


class HttpFunctionAccess:
    """A function behind the HTTP access service of a cloud environment: no token of WeChat's."""

    ENDPOINTS = (HTTP_FUNCTION,)

    def __init__(self, way: HttpFunction, app: App, _base_url: str, clock: Clock) -> None:
        self.tokens = None
        self._way = way
        self._url = expand_url(way.url, app.appid)
        self._clock = clock

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Asks the function."""
        headers = read_headers(self._way.headers)
        reply = yield ApiRequest(
            HTTP_FUNCTION, "POST", self._url, headers=(*JSON, *headers), body=event_body(report, period)
        )
        parse = partial(parse_function, report=report, period=period, now=self._clock())
        return parse_redacted(parse, reply, possible_secrets(self._url, headers))


class CloudHostingAccess:
    """The report's own call from a container of WeChat Cloud Hosting: plain HTTP, where no token is sent."""

    ENDPOINTS = ()

    def __init__(self, way: CloudHosting, _app: App, base_url: str, clock: Clock) -> None:
        self._clock = clock
        self._from = (("from_appid", way.from_appid),) if way.from_appid else ()
        token = way.cloudbase_token
        self.tokens = None if token is None else FileToken(TokenFile(token), "", "", clock, every=_CLOUDBASE_SECONDS)
        self._base_url = base_url if token else base_url.replace("https://", "http://", 1)

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Asks as the container; with the container's token, once more with a different one if it is rejected."""

        def attempt(token: str) -> RequestFlow[Reading]:
            query = (("cloudbase_access_token", token),) if token else self._from
            reply = yield _call(report, period, self._base_url, *query)
            return parse_redacted(partial(self._rows, report, period), reply, (token,))

        if self.tokens is None:
            return (yield from attempt(""))
        return (yield from self.tokens.try_with(attempt))

    def _rows(self, report: Report, period: Period, reply: ApiResponse) -> Reading:
        """Reads the rows; what is wrong may be the container's settings."""
        try:
            return parse_rows(reply, report, period, self._clock())
        except Failed as failed:
            if failed.errcode == _SWITCHED_OFF:
                raise Refused(
                    f"{_SWITCHED_OFF} access_token missing: switch the open interface service on in the console of"
                    " Cloud Hosting",
                    _SWITCHED_OFF,
                ) from None
            if reply.status == _NOT_ALLOWED:
                failed.args = (f"{failed}; if it stays, allow {report.path} in the console of Cloud Hosting",)
            raise


# Any: each class takes the way that it is entered under.
ACCESS_METHODS: dict[type[Any], type[Any]] = {
    Datacube: DatacubeAccess,
    CloudFunction: CloudFunctionAccess,
    HttpFunction: HttpFunctionAccess,
    CloudHosting: CloudHostingAccess,
}
"""Who converses by the way that a configuration describes."""


def open_access(app: App, base_url: str, clock: Clock) -> AccessMethod:
    """The way that an app's configuration chose."""
    way: AccessMethod = ACCESS_METHODS[type(app.way)](app.way, app, base_url, clock)
    return way


def endpoints_of(way: Way, reports: Iterable[Report]) -> tuple[str, ...]:
    """The ``endpoint`` labels that the calls for these reports by an access method can have."""
    own: tuple[str, ...] = ACCESS_METHODS[type(way)].ENDPOINTS or tuple(report.name for report in reports)
    source = token_endpoints(way.tokens) if isinstance(way, Datacube | CloudFunction) else ()
    return (*source, *own)


def _call(report: Report, period: Period, base_url: str, *query: tuple[str, str]) -> ApiRequest:
    return ApiRequest(report.name, "POST", base_url + report.path, query, JSON, report_body(period))

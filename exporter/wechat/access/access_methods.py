"""The access methods: from a report and a period to a reading (docs/wechat-api.md section 5)."""

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
    RequestFlow,
    expand_url,
    parse_redacted,
    possible_secrets,
    read_headers,
)
from exporter.wechat.access.sources import FileToken, source_of, token_endpoints
from exporter.wechat.codes import Failed, Refused
from exporter.wechat.messages import JSON, ApiRequest, ApiResponse
from exporter.wechat.protocol import event_body, parse_function, parse_invoked, parse_report, report_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config import AccessConfig, App
    from exporter.periods import Period
    from exporter.reports import Reading, Report
    from exporter.wechat.access.context import AccessContext

INVOKE_FUNCTION = "invokecloudfunction"
INVOKE_FUNCTION_PATH = "/tcb/invokecloudfunction"
HTTP_FUNCTION = "http_function"

_CLOUDBASE_SECONDS = 600.0
"""The container's token must be read again this often (docs/wechat-api.md section 5)."""
# Cloud Hosting's responses to two settings that are off in its console (section 5).
_OPEN_INTERFACE_OFF = "41001"
_NOT_ALLOWED = 502


class AccessMethod(Protocol):
    """How the reports of one app are fetched."""

    ENDPOINTS: ClassVar[tuple[str, ...]]
    """The ``endpoint`` labels of its own requests; empty: they are the names of the reports."""

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Fetch one period.

        Raises:
            FetchError: the reason why there is no reading.
        """
        ...


class DatacubeAccess:
    """The report's own API, with a token."""

    ENDPOINTS = ()

    def __init__(self, settings: Datacube, app: App, context: AccessContext) -> None:
        self._tokens = source_of(settings.tokens, app.appid, context)
        self._context = context

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Fetch with a token; if it is rejected, once more with a different one."""

        def attempt(token: str) -> RequestFlow[Reading]:
            response = yield _report_request(report, period, self._context.base_url, ("access_token", token))
            parse = partial(parse_report, report=report, period=period, now=self._context.clock())
            return parse_redacted(parse, response, self._tokens.secrets)

        return (yield from self._tokens.run_with_token(attempt))


class CloudFunctionAccess:
    """A cloud function of the app, invoked through the API with a token; its result arrives as JSON text in JSON."""

    ENDPOINTS = (INVOKE_FUNCTION,)

    def __init__(self, settings: CloudFunction, app: App, context: AccessContext) -> None:
        self._tokens = source_of(settings.tokens, app.appid, context)
        self._function = (("env", settings.env), ("name", settings.name))
        self._context = context

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Invoke the function; if the token is rejected, once more with a different one."""

        def attempt(token: str) -> RequestFlow[Reading]:
            url = self._context.base_url + INVOKE_FUNCTION_PATH
            # WeChat takes the token from the query only. It is therefore kept out of every log, URL and error text.
            query = (("access_token", token), *self._function)
            response = yield ApiRequest(INVOKE_FUNCTION, "POST", url, query, JSON, event_body(report, period))
            parse = partial(parse_invoked, report=report, period=period, now=self._context.clock())
            return parse_redacted(parse, response, self._tokens.secrets)

        return (yield from self._tokens.run_with_token(attempt))


class HttpFunctionAccess:
    """A function behind a cloud environment's HTTP access service; it needs no token of WeChat's."""

    ENDPOINTS = (HTTP_FUNCTION,)

    def __init__(self, settings: HttpFunction, app: App, context: AccessContext) -> None:
        self._settings = settings
        self._url = expand_url(settings.url, app.appid)
        self._context = context

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Call the function."""
        # Read for every request: a key that is replaced in its file needs no reload.
        headers = read_headers(self._settings.headers)
        body = event_body(report, period)
        response = yield ApiRequest(HTTP_FUNCTION, "POST", self._url, headers=(*JSON, *headers), body=body)
        parse = partial(parse_function, report=report, period=period, now=self._context.clock())
        return parse_redacted(parse, response, possible_secrets(self._url, headers))


class CloudHostingAccess:
    """The report's own API from a container of WeChat Cloud Hosting.

    By default the request has no token, because WeChat identifies the container, and is plain HTTP, which stays inside
    WeChat's network (section 5). With a ``cloudbase_token`` it is HTTPS: the token must not be sent in the clear.
    """

    ENDPOINTS = ()

    def __init__(self, settings: CloudHosting, _app: App, context: AccessContext) -> None:
        self._context = context
        self._query = (("from_appid", settings.from_appid),) if settings.from_appid else ()
        file, base_url = settings.cloudbase_token, context.base_url
        self._tokens = None if file is None else FileToken(TokenFile(file), "", context, every=_CLOUDBASE_SECONDS)
        self._base_url = base_url if file else base_url.replace("https://", "http://", 1)

    def fetch(self, report: Report, period: Period) -> RequestFlow[Reading]:
        """Fetch as the container; if its own token is rejected, once more with a different one."""

        def attempt(token: str) -> RequestFlow[Reading]:
            # Sent as `access_token`, this token gives 40001 (section 5).
            query = (("cloudbase_access_token", token),) if token else self._query
            response = yield _report_request(report, period, self._base_url, *query)
            return parse_redacted(partial(self._rows, report, period), response, (token,))

        if self._tokens is None:
            return (yield from attempt(""))
        return (yield from self._tokens.run_with_token(attempt))

    def _rows(self, report: Report, period: Period, response: ApiResponse) -> Reading:
        """Parse the rows; name the console's setting that an error points to."""
        try:
            return parse_report(response, report, period, self._context.clock())
        except Failed as failed:
            # Elsewhere 41001 is an internal error, and 502 has no advice: only here do they point to the console.
            if failed.errcode == _OPEN_INTERFACE_OFF:
                raise Refused(
                    f"{_OPEN_INTERFACE_OFF} access_token missing: enable the open interface service in the Cloud"
                    " Hosting console",
                    _OPEN_INTERFACE_OFF,
                ) from None
            if response.status == _NOT_ALLOWED:
                failed.args = (f"{failed}; if the error persists, allow {report.path} in the Cloud Hosting console",)
            raise


# Any: each class takes the settings that it is listed under.
ACCESS_METHODS: dict[type[Any], type[Any]] = {
    Datacube: DatacubeAccess,
    CloudFunction: CloudFunctionAccess,
    HttpFunction: HttpFunctionAccess,
    CloudHosting: CloudHostingAccess,
}
"""The access method for each kind of settings."""


def open_access(app: App, context: AccessContext) -> AccessMethod:
    """Return the access method that an app's configuration chose."""
    method: AccessMethod = ACCESS_METHODS[type(app.access)](app.access, app, context)
    return method


def endpoints_of(access: AccessConfig, reports: Iterable[Report]) -> tuple[str, ...]:
    """Return the ``endpoint`` labels that the requests for these reports by an access method can have."""
    own: tuple[str, ...] = ACCESS_METHODS[type(access)].ENDPOINTS or tuple(report.name for report in reports)
    source = token_endpoints(access.tokens) if isinstance(access, Datacube | CloudFunction) else ()
    return (*source, *own)


def _report_request(report: Report, period: Period, base_url: str, *query: tuple[str, str]) -> ApiRequest:
    return ApiRequest(report.name, "POST", base_url + report.path, query, JSON, report_body(period))

"""The simulated services of the access methods beside the AppSecret (docs/wechat-api.md sections 3 and 5).

WeChat itself serves third-party platforms, cloud functions and WeChat Cloud Hosting. Beside it there are a central
token server and a cloud environment's HTTP access service. Both take the appid from the path and require a key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.httpd import Response
from exporter.reports import REPORTS
from exporter.wechat.access.access_methods import HTTP_FUNCTION, INVOKE_FUNCTION, INVOKE_FUNCTION_PATH
from exporter.wechat.access.sources import AUTHORIZER_TOKEN, AUTHORIZER_TOKEN_PATH, TOKEN_URL
from exporter.wechat.simulator.messages import error_response, json_response, query_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.httpd import Request
    from exporter.reports import Report
    from exporter.wechat.simulator import SimulatedApp, Simulator

TOKEN_SERVER = "/token-server/"  # noqa: S105 (a path)
HTTP_ACCESS = "/http-access/"
"""Paths of the services beside WeChat; the appid follows."""
KEY_HEADER = "X-Key"

# The cloud environment's own codes, which codes.CODES does not list (docs/wechat-api.md section 5).
_NO_FUNCTION = -501_000
_NO_PERMISSION = -604_101
_UNKNOWN_API = -504_002


@dataclass(frozen=True, slots=True)
class SimulatedServices:
    """A third-party platform, a Cloud Hosting account, and the key to the services beside WeChat."""

    component_appid: str = "wxc0000000000000c0"
    component_token: str = "SIMULATED_component_token"  # noqa: S105 (simulated)
    hosting_appid: str = ""
    """The account whose container sends the requests; empty: they come from outside WeChat Cloud Hosting."""
    key: str = "SIMULATED_key"


def token_server(wechat: Simulator, request: Request) -> Response:
    """Respond as a central token server: the app's stable token, in a nested JSON object."""
    app = _authenticated_app(wechat, request, TOKEN_SERVER, TOKEN_URL)
    if isinstance(app, Response):
        return app
    token, left = wechat.live_token(app.appid)
    good = {"data": {"token": token, "seconds": left}}
    return wechat.injected(app, TOKEN_URL, None, good) or json_response(good)


def authorizer_token(wechat: Simulator, request: Request) -> Response:
    """Respond to ``api_authorizer_token``: an app's token for the platform that it has authorized."""
    services = wechat.services
    token = query_of(request).get("component_access_token", "")
    if token != services.component_token:
        return wechat.error(40001 if token else 41001)
    body = wechat.read_object(request)
    if isinstance(body, Response):
        return body
    app = wechat.apps.get(str(body.get("authorizer_appid")))
    wechat.record(AUTHORIZER_TOKEN, str(body.get("authorizer_appid")))
    if body.get("component_appid") != services.component_appid:
        return wechat.error(40013)
    if app is None or not app.refresh_token or body.get("authorizer_refresh_token") != app.refresh_token:
        return wechat.error(61007)
    value, left = wechat.live_token(app.appid)
    good = {
        "authorizer_access_token": value,
        "expires_in": left,
        "authorizer_refresh_token": app.next_refresh_token or app.refresh_token,
    }
    return wechat.injected(app, AUTHORIZER_TOKEN, None, good) or json_response(good)


def invoke_function(wechat: Simulator, request: Request) -> Response:
    """Respond to ``invokecloudfunction``: run the function of the token's app and return its result as JSON text."""
    query = query_of(request)
    app = wechat.app_of_token(query.get("access_token", ""))
    if isinstance(app, Response):
        return app
    event = wechat.read_object(request)
    if isinstance(event, Response):
        return event
    wechat.record(INVOKE_FUNCTION, app.appid, _period_label(event))
    env, name = query.get("env", ""), query.get("name", "")
    if not env or not name:
        return wechat.error(40101)
    if not app.cloud_env:
        return wechat.error(85088)
    if env != app.cloud_env or name != app.cloud_function:
        return wechat.error(_NO_FUNCTION)
    returned = json.dumps(_function_result(wechat, app, event))
    good = {"errcode": 0, "errmsg": "ok", "resp_data": returned}
    return wechat.injected(app, INVOKE_FUNCTION, None, good) or json_response(good)


def http_access(wechat: Simulator, request: Request) -> Response:
    """Respond as the HTTP access service: the function's result itself, to requests with the key."""
    app = _authenticated_app(wechat, request, HTTP_ACCESS, HTTP_FUNCTION)
    if isinstance(app, Response):
        return app
    event = wechat.read_object(request)
    if isinstance(event, Response):
        return event
    good = _function_result(wechat, app, event)
    return wechat.injected(app, HTTP_FUNCTION, None, good) or json_response(good)


ROUTES: dict[str, Callable[[Simulator, Request], Response]] = {
    AUTHORIZER_TOKEN_PATH: authorizer_token,
    INVOKE_FUNCTION_PATH: invoke_function,
}
PREFIXES: dict[str, Callable[[Simulator, Request], Response]] = {
    TOKEN_SERVER: token_server,
    HTTP_ACCESS: http_access,
}
"""Services whose path ends with an appid."""


def hosted_app(wechat: Simulator, query: Mapping[str, str]) -> SimulatedApp | Response:
    """Return the app of a request without an access token, identified as WeChat Cloud Hosting does."""
    token = query.get("cloudbase_access_token")
    if token is not None:
        found = next((app for app in wechat.apps.values() if app.cloudbase_token == token != ""), None)
        return found or wechat.error(40001)
    appid = query.get("from_appid", wechat.services.hosting_appid)
    if not wechat.services.hosting_appid:
        return wechat.error(41001)
    return wechat.apps.get(appid) or wechat.error(40013)


def _authenticated_app(wechat: Simulator, request: Request, prefix: str, endpoint: str) -> SimulatedApp | Response:
    appid = request.path.removeprefix(prefix)
    wechat.record(endpoint, appid)
    if request.headers.get(KEY_HEADER) != wechat.services.key:
        return Response(401, body=b"no key")
    return wechat.apps.get(appid) or Response(404, body=b"no such app")


def _function_result(wechat: Simulator, app: SimulatedApp, event: Mapping[str, object]) -> dict[str, object]:
    """Return the result of the cloud function: rows with the names of a Cloud Call, or an error."""
    report = _report_of(event)
    if report is None:
        return {"errCode": _UNKNOWN_API, "errMsg": f"unknown api: {event.get('api')}"}
    if app.cloud_permission:
        response = wechat.report(app, report, str(event.get("beginDate")), str(event.get("endDate")))
    else:
        response = error_response(_NO_PERMISSION, wechat.now())
    content = json.loads(response.body if isinstance(response.body, bytes) else b"{}")
    if "errcode" in content:
        return {"errCode": content["errcode"], "errMsg": content["errmsg"]}
    return {**_camel_case(content), "errMsg": f"openapi.{report.api}:ok"}


def _camel_case(content: Any) -> Any:  # noqa: ANN401 (any JSON)
    """Return JSON with the names of a Cloud Call: ``itemList`` for ``item_list``."""
    if isinstance(content, list):
        return [_camel_case(each) for each in content]
    if not isinstance(content, dict):
        return content
    names = ((name, *name.split("_")) for name in content)
    return {
        first + "".join(word.capitalize() for word in rest): _camel_case(content[name]) for name, first, *rest in names
    }


def _report_of(event: Mapping[str, object]) -> Report | None:
    """Return the report of an event; without a name the first one, because older exporters send none."""
    api = event.get("api")
    if api is None:
        return next(iter(REPORTS.values()))
    return next((report for report in REPORTS.values() if report.api == f"analysis.{api}"), None)


def _period_label(event: Mapping[str, object]) -> str:
    begin, end = event.get("beginDate"), event.get("endDate")
    report = _report_of(event)
    begins_alone = report is not None and report.period.NAME != "week"
    return f"{begin}" if begins_alone else f"{begin}-{end}"

"""The other ways in, as the pretended WeChat and its services offer them (wechat-api.md sections 3 and 5).

Around WeChat there are a central token server, which knows the app in its path and demands a key, and a cloud
environment with an HTTP access service, which does the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.reports import REPORTS
from exporter.wechat.access.access_methods import HTTP_FUNCTION, INVOKE_FUNCTION, INVOKE_FUNCTION_PATH
from exporter.wechat.access.sources import AUTHORIZER_TOKEN, AUTHORIZER_TOKEN_PATH, TOKEN_URL
from exporter.wechat.simulator.faults import Answer, as_json, error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.reports import Report
    from exporter.wechat.simulator import Asked, SimulatedApp, Simulator

TOKEN_SERVER = "/token-server/"  # noqa: S105 (a path)
HTTP_ACCESS = "/http-access/"
"""Paths of the services; the appid follows."""
KEY_HEADER = "X-Key"

_NO_FUNCTION = -501_000
_NO_PERMISSION = -604_101
_UNKNOWN_API = -504_002


@dataclass(frozen=True, slots=True)
class SimulatedServices:
    """What is around the apps: a third-party platform, a hosting account, and a key to the services beside WeChat."""

    component_appid: str = "wxc0000000000000c0"
    component_token: str = "SIMULATED_component_token"  # noqa: S105 (pretended)
    hosting_appid: str = ""
    """The account whose container the calls come from; empty: they come from outside of WeChat Cloud Hosting."""
    key: str = "simulated-key-of-the-services"


def token_server(wechat: Simulator, asked: Asked) -> Answer:
    """The central token server: the app's stable token, somewhat deep in JSON."""
    app = _behind_key(wechat, asked, TOKEN_SERVER, TOKEN_URL)
    if isinstance(app, Answer):
        return app
    token, left = wechat.live_token(app.appid)
    good = {"data": {"token": token, "seconds": left}}
    return wechat.injected(app, TOKEN_URL, None, good) or as_json(good)


def authorizer_token(wechat: Simulator, asked: Asked) -> Answer:
    """``api_authorizer_token``: an app's token for the platform that it has authorized."""
    around = wechat.services
    token = asked.query.get("component_access_token", "")
    if token != around.component_token:
        return wechat.error(40001 if token else 41001)
    body = wechat.read_object(asked)
    if isinstance(body, Answer):
        return body
    app = wechat.apps.get(str(body.get("authorizer_appid")))
    wechat.record(AUTHORIZER_TOKEN, str(body.get("authorizer_appid")))
    if body.get("component_appid") != around.component_appid:
        return wechat.error(40013)
    if app is None or not app.refresh_token or body.get("authorizer_refresh_token") != app.refresh_token:
        return wechat.error(61007)
    value, left = wechat.live_token(app.appid)
    good = {
        "authorizer_access_token": value,
        "expires_in": left,
        "authorizer_refresh_token": app.next_refresh_token or app.refresh_token,
    }
    return wechat.injected(app, AUTHORIZER_TOKEN, None, good) or as_json(good)


def invoke_function(wechat: Simulator, asked: Asked) -> Answer:
    """``invokecloudfunction``: runs the function of the token's app, and encodes what it returned as text."""
    app = wechat.app_of_token(asked.query.get("access_token", ""))
    if isinstance(app, Answer):
        return app
    event = wechat.read_object(asked)
    if isinstance(event, Answer):
        return event
    wechat.record(INVOKE_FUNCTION, app.appid, _period_words(event))
    env, name = asked.query.get("env", ""), asked.query.get("name", "")
    if not env or not name:
        return wechat.error(40101)
    if not app.cloud_env:
        return wechat.error(85088)
    if env != app.cloud_env or name != app.cloud_function:
        return wechat.error(_NO_FUNCTION)
    returned = json.dumps(_returned(wechat, app, event))
    good = {"errcode": 0, "errmsg": "ok", "resp_data": returned}
    return wechat.injected(app, INVOKE_FUNCTION, None, good) or as_json(good)


def http_access(wechat: Simulator, asked: Asked) -> Answer:
    """A function behind the HTTP access service: the same answer, to whoever has the key."""
    app = _behind_key(wechat, asked, HTTP_ACCESS, HTTP_FUNCTION)
    if isinstance(app, Answer):
        return app
    event = wechat.read_object(asked)
    if isinstance(event, Answer):
        return event
    good = _returned(wechat, app, event)
    return wechat.injected(app, HTTP_FUNCTION, None, good) or as_json(good)


ROUTES: dict[str, Callable[[Simulator, Asked], Answer]] = {
    AUTHORIZER_TOKEN_PATH: authorizer_token,
    INVOKE_FUNCTION_PATH: invoke_function,
}
PREFIXES: dict[str, Callable[[Simulator, Asked], Answer]] = {TOKEN_SERVER: token_server, HTTP_ACCESS: http_access}
"""Those whose path ends with an appid."""


def hosted_app(wechat: Simulator, query: Mapping[str, str]) -> SimulatedApp | Answer:
    """The app that a call without an access token is about, as WeChat Cloud Hosting finds it."""
    token = query.get("cloudbase_access_token")
    if token is not None:
        found = next((app for app in wechat.apps.values() if app.cloudbase_token == token != ""), None)
        return found or wechat.error(40001)
    appid = query.get("from_appid", wechat.services.hosting_appid)
    if not wechat.services.hosting_appid:
        return wechat.error(41001)
    return wechat.apps.get(appid) or wechat.error(40013)


def _behind_key(wechat: Simulator, asked: Asked, prefix: str, endpoint: str) -> SimulatedApp | Answer:
    appid = asked.path.removeprefix(prefix)
    wechat.record(endpoint, appid)
    if asked.headers.get(KEY_HEADER) != wechat.services.key:
        return Answer(401, body=b"no key")
    return wechat.apps.get(appid) or Answer(404, body=b"no such app")


def _returned(wechat: Simulator, app: SimulatedApp, event: Mapping[str, object]) -> dict[str, object]:
    """What the cloud function returns: rows with the names of a Cloud Call, or the error that it met."""
    report = _report_of(event)
    if report is None:
        return {"errCode": _UNKNOWN_API, "errMsg": f"unknown api: {event.get('api')}"}
    if app.cloud_permission:
        answer = wechat.report(app, report, str(event.get("beginDate")), str(event.get("endDate")))
    else:
        answer = error(_NO_PERMISSION, wechat.now())
    said = json.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
    if "errcode" in said:
        return {"errCode": said["errcode"], "errMsg": said["errmsg"]}
    names = {"ref_date": "refDate"} | {field.wechat: field.camel for field in report.fields}
    rows = [{names[name]: value for name, value in row.items()} for row in said.get("list", [])]
    return {"list": rows, "errMsg": f"openapi.{report.api}:ok"}


def _report_of(event: Mapping[str, object]) -> Report | None:
    """The report that an event names; the first one where it names none, as an older exporter does."""
    api = event.get("api")
    if api is None:
        return next(iter(REPORTS.values()))
    return next((report for report in REPORTS.values() if report.api == f"analysis.{api}"), None)


def _period_words(event: Mapping[str, object]) -> str:
    begin, end = event.get("beginDate"), event.get("endDate")
    report = _report_of(event)
    is_whole = report is not None and report.period.NAME != "week"
    return f"{begin}" if is_whole else f"{begin}-{end}"

"""The simulated services of the other access methods make the checks of the real ones (docs/wechat-api.md 3 and 5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from harness import FakeClock

from exporter.httpd import Headers, Request, Response
from exporter.periods import Week, newest_wanted
from exporter.reports import WEEKLY
from exporter.wechat.access.access_methods import INVOKE_FUNCTION_PATH
from exporter.wechat.access.sources import AUTHORIZER_TOKEN_PATH
from exporter.wechat.simulator import SimulatedApp, SimulatedServices, Simulator
from exporter.wechat.simulator.access_methods import HTTP_ACCESS, KEY_HEADER, TOKEN_SERVER

NOW = 1_795_320_000.0  # Sun 2026-11-22 12:00 Beijing
WEEK = newest_wanted(Week, NOW, 0.0)
APP = SimulatedApp("wx1", "s", refresh_token="REFRESH", cloud_env="prod-1", cloudbase_token="CONTAINER")
AROUND = SimulatedServices(component_appid="wxc", component_token="COMPONENT", hosting_appid="wx1", key="KEY")
EVENT = {"beginDate": WEEK.begin_date, "endDate": WEEK.end_date}
DATES = {"begin_date": WEEK.begin_date, "end_date": WEEK.end_date}


def decoded(answer: Response) -> dict[str, Any]:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body) if answer.status == 200 else {"status": answer.status}


def post(
    path: str,
    body: object = None,
    app: SimulatedApp = APP,
    around: SimulatedServices = AROUND,
    headers: dict[str, str] | None = None,
    **query: str,
) -> dict[str, Any]:
    wechat = Simulator([app], FakeClock(NOW), services=around)
    if query.get("access_token") == "good":
        query["access_token"] = wechat.live_token(app.appid)[0]
    sent = Headers((headers or {}).items())
    return decoded(wechat.respond(Request("POST", path, urlencode(query), sent, json.dumps(body).encode())))


AUTHORIZE = {"component_appid": "wxc", "authorizer_appid": "wx1", "authorizer_refresh_token": "REFRESH"}
PLATFORM = [
    ({}, "", 41001),
    ({}, "another", 40001),
    ({"component_appid": "wxd"}, "COMPONENT", 40013),
    ({"authorizer_refresh_token": "old"}, "COMPONENT", 61007),
    ({"authorizer_appid": "wx2"}, "COMPONENT", 61007),
]


@pytest.mark.parametrize(("changes", "token", "code"), PLATFORM)
def test_platform_must_be_authorized_by_the_app(changes: dict[str, str], token: str, code: int) -> None:
    assert post(AUTHORIZER_TOKEN_PATH, AUTHORIZE | changes, component_access_token=token)["errcode"] == code


def test_platform_gets_a_token_and_optionally_a_refresh_token() -> None:
    good = post(AUTHORIZER_TOKEN_PATH, AUTHORIZE, component_access_token="COMPONENT")
    assert (good["expires_in"], good["authorizer_refresh_token"]) == (7200, "REFRESH")
    renewed = replace(APP, next_refresh_token="NEXT")
    assert (
        post(AUTHORIZER_TOKEN_PATH, AUTHORIZE, renewed, component_access_token="COMPONENT")["authorizer_refresh_token"]
        == "NEXT"
    )


INVOKED = [
    ({"access_token": ""}, APP, 41001),
    ({"access_token": "another"}, APP, 40001),
    ({"env": ""}, APP, 40101),
    ({}, replace(APP, cloud_env=""), 85088),
    ({"env": "test-1"}, APP, -501000),
    ({"name": "other"}, APP, -501000),
]


@pytest.mark.parametrize(("changes", "app", "code"), INVOKED)
def test_function_requires_the_right_token_environment_and_name(
    changes: dict[str, str], app: SimulatedApp, code: int
) -> None:
    query = {"access_token": "good", "env": "prod-1", "name": "analysis"} | changes
    assert post(INVOKE_FUNCTION_PATH, EVENT, app, **query)["errcode"] == code


def test_function_returns_json_text_in_camel_case_or_an_error() -> None:
    query = {"access_token": "good", "env": "prod-1", "name": "analysis"}
    good = post(INVOKE_FUNCTION_PATH, EVENT, **query)
    assert (good["errcode"], good["errmsg"]) == (0, "ok")
    returned = json.loads(good["resp_data"])
    assert returned["errMsg"] == "openapi.analysis.getWeeklyVisitTrend:ok"
    assert set(returned["list"][0]) == {"refDate", *(field.camel for field in WEEKLY.fields)}
    for event, app, code in (
        ({}, APP, 61500),
        (EVENT | {"endDate": WEEK.after().end_date}, APP, 61501),
        (EVENT, replace(APP, cloud_permission=False), -604101),
    ):
        assert json.loads(post(INVOKE_FUNCTION_PATH, event, app, **query)["resp_data"])["errCode"] == code


@pytest.mark.parametrize("path", [TOKEN_SERVER, HTTP_ACCESS])
def test_other_services_require_their_key_and_a_known_app(path: str) -> None:
    assert post(f"{path}wx1", EVENT) == {"status": 401}
    assert post(f"{path}wx1", EVENT, headers={KEY_HEADER: "other"}) == {"status": 401}
    assert post(f"{path}wx2", EVENT, headers={KEY_HEADER: "KEY"}) == {"status": 404}
    assert set(post(f"{path}wx1", EVENT, headers={KEY_HEADER: "KEY"})) & {"data", "list"}


HOSTED = [
    ({}, AROUND, "list"),
    ({"from_appid": "wx1"}, AROUND, "list"),
    ({"cloudbase_access_token": "CONTAINER"}, replace(AROUND, hosting_appid=""), "list"),
    ({"from_appid": "wx2"}, AROUND, 40013),
    ({}, replace(AROUND, hosting_appid=""), 41001),
    ({"from_appid": "wx1"}, replace(AROUND, hosting_appid=""), 41001),
    ({"cloudbase_access_token": ""}, AROUND, 40001),
    ({"access_token": "CONTAINER"}, AROUND, 40001),
]


@pytest.mark.parametrize(("query", "around", "outcome"), HOSTED)
def test_container_needs_no_token_or_its_own_one(
    query: dict[str, str], around: SimulatedServices, outcome: object
) -> None:
    found = post(WEEKLY.path, DATES, around=around, **query)
    assert found.get("errcode", "list") == outcome

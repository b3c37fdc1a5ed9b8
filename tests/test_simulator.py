"""The simulator follows docs/wechat-api.md."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from harness import FakeClock

from exporter.httpd import Request, Response
from exporter.periods import Week, newest_wanted
from exporter.reports import WEEKLY
from exporter.wechat.codes import CODES
from exporter.wechat.simulator import KINDS, Audience, InjectedFault, SimulatedApp, Simulator

NOW = 1_795_320_000.0  # Sun 2026-11-22 12:00 Beijing
WEEK = newest_wanted(Week, NOW, 0.0)
APP = SimulatedApp("wx1", "right-secret", Audience(5000, drops_in=WEEK), launched=WEEK.before(8))
TOKEN_REQUEST = {"grant_type": "client_credential", "appid": "wx1", "secret": "right-secret", "force_refresh": False}
STABLE_TOKEN = "/cgi-bin/stable_token"


def decoded(answer: Response) -> dict[str, Any]:
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def token(wechat: Simulator, method: str = "POST", **changes: object) -> dict[str, Any]:
    body = {key: value for key, value in (TOKEN_REQUEST | changes).items() if value is not None}
    return decoded(wechat.respond(Request(method, STABLE_TOKEN, body=json.dumps(body).encode())))


def weekly(wechat: Simulator, begin: str, end: str, value: str | None = None) -> dict[str, Any]:
    value = token(wechat)["access_token"] if value is None else value
    body = json.dumps({"begin_date": begin, "end_date": end}).encode()
    return decoded(wechat.respond(Request("POST", WEEKLY.path, urlencode({"access_token": value}), body=body)))


def test_valid_token_is_returned_again_with_its_remaining_time() -> None:
    clock = FakeClock(NOW)
    wechat = Simulator([APP], clock)
    first = token(wechat)
    assert first["expires_in"] == 7200
    assert len(first["access_token"]) > 100
    clock.now += 6000
    assert token(wechat) == {"access_token": first["access_token"], "expires_in": 1200}


def test_token_is_renewed_5_minutes_early_and_both_are_valid() -> None:
    clock = FakeClock(NOW)
    wechat = Simulator([APP], clock)
    old = token(wechat)["access_token"]
    clock.now += 6901
    new = token(wechat)["access_token"]
    assert new != old
    for value in (old, new):
        assert "list" in weekly(wechat, WEEK.begin_date, WEEK.end_date, value)
    clock.now += 299
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date, old)["errcode"] == 42001
    assert "list" in weekly(wechat, WEEK.begin_date, WEEK.end_date, new)


def test_forced_refresh_invalidates_the_previous_token() -> None:
    wechat = Simulator([APP], FakeClock(NOW))
    old = token(wechat)["access_token"]
    assert token(wechat, force_refresh=True)["access_token"] != old
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date, old)["errcode"] == 40001


TOKEN_ERRORS = [
    ({"grant_type": "other"}, 40002),
    ({"appid": None}, 41002),
    ({"secret": None}, 41004),
    ({"appid": "wx2"}, 40013),
    ({"secret": "wrong"}, 40125),
]


@pytest.mark.parametrize(("changes", "code"), TOKEN_ERRORS)
def test_invalid_token_request_is_rejected_with_its_errcode(changes: dict[str, object], code: int) -> None:
    assert token(Simulator([APP], FakeClock(NOW)), **changes)["errcode"] == code


BODIES = [("GET", b"{}", 43002), ("POST", b"", 44002), ("POST", b"{", 47001), ("POST", b"[]", 47001)]


@pytest.mark.parametrize(("method", "body", "code"), BODIES)
@pytest.mark.parametrize("path", [STABLE_TOKEN, WEEKLY.path])
def test_call_that_is_no_post_of_an_object_is_rejected(path: str, method: str, body: bytes, code: int) -> None:
    wechat = Simulator([APP], FakeClock(NOW))
    query = urlencode({"access_token": token(wechat)["access_token"]})
    assert decoded(wechat.respond(Request(method, path, query, body=body)))["errcode"] == code


DATES = [
    ("20261109", "20261115", None),
    ("20261116", "20261122", 61501),
    ("20261123", "20261129", 61501),
    ("20261110", "20261116", 61501),
    ("20261102", "20261115", 61501),
    ("20261115", "20261109", 61501),
    ("20261199", "20261115", 61500),
    ("2026-11-09", "2026-11-15", 61500),
    ("None", "None", 61500),
]


@pytest.mark.parametrize(("begin", "end", "code"), DATES)
def test_only_one_natural_week_that_is_over_can_be_requested(begin: str, end: str, code: int | None) -> None:
    assert weekly(Simulator([APP], FakeClock(NOW)), begin, end).get("errcode") == code


def test_week_is_published_on_time_and_empty_before_the_first() -> None:
    clock = FakeClock(WEEK.end + 9 * 3600 - 1)
    wechat = Simulator([APP], clock)
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date)["errcode"] == 61503
    clock.now += 1
    assert set(weekly(wechat, WEEK.begin_date, WEEK.end_date)["list"][0]) == {
        "ref_date",
        *(field.wechat for field in WEEKLY.fields),
    }
    older = WEEK.before(9)
    assert weekly(wechat, older.begin_date, older.end_date) == {"list": []}


def test_missing_unknown_and_revoked_tokens_have_their_errcodes() -> None:
    wechat = Simulator([APP], FakeClock(NOW))
    good = token(wechat)["access_token"]
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date, "")["errcode"] == 41001
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date, "other")["errcode"] == 40001
    wechat.revoke_tokens("wx1")
    assert weekly(wechat, WEEK.begin_date, WEEK.end_date, good)["errcode"] == 40001


@pytest.mark.parametrize("number", CODES)
def test_every_errcode_can_be_injected_with_wechats_message(number: int) -> None:
    """The message ends with a request id."""
    wechat = Simulator([SimulatedApp("wx1", "right-secret", faults=(InjectedFault(str(number)),))], FakeClock(NOW))
    answer = weekly(wechat, WEEK.begin_date, WEEK.end_date)
    assert answer["errcode"] == number
    assert answer["errmsg"].startswith(CODES[number].errmsg.format(ip="203.0.113.7"))
    assert answer["errmsg"].endswith(f" rid: {int(NOW):08x}-00000000-00000000")


def test_figures_are_the_same_for_the_same_seed_and_plausible() -> None:
    one, same, other = (Simulator([APP], FakeClock(NOW), seed=seed) for seed in (1, 1, 2))
    weeks = [WEEK.before(number) for number in range(8)]
    assert [one.row("wx1", week) for week in weeks] == [same.row("wx1", week) for week in weeks]
    assert [one.row("wx1", week) for week in weeks] != [other.row("wx1", week) for week in weeks]
    for week in weeks:
        row: dict[str, Any] = dict(one.row("wx1", week))
        assert row["visit_pv"] >= row["session_cnt"] >= row["visit_uv"] >= row["visit_uv_new"]
        stay = row["stay_time_session"] * row["session_cnt"] / row["visit_uv"]
        assert row["stay_time_uv"] == pytest.approx(stay, abs=1e-4)


def test_figures_have_a_trend_a_holiday_dip_and_the_drop() -> None:
    wechat = Simulator([APP], FakeClock(NOW))

    def visitors(weeks_ago: int) -> Any:  # noqa: ANN401 (a figure of a row)
        return wechat.row("wx1", WEEK.before(weeks_ago))["visit_uv"]

    assert visitors(0) < 0.6 * visitors(1)
    national_day = next(n for n in range(52) if WEEK.before(n).begin_date == "20260928")
    working = next(n for n in range(52) if WEEK.before(n).begin_date == "20260914")
    assert visitors(national_day) < 0.95 * visitors(working)
    assert sum(map(visitors, range(1, 5))) > sum(map(visitors, range(101, 105)))


def test_a_row_without_visitors_has_zeros_everywhere() -> None:
    wechat = Simulator([SimulatedApp("wx1", "s", Audience(0))], FakeClock(NOW))
    assert {wechat.row("wx1", WEEK)[field.wechat] for field in WEEKLY.fields} == {0}


def test_another_path_is_not_found() -> None:
    assert Simulator([APP], FakeClock(NOW)).respond(Request("POST", "/else", body=b"{}")).status == 404


def test_constructor_rejects_a_fault_of_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        InjectedFault("nonsense")
    assert InjectedFault("hang").kind in KINDS

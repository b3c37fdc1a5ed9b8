"""The tests play the server by hand: a conversation yields calls and is sent replies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from rig import Wall

from exporter.config import (
    App,
    AppSecret,
    Authorizer,
    CloudFunction,
    CloudHosting,
    Datacube,
    FileSecret,
    HttpFunction,
    LiteralSecret,
    TokenFile,
    TokenUrl,
    Way,
)
from exporter.config.app.ways import Tokens as TokensOf
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading
from exporter.wechat.access import TOKENS, WAYS, Access, endpoints_of, way_in
from exporter.wechat.access.sources import source_of
from exporter.wechat.client import Client
from exporter.wechat.codes import Failed, NotReady, Refused, Unanswered
from exporter.wechat.exchange import Call, Reply
from exporter.wechat.transport import Transport

BASE = "https://api.weixin.qq.com"
SECRET = "0123456789abcdef0123456789abcdef"
APPID = "wx0123456789abcdef"
WEEK = Week(date(2026, 11, 16))
NOW = 1_795_000_000.0

BY_SECRET = AppSecret(LiteralSecret(SECRET))


def app(way: Way | None = None) -> App:
    return App(APPID, way or Datacube(BY_SECRET))


def reply(status: int = 200, **content: object) -> Reply:
    return Reply(status, json.dumps(content).encode())


def token(value: str, expires_in: float = 7200) -> Reply:
    return reply(access_token=value, expires_in=expires_in)


def rows(**changes: object) -> Reply:
    return reply(list=[{"ref_date": WEEK.label, "visit_uv": 754, **changes}])


CAMEL = {"list": [{"refDate": WEEK.label, "visitUv": 754}], "errMsg": f"openapi.{WEEKLY.api}:ok"}


def invoked(**returned: object) -> Reply:
    return reply(errcode=0, errmsg="ok", resp_data=json.dumps(returned))


def error(code: int, words: str = "words") -> Reply:
    return reply(errcode=code, errmsg=words)


REJECTED = error(40001, "invalid credential")


def talk(conversation: object, *replies: Reply) -> tuple[list[Call], object]:
    """Plays the server; returns the calls that were made and how it ended."""
    calls = []
    answers = iter(replies)
    try:
        calls.append(next(conversation))  # type: ignore[call-overload]
        for answer in answers:
            calls.append(conversation.send(answer))  # type: ignore[attr-defined]  # noqa: PERF401 (it may end in the middle)
    except StopIteration as end:
        assert next(answers, None) is None, "not every reply was wanted"
        return calls, end.value
    except Unanswered as reason:
        return calls, reason
    raise AssertionError(f"the conversation goes on after {len(calls)} calls")


def asked(way: Way, *replies: Reply, wall: Wall | None = None) -> tuple[list[Call], object]:
    return talk(way_in(app(way), BASE, wall or Wall(NOW)).converse(WEEKLY, WEEK), *replies)


def visitors(result: object) -> float | None:
    assert isinstance(result, Reading), result
    return dict(zip((field.wechat for field in WEEKLY.fields), result.values, strict=True))["visit_uv"]


# --- with an AppSecret -----------------------------------------------------------------------------------


def test_a_token_is_asked_for_in_normal_mode_and_the_call_carries_it() -> None:
    calls, result = asked(Datacube(BY_SECRET), token("T1"), rows())
    assert visitors(result) == 754
    assert [call.endpoint for call in calls] == ["stable_token", "weekly"]
    assert calls[0].url == f"{BASE}/cgi-bin/stable_token"
    assert json.loads(calls[0].body) == {
        "grant_type": "client_credential",
        "appid": APPID,
        "secret": SECRET,
        "force_refresh": False,
    }
    assert (calls[1].url, calls[1].query) == (BASE + WEEKLY.path, (("access_token", "T1"),))
    assert json.loads(calls[1].body) == {"begin_date": "20261116", "end_date": "20261122"}


def test_a_token_serves_while_it_lives_and_no_longer() -> None:
    wall = Wall(NOW)
    way = way_in(app(), BASE, wall)
    talk(way.converse(WEEKLY, WEEK), token("T1", 300), rows())
    wall.now += 299
    calls, _ = talk(way.converse(WEEKLY, WEEK), rows())
    assert [call.endpoint for call in calls] == ["weekly"]
    wall.now += 1
    calls, _ = talk(way.converse(WEEKLY, WEEK), token("T2"), rows())
    assert calls[1].query == (("access_token", "T2"),)


def test_a_rejected_token_is_replaced_once_and_the_call_repeated() -> None:
    calls, result = asked(Datacube(BY_SECRET), token("T1"), REJECTED, token("T2"), rows())
    assert visitors(result) == 754
    assert [call.query for call in calls] == [(), (("access_token", "T1"),), (), (("access_token", "T2"),)]


@pytest.mark.parametrize("value", ["T1", "T1-that-is-long-enough-to-be-hidden"])
def test_the_same_token_again_is_not_tried_again(value: str) -> None:
    calls, reason = asked(Datacube(BY_SECRET), token(value), REJECTED, token(value))
    assert isinstance(reason, Refused)
    assert (reason.errcode, len(calls)) == ("40001", 3)
    assert "the same token again" in str(reason)


def test_a_second_rejection_is_a_refusal_and_the_next_look_begins_afresh() -> None:
    way = way_in(app(), BASE, Wall(NOW))
    calls, reason = talk(way.converse(WEEKLY, WEEK), token("T1"), REJECTED, token("T2"), REJECTED)
    assert isinstance(reason, Refused)
    assert "a second token was rejected, too" in str(reason)
    assert len(calls) == 4
    calls, _ = talk(way.converse(WEEKLY, WEEK), token("T3"), rows())
    assert calls[0].endpoint == "stable_token"


def test_a_secret_is_read_anew_for_every_token(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong-secret")
    way = way_in(app(Datacube(AppSecret(FileSecret(file)))), BASE, Wall(NOW))
    _, reason = talk(way.converse(WEEKLY, WEEK), error(40125, "invalid appsecret"))
    assert isinstance(reason, Refused)
    file.write_text("right-secret\n")
    calls, _ = talk(way.converse(WEEKLY, WEEK), token("T1"), rows())
    assert json.loads(calls[0].body)["secret"] == "right-secret"


def test_a_secret_that_is_gone_is_a_refusal_without_a_call(tmp_path: Path) -> None:
    calls, reason = asked(Datacube(AppSecret(FileSecret(tmp_path / "none"))))
    assert isinstance(reason, Refused)
    assert calls == []
    assert str(reason) == "the secret file does not exist"


@pytest.mark.parametrize("echo", [SECRET, "T1-that-is-long"])
def test_a_secret_or_token_that_the_server_echoes_is_cut_out(echo: str) -> None:
    _, reason = asked(Datacube(BY_SECRET), token("T1-that-is-long"), error(1, f"you sent {echo}!"))
    assert str(reason) == "1 you sent <SECRET>!: a code unknown to the exporter"


def test_a_rejected_token_is_cut_out_of_later_words_too() -> None:
    replies = (token("FIRST-TOKEN"), REJECTED, token("SECOND-TOKEN"), error(1, "FIRST-TOKEN SECOND-TOKEN"))
    _, reason = asked(Datacube(BY_SECRET), *replies)
    assert str(reason).startswith("1 <SECRET> <SECRET>:")


def test_a_secret_at_the_edge_of_a_long_message_does_not_leave_its_beginning_behind() -> None:
    _, reason = asked(Datacube(BY_SECRET), error(40125, "x" * 190 + SECRET))
    assert SECRET[:4] not in str(reason)


def test_the_token_endpoints_busy_is_a_failure() -> None:
    _, reason = asked(Datacube(BY_SECRET), error(-1, "system error"))
    assert isinstance(reason, Failed)
    assert (reason.errcode, reason.about_period) == ("-1", False)


def test_no_call_shows_its_token_or_secret() -> None:
    calls, _ = asked(Datacube(BY_SECRET), token("T1-that-is-long"), rows())
    assert "T1-that-is-long" not in repr(calls)
    assert SECRET not in repr(calls)


# --- with a token from elsewhere -------------------------------------------------------------------------


def by_file(path: Path) -> TokenFile:
    return TokenFile(FileSecret(path, subject="the token file"))


def test_a_token_file_is_read_anew_for_every_week(tmp_path: Path) -> None:
    file = tmp_path / "token"
    way = way_in(app(Datacube(by_file(file))), BASE, Wall(NOW))
    for value in ("T1", "T2"):
        file.write_text(f"{value}\n")
        calls, result = talk(way.converse(WEEKLY, WEEK), rows())
        assert visitors(result) == 754
        assert [call.query for call in calls] == [(("access_token", value),)]


def test_a_rejected_token_file_is_read_once_more_and_then_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("T1")
    calls, reason = asked(Datacube(by_file(file)), REJECTED)
    assert isinstance(reason, Refused)
    assert len(calls) == 1
    assert str(reason).endswith("the token file still holds the same: whatever writes it must renew it")
    conversation = way_in(app(Datacube(by_file(file))), BASE, Wall(NOW)).converse(WEEKLY, WEEK)
    next(conversation)
    file.write_text("T2")
    call = conversation.send(REJECTED)
    assert call.query == (("access_token", "T2"),)


def test_a_token_file_that_is_gone_is_a_refusal(tmp_path: Path) -> None:
    calls, reason = asked(Datacube(by_file(tmp_path / "none")))
    assert (calls, str(reason)) == ([], "the token file does not exist")
    assert isinstance(reason, Refused)


SERVER = TokenUrl("https://tokens.example.org/t?app={appid}")


def test_a_token_server_is_asked_with_headers_and_its_answer_is_kept_until_it_expires() -> None:
    wall = Wall(NOW)
    headers = (("Authorization", LiteralSecret("Bearer of-the-exporter")),)
    server = replace(SERVER, method="POST", headers=headers, json_field="data.token", expires_in="data.left")
    way = way_in(app(Datacube(server)), BASE, wall)
    served = reply(data={"token": "T1", "left": 100})
    calls, result = talk(way.converse(WEEKLY, WEEK), served, rows())
    assert visitors(result) == 754
    assert (calls[0].endpoint, calls[0].method) == ("token_url", "POST")
    assert calls[0].url == f"https://tokens.example.org/t?app={APPID}"
    assert calls[0].headers == (("Authorization", "Bearer of-the-exporter"),)
    assert calls[1].query == (("access_token", "T1"),)
    wall.now += 99
    assert len(talk(way.converse(WEEKLY, WEEK), rows())[0]) == 1
    wall.now += 1
    assert len(talk(way.converse(WEEKLY, WEEK), served, rows())[0]) == 2


def test_a_token_server_may_answer_in_plain_text() -> None:
    server = replace(SERVER, plain_text=True)
    calls, result = asked(Datacube(server), Reply(200, b"T1\n"), rows())
    assert visitors(result) == 754
    assert calls[1].query == (("access_token", "T1"),)


SERVED_BADLY = [
    (Reply(401, b""), Refused, "http_4xx", "the token server refuses (HTTP 401): check url and headers"),
    (Reply(404, b""), Refused, "http_4xx", "the token server refuses (HTTP 404)"),
    (Reply(502, b""), Failed, "http_5xx", "HTTP status 502"),
    (Reply(429, b"", "60"), Failed, "http_4xx", "HTTP status 429"),
    (Reply(200, b"<html>"), Failed, "malformed", "it is not JSON"),
    (reply(token="T1"), Failed, "malformed", "the token server's answer holds no token"),
    (reply(access_token=5), Failed, "malformed", "holds no token"),
    (reply(access_token=""), Failed, "malformed", "holds no token"),
    (reply(access_token="a b"), Failed, "malformed", "holds no token"),
    (reply(access_token="T" * 5000), Failed, "malformed", "holds no token"),
    (error(40164, "invalid ip 1.2.3.4, not in whitelist"), Refused, "40164", "add 1.2.3.4"),
    (error(40001, "invalid credential"), Refused, "40001", "the token server passes on"),
]


@pytest.mark.parametrize(("answer", "decision", "errcode", "words"), SERVED_BADLY)
def test_what_is_no_token_is_told_from_what_a_person_must_mend(
    answer: Reply, decision: type[Unanswered], errcode: str, words: str
) -> None:
    calls, reason = asked(Datacube(SERVER), answer)
    assert isinstance(reason, decision)
    assert (reason.errcode, len(calls)) == (errcode, 1)
    assert words in str(reason)


@pytest.mark.parametrize(
    "body", [b"<html></html>", b'{"errcode":40013,"errmsg":"invalid_appid"}', b"", "令牌".encode()]
)
def test_a_plain_text_that_is_none_of_a_token_is_not_sent_to_wechat(body: bytes) -> None:
    calls, reason = asked(Datacube(replace(SERVER, plain_text=True)), Reply(200, body))
    assert isinstance(reason, Failed)
    assert (reason.errcode, len(calls)) == ("malformed", 1)


def test_a_rejected_token_of_a_server_is_asked_for_once_more() -> None:
    calls, reason = asked(Datacube(SERVER), reply(access_token="T1"), REJECTED, reply(access_token="T1"))
    assert isinstance(reason, Refused)
    assert len(calls) == 3
    assert str(reason).endswith("the token server gave the same token again: it must renew it")


def test_keys_in_headers_and_address_that_a_server_echoes_are_cut_out() -> None:
    headers = (
        ("X-Key", LiteralSecret("key-of-the-exporter")),
        ("Authorization", LiteralSecret("Bearer second-key")),
    )
    server = replace(SERVER, url="https://tokens.example.org/t?key=key-in-the-query", headers=headers)
    echo = "no key-of-the-exporter second-key key-in-the-query"
    for way in (Datacube(server), HttpFunction(server.url, headers)):
        calls, reason = asked(way, error(1, echo))
        assert str(reason).startswith("1 no <SECRET>")
        assert not any(word in str(reason) for word in echo.split()[1:])
        assert "key-in-the-query" not in repr(calls)


def test_a_header_that_cannot_be_sent_is_a_refusal() -> None:
    calls, reason = asked(HttpFunction("https://e.example/", (("X-Key", LiteralSecret("密钥")),)))
    assert isinstance(reason, Refused)
    assert (calls, str(reason)) == ([], "the value of a header holds characters that no header can")


def test_an_appid_is_quoted_in_an_address() -> None:
    calls, _ = talk(way_in(App("a&b#c", HTTP), BASE, Wall(NOW)).converse(WEEKLY, WEEK), reply(**CAMEL))
    assert calls[0].url == "https://env.example.com/a%26b%23c/weekly"


def test_nothing_of_a_token_server_shows_in_its_repr() -> None:
    server = replace(SERVER, headers=(("X-Key", LiteralSecret("key-of-the-exporter")),))
    assert "key-of-the-exporter" not in repr(server)
    assert "tokens.example.org" not in repr(server)


# --- as a third-party platform ---------------------------------------------------------------------------


@pytest.fixture
def platform(tmp_path: Path) -> Authorizer:
    (tmp_path / "component").write_text("COMPONENT-TOKEN")
    (tmp_path / "refresh").write_text("REFRESH-ONE\n")
    refresh = FileSecret(tmp_path / "refresh", subject="the refresh token file")
    return Authorizer("wxcomponent", by_file(tmp_path / "component"), refresh)


def authorized(value: str, refresh: str = "REFRESH-ONE") -> Reply:
    return reply(authorizer_access_token=value, expires_in=7200, authorizer_refresh_token=refresh)


def test_a_platform_gets_the_apps_token_with_its_own_and_the_refresh_token(platform: Authorizer) -> None:
    calls, result = asked(Datacube(platform), authorized("T1"), rows())
    assert visitors(result) == 754
    assert calls[0].url == f"{BASE}/cgi-bin/component/api_authorizer_token"
    assert calls[0].query == (("component_access_token", "COMPONENT-TOKEN"),)
    assert json.loads(calls[0].body) == {
        "component_appid": "wxcomponent",
        "authorizer_appid": APPID,
        "authorizer_refresh_token": "REFRESH-ONE",
    }
    assert calls[1].query == (("access_token", "T1"),)


def test_a_component_token_may_come_from_a_server_that_is_asked_about_the_component(platform: Authorizer) -> None:
    calls, result = asked(
        Datacube(replace(platform, component_token=SERVER)), reply(access_token="C1"), authorized("T1"), rows()
    )
    assert visitors(result) == 754
    assert [urlsplit(call.url).hostname for call in calls][:2] == ["tokens.example.org", "api.weixin.qq.com"]
    assert calls[0].url.endswith("?app=wxcomponent")


def test_a_rejected_component_token_is_replaced_once(platform: Authorizer) -> None:
    served = replace(platform, component_token=SERVER)
    replies = (reply(access_token="C1"), error(42001), reply(access_token="C2"), authorized("T1"), rows())
    calls, result = asked(Datacube(served), *replies)
    assert visitors(result) == 754
    assert [call.query for call in calls[1::2]] == [
        (("component_access_token", "C1"),),
        (("component_access_token", "C2"),),
    ]


PLATFORM_REFUSED = [
    (error(61004, "access clientip is not registered"), "register the exporter's IP"),
    (error(61007, "api is unauthorized to component"), "grant permission set 18"),
]


@pytest.mark.parametrize(("answer", "words"), PLATFORM_REFUSED)
def test_what_a_platform_lacks_is_said_in_words(platform: Authorizer, answer: Reply, words: str) -> None:
    for replies in ((answer,), (authorized("T1"), answer)):
        _, reason = asked(Datacube(platform), *replies)
        assert isinstance(reason, Refused)
        assert words in str(reason)


def test_a_changed_refresh_token_is_written_back_for_its_owner_alone(platform: Authorizer) -> None:
    path = platform.refresh_token.path
    path.chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        asked(Datacube(platform), authorized("T1", "REFRESH-TWO"), rows())
    assert path.read_text() == "REFRESH-TWO\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry["event"] for entry in logs] == ["WeChat changed the refresh token: written to its file"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["component", "refresh"]


def test_one_that_cannot_be_written_is_said_loudly_and_used_until_somebody_writes_a_newer_one(
    platform: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    wall = Wall(NOW)
    way = way_in(app(Datacube(platform)), BASE, wall)
    with monkeypatch.context() as disk, structlog.testing.capture_logs() as logs:
        disk.setattr("exporter.config.app.secrets.write_private", full)
        talk(way.converse(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
        wall.now += 7200
        calls, _ = talk(way.converse(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert {entry["log_level"] for entry in logs} == {"error"}
    assert all("takes no writes: No space left on device" in entry["problem"] for entry in logs)
    assert "REFRESH" not in str(logs)
    wall.now += 7200
    talk(way.converse(WEEKLY, WEEK), authorized("T3", "REFRESH-TWO"), rows())
    assert platform.refresh_token.path.read_text() == "REFRESH-TWO\n", "written once that is possible again"
    platform.refresh_token.path.write_text("REFRESH-NEW")
    wall.now += 7200
    calls, _ = talk(way.converse(WEEKLY, WEEK), authorized("T4", "REFRESH-NEW"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-NEW"


def followed(before: Access, platform: Authorizer, file: Path) -> Access:
    """The way in under a next configuration, which names a copy of the refresh token's file."""
    file.write_text(platform.refresh_token.path.read_text())
    moved = replace(platform, refresh_token=FileSecret(file, subject="the refresh token file"))
    known = {(BASE, APPID, Datacube(platform)): before}
    sender = Transport(timeout=1, concurrency=1)
    (way,) = Client([app(Datacube(moved))], BASE, sender=sender, clock=Wall(NOW), known=known).ways.values()
    return way


def test_one_that_the_old_file_did_not_take_goes_to_the_file_of_the_next_configuration(
    platform: Authorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    before = way_in(app(Datacube(platform)), BASE, Wall(NOW))
    with monkeypatch.context() as disk:
        disk.setattr("exporter.config.app.secrets.write_private", full)
        talk(before.converse(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
    moved = tmp_path / "writable"
    calls, _ = talk(followed(before, platform, moved).converse(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert moved.read_text() == "REFRESH-TWO\n"


def test_one_that_changes_while_the_configuration_does_is_known_under_the_next_one(
    platform: Authorizer, tmp_path: Path
) -> None:
    before = way_in(app(Datacube(platform)), BASE, Wall(NOW))
    under_way = before.converse(WEEKLY, WEEK)
    next(under_way)
    moved = tmp_path / "copied-before"
    way = followed(before, platform, moved)
    under_way.send(authorized("T1", "REFRESH-TWO"))
    calls, _ = talk(way.converse(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert moved.read_text() == "REFRESH-TWO\n"


def test_a_refresh_token_that_somebody_wrote_meanwhile_is_left_alone(platform: Authorizer) -> None:
    path = platform.refresh_token.path
    conversation = way_in(app(Datacube(platform)), BASE, Wall(NOW)).converse(WEEKLY, WEEK)
    next(conversation)
    path.write_text("REFRESH-OF-A-NEW-AUTHORIZATION")
    with structlog.testing.capture_logs() as logs:
        conversation.send(authorized("T1", "REFRESH-TWO"))
    assert path.read_text() == "REFRESH-OF-A-NEW-AUTHORIZATION"
    assert [entry["event"] for entry in logs] == ["the refresh token file was written meanwhile: left as it is"]


def test_what_others_renew_is_looked_at_again_soon(tmp_path: Path) -> None:
    _, gone = asked(Datacube(by_file(tmp_path / "none")))
    _, same = asked(Datacube(SERVER), reply(access_token="T1"), REJECTED, reply(access_token="T1"))
    _, ours = asked(Datacube(BY_SECRET), token("T1"), REJECTED, token("T1"))
    assert [reason.retry_after for reason in (gone, same, ours)] == [60.0, 60.0, 0.0]  # type: ignore[attr-defined]


# --- through functions in the cloud ----------------------------------------------------------------------

FUNCTION = CloudFunction(BY_SECRET, "prod-1", "analysis")
HTTP = HttpFunction("https://env.example.com/{appid}/weekly", (("X-Key", LiteralSecret("key-of-the-exporter")),))


def test_a_cloud_function_is_invoked_with_the_week_as_its_event_and_answers_as_text_in_json() -> None:
    calls, result = asked(FUNCTION, token("T1"), invoked(**CAMEL))
    assert visitors(result) == 754
    assert calls[1].url == f"{BASE}/tcb/invokecloudfunction"
    assert calls[1].query == (("access_token", "T1"), ("env", "prod-1"), ("name", "analysis"))
    assert json.loads(calls[1].body) == {"api": "getWeeklyVisitTrend", "beginDate": "20261116", "endDate": "20261122"}


def test_a_rejected_token_for_a_cloud_function_is_replaced_once() -> None:
    calls, result = asked(FUNCTION, token("T1"), error(42001), token("T2"), invoked(**CAMEL))
    assert visitors(result) == 754
    assert len(calls) == 4


def test_an_http_function_is_asked_without_any_token_of_wechats() -> None:
    calls, result = asked(HTTP, reply(**CAMEL))
    assert visitors(result) == 754
    assert (calls[0].endpoint, calls[0].url) == ("http_function", f"https://env.example.com/{APPID}/weekly")
    assert dict(calls[0].headers) == {"Content-Type": "application/json", "X-Key": "key-of-the-exporter"}
    assert calls[0].query == ()
    assert json.loads(calls[0].body) == {"api": "getWeeklyVisitTrend", "beginDate": "20261116", "endDate": "20261122"}


INSIDE = [
    ({"list": []}, NotReady, "", "no figures for this period"),
    ({"errCode": 61503, "errMsg": "data not ready"}, NotReady, "61503", "not published yet"),
    ({"errCode": -604101, "errMsg": "no permission"}, Refused, "-604101", "in its config.json, and upload it"),
    ({"errCode": 40001, "errMsg": "missing wxCloudApiToken"}, Failed, "40001", "inside the function: 40001"),
    ({"errCode": 45009, "errMsg": "quota"}, Unanswered, "45009", "nothing is asked until tomorrow"),
    ({"errCode": -504002, "errMsg": "missing wxCloudApiToken"}, Failed, "other", "the function's log"),
    ({"errCode": -1, "errMsg": "system error"}, NotReady, "-1", "WeChat is busy"),
    ({"errMsg": "oops"}, Failed, "malformed", "no list of rows"),
    ({"list": [{"refDate": "20170306-20170312", "visitUv": 1}]}, Failed, "malformed", "its ref_date is not"),
]


@pytest.mark.parametrize(("returned", "decision", "errcode", "words"), INSIDE)
@pytest.mark.parametrize("way", [FUNCTION, HTTP], ids=["invoked", "over HTTP"])
def test_what_a_function_says_is_understood_by_both_ways(
    way: Way, returned: dict[str, object], decision: type[Unanswered], errcode: str, words: str
) -> None:
    replies = (token("T1"), invoked(**returned)) if way is FUNCTION else (reply(**returned),)
    _, reason = asked(way, *replies)
    assert isinstance(reason, decision)
    assert reason.errcode == errcode
    assert words in str(reason)


AROUND = [
    (error(-1, "system error"), Failed, "-1", "WeChat is busy"),
    (error(-1000, "system error"), Failed, "-1000", "it is asked for again by itself"),
    (error(40101, "missing parameter"), Refused, "40101", "check `env` and `name`"),
    (error(85088, "no qbase privilege"), Refused, "85088", "open cloud development"),
    (error(-501000, "FunctionName parameter could not be found"), Failed, "other", "an error of the cloud environment"),
    (error(-504003, "Invoking task timed out after 3 seconds"), Failed, "other", "the function's log"),
    (reply(errcode=0, errmsg="ok"), Failed, "malformed", "what the function returned"),
    (reply(errcode=0, errmsg="ok", resp_data="null"), Failed, "malformed", "not a JSON object"),
    (reply(errcode=0, errmsg="ok", resp_data="<html>"), Failed, "malformed", "not JSON"),
]


@pytest.mark.parametrize(("answer", "decision", "errcode", "words"), AROUND)
def test_what_goes_wrong_around_a_cloud_function_is_told_from_what_it_says(
    answer: Reply, decision: type[Unanswered], errcode: str, words: str
) -> None:
    _, reason = asked(FUNCTION, token("T1"), answer)
    assert isinstance(reason, decision)
    assert reason.errcode == errcode
    assert words in str(reason)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_http_function_that_lets_nobody_in_is_a_refusal(status: int) -> None:
    _, reason = asked(HTTP, Reply(status, b"key-of-the-exporter is wrong"))
    assert isinstance(reason, Refused)
    assert str(reason).startswith(f"the HTTP access service refuses (HTTP {status})")


# --- from inside WeChat Cloud Hosting --------------------------------------------------------------------


def test_a_hosted_container_asks_in_the_clear_and_without_a_token() -> None:
    calls, result = asked(CloudHosting(), rows())
    assert visitors(result) == 754
    assert (calls[0].url, calls[0].query) == (f"http://api.weixin.qq.com{WEEKLY.path}", ())
    calls, _ = asked(CloudHosting(from_appid="wxother"), rows())
    assert calls[0].query == (("from_appid", "wxother"),)


def test_a_containers_own_token_is_read_every_ten_minutes_and_never_sent_in_the_clear(tmp_path: Path) -> None:
    wall = Wall(NOW)
    file = FileSecret(tmp_path / "token")
    file.path.write_text("C1")
    way = way_in(app(CloudHosting(cloudbase_token=file)), BASE, wall)
    seen = []
    for seconds, value in ((0, "C1"), (599, "C2"), (1, "C2")):
        file.path.write_text(value)
        wall.now += seconds
        calls, _ = talk(way.converse(WEEKLY, WEEK), rows())
        assert calls[0].url == BASE + WEEKLY.path
        seen += calls[0].query
    assert seen == [("cloudbase_access_token", value) for value in ("C1", "C1", "C2")]
    file.path.write_text("C3")
    calls, result = talk(way.converse(WEEKLY, WEEK), REJECTED, rows())
    assert visitors(result) == 754
    assert calls[1].query == (("cloudbase_access_token", "C3"),)


HOSTED_BADLY = [
    (error(41001, "access_token missing"), Refused, "switch the open interface service on in the console"),
    (Reply(502, b""), Failed, f"if it stays, allow {WEEKLY.path} in the console of Cloud Hosting"),
    (error(61503), NotReady, "not published yet"),
]


@pytest.mark.parametrize(("answer", "decision", "words"), HOSTED_BADLY)
def test_what_the_console_of_cloud_hosting_must_allow_is_said(
    answer: Reply, decision: type[Unanswered], words: str
) -> None:
    _, reason = asked(CloudHosting(), answer)
    assert isinstance(reason, decision)
    assert words in str(reason)


# --- the tables ------------------------------------------------------------------------------------------


def test_every_way_and_every_source_of_tokens_has_its_class() -> None:
    assert set(WAYS) == set(Way.__args__)  # type: ignore[attr-defined]
    assert set(TOKENS) == set(TokensOf.__args__)  # type: ignore[attr-defined]


FROM_FILE = TokenFile(FileSecret(Path("token")))
ENDPOINTS = (
    (Datacube(BY_SECRET), ("stable_token", "weekly")),
    (Datacube(SERVER), ("token_url", "weekly")),
    (CloudFunction(SERVER, "e", "f"), ("token_url", "invokecloudfunction")),
    (HTTP, ("http_function",)),
    (CloudHosting(), ("weekly",)),
    (Datacube(Authorizer("wxc", FROM_FILE, FROM_FILE.file)), ("api_authorizer_token", "weekly")),
    (Datacube(Authorizer("wxc", SERVER, FROM_FILE.file)), ("token_url", "api_authorizer_token", "weekly")),
)


@pytest.mark.parametrize(("way", "endpoints"), ENDPOINTS)
def test_the_endpoints_of_a_way_are_those_of_its_calls(way: Way, endpoints: tuple[str, ...]) -> None:
    assert endpoints_of(way, [WEEKLY]) == endpoints


def test_a_source_hides_all_that_it_ever_sent(platform: Authorizer) -> None:
    source = source_of(platform, APPID, BASE, Wall(NOW))
    talk(source.token(), authorized("ACCESS-ONE", "REFRESH-TWO"))
    assert {"ACCESS-ONE", "COMPONENT-TOKEN", "REFRESH-ONE"} <= set(source.hidden)

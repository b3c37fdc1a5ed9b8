"""Access methods. The tests act as the server: a flow yields requests and is sent the responses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import structlog
from harness import FakeClock

from exporter.config import (
    AccessConfig,
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
)
from exporter.config.app.access_config import TokenConfig
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading
from exporter.wechat.access import ACCESS_METHODS, TOKEN_SOURCES, AccessContext, AccessMethod, endpoints_of, open_access
from exporter.wechat.access.sources import source_of
from exporter.wechat.client import Client
from exporter.wechat.codes import Failed, FetchError, NotReady, Refused
from exporter.wechat.messages import ApiRequest, ApiResponse
from exporter.wechat.transport import Transport

BASE = "https://api.weixin.qq.com"
SECRET = "0123456789abcdef0123456789abcdef"
APPID = "wx0123456789abcdef"
WEEK = Week(date(2026, 11, 16))
NOW = 1_795_000_000.0

BY_SECRET = AppSecret(LiteralSecret(SECRET))


def app(access: AccessConfig | None = None) -> App:
    return App(APPID, access or Datacube(BY_SECRET))


def reply(status: int = 200, **content: object) -> ApiResponse:
    return ApiResponse(status, json.dumps(content).encode())


def token(value: str, expires_in: float = 7200) -> ApiResponse:
    return reply(access_token=value, expires_in=expires_in)


def rows(**changes: object) -> ApiResponse:
    return reply(list=[{"ref_date": WEEK.label, "visit_uv": 754, **changes}])


CAMEL = {"list": [{"refDate": WEEK.label, "visitUv": 754}], "errMsg": f"openapi.{WEEKLY.api}:ok"}


def invoked(**returned: object) -> ApiResponse:
    return reply(errcode=0, errmsg="ok", resp_data=json.dumps(returned))


def error(code: int, message: str = "message") -> ApiResponse:
    return reply(errcode=code, errmsg=message)


REJECTED = error(40001, "invalid credential")


def exchange(flow: object, *replies: ApiResponse) -> tuple[list[ApiRequest], object]:
    """Act as the server; return the requests that were made and the result."""
    calls = []
    answers = iter(replies)
    try:
        calls.append(next(flow))  # type: ignore[call-overload]
        for answer in answers:
            calls.append(flow.send(answer))  # type: ignore[attr-defined]  # noqa: PERF401 (it may end in the middle)
    except StopIteration as end:
        assert next(answers, None) is None, "more replies than requests"
        return calls, end.value
    except FetchError as reason:
        return calls, reason
    raise AssertionError(f"the flow continues after {len(calls)} calls")


def fetched(
    access: AccessConfig, *replies: ApiResponse, clock: FakeClock | None = None
) -> tuple[list[ApiRequest], object]:
    return exchange(
        open_access(app(access), AccessContext(BASE, clock or FakeClock(NOW))).fetch(WEEKLY, WEEK), *replies
    )


def visitors(result: object) -> float | None:
    assert isinstance(result, Reading), result
    return dict(zip((field.wechat for field in WEEKLY.fields), result.values, strict=True))["visit_uv"]


# --- with an AppSecret -----------------------------------------------------------------------------------


def test_token_is_requested_in_normal_mode_and_sent() -> None:
    """The request of the token has force_refresh false."""
    calls, result = fetched(Datacube(BY_SECRET), token("T1"), rows())
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


def test_token_is_reused_until_it_expires() -> None:
    clock = FakeClock(NOW)
    access = open_access(app(), AccessContext(BASE, clock))
    exchange(access.fetch(WEEKLY, WEEK), token("T1", 300), rows())
    clock.now += 299
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), rows())
    assert [call.endpoint for call in calls] == ["weekly"]
    clock.now += 1
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), token("T2"), rows())
    assert calls[1].query == (("access_token", "T2"),)


def test_rejected_token_is_replaced_once_and_the_call_retried() -> None:
    calls, result = fetched(Datacube(BY_SECRET), token("T1"), REJECTED, token("T2"), rows())
    assert visitors(result) == 754
    assert [call.query for call in calls] == [(), (("access_token", "T1"),), (), (("access_token", "T2"),)]


@pytest.mark.parametrize("value", ["T1", "T1-that-is-long-enough-to-be-hidden"])
def test_rejected_token_is_not_sent_twice(value: str) -> None:
    """If the new token is the rejected one, the result is a refusal without another call."""
    calls, reason = fetched(Datacube(BY_SECRET), token(value), REJECTED, token(value))
    assert isinstance(reason, Refused)
    assert (reason.errcode, len(calls)) == ("40001", 3)
    assert "the same token again" in str(reason)


def test_second_rejection_is_a_refusal_and_drops_the_token() -> None:
    """The next fetch requests a new token."""
    access = open_access(app(), AccessContext(BASE, FakeClock(NOW)))
    calls, reason = exchange(access.fetch(WEEKLY, WEEK), token("T1"), REJECTED, token("T2"), REJECTED)
    assert isinstance(reason, Refused)
    assert "a second token was also rejected" in str(reason)
    assert len(calls) == 4
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), token("T3"), rows())
    assert calls[0].endpoint == "stable_token"


def test_secret_is_read_again_for_every_token(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong-secret")
    access = open_access(app(Datacube(AppSecret(FileSecret(file)))), AccessContext(BASE, FakeClock(NOW)))
    _, reason = exchange(access.fetch(WEEKLY, WEEK), error(40125, "invalid appsecret"))
    assert isinstance(reason, Refused)
    file.write_text("right-secret\n")
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), token("T1"), rows())
    assert json.loads(calls[0].body)["secret"] == "right-secret"


def test_missing_secret_is_a_refusal_without_a_call(tmp_path: Path) -> None:
    calls, reason = fetched(Datacube(AppSecret(FileSecret(tmp_path / "none"))))
    assert isinstance(reason, Refused)
    assert calls == []
    assert str(reason) == "the secret file does not exist"


@pytest.mark.parametrize("echo", [SECRET, "T1-that-is-long"])
def test_echoed_secret_or_token_is_redacted(echo: str) -> None:
    _, reason = fetched(Datacube(BY_SECRET), token("T1-that-is-long"), error(1, f"you sent {echo}!"))
    assert str(reason) == "1 you sent <SECRET>!: unknown error code"


def test_rejected_token_is_redacted_in_later_messages() -> None:
    replies = (token("FIRST-TOKEN"), REJECTED, token("SECOND-TOKEN"), error(1, "FIRST-TOKEN SECOND-TOKEN"))
    _, reason = fetched(Datacube(BY_SECRET), *replies)
    assert str(reason).startswith("1 <SECRET> <SECRET>:")


def test_truncated_message_contains_no_part_of_a_secret() -> None:
    """The secret is at the position where the message is truncated."""
    _, reason = fetched(Datacube(BY_SECRET), error(40125, "x" * 190 + SECRET))
    assert SECRET[:4] not in str(reason)


def test_busy_token_endpoint_is_a_failure() -> None:
    _, reason = fetched(Datacube(BY_SECRET), error(-1, "system error"))
    assert isinstance(reason, Failed)
    assert (reason.errcode, reason.about_period) == ("-1", False)


def test_repr_of_a_call_shows_no_token_or_secret() -> None:
    calls, _ = fetched(Datacube(BY_SECRET), token("T1-that-is-long"), rows())
    assert "T1-that-is-long" not in repr(calls)
    assert SECRET not in repr(calls)


# --- with a token of another program -------------------------------------------------------------------------


def by_file(path: Path) -> TokenFile:
    return TokenFile(FileSecret(path, subject="the token file"))


def test_token_file_is_read_again_for_every_fetch(tmp_path: Path) -> None:
    file = tmp_path / "token"
    access = open_access(app(Datacube(by_file(file))), AccessContext(BASE, FakeClock(NOW)))
    for value in ("T1", "T2"):
        file.write_text(f"{value}\n")
        calls, result = exchange(access.fetch(WEEKLY, WEEK), rows())
        assert visitors(result) == 754
        assert [call.query for call in calls] == [(("access_token", value),)]


def test_rejected_token_file_is_read_once_more_then_refused(tmp_path: Path) -> None:
    """The message requires the writer of the file to renew the token."""
    file = tmp_path / "token"
    file.write_text("T1")
    calls, reason = fetched(Datacube(by_file(file)), REJECTED)
    assert isinstance(reason, Refused)
    assert len(calls) == 1
    assert str(reason).endswith("the token file is unchanged: the program that writes it must renew the token")
    flow = open_access(app(Datacube(by_file(file))), AccessContext(BASE, FakeClock(NOW))).fetch(WEEKLY, WEEK)
    next(flow)
    file.write_text("T2")
    call = flow.send(REJECTED)
    assert call.query == (("access_token", "T2"),)


def test_missing_token_file_is_a_refusal(tmp_path: Path) -> None:
    calls, reason = fetched(Datacube(by_file(tmp_path / "none")))
    assert (calls, str(reason)) == ([], "the token file does not exist")
    assert isinstance(reason, Refused)


SERVER = TokenUrl("https://tokens.example.org/t?app={appid}")


def test_token_server_gets_headers_and_its_token_is_cached() -> None:
    """The token is used until it expires."""
    clock = FakeClock(NOW)
    headers = (("Authorization", LiteralSecret("Bearer of-the-exporter")),)
    server = replace(SERVER, method="POST", headers=headers, json_field="data.token", expires_in="data.left")
    access = open_access(app(Datacube(server)), AccessContext(BASE, clock))
    served = reply(data={"token": "T1", "left": 100})
    calls, result = exchange(access.fetch(WEEKLY, WEEK), served, rows())
    assert visitors(result) == 754
    assert (calls[0].endpoint, calls[0].method) == ("token_url", "POST")
    assert calls[0].url == f"https://tokens.example.org/t?app={APPID}"
    assert calls[0].headers == (("Authorization", "Bearer of-the-exporter"),)
    assert calls[1].query == (("access_token", "T1"),)
    clock.now += 99
    assert len(exchange(access.fetch(WEEKLY, WEEK), rows())[0]) == 1
    clock.now += 1
    assert len(exchange(access.fetch(WEEKLY, WEEK), served, rows())[0]) == 2


def test_token_server_may_respond_in_plain_text() -> None:
    server = replace(SERVER, plain_text=True)
    calls, result = fetched(Datacube(server), ApiResponse(200, b"T1\n"), rows())
    assert visitors(result) == 754
    assert calls[1].query == (("access_token", "T1"),)


TOKEN_SERVER_ERRORS = [
    (
        ApiResponse(401, b""),
        Refused,
        "http_4xx",
        "the token server denied access (HTTP 401): check `url` and `headers`",
    ),
    (ApiResponse(404, b""), Refused, "http_4xx", "the token server denied access (HTTP 404)"),
    (ApiResponse(502, b""), Failed, "http_5xx", "HTTP status 502"),
    (ApiResponse(429, b"", "60"), Failed, "http_4xx", "HTTP status 429"),
    (ApiResponse(200, b"<html>"), Failed, "malformed", "not JSON"),
    (reply(token="T1"), Failed, "malformed", "the token server's response contains no token"),
    (reply(access_token=5), Failed, "malformed", "contains no token"),
    (reply(access_token=""), Failed, "malformed", "contains no token"),
    (reply(access_token="a b"), Failed, "malformed", "contains no token"),
    (reply(access_token="T" * 5000), Failed, "malformed", "contains no token"),
    (error(40164, "invalid ip 1.2.3.4, not in whitelist"), Refused, "40164", "add 1.2.3.4"),
    (error(40001, "invalid credential"), Refused, "40001", "the token server returned"),
]


@pytest.mark.parametrize(("answer", "decision", "errcode", "message"), TOKEN_SERVER_ERRORS)
def test_invalid_token_response_is_a_failure_or_a_refusal(
    answer: ApiResponse, decision: type[FetchError], errcode: str, message: str
) -> None:
    """A refusal requires an action; a failure is retried."""
    calls, reason = fetched(Datacube(SERVER), answer)
    assert isinstance(reason, decision)
    assert (reason.errcode, len(calls)) == (errcode, 1)
    assert message in str(reason)


@pytest.mark.parametrize(
    "body", [b"<html></html>", b'{"errcode":40013,"errmsg":"invalid_appid"}', b"", "令牌".encode()]
)
def test_invalid_plain_text_token_is_not_sent_to_wechat(body: bytes) -> None:
    calls, reason = fetched(Datacube(replace(SERVER, plain_text=True)), ApiResponse(200, body))
    assert isinstance(reason, Failed)
    assert (reason.errcode, len(calls)) == ("malformed", 1)


def test_rejected_token_of_a_server_is_requested_once_more() -> None:
    calls, reason = fetched(Datacube(SERVER), reply(access_token="T1"), REJECTED, reply(access_token="T1"))
    assert isinstance(reason, Refused)
    assert len(calls) == 3
    assert str(reason).endswith("the token server returned the same token again: it must renew the token")


def test_echoed_keys_of_headers_and_url_are_redacted() -> None:
    headers = (
        ("X-Key", LiteralSecret("key-of-the-exporter")),
        ("Authorization", LiteralSecret("Bearer second-key")),
    )
    server = replace(SERVER, url="https://tokens.example.org/t?key=key-in-the-query", headers=headers)
    echo = "no key-of-the-exporter second-key key-in-the-query"
    for access in (Datacube(server), HttpFunction(server.url, headers)):
        calls, reason = fetched(access, error(1, echo))
        assert str(reason).startswith("1 no <SECRET>")
        assert not any(word in str(reason) for word in echo.split()[1:])
        assert "key-in-the-query" not in repr(calls)


def test_invalid_header_value_is_a_refusal() -> None:
    calls, reason = fetched(HttpFunction("https://e.example/", (("X-Key", LiteralSecret("密钥")),)))
    assert isinstance(reason, Refused)
    assert (calls, str(reason)) == ([], "a header value contains characters that are not allowed in HTTP headers")


def test_appid_is_percent_encoded_in_a_url() -> None:
    calls, _ = exchange(
        open_access(App("a&b#c", HTTP), AccessContext(BASE, FakeClock(NOW))).fetch(WEEKLY, WEEK), reply(**CAMEL)
    )
    assert calls[0].url == "https://env.example.com/a%26b%23c/weekly"


def test_repr_of_a_token_server_shows_no_key_or_host() -> None:
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


def authorized(value: str, refresh: str = "REFRESH-ONE") -> ApiResponse:
    return reply(authorizer_access_token=value, expires_in=7200, authorizer_refresh_token=refresh)


def test_platform_requests_the_token_with_its_refresh_token(platform: Authorizer) -> None:
    """The request carries the component token and the app's refresh token."""
    calls, result = fetched(Datacube(platform), authorized("T1"), rows())
    assert visitors(result) == 754
    assert calls[0].url == f"{BASE}/cgi-bin/component/api_authorizer_token"
    assert calls[0].query == (("component_access_token", "COMPONENT-TOKEN"),)
    assert json.loads(calls[0].body) == {
        "component_appid": "wxcomponent",
        "authorizer_appid": APPID,
        "authorizer_refresh_token": "REFRESH-ONE",
    }
    assert calls[1].query == (("access_token", "T1"),)


def test_component_token_may_come_from_a_token_server(platform: Authorizer) -> None:
    """Its URL has the AppID of the component."""
    calls, result = fetched(
        Datacube(replace(platform, component_token=SERVER)), reply(access_token="C1"), authorized("T1"), rows()
    )
    assert visitors(result) == 754
    assert [urlsplit(call.url).hostname for call in calls][:2] == ["tokens.example.org", "api.weixin.qq.com"]
    assert calls[0].url.endswith("?app=wxcomponent")


def test_rejected_component_token_is_replaced_once(platform: Authorizer) -> None:
    served = replace(platform, component_token=SERVER)
    replies = (reply(access_token="C1"), error(42001), reply(access_token="C2"), authorized("T1"), rows())
    calls, result = fetched(Datacube(served), *replies)
    assert visitors(result) == 754
    assert [call.query for call in calls[1::2]] == [
        (("component_access_token", "C1"),),
        (("component_access_token", "C2"),),
    ]


PLATFORM_REFUSED = [
    (error(61004, "access clientip is not registered"), "register the exporter's IP"),
    (error(61007, "api is unauthorized to component"), "grant permission set 18"),
]


@pytest.mark.parametrize(("answer", "message"), PLATFORM_REFUSED)
def test_platform_refusal_names_the_missing_permission(platform: Authorizer, answer: ApiResponse, message: str) -> None:
    for replies in ((answer,), (authorized("T1"), answer)):
        _, reason = fetched(Datacube(platform), *replies)
        assert isinstance(reason, Refused)
        assert message in str(reason)


def test_rotated_refresh_token_is_saved_with_mode_0600(platform: Authorizer) -> None:
    path = platform.refresh_token.path
    path.chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        fetched(Datacube(platform), authorized("T1", "REFRESH-TWO"), rows())
    assert path.read_text() == "REFRESH-TWO\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry["event"] for entry in logs] == ["refresh token saved"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["component", "refresh"]


def test_unsaved_refresh_token_is_logged_and_used(platform: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving is retried at each new token; a newer token in the file replaces it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    clock = FakeClock(NOW)
    access = open_access(app(Datacube(platform)), AccessContext(BASE, clock))
    with monkeypatch.context() as disk, structlog.testing.capture_logs() as logs:
        disk.setattr("exporter.config.app.secrets.write_atomically", full)
        exchange(access.fetch(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
        clock.now += 7200
        calls, _ = exchange(access.fetch(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert {entry["log_level"] for entry in logs} == {"error"}
    assert all("No space left on device; make the file writable" in entry["error"] for entry in logs)
    assert "REFRESH" not in str(logs)
    clock.now += 7200
    exchange(access.fetch(WEEKLY, WEEK), authorized("T3", "REFRESH-TWO"), rows())
    assert platform.refresh_token.path.read_text() == "REFRESH-TWO\n", "written once the file is writable again"
    platform.refresh_token.path.write_text("REFRESH-NEW")
    clock.now += 7200
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), authorized("T4", "REFRESH-NEW"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-NEW"


def client_of(platform: Authorizer, previous: Client | None = None) -> tuple[Client, AccessMethod]:
    sender = Transport(timeout=1, concurrency=1)
    client = Client([app(Datacube(platform))], BASE, sender=sender, clock=FakeClock(NOW), previous=previous)
    (method,) = client.access_methods.values()
    return client, method


def access_after_reload(before: Client, platform: Authorizer, file: Path) -> AccessMethod:
    """Return the access method after a reload, whose configuration names a copy of the refresh token's file."""
    file.write_text(platform.refresh_token.path.read_text())
    moved = replace(platform, refresh_token=FileSecret(file, subject="the refresh token file"))
    return client_of(moved, before)[1]


def test_unsaved_refresh_token_is_saved_to_the_file_after_reload(
    platform: Authorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    before, method = client_of(platform)
    with monkeypatch.context() as disk:
        disk.setattr("exporter.config.app.secrets.write_atomically", full)
        exchange(method.fetch(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
    moved = tmp_path / "writable"
    calls, _ = exchange(
        access_after_reload(before, platform, moved).fetch(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows()
    )
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert moved.read_text() == "REFRESH-TWO\n"


def test_refresh_token_rotated_during_a_reload_is_kept(platform: Authorizer, tmp_path: Path) -> None:
    before, method = client_of(platform)
    under_way = method.fetch(WEEKLY, WEEK)
    next(under_way)
    moved = tmp_path / "copied-before"
    access = access_after_reload(before, platform, moved)
    under_way.send(authorized("T1", "REFRESH-TWO"))
    calls, _ = exchange(access.fetch(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert moved.read_text() == "REFRESH-TWO\n"


def test_refresh_token_survives_a_reload_without_its_app(platform: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    before, method = client_of(platform)
    with monkeypatch.context() as disk:
        disk.setattr("exporter.config.app.secrets.write_atomically", full)
        exchange(method.fetch(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
    sender = Transport(timeout=1, concurrency=1)
    without = Client([], BASE, sender=sender, clock=FakeClock(NOW), previous=before)
    _, method = client_of(platform, without)
    calls, _ = exchange(method.fetch(WEEKLY, WEEK), authorized("T2", "REFRESH-TWO"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-TWO"
    assert platform.refresh_token.path.read_text() == "REFRESH-TWO\n"


def test_a_refresh_token_of_another_platform_is_not_used(platform: Authorizer) -> None:
    before, method = client_of(platform)
    exchange(method.fetch(WEEKLY, WEEK), authorized("T1", "REFRESH-TWO"), rows())
    platform.refresh_token.path.write_text("REFRESH-ONE")
    other = client_of(replace(platform, component_appid="wxother"), before)[1]
    calls, _ = exchange(other.fetch(WEEKLY, WEEK), authorized("T2"), rows())
    assert json.loads(calls[0].body)["authorizer_refresh_token"] == "REFRESH-ONE"


def test_refresh_token_file_changed_meanwhile_is_not_replaced(platform: Authorizer) -> None:
    path = platform.refresh_token.path
    flow = open_access(app(Datacube(platform)), AccessContext(BASE, FakeClock(NOW))).fetch(WEEKLY, WEEK)
    next(flow)
    path.write_text("REFRESH-OF-A-NEW-AUTHORIZATION")
    with structlog.testing.capture_logs() as logs:
        flow.send(authorized("T1", "REFRESH-TWO"))
    assert path.read_text() == "REFRESH-OF-A-NEW-AUTHORIZATION"
    assert [entry["event"] for entry in logs] == ["refresh token not saved"]


def test_token_renewed_by_others_is_retried_after_a_minute(tmp_path: Path) -> None:
    """This applies for a token from a file or a server, not to one that the exporter requests itself."""
    _, gone = fetched(Datacube(by_file(tmp_path / "none")))
    _, same = fetched(Datacube(SERVER), reply(access_token="T1"), REJECTED, reply(access_token="T1"))
    _, ours = fetched(Datacube(BY_SECRET), token("T1"), REJECTED, token("T1"))
    assert [reason.retry_after for reason in (gone, same, ours)] == [60.0, 60.0, 0.0]  # type: ignore[attr-defined]


# --- through functions in the cloud ----------------------------------------------------------------------

FUNCTION = CloudFunction(BY_SECRET, "prod-1", "analysis")
HTTP = HttpFunction("https://env.example.com/{appid}/weekly", (("X-Key", LiteralSecret("key-of-the-exporter")),))


def test_cloud_function_gets_the_week_as_its_event() -> None:
    """Its result is JSON text inside of JSON."""
    calls, result = fetched(FUNCTION, token("T1"), invoked(**CAMEL))
    assert visitors(result) == 754
    assert calls[1].url == f"{BASE}/tcb/invokecloudfunction"
    assert calls[1].query == (("access_token", "T1"), ("env", "prod-1"), ("name", "analysis"))
    assert json.loads(calls[1].body) == {"api": "getWeeklyVisitTrend", "beginDate": "20261116", "endDate": "20261122"}


def test_rejected_token_for_a_cloud_function_is_replaced_once() -> None:
    calls, result = fetched(FUNCTION, token("T1"), error(42001), token("T2"), invoked(**CAMEL))
    assert visitors(result) == 754
    assert len(calls) == 4


def test_http_function_is_called_without_an_access_token() -> None:
    calls, result = fetched(HTTP, reply(**CAMEL))
    assert visitors(result) == 754
    assert (calls[0].endpoint, calls[0].url) == ("http_function", f"https://env.example.com/{APPID}/weekly")
    assert dict(calls[0].headers) == {"Content-Type": "application/json", "X-Key": "key-of-the-exporter"}
    assert calls[0].query == ()
    assert json.loads(calls[0].body) == {"api": "getWeeklyVisitTrend", "beginDate": "20261116", "endDate": "20261122"}


FUNCTION_ERRORS = [
    ({"list": []}, NotReady, "", "no figures for this period"),
    ({"errCode": 61503, "errMsg": "data not ready"}, NotReady, "61503", "not published yet"),
    (
        {"errCode": -604101, "errMsg": "no permission"},
        Refused,
        "-604101",
        "in the cloud function's config.json, and upload",
    ),
    ({"errCode": 40001, "errMsg": "missing wxCloudApiToken"}, Failed, "40001", "in the cloud function: 40001"),
    ({"errCode": 45009, "errMsg": "quota"}, FetchError, "45009", "no requests until tomorrow"),
    ({"errCode": -504002, "errMsg": "missing wxCloudApiToken"}, Failed, "other", "the function's log"),
    ({"errCode": -1, "errMsg": "system error"}, NotReady, "-1", "WeChat is busy"),
    ({"errMsg": "oops"}, Failed, "malformed", "no list of rows"),
    ({"list": [{"refDate": "20170306-20170312", "visitUv": 1}]}, Failed, "malformed", "ref_date is not"),
]


@pytest.mark.parametrize(("returned", "decision", "errcode", "message"), FUNCTION_ERRORS)
@pytest.mark.parametrize("access", [FUNCTION, HTTP], ids=["invoked", "over HTTP"])
def test_function_errors_are_the_same_for_both_access_methods(
    access: AccessConfig, returned: dict[str, object], decision: type[FetchError], errcode: str, message: str
) -> None:
    replies = (token("T1"), invoked(**returned)) if access is FUNCTION else (reply(**returned),)
    _, reason = fetched(access, *replies)
    assert isinstance(reason, decision)
    assert reason.errcode == errcode
    assert message in str(reason)


INVOCATION_ERRORS = [
    (error(-1, "system error"), Failed, "-1", "WeChat is busy"),
    (error(-1000, "system error"), Failed, "-1000", "retried automatically"),
    (error(40101, "missing parameter"), Refused, "40101", "check `env` and `name`"),
    (error(85088, "no qbase privilege"), Refused, "85088", "enable cloud development"),
    (error(-501000, "FunctionName parameter could not be found"), Failed, "other", "cloud environment error"),
    (error(-504003, "Invoking task timed out after 3 seconds"), Failed, "other", "the function's log"),
    (reply(errcode=0, errmsg="ok"), Failed, "malformed", "no function result in resp_data"),
    (reply(errcode=0, errmsg="ok", resp_data="null"), Failed, "malformed", "not a JSON object"),
    (reply(errcode=0, errmsg="ok", resp_data="<html>"), Failed, "malformed", "not JSON"),
]


@pytest.mark.parametrize(("answer", "decision", "errcode", "message"), INVOCATION_ERRORS)
def test_invocation_errors_differ_from_function_errors(
    answer: ApiResponse, decision: type[FetchError], errcode: str, message: str
) -> None:
    _, reason = fetched(FUNCTION, token("T1"), answer)
    assert isinstance(reason, decision)
    assert reason.errcode == errcode
    assert message in str(reason)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_http_function_that_denies_access_is_a_refusal(status: int) -> None:
    _, reason = fetched(HTTP, ApiResponse(status, b"key-of-the-exporter is wrong"))
    assert isinstance(reason, Refused)
    assert str(reason).startswith(f"the HTTP access service denied access (HTTP {status})")


# --- from inside WeChat Cloud Hosting --------------------------------------------------------------------


def test_cloud_hosting_uses_plain_http_without_a_token() -> None:
    calls, result = fetched(CloudHosting(), rows())
    assert visitors(result) == 754
    assert (calls[0].url, calls[0].query) == (f"http://api.weixin.qq.com{WEEKLY.path}", ())
    calls, _ = fetched(CloudHosting(from_appid="wxother"), rows())
    assert calls[0].query == (("from_appid", "wxother"),)


def test_cloudbase_token_is_read_every_10_minutes_and_uses_https(tmp_path: Path) -> None:
    """A rejected token is read again at once."""
    clock = FakeClock(NOW)
    file = FileSecret(tmp_path / "token")
    file.path.write_text("C1")
    access = open_access(app(CloudHosting(cloudbase_token=file)), AccessContext(BASE, clock))
    seen = []
    for seconds, value in ((0, "C1"), (599, "C2"), (1, "C2")):
        file.path.write_text(value)
        clock.now += seconds
        calls, _ = exchange(access.fetch(WEEKLY, WEEK), rows())
        assert calls[0].url == BASE + WEEKLY.path
        seen += calls[0].query
    assert seen == [("cloudbase_access_token", value) for value in ("C1", "C1", "C2")]
    file.path.write_text("C3")
    calls, result = exchange(access.fetch(WEEKLY, WEEK), REJECTED, rows())
    assert visitors(result) == 754
    assert calls[1].query == (("cloudbase_access_token", "C3"),)


HOSTING_ERRORS = [
    (error(41001, "access_token missing"), Refused, "enable the open interface service in the Cloud Hosting console"),
    (ApiResponse(502, b""), Failed, f"if the error persists, allow {WEEKLY.path} in the Cloud Hosting console"),
    (error(61503), NotReady, "not published yet"),
]


@pytest.mark.parametrize(("answer", "decision", "message"), HOSTING_ERRORS)
def test_cloud_hosting_error_names_the_console_setting(
    answer: ApiResponse, decision: type[FetchError], message: str
) -> None:
    _, reason = fetched(CloudHosting(), answer)
    assert isinstance(reason, decision)
    assert message in str(reason)


# --- the tables ------------------------------------------------------------------------------------------


def test_every_access_method_and_token_source_has_its_class() -> None:
    assert set(ACCESS_METHODS) == set(AccessConfig.__args__)  # type: ignore[attr-defined]
    assert set(TOKEN_SOURCES) == set(TokenConfig.__args__)  # type: ignore[attr-defined]


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


@pytest.mark.parametrize(("access", "endpoints"), ENDPOINTS)
def test_endpoints_of_an_access_method_are_those_of_its_calls(access: AccessConfig, endpoints: tuple[str, ...]) -> None:
    assert endpoints_of(access, [WEEKLY]) == endpoints


def test_token_source_lists_every_secret_it_sent(platform: Authorizer) -> None:
    source = source_of(platform, APPID, AccessContext(BASE, FakeClock(NOW)))
    exchange(source.token(), authorized("ACCESS-ONE", "REFRESH-TWO"))
    assert {"ACCESS-ONE", "COMPONENT-TOKEN", "REFRESH-ONE"} <= set(source.secrets)

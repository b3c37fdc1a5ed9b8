"""The tests play the server by hand: a conversation yields calls and is sent replies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rig import Wall

from exporter.config import App, FileSecret, LiteralSecret
from exporter.wechat.access import StableToken
from exporter.wechat.codes import Failed, Refused, TokenRejected, Unanswered
from exporter.wechat.exchange import Call, Reply

if TYPE_CHECKING:
    from pathlib import Path

BASE = "https://api.weixin.qq.com"
SECRET = "0123456789abcdef0123456789abcdef"
APP = App(appid="wx0123456789abcdef", secret=LiteralSecret(SECRET))
CALL = Call("weekly", "POST", f"{BASE}/datacube/x", body=b"{}")


NOW = 1_795_000_000.0


def token(value: str, expires_in: float = 7200) -> Reply:
    return Reply(200, json.dumps({"access_token": value, "expires_in": expires_in}).encode())


def good(reply: Reply) -> bytes:
    return reply.body


def rejected(reply: Reply) -> bytes:
    raise TokenRejected(f"40001 {reply.body.decode()}", "40001")


def talk(conversation: object, *replies: Reply) -> tuple[list[Call], object]:
    """Plays the server; returns the calls that were made and how it ended."""
    calls = []
    answers = iter(replies)
    try:
        calls.append(next(conversation))  # type: ignore[call-overload]
        for answer in answers:
            calls.append(conversation.send(answer))  # type: ignore[attr-defined]  # noqa: PERF401 (it may end in the middle)
    except StopIteration as end:
        return calls, end.value
    except Unanswered as reason:
        return calls, reason
    raise AssertionError(f"the conversation goes on after {len(calls)} calls")


def test_a_token_is_asked_for_in_normal_mode_and_the_call_carries_it() -> None:
    calls, result = talk(StableToken(APP, BASE, Wall(NOW)).converse(CALL, good), token("T1"), Reply(200, b"row"))
    assert result == b"row"
    assert [call.endpoint for call in calls] == ["stable_token", "weekly"]
    assert calls[0].url == f"{BASE}/cgi-bin/stable_token"
    assert json.loads(calls[0].body) == {
        "grant_type": "client_credential",
        "appid": APP.appid,
        "secret": SECRET,
        "force_refresh": False,
    }
    assert calls[1].query == (("access_token", "T1"),)
    assert (calls[1].url, calls[1].body) == (CALL.url, CALL.body)


def test_a_token_serves_while_it_lives_and_no_longer() -> None:
    wall = Wall(NOW)
    way = StableToken(APP, BASE, wall)
    talk(way.converse(CALL, good), token("T1", 300), Reply(200, b""))
    wall.now += 299
    calls, _ = talk(way.converse(CALL, good), Reply(200, b""))
    assert [call.endpoint for call in calls] == ["weekly"]
    wall.now += 1
    calls, _ = talk(way.converse(CALL, good), token("T2"), Reply(200, b""))
    assert calls[1].query == (("access_token", "T2"),)


def test_a_rejected_token_is_replaced_once_and_the_call_repeated() -> None:
    reads = iter([rejected, good])
    calls, result = talk(
        StableToken(APP, BASE, Wall(NOW)).converse(CALL, lambda reply: next(reads)(reply)),  # noqa: PLW0108 (a new one each time)
        token("T1"),
        Reply(200, b"no"),
        token("T2"),
        Reply(200, b"row"),
    )
    assert result == b"row"
    assert [call.query for call in calls] == [(), (("access_token", "T1"),), (), (("access_token", "T2"),)]


def test_the_same_token_again_is_not_tried_again() -> None:
    way = StableToken(APP, BASE, Wall(NOW))
    calls, reason = talk(way.converse(CALL, rejected), token("T1"), Reply(200, b"no"), token("T1"))
    assert isinstance(reason, Refused)
    assert (reason.errcode, len(calls)) == ("40001", 3)
    assert "the same token again" in str(reason)


def test_a_second_rejection_is_a_refusal_and_the_next_look_begins_afresh() -> None:
    way = StableToken(APP, BASE, Wall(NOW))
    replies = (token("T1"), Reply(200, b"no"), token("T2"), Reply(200, b"no"))
    calls, reason = talk(way.converse(CALL, rejected), *replies)
    assert isinstance(reason, Refused)
    assert "a second token was rejected, too" in str(reason)
    assert len(calls) == 4
    calls, _ = talk(way.converse(CALL, good), token("T3"), Reply(200, b""))
    assert calls[0].endpoint == "stable_token"


def test_a_secret_is_read_anew_for_every_token(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong-secret")
    way = StableToken(App(appid="wx1", secret=FileSecret(file)), BASE, Wall(NOW))
    wrong = Reply(200, b'{"errcode":40125,"errmsg":"invalid appsecret"}')
    _, reason = talk(way.converse(CALL, good), wrong)
    assert isinstance(reason, Refused)
    file.write_text("right-secret\n")
    calls, _ = talk(way.converse(CALL, good), token("T1"), Reply(200, b""))
    assert json.loads(calls[0].body)["secret"] == "right-secret"


def test_a_secret_that_is_gone_is_a_refusal_without_a_call(tmp_path: Path) -> None:
    way = StableToken(App(appid="wx1", secret=FileSecret(tmp_path / "none")), BASE, Wall(NOW))
    calls, reason = talk(way.converse(CALL, good))
    assert isinstance(reason, Refused)
    assert calls == []
    assert str(reason) == "the secret file does not exist"


@pytest.mark.parametrize("echo", [SECRET, "T1-that-is-long"])
def test_a_secret_or_token_that_the_server_echoes_is_cut_out(echo: str) -> None:
    def read(reply: Reply) -> bytes:
        raise Failed(f"1 {reply.body.decode()}: words", "other")

    way = StableToken(APP, BASE, Wall(NOW))
    _, reason = talk(way.converse(CALL, read), token("T1-that-is-long"), Reply(200, f"you sent {echo}!".encode()))
    assert str(reason) == "1 you sent <SECRET>!: words"


def test_a_rejected_token_is_cut_out_of_later_words_too() -> None:
    def echo(reply: Reply) -> bytes:
        raise Failed(reply.body.decode(), "other")

    reads = iter([rejected, echo])
    _, reason = talk(
        StableToken(APP, BASE, Wall(NOW)).converse(CALL, lambda reply: next(reads)(reply)),  # noqa: PLW0108 (a new one each time)
        token("FIRST-TOKEN"),
        Reply(200, b"no"),
        token("SECOND-TOKEN"),
        Reply(200, b"FIRST-TOKEN SECOND-TOKEN"),
    )
    assert str(reason) == "<SECRET> <SECRET>"


def test_a_secret_at_the_edge_of_a_long_message_does_not_leave_its_beginning_behind() -> None:
    body = json.dumps({"errcode": 40125, "errmsg": "x" * 190 + SECRET}).encode()
    _, reason = talk(StableToken(APP, BASE, Wall(NOW)).converse(CALL, good), Reply(200, body))
    assert SECRET[:4] not in str(reason)


def test_the_token_endpoints_busy_is_a_failure_and_its_quota_is_spent() -> None:
    _, reason = talk(StableToken(APP, BASE, Wall(NOW)).token(), Reply(200, b'{"errcode":-1,"errmsg":"system error"}'))
    assert isinstance(reason, Failed)
    assert (reason.errcode, reason.about_week) == ("-1", False)


def test_no_call_shows_its_token_or_secret() -> None:
    calls, _ = talk(StableToken(APP, BASE, Wall(NOW)).converse(CALL, good), token("T1-that-is-long"), Reply(200, b""))
    assert "T1-that-is-long" not in repr(calls)
    assert SECRET not in repr(calls)
    assert "T1" not in repr(token("T1"))

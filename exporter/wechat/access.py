"""Ways to a token, as conversations without I/O.

A conversation is a generator: it yields calls, is sent the replies, and returns what was wanted or raises
the reason why there is none (``codes.Unanswered``). Whoever drives it owns the network, so that a test can play
the server by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from exporter.config import SecretUnavailable
from exporter.wechat.codes import Refused, TokenRejected, Unanswered
from exporter.wechat.exchange import JSON, Call, Reply
from exporter.wechat.protocol import parse_token, token_body

if TYPE_CHECKING:
    from exporter.config import App

T = TypeVar("T")
Conversation = Generator[Call, Reply, T]
Clock = Callable[[], float]

_HIDDEN = "<SECRET>"
_SHORTEST_SECRET = 8  # a shorter one is a word of every answer

STABLE_TOKEN = "stable_token"  # noqa: S105 (an endpoint's name)
STABLE_TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105 (a path)


class Access(Protocol):
    """One way by which one app's reports can be read."""

    def converse(self, call: Call, read: Callable[[Reply], T]) -> Conversation[T]:
        """Makes the call with what the way adds to it, and reads the reply."""
        ...


class StableToken:
    """AppID and AppSecret for a token from ``stable_token``, held in memory (wechat-api.md section 3).

    Always in normal mode, which returns the same token while it lives and logs nobody out. A rejected token
    is replaced once, and only by a different one.
    """

    def __init__(self, app: App, base_url: str, clock: Clock) -> None:
        self._app = app
        self._url = base_url + STABLE_TOKEN_PATH
        self._clock = clock
        self._token = ""
        self._rejected = ""
        self._secret = ""
        self._expires_at = 0.0

    def token(self) -> Conversation[str]:
        """Gets a token, from memory while it lives.

        Raises:
            Refused: the secret cannot be read, or WeChat does not accept it.
            QuotaSpent, Failed: as the table of codes says.
        """
        if self._token and self._clock() < self._expires_at:
            return self._token
        return (yield from self._new_token())

    def converse(self, call: Call, read: Callable[[Reply], T]) -> Conversation[T]:
        """Makes the call with a token; if that is rejected, once more with a different one.

        Raises:
            Unanswered: why there is no result; a second rejection is ``Refused``.
        """
        token = yield from self.token()
        try:
            return self._read((yield _with_token(call, token)), read)
        except TokenRejected as rejected:
            self._rejected = token  # WeChat lets it live on for a while
            other = yield from self._new_token()
            if other == token:
                self._token = ""
                raise Refused(f"{rejected}; WeChat gave the same token again", rejected.errcode) from None
        try:
            return self._read((yield _with_token(call, other)), read)
        except TokenRejected as rejected:
            self._token = ""
            raise Refused(f"{rejected}; a second token was rejected, too", rejected.errcode) from None

    def _new_token(self) -> Conversation[str]:
        self._token = ""
        try:
            self._secret = self._app.secret.read()
        except SecretUnavailable as unavailable:
            raise Refused(str(unavailable)) from None
        body = token_body(self._app.appid, self._secret)
        reply = yield Call(STABLE_TOKEN, "POST", self._url, headers=JSON, body=body)
        now = self._clock()
        token = self._read(reply, lambda reply: parse_token(reply, now))
        self._token, self._expires_at = token.value, now + token.expires_in
        return token.value

    def _read(self, reply: Reply, read: Callable[[Reply], T]) -> T:
        """Reads a reply; our own secret and token are cut out of it, should the server echo them."""
        ours = [hidden for hidden in (self._secret, self._token, self._rejected) if len(hidden) >= _SHORTEST_SECRET]
        body = reply.body
        for hidden in ours:
            body = body.replace(hidden.encode(), _HIDDEN.encode())
        try:
            return read(replace(reply, body=body))
        except Unanswered as reason:
            words = str(reason)
            for hidden in ours:  # again: JSON can write a text in many ways
                words = words.replace(hidden, _HIDDEN)
            reason.args = (words,)
            raise


def way_in(app: App, base_url: str, clock: Clock) -> Access:
    """The way that an app's configuration chose."""
    return StableToken(app, base_url, clock)


def _with_token(call: Call, token: str) -> Call:
    return replace(call, query=(("access_token", token), *call.query))

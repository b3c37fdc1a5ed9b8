"""Where tokens come from (wechat-api.md section 3). A source remembers a token while it lives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from exporter.config import AppSecret, Authorizer, SecretUnavailable, TokenFile, TokenUrl
from exporter.wechat.access.request_flow import (
    Clock,
    RequestFlow,
    expand_url,
    parse_redacted,
    possible_secrets,
    read_headers,
    read_secret,
)
from exporter.wechat.codes import FetchError, Refused, TokenRejected
from exporter.wechat.messages import JSON, ApiRequest
from exporter.wechat.protocol import (
    Token,
    authorizer_body,
    parse_authorizer_token,
    parse_served_token,
    parse_token,
    token_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from exporter.config import Tokens

    T = TypeVar("T")

STABLE_TOKEN = "stable_token"  # noqa: S105 (an endpoint's name)
STABLE_TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105 (a path)
TOKEN_URL = "token_url"  # noqa: S105 (an endpoint's name)
AUTHORIZER_TOKEN = "api_authorizer_token"  # noqa: S105 (an endpoint's name)
AUTHORIZER_TOKEN_PATH = "/cgi-bin/component/api_authorizer_token"  # noqa: S105 (a path)

_LOOK_AGAIN = 60.0

log = structlog.get_logger()


class TokenSource(ABC):
    """Gives tokens, and another one for one that was rejected."""

    ENDPOINTS: ClassVar[tuple[str, ...]] = ()
    """The ``endpoint`` labels of its calls."""
    RENEWED_BY_OTHERS: ClassVar[float] = 0.0
    """Seconds after which somebody else may have renewed it; 0 where nobody does."""
    SAME_AGAIN: ClassVar[str]
    """What to say where the token that was rejected is all that it has."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._token = ""
        self._before = ""
        self._expires_at = 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen: everything secret that it had lately."""
        return (self._token, self._before)

    def succeed(self, before: TokenSource) -> None:  # noqa: B027 (most have nothing left to do)
        """Takes over what the source of the same app under the configuration before has left to do."""

    def token(self) -> RequestFlow[str]:
        """A token, from memory while it lives.

        Raises:
            Refused: a person must act before there is one.
            QuotaSpent, Failed: as the table of codes says.
        """
        if self._token and self._clock() < self._expires_at:
            return self._token
        return (yield from self.fresh())

    def fresh(self) -> RequestFlow[str]:
        """A token that was asked for just now."""
        self._before, self._token = self._token or self._before, ""
        token = yield from self._fetch()
        self._token, self._expires_at = token.value, self._clock() + token.expires_in
        return self._token

    def try_with(self, attempt: Callable[[str], RequestFlow[T]]) -> RequestFlow[T]:
        """Makes an attempt with a token; if that is rejected, once more with a different one.

        Raises:
            FetchError: why there is no result; a second rejection is ``Refused``.
        """
        token = yield from _about_app(self.token())
        try:
            return (yield from attempt(token))
        except TokenRejected as rejected:
            other = yield from _about_app(self.fresh())
            if other == token:
                self._token = ""
                words = f"{rejected}; {self.SAME_AGAIN}"
                retry_after = self.RENEWED_BY_OTHERS
                raise Refused(words, rejected.errcode, about_app=True, retry_after=retry_after) from None
        try:
            return (yield from attempt(other))
        except TokenRejected as rejected:
            self._token = ""
            words = f"{rejected}; a second token was rejected, too"
            raise Refused(words, rejected.errcode, about_app=True) from None

    @abstractmethod
    def _fetch(self) -> RequestFlow[Token]:
        """Gets a token from where they come from."""


class StableToken(TokenSource):
    """AppID and AppSecret for a token from ``stable_token``.

    Always in normal mode, which returns the same token while it lives and logs nobody out.
    """

    ENDPOINTS = (STABLE_TOKEN,)
    SAME_AGAIN = "WeChat gave the same token again"

    def __init__(self, way: AppSecret, appid: str, base_url: str, clock: Clock) -> None:
        super().__init__(clock)
        self._way = way
        self._appid = appid
        self._url = base_url + STABLE_TOKEN_PATH
        self._secret = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The AppSecret, too."""
        return (self._secret, *super().secrets)

    def _fetch(self) -> RequestFlow[Token]:
        self._secret = read_secret(self._way.secret)
        reply = yield ApiRequest(
            STABLE_TOKEN, "POST", self._url, headers=JSON, body=token_body(self._appid, self._secret)
        )
        return parse_redacted(lambda reply: parse_token(reply, self._clock()), reply, self.secrets)


class FileToken(TokenSource):
    """A token from a file that somebody else keeps fresh; the file is read anew ``every`` so many seconds."""

    RENEWED_BY_OTHERS = _LOOK_AGAIN
    SAME_AGAIN = "the token file still holds the same: whatever writes it must renew it"

    def __init__(self, way: TokenFile, _appid: str, _base_url: str, clock: Clock, every: float = 0.0) -> None:
        super().__init__(clock)
        self._file = way.file
        self._every = every

    def _fetch(self) -> RequestFlow[Token]:
        yield from ()
        try:
            return Token(self._file.read(), self._every)
        except SecretUnavailable as unavailable:
            raise Refused(str(unavailable), retry_after=self.RENEWED_BY_OTHERS) from None


class UrlToken(TokenSource):
    """A token from a central token server."""

    ENDPOINTS = (TOKEN_URL,)
    RENEWED_BY_OTHERS = _LOOK_AGAIN
    SAME_AGAIN = "the token server gave the same token again: it must renew it"

    def __init__(self, way: TokenUrl, appid: str, _base_url: str, clock: Clock) -> None:
        super().__init__(clock)
        self._way = way
        self._url = expand_url(way.url, appid)
        self._headers: tuple[tuple[str, str], ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is a key in its address and headers, too."""
        return (*possible_secrets(self._url, self._headers), *super().secrets)

    def _fetch(self) -> RequestFlow[Token]:
        self._headers = read_headers(self._way.headers)
        reply = yield ApiRequest(TOKEN_URL, self._way.method, self._url, headers=self._headers)
        return parse_redacted(lambda reply: parse_served_token(reply, self._way, self._clock()), reply, self.secrets)


class AuthorizerToken(TokenSource):
    """A token that a third-party platform gets for an app that has authorized it."""

    ENDPOINTS = (AUTHORIZER_TOKEN,)
    SAME_AGAIN = "WeChat gave the same token again"

    def __init__(self, way: Authorizer, appid: str, base_url: str, clock: Clock) -> None:
        super().__init__(clock)
        self._way = way
        self._appid = appid
        self._component = source_of(way.component_token, way.component_appid, base_url, clock)
        self._url = base_url + AUTHORIZER_TOKEN_PATH
        self._sent = ""
        self._rotated: tuple[str, str] | None = None
        """What the refresh token was before WeChat last changed it, and what it is since."""
        self._former: AuthorizerToken | None = None
        self._unsaved: tuple[str, str] | None = None
        """What the file held, and the newer refresh token that it did not take."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Component token and refresh tokens, too."""
        return (self._sent, *(self._unsaved or ()), *self._component.secrets, *super().secrets)

    def succeed(self, before: TokenSource) -> None:
        """A refresh token that another file holds, or none, is not lost with the configuration that named the file.

        It may change even now: the one before may have a call under way.
        """
        if isinstance(before, AuthorizerToken) and before._way.component_appid == self._way.component_appid:  # noqa: SLF001 (its own class)
            self._former, before._former = before, None  # noqa: SLF001 (the same)

    def _fetch(self) -> RequestFlow[Token]:
        return (yield from self._component.try_with(self._exchange))

    def _exchange(self, component_token: str) -> RequestFlow[Token]:
        held = read_secret(self._way.refresh_token)
        if self._unsaved is None and self._former is not None:
            self._unsaved = self._former._rotated  # noqa: SLF001 (its own class)
        self._sent = self._refresh_token(held)
        reply = yield ApiRequest(
            AUTHORIZER_TOKEN,
            "POST",
            self._url,
            query=(("component_access_token", component_token),),
            headers=JSON,
            body=authorizer_body(self._way.component_appid, self._appid, self._sent),
        )
        token, refresh_token = parse_redacted(
            lambda reply: parse_authorizer_token(reply, self._clock()), reply, self.secrets
        )
        if refresh_token not in {"", self._sent}:
            self._unsaved = self._rotated = (held, refresh_token)
        if self._unsaved is not None:
            self._save(*self._unsaved)
        return token

    def _refresh_token(self, held: str) -> str:
        """What the file holds, unless that is what a newer one could not replace."""
        if self._unsaved is not None and held != self._unsaved[0]:
            self._unsaved = None  # somebody wrote a newer one
        return held if self._unsaved is None else self._unsaved[1]

    def _save(self, held: str, refresh_token: str) -> None:
        try:
            if self._way.refresh_token.read() != held:
                self._unsaved = None
                log.warning("the refresh token file was written meanwhile: left as it is", appid=self._appid)
                return
            self._way.refresh_token.keep(refresh_token)
        except SecretUnavailable as error:
            problem = str(error)
        else:
            self._unsaved = None
            log.info("WeChat changed the refresh token: written to its file", appid=self._appid)
            return
        log.error(
            "WeChat changed the refresh token, and it cannot be written: make the file writable before the exporter"
            " ends, or the app must be authorized again",
            appid=self._appid,
            problem=problem,
        )


# Any: each class takes the way that it is entered under.
TOKEN_SOURCES: dict[type[Any], type[Any]] = {
    AppSecret: StableToken,
    TokenFile: FileToken,
    TokenUrl: UrlToken,
    Authorizer: AuthorizerToken,
}
"""Who gets the tokens that a configuration describes."""


def _about_app(conversation: RequestFlow[str]) -> RequestFlow[str]:
    """Without a token no report of the app can be fetched, whatever the reason."""
    try:
        return (yield from conversation)
    except FetchError as reason:
        reason.about_app = True
        raise


def token_endpoints(tokens: Tokens) -> tuple[str, ...]:
    """The ``endpoint`` labels that the calls for tokens of this kind can have."""
    own: tuple[str, ...] = TOKEN_SOURCES[type(tokens)].ENDPOINTS
    return (*token_endpoints(tokens.component_token), *own) if isinstance(tokens, Authorizer) else own


def source_of(tokens: Tokens, appid: str, base_url: str, clock: Clock) -> TokenSource:
    """The source of tokens that a configuration describes."""
    source: TokenSource = TOKEN_SOURCES[type(tokens)](tokens, appid, base_url, clock)
    return source

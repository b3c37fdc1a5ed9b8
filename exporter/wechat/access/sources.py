"""Token sources: where access tokens come from (docs/wechat-api.md section 3).

A source keeps its token in memory while it is valid and replaces a rejected one exactly once per fetch, and only by a
different one: WeChat returns the same stable token until it expires, so that repeating the request with it would fail
again and use up quota. Tokens are never written to disk. After a restart ``stable_token`` returns the same token.

No lock: the poller has at most one fetch in flight per access method, and each access method has its own source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from exporter.config import AppSecret, Authorizer, SecretUnavailable, TokenFile, TokenUrl
from exporter.wechat.access.refresh_tokens import Authorization
from exporter.wechat.access.request_flow import (
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

    from exporter.config import TokenConfig
    from exporter.wechat.access.context import AccessContext

    T = TypeVar("T")

STABLE_TOKEN = "stable_token"  # noqa: S105 (an endpoint's name)
STABLE_TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105 (a path)
TOKEN_URL = "token_url"  # noqa: S105 (an endpoint's name)
AUTHORIZER_TOKEN = "api_authorizer_token"  # noqa: S105 (an endpoint's name)
AUTHORIZER_TOKEN_PATH = "/cgi-bin/component/api_authorizer_token"  # noqa: S105 (a path)

_EXTERNAL_RENEWAL_SECONDS = 60.0

log = structlog.get_logger()


class TokenSource(ABC):
    """Provides access tokens, and a different one in place of a rejected one."""

    ENDPOINTS: ClassVar[tuple[str, ...]] = ()
    """The ``endpoint`` labels of its requests."""
    RETRY_SECONDS: ClassVar[float] = 0.0
    """When to retry a token that another program renews; 0 if the exporter itself fetches it."""
    SAME_AGAIN: ClassVar[str]
    """Error text for a rejected token that the source has no replacement for."""

    def __init__(self, context: AccessContext) -> None:
        self._context = context
        self._token = ""
        self._previous = ""
        self._expires_at = 0.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything secret that was sent lately and that a response may repeat."""
        return (self._token, self._previous)

    def token(self) -> RequestFlow[str]:
        """Return a token, from memory while it is valid.

        Raises:
            Refused: action required before there is a token.
            QuotaSpent, Failed: as in the table of codes.
        """
        if self._token and self._context.clock() < self._expires_at:
            return self._token
        return (yield from self._renew())

    def run_with_token(self, attempt: Callable[[str], RequestFlow[T]]) -> RequestFlow[T]:
        """Run an attempt with a token; if the token is rejected, once more with a different one.

        Raises:
            FetchError: the reason why there is no result; a second rejection is ``Refused``.
        """
        token = yield from _about_app(self.token())
        try:
            return (yield from attempt(token))
        except TokenRejected as rejected:
            # Once only: if the second is rejected too, another program replaces the tokens; a loop would use up quota.
            other = yield from _about_app(self._renew())
            if other == token:
                self._token = ""
                raise Refused(
                    f"{rejected}; {self.SAME_AGAIN}",
                    rejected.errcode,
                    about_app=True,
                    retry_after=self.RETRY_SECONDS,
                ) from None
        try:
            return (yield from attempt(other))
        except TokenRejected as rejected:
            self._token = ""
            message = f"{rejected}; a second token was also rejected"
            raise Refused(message, rejected.errcode, about_app=True) from None

    def _renew(self) -> RequestFlow[str]:
        # The previous token stays among the secrets: the response to the next request may still repeat it.
        self._previous, self._token = self._token or self._previous, ""
        token = yield from self._fetch()
        # WeChat accepts the old token for five minutes after it issued a new one, so no margin is needed here.
        self._token, self._expires_at = token.value, self._context.clock() + token.expires_in
        return self._token

    @abstractmethod
    def _fetch(self) -> RequestFlow[Token]:
        """Return a new token."""


class StableToken(TokenSource):
    """A token from ``stable_token``, for AppID and AppSecret.

    Always in normal mode, which returns the same token while it is valid and so does not log out other programs.
    """

    ENDPOINTS = (STABLE_TOKEN,)
    SAME_AGAIN = "WeChat returned the same token again"

    def __init__(self, settings: AppSecret, appid: str, context: AccessContext) -> None:
        super().__init__(context)
        self._settings = settings
        self._appid = appid
        self._secret = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The tokens and the AppSecret."""
        return (self._secret, *super().secrets)

    def _fetch(self) -> RequestFlow[Token]:
        # Read for every token: a secret that was reset at WeChat and replaced in its file needs no reload.
        self._secret = read_secret(self._settings.secret)
        url = self._context.base_url + STABLE_TOKEN_PATH
        body = token_body(self._appid, self._secret)
        response = yield ApiRequest(STABLE_TOKEN, "POST", url, headers=JSON, body=body)
        return parse_redacted(lambda response: parse_token(response, self._context.clock()), response, self.secrets)


class FileToken(TokenSource):
    """A token from a file that another program keeps valid.

    Args:
        settings: the file.
        context: shared by all access methods.
        every: seconds after which the file is read again; 0 reads it for every fetch.
    """

    RETRY_SECONDS = _EXTERNAL_RENEWAL_SECONDS
    SAME_AGAIN = "the token file is unchanged: the program that writes it must renew the token"

    def __init__(self, settings: TokenFile, _appid: str, context: AccessContext, every: float = 0.0) -> None:
        super().__init__(context)
        self._file = settings.file
        self._every = every

    def _fetch(self) -> RequestFlow[Token]:
        yield from ()  # makes this function a generator like the others, although it sends nothing
        try:
            return Token(self._file.read(), self._every)
        except SecretUnavailable as unavailable:
            raise Refused(str(unavailable), retry_after=self.RETRY_SECONDS) from None


class UrlToken(TokenSource):
    """A token from a central token server."""

    ENDPOINTS = (TOKEN_URL,)
    RETRY_SECONDS = _EXTERNAL_RENEWAL_SECONDS
    SAME_AGAIN = "the token server returned the same token again: it must renew the token"

    def __init__(self, settings: TokenUrl, appid: str, context: AccessContext) -> None:
        super().__init__(context)
        self._settings = settings
        self._url = expand_url(settings.url, appid)
        self._headers: tuple[tuple[str, str], ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The tokens, and the values of query and headers."""
        return (*possible_secrets(self._url, self._headers), *super().secrets)

    def _fetch(self) -> RequestFlow[Token]:
        self._headers = read_headers(self._settings.headers)
        response = yield ApiRequest(TOKEN_URL, self._settings.method, self._url, headers=self._headers)
        return parse_redacted(
            lambda response: parse_served_token(response, self._settings, self._context.clock()),
            response,
            self.secrets,
        )


class AuthorizerToken(TokenSource):
    """A token that a third-party platform gets for an app that has authorized it.

    WeChat may replace the refresh token in any response; ``RefreshTokens`` explains why the new one is kept there. It
    is also written to the file: at once, or with a later fetch if the file is not writable now.
    """

    ENDPOINTS = (AUTHORIZER_TOKEN,)
    SAME_AGAIN = "WeChat returned the same token again"

    def __init__(self, settings: Authorizer, appid: str, context: AccessContext) -> None:
        super().__init__(context)
        self._settings = settings
        self._component = source_of(settings.component_token, settings.component_appid, context)
        self._authorization = Authorization(context.base_url, settings.component_appid, appid)
        self._sent = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The tokens, the component's token and the refresh tokens."""
        refresh_tokens = self._context.refresh_tokens.secrets(self._authorization)
        return (self._sent, *refresh_tokens, *self._component.secrets, *super().secrets)

    def _fetch(self) -> RequestFlow[Token]:
        return (yield from self._component.run_with_token(self._exchange))

    def _exchange(self, component_token: str) -> RequestFlow[Token]:
        refresh_tokens, authorization = self._context.refresh_tokens, self._authorization
        stored = read_secret(self._settings.refresh_token)
        self._sent = refresh_tokens.current(authorization, stored)
        response = yield ApiRequest(
            AUTHORIZER_TOKEN,
            "POST",
            self._context.base_url + AUTHORIZER_TOKEN_PATH,
            query=(("component_access_token", component_token),),
            headers=JSON,
            body=authorizer_body(authorization.component_appid, authorization.appid, self._sent),
        )
        token, refresh_token = parse_redacted(
            lambda response: parse_authorizer_token(response, self._context.clock()), response, self.secrets
        )
        if refresh_token not in {"", self._sent}:
            refresh_tokens.replace(authorization, stored, refresh_token)
        newest = refresh_tokens.current(authorization, stored)
        if newest != stored:
            self._save(stored, newest)
        return token

    def _save(self, stored: str, refresh_token: str) -> None:
        appid = self._authorization.appid
        try:
            # The file of a new authorization must not be overwritten with a token of the old one.
            if self._settings.refresh_token.read() != stored:
                reason = "the refresh token file was changed by another program"
                log.warning("refresh token not saved", appid=appid, reason=reason)
                return
            self._settings.refresh_token.save(refresh_token)
        except SecretUnavailable as unavailable:
            error = f"{unavailable}; make the file writable before the exporter stops, or authorize the app again"
        else:
            log.info("refresh token saved", appid=appid)
            return
        log.error("refresh token save failed", appid=appid, error=error)


# Any: each class takes the settings that it is listed under.
TOKEN_SOURCES: dict[type[Any], type[Any]] = {
    AppSecret: StableToken,
    TokenFile: FileToken,
    TokenUrl: UrlToken,
    Authorizer: AuthorizerToken,
}
"""The token source for each kind of settings."""


def _about_app(flow: RequestFlow[str]) -> RequestFlow[str]:
    """Mark every error of a token's flow as the app's: without a token none of its reports can be fetched."""
    try:
        return (yield from flow)
    except FetchError as error:
        error.about_app = True
        raise


def token_endpoints(tokens: TokenConfig) -> tuple[str, ...]:
    """Return the ``endpoint`` labels that the requests for these tokens can have."""
    own: tuple[str, ...] = TOKEN_SOURCES[type(tokens)].ENDPOINTS
    return (*token_endpoints(tokens.component_token), *own) if isinstance(tokens, Authorizer) else own


def source_of(tokens: TokenConfig, appid: str, context: AccessContext) -> TokenSource:
    """Return the token source that a configuration describes."""
    source: TokenSource = TOKEN_SOURCES[type(tokens)](tokens, appid, context)
    return source

"""The ways by which WeChat lets a program read an app's reports, as the operator chose them (wechat-api.md 3 and 5).

::

    AccessConfig
     +-- Datacube        the weekly call itself, with a token from one of
     |    +-- AppSecret   stable_token, by AppID and AppSecret
     |    +-- TokenFile   a file that somebody else keeps fresh
     |    +-- TokenUrl    a central token server
     |    +-- Authorizer  a third-party platform that the app has authorized
     +-- CloudFunction   a cloud function of the app, called through the API with a token from any of these
     +-- HttpFunction    a function behind the HTTP access service of a cloud environment
     +-- CloudHosting    the weekly call from inside WeChat Cloud Hosting
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.config.app.secrets import FileSecret, Secret

Headers = tuple[tuple[str, "Secret"], ...]
"""Names and values of HTTP headers; the values may be secrets."""


@dataclass(frozen=True, slots=True)
class AppSecret:
    """AppID and AppSecret, for a token from ``stable_token``."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that somebody else keeps fresh in a file."""

    file: FileSecret


@dataclass(frozen=True, slots=True)
class TokenUrl:
    """A central token server."""

    url: str = field(repr=False)
    """With ``{appid}`` where the app's appid belongs."""
    method: str = "GET"
    headers: Headers = ()
    json_field: str = "access_token"
    """Where the token is in the JSON answer; dots lead into objects."""
    expires_in: str = ""
    """Where the seconds are that it has left; empty: the answer does not say."""
    plain_text: bool = False
    """The whole answer is the token."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A third-party platform that the app has authorized."""

    component_appid: str
    component_token: TokenFile | TokenUrl
    refresh_token: FileSecret
    """Written anew when WeChat changes it."""


TokenConfig = AppSecret | TokenFile | TokenUrl | Authorizer


@dataclass(frozen=True, slots=True)
class Datacube:
    """The weekly call itself, with a token."""

    tokens: TokenConfig


@dataclass(frozen=True, slots=True)
class CloudFunction:
    """A cloud function of the app's, called through the API with a token of any kind."""

    tokens: TokenConfig
    env: str
    """The cloud environment's id."""
    name: str
    """The function's name."""


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function behind the HTTP access service of a cloud environment; no token of WeChat's."""

    url: str = field(repr=False)
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class CloudHosting:
    """The weekly call from inside WeChat Cloud Hosting, which knows the account by the container."""

    from_appid: str = ""
    """The account that is meant, where the environment is another account's."""
    cloudbase_token: FileSecret | None = None
    """The container's own token, sent in place of being known by the container."""


AccessConfig = Datacube | CloudFunction | HttpFunction | CloudHosting

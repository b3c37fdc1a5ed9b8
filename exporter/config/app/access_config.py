"""Access methods as configured: how the exporter reads an app's reports (docs/wechat-api.md 3 and 5).

::

    AccessConfig
     +-- Datacube        the datacube API, called with a token from one of
     |    +-- AppSecret   stable_token, by AppID and AppSecret
     |    +-- TokenFile   a file that another program keeps up to date
     |    +-- TokenUrl    a central token server
     |    +-- Authorizer  a third-party platform that the app has authorized
     +-- CloudFunction   a cloud function of the app, called through the API with a token of any of these kinds
     +-- HttpFunction    a function behind the HTTP access service of a cloud environment
     +-- CloudHosting    the datacube API, called from inside WeChat Cloud Hosting
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
    """A token from ``stable_token``, requested with AppID and AppSecret."""

    secret: Secret


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token in a file that another program keeps up to date."""

    file: FileSecret


@dataclass(frozen=True, slots=True)
class TokenUrl:
    """A token from a central token server."""

    url: str = field(repr=False)
    """With ``{appid}`` as the placeholder of the appid. Not in ``repr``: its query may contain a key."""
    method: str = "GET"
    headers: Headers = ()
    json_field: str = "access_token"
    """The field of the JSON response that contains the token, with dots for nested objects."""
    expires_in: str = ""
    """The field with the token's remaining lifetime in seconds; empty if the response has none."""
    plain_text: bool = False
    """Whether the response body is the token itself."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A token from a third-party platform that the app has authorized."""

    component_appid: str
    component_token: TokenFile | TokenUrl
    refresh_token: FileSecret
    """Replaced by the exporter when WeChat issues a new one."""


TokenConfig = AppSecret | TokenFile | TokenUrl | Authorizer


@dataclass(frozen=True, slots=True)
class Datacube:
    """The datacube API, called with a token."""

    tokens: TokenConfig


@dataclass(frozen=True, slots=True)
class CloudFunction:
    """A cloud function of the app, called through the API with a token of any kind."""

    tokens: TokenConfig
    env: str
    """ID of the cloud environment."""
    name: str
    """Name of the function."""


@dataclass(frozen=True, slots=True)
class HttpFunction:
    """A function behind the HTTP access service of a cloud environment; needs no token from WeChat."""

    url: str = field(repr=False)
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class CloudHosting:
    """The datacube API, called from inside WeChat Cloud Hosting, which identifies the account by the container."""

    from_appid: str = ""
    """The account to read, if the environment belongs to another account."""
    cloudbase_token: FileSecret | None = None
    """The container's own token, sent so that WeChat need not identify the container."""


AccessConfig = Datacube | CloudFunction | HttpFunction | CloudHosting

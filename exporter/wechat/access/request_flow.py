"""Generators that yield requests and are sent the responses, and what they share: secrets and addresses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from exporter.config import APPID_PLACE, SecretUnavailable
from exporter.wechat.codes import Refused
from exporter.wechat.messages import ApiRequest, ApiResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.config import Secret
    from exporter.config.app.access_config import Headers

T = TypeVar("T")
RequestFlow = Generator[ApiRequest, ApiResponse, T]


def parse_redacted(parse: Callable[[ApiResponse], T], response: ApiResponse, secrets: Iterable[str]) -> T:
    """Parse a response; if an error text repeats one of the secrets, it is replaced by ``<SECRET>``."""
    return parse(replace(response, secrets=tuple(secrets)))


def read_secret(secret: Secret) -> str:
    """Return the current value of a secret.

    Raises:
        Refused: it cannot be read.
    """
    try:
        return secret.read()
    except SecretUnavailable as unavailable:
        raise Refused(str(unavailable), about_app=True) from None


def read_headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return headers with their current values.

    Raises:
        Refused: a value cannot be read or sent.
    """
    values = tuple((name, read_secret(value)) for name, value in headers)
    # Checked here, because http.client would quote the value in its error.
    if not all(value.isascii() and value.isprintable() for _, value in values):
        raise Refused("a header value contains characters that are not allowed in HTTP headers", about_app=True)
    return values


def expand_url(url: str, appid: str) -> str:
    """Return the URL of another service with the appid in place of ``{appid}``."""
    return url.replace(APPID_PLACE, quote(appid, safe=""))


def possible_secrets(url: str, headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the values of a URL's query and of headers, and each word of them (``Bearer ...``)."""
    values = [value for _, value in headers] + [value for _, value in parse_qsl(urlsplit(url).query)]
    return tuple(text for value in values for text in (value, *value.split()))

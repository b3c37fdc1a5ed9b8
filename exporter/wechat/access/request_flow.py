"""What all conversations share: their type, and that a reply never shows what we sent."""

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
    from exporter.config.app.ways import Headers

T = TypeVar("T")
RequestFlow = Generator[ApiRequest, ApiResponse, T]
Clock = Callable[[], float]


def parse_redacted(parse: Callable[[ApiResponse], T], reply: ApiResponse, secrets: Iterable[str]) -> T:
    """Parse a reply; what is secrets is removed from the text of a reason, should the server repeat it."""
    return parse(replace(reply, secrets=tuple(secrets)))


def read_secret(secret: Secret) -> str:
    """A secret as it is now.

    Raises:
        Refused: it cannot be had, and a person must act.
    """
    try:
        return secret.read()
    except SecretUnavailable as unavailable:
        raise Refused(str(unavailable), about_app=True) from None


def read_headers(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Headers with their values as they are now.

    Raises:
        Refused: a value cannot be had, or cannot be sent.
    """
    values = tuple((name, read_secret(value)) for name, value in headers)
    if not all(value.isascii() and value.isprintable() for _, value in values):
        raise Refused("the value of a header holds characters that no header can", about_app=True)
    return values


def expand_url(url: str, appid: str) -> str:
    """The address of another service, for one app."""
    return url.replace(APPID_PLACE, quote(appid, safe=""))


def possible_secrets(url: str, headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What may be a key in an address's query and in headers, whole and by their words (``Bearer ...``)."""
    values = [value for _, value in headers] + [value for _, value in parse_qsl(urlsplit(url).query)]
    return tuple(text for value in values for text in (value, *value.split()))

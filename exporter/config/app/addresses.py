"""URLs that requests are sent to. Plain HTTP is allowed to loopback only, since every request carries a secret."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

APPID_PLACE = "{appid}"
"""The placeholder of the appid in a URL."""

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def parse_base_url(text: str) -> str:
    """Return the base URL of WeChat's API in lower case, without a trailing slash and default port.

    Raises:
        ValueError: invalid, or plain HTTP to another machine; the message does not repeat the text.
    """
    if not text:
        raise ValueError("is empty; remove it to use https://api.weixin.qq.com")
    parts = _split(text)
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError("must not have a path, query or fragment")
    return _origin(parts)


def parse_url(text: str) -> str:
    """Return the URL of another service; ``{appid}`` is allowed in its path and query.

    Raises:
        ValueError: invalid, or plain HTTP to another machine; the message does not repeat the text.
    """
    if not text:
        raise ValueError("is empty")
    parts = _split(text)
    if "#" in text:
        raise ValueError("must not have a fragment (#)")
    if set("{}") & set(text.replace(APPID_PLACE, "")):
        raise ValueError(f"contains braces; the only placeholder is {APPID_PLACE}")
    query = f"?{parts.query}" if parts.query else ""
    return f"{_origin(parts)}{parts.path or '/'}{query}"


def _split(text: str) -> SplitResult:
    # urlsplit silently removes tabs and line feeds, and clients disagree about backslashes: the request could go to
    # another host than the one that is displayed.
    if not text.isprintable() or not text.isascii() or " " in text or "\\" in text:
        raise ValueError("is not a URL: it contains spaces or characters that a URL cannot have")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is not a URL such as https://api.weixin.qq.com") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("must start with https://")
    # Credentials in a URL would reach error messages and logs of HTTP libraries.
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password")
    return parts


def _origin(parts: SplitResult) -> str:
    """Return scheme, host and, unless it is the default, port."""
    host, address = _host(parts)
    if parts.scheme == "http" and not (host == "localhost" or (address and address.is_loopback)):
        raise ValueError("must start with https://; http:// is allowed for loopback only")
    port = _port(parts)
    name = f"[{host}]" if isinstance(address, ipaddress.IPv6Address) else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _host(parts: SplitResult) -> tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address | None]:
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    # ip_address() accepts an IPv6 zone (fe80::1%eth0), which has no meaning in a URL.
    if "%" in host or (address is None and not _HOST_NAME.fullmatch(host)):
        raise ValueError("has no valid host; use a URL such as https://api.weixin.qq.com")
    return host, address


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port must be a number from 1 to 65535")
    return None if port == _DEFAULT_PORTS[parts.scheme] else port

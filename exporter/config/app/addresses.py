"""Addresses that calls are sent to: what each may be, so that no secret ever travels in the clear."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

APPID_PLACE = "{appid}"
"""Where an address takes the app's appid."""

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_DEFAULT_PORTS = {"https": 443, "http": 80}


def parse_base_url(text: str) -> str:
    """Reads the address of WeChat's API; gives it in lower case, without slash and default port.

    Raises:
        ValueError: it is none, or it would send secrets in the clear; the words never repeat the text.
    """
    if not text:
        raise ValueError("is empty; leave it out for https://api.weixin.qq.com")
    parts = _split(text)
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        raise ValueError("must end after the host (and port): no path, query or fragment")
    return _origin(parts)


def parse_url(text: str) -> str:
    """Reads the whole address of another service; ``{appid}`` may stand in its path and query.

    Raises:
        ValueError: it is none, or it would send secrets in the clear; the words never repeat the text.
    """
    if not text:
        raise ValueError("is empty")
    parts = _split(text)
    if "#" in text:
        raise ValueError("must not hold a fragment (#)")
    if set("{}") & set(text.replace(APPID_PLACE, "")):
        raise ValueError(f"holds braces; only {APPID_PLACE} may stand in them")
    query = f"?{parts.query}" if parts.query else ""
    return f"{_origin(parts)}{parts.path or '/'}{query}"


def _split(text: str) -> SplitResult:
    if not text.isprintable() or not text.isascii() or " " in text or "\\" in text:
        raise ValueError("is not an address: it holds spaces or characters that no host has")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is not an address such as https://api.weixin.qq.com") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("must begin with https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    return parts


def _origin(parts: SplitResult) -> str:
    """Scheme, host and perhaps port."""
    host, address = _host(parts)
    if parts.scheme == "http" and not (host == "localhost" or (address and address.is_loopback)):
        raise ValueError("must begin with https://; http:// is for loopback only")
    port = _port(parts)
    name = f"[{host}]" if isinstance(address, ipaddress.IPv6Address) else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _host(parts: SplitResult) -> tuple[str, ipaddress.IPv4Address | ipaddress.IPv6Address | None]:
    host = parts.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if "%" in host or (address is None and not _HOST_NAME.fullmatch(host)):
        raise ValueError("names no host; write it like https://api.weixin.qq.com")
    return host, address


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("names a port that is not a number from 1 to 65535")
    return None if port == _DEFAULT_PORTS[parts.scheme] else port

"""Listen addresses: ``host:port``, ``:port`` (IPv6 and IPv4) and ``[::1]:port``."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Any

_BRACKETED = re.compile(r"\[([^\[\]]*)\]:([0-9]{1,5})")
_PLAIN = re.compile(r"([A-Za-z0-9._-]*):([0-9]{1,5})")
_HIGHEST_PORT = 65535


class ListenError(Exception):
    """An invalid or unavailable listen address; the text names it and the reason."""


@dataclass(frozen=True, slots=True)
class Address:
    """A listen address as configured."""

    host: str
    """A name or an IP address without brackets; empty for all addresses of the machine."""
    port: int
    """0 picks a free port when the address is bound."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Arguments for binding a socket."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]
    """In the form that the socket module uses for the family."""


def parse_address(text: str) -> Address:
    """Parse a listen address, without network access.

    Raises:
        ListenError: the text has none of the three forms, or its port is above 65535.
    """
    found = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    if found is None:
        raise ListenError(f"address {text!r}: expected host:port, :port or [IPv6 address]:port")
    host, port = found[1], int(found[2])
    if port > _HIGHEST_PORT:
        raise ListenError(f"address {text!r}: port above {_HIGHEST_PORT}")
    if text.startswith("[") and not _is_ipv6(host):
        raise ListenError(f"address {text!r}: no IPv6 address between the brackets")
    return Address(host, port)


def resolve(address: Address) -> tuple[BindAddress, ...]:
    """Return what to try to bind for an address, best first; a host name is resolved.

    Raises:
        ListenError: the host name is unknown.
    """
    if not address.host:
        # One IPv6 socket accepts IPv4, too; the second entry is for machines without IPv6.
        return (
            BindAddress(socket.AF_INET6, ("::", address.port)),
            BindAddress(socket.AF_INET, ("0.0.0.0", address.port)),  # noqa: S104 (":port" means all addresses)
        )
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ListenError(f"cannot listen on {address}: unknown host") from None
    # "localhost" often resolves to both families, and a socket binds one: clients of the name try IPv4 in any case.
    family, _, _, _, sockaddr = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return (BindAddress(family, sockaddr),)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True

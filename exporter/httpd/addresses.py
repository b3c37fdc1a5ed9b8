"""Where to listen: ``host:port``, ``:port`` (IPv6 and IPv4) and ``[::1]:port``, read and looked up."""

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
    """An address that cannot be listened on; the text names it and says why, for people."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address as it was written."""

    host: str
    """A name or an IP address without brackets; empty for every address of the machine."""
    port: int
    """0 picks a free one when it is bound."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BindAddress:
    """What a socket can be bound to."""

    family: socket.AddressFamily
    place: tuple[Any, ...]
    """As the socket module writes an address of that family."""


def parse_address(text: str) -> Address:
    """Reads an address without touching the network.

    Raises:
        ListenError: the text has none of the three forms, or its port is above 65535.
    """
    found = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    if found is None:
        raise ListenError(f"address {text!r}: expected host:port, :port or [IPv6 address]:port")
    host, port = found[1], int(found[2])
    if port > _HIGHEST_PORT:
        raise ListenError(f"address {text!r}: the port is above {_HIGHEST_PORT}")
    if text.startswith("[") and not _is_ipv6(host):
        raise ListenError(f"address {text!r}: no IPv6 address between the brackets")
    return Address(host, port)


def resolve(address: Address) -> tuple[BindAddress, ...]:
    """What to try to bind for an address, best first; names are looked up.

    Raises:
        ListenError: the name is not known.
    """
    if not address.host:
        # One IPv6 socket takes IPv4 as well; the second is for machines that have no IPv6.
        return (
            BindAddress(socket.AF_INET6, ("::", address.port)),
            BindAddress(socket.AF_INET, ("0.0.0.0", address.port)),  # noqa: S104 - ":port" asks for all of them
        )
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ListenError(f"cannot listen on {address}: the name is not known") from None
    # "localhost" often names both: IPv4 is what a scraper that was given the name tries, too.
    family, _, _, _, place = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return (BindAddress(family, place),)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True

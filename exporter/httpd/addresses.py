"""Where to listen: ``host:port``, ``:port`` (IPv6 and IPv4), ``[::1]:port``."""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from typing import NamedTuple

_FORM = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:]*)):(\d{1,5})", re.ASCII)
_LAST_PORT = 65535
_BACKLOG = 512


class ListenError(Exception):
    """An address cannot be listened on; the text says which and why."""


class Address(NamedTuple):
    """A host, empty for all of the machine's addresses, and a port."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Reads an address.

    Raises:
        ListenError: it has not one of the three forms.
    """
    match = _FORM.fullmatch(text)
    if match is None or int(match[3]) > _LAST_PORT:
        raise ListenError(f"{text}: an address is host:port, :port or [::1]:port")
    return Address(match[1] or match[2] or "", int(match[3]))


def format_address(host: str, port: int) -> str:
    """The address as it would be written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(text: str) -> socket.socket:
    """Binds an address and listens.

    Raises:
        ListenError: the address has a wrong form, is taken, or is not this machine's.
    """
    host, port = parse_address(text)
    try:
        if host:
            family, _, _, _, resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(resolved[:2], family=family, backlog=_BACKLOG)
        with suppress(OSError):
            if socket.has_dualstack_ipv6():
                return socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
        return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104 (what `:port` means)
    except socket.gaierror:
        raise ListenError(f"{text}: the name of the host cannot be resolved") from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ListenError(f"cannot listen on {text}: {why}") from None

"""Whether the exporter answers: what a container engine asks it, from inside its own container."""

from __future__ import annotations

import http.client
import ssl
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from exporter.cli.flags import UsageError
from exporter.config import ConfigError, load_web
from exporter.httpd import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.cli.flags import Options

_SECONDS = 5.0


def healthcheck(options: Options) -> int:
    """0 if every address answers: HTTP of any status, plain or over TLS, or a TLS alert.

    Where the web configuration can be read, it says which of the two is spoken; else both are tried. A status such as
    401 or 503 is the answer of a living process. So is an alert: it is how a server that demands a client certificate
    refuses one who has none. The server's certificate is not verified, for the process asks itself, by an address that
    no certificate need name; nothing secret is sent.
    """
    knock = _knock(options)
    for address in options.addresses():
        place = parse_address(address)
        if place.port == 0:
            raise UsageError(f"{address}: a health check needs the real port, not 0")
        try:
            knock(_reachable(place.host), place.port)
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            print(f"{address}: no answer: {error}", file=sys.stderr)
            return 1
    return 0


def _knock(options: Options) -> Callable[[str, int], None]:
    """How to ask. All three return once something answers.

    Raises:
        OSError, UnicodeError, HTTPException: nothing does, or it is no answer.
    """
    if options.web_config_file is None:
        return _try_both
    try:
        return _ask_plain if load_web(options.web_config_file).tls is None else _ask_tls
    except ConfigError:  # the exporter may go on with the last good one
        return _try_both


def _try_both(host: str, port: int) -> None:
    try:
        _ask_plain(host, port)
    except (http.client.HTTPException, ConnectionResetError):  # so ends plain HTTP to a server of TLS
        _ask_tls(host, port)


def _ask_plain(host: str, port: int) -> None:
    _ask(http.client.HTTPConnection(host, port, timeout=_SECONDS))


def _ask_tls(host: str, port: int) -> None:
    try:
        _ask(http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=_unverified()))
    except ssl.SSLError as error:
        if "_ALERT_" not in str(error.reason):
            raise


def _ask(connection: http.client.HTTPConnection) -> None:
    with closing(connection):
        connection.connect()
        with suppress(OSError):  # one who refused has perhaps closed by now; what it said is still there to be read
            connection.request("GET", "/-/healthy")
        with closing(http.client.HTTPResponse(connection.sock, method="GET")) as response:
            response.begin()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reachable(host: str) -> str:
    """The address to knock at for one that was listened on."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (not bound, translated)

"""The health check of a container: whether the exporter in the same container responds."""

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
    """Return 0 if every address responds: with HTTP of any status, with or without TLS, or with a TLS alert.

    The web configuration decides between HTTP and HTTPS; if it is absent or invalid, both are tried. A status such as
    401 or 503 proves that the process is alive, and so does an alert, by which a server that requires a client
    certificate rejects a client without one. The server's certificate is not verified, since it need not name the
    loopback address; nothing secret is sent.
    """
    probe = _probe(options)
    for address in options.addresses():
        listener = parse_address(address)
        if listener.port == 0:
            raise UsageError(f"{address}: a health check requires the actual port instead of 0")
        try:
            probe(_reachable(listener.host), listener.port)
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            print(f"{address}: no response: {error}", file=sys.stderr)
            return 1
    return 0


def _probe(options: Options) -> Callable[[str, int], None]:
    """Return the function that sends a request to host and port.

    It raises OSError, UnicodeError or HTTPException if there is no response, or none of HTTP or TLS.
    """
    if options.web_config_file is None:
        return _try_both
    try:
        return _request_http if load_web(options.web_config_file).tls is None else _request_https
    except ConfigError:  # the exporter may still use its last valid one
        return _try_both


def _try_both(host: str, port: int) -> None:
    try:
        _request_http(host, port)
    except (http.client.HTTPException, ConnectionResetError):  # how a TLS server responds to plain HTTP
        _request_https(host, port)


def _request_http(host: str, port: int) -> None:
    _request(http.client.HTTPConnection(host, port, timeout=_SECONDS))


def _request_https(host: str, port: int) -> None:
    try:
        _request(http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=_unverified()))
    except ssl.SSLError as error:
        if "_ALERT_" not in str(error.reason):
            raise


def _request(connection: http.client.HTTPConnection) -> None:
    with closing(connection):
        connection.connect()
        with suppress(OSError):  # the server may have closed already; its response can still be read
            connection.request("GET", "/-/healthy")
        with closing(http.client.HTTPResponse(connection.sock, method="GET")) as response:
            response.begin()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reachable(host: str) -> str:
    """Return the address to connect to for one that the server listens on."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (not bound, translated)

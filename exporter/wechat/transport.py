"""Send one HTTP request and return its complete response, or the reason why there is none.

The only module that imports requests. ``send`` puts the request under the watchdog (``deadline``), notes it in
``_SENDING`` for the current thread, and calls requests. urllib3 then calls the classes below, which hand every socket
to the watchdog and take it back before the connection returns to the pool. ``causes`` describes the error.

A response must never be attributed to another app's request: a row of figures does not name its app, so only the
connection identifies it. HTTP/1.1 matches responses to requests by their order alone, and a server or proxy can break
that order in two ways that http.client does not notice:

* An interim response (RFC 9110 section 15.2) other than 100, such as ``103 Early Hints``, is returned as if it were the
  final one; the final response is then read as the response to the next request. ``_Response`` skips them all.
* A second, late response to the same request cannot be distinguished from the response to the next one. Therefore a
  kept connection is used again only for the fetch that it was opened for (``owner``): one period of one app. Within a
  fetch a token and a row cannot be mistaken for each other; between two, an empty list could be.

The classes override private methods of http.client and urllib3. test_transport.py checks for each of them that the
installed version still calls it.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
import traceback
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from http.client import BadStatusLine, HTTPResponse, parse_headers
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from exporter import __version__
from exporter.wechat.causes import explain, is_timeout
from exporter.wechat.deadline import Exchange, Watchdog
from exporter.wechat.messages import ApiRequest, ApiResponse, ErrorKind, TransportError

MAX_BODY: Final = 1 << 20
"""Maximum size of a response body in bytes. A response with one row has about 200."""
_CHUNK_BYTES: Final = 1 << 16
_IDLE_SECONDS: Final = 60.0  # firewalls drop idle connections silently; a request on one would time out


@dataclass(frozen=True, slots=True)
class _Sending:
    """The request that the current thread is sending."""

    watchdog: Watchdog
    exchange: Exchange
    owner: str


_SENDING: ContextVar[_Sending] = ContextVar("_SENDING")

# urllib3 logs the path of requests, and so the token, even in warnings, so no level is high enough. Unlike a level, a
# handler or `disabled`, a filter on its loggers stays in force however logging is configured later.
for _name in list(logging.root.manager.loggerDict):
    if _name.partition(".")[0] == "urllib3":
        logging.getLogger(_name).addFilter(lambda _: False)


class _Response(HTTPResponse):
    """Skips interim responses and returns the final one."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the stubs
            if status == HTTPStatus.SWITCHING_PROTOCOLS:  # never requested
                raise BadStatusLine("101")
            if not HTTPStatus.CONTINUE <= status < HTTPStatus.OK:
                return version, status, reason
            parse_headers(self.fp)


class _Connection(HTTPConnection):
    """Connects within the remaining time of its exchange, and hands its sockets to the watchdog."""

    response_class = _Response
    _last_used = 0.0
    _owner = ""

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise TransportError("connection", f"could not resolve host {self.host}") from None
        failure = OSError()
        # urllib3's own function gives each address the full timeout, and hides a socket until it is connected.
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            try:
                return self._connect_to(socket.socket(family, kind, protocol), address, len(found) - tried)
            except OSError as error:
                failure = error
        # A connect that the watchdog ended fails with EPIPE, which urllib3 ignores; it would continue without a socket.
        _SENDING.get().exchange.remaining()
        raise failure

    def _connect_to(self, sock: socket.socket, address: Any, untried: int) -> socket.socket:  # noqa: ANN401 - its type depends on the family
        exchange = _SENDING.get().exchange
        try:
            exchange.adopt(sock.fileno())
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            # An address that does not respond must leave time for the others.
            sock.settimeout(exchange.remaining() / untried)
            sock.connect(address)
            sock.settimeout(exchange.remaining())
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on unchanged
        sending = _SENDING.get()
        if self.sock is not None:
            sending.exchange.adopt(self.sock.fileno())
        self._owner = sending.owner
        self._last_used = time.monotonic()
        super().request(*args, **kwargs)

    @property
    def is_connected(self) -> bool:
        """Whether the current request may use this connection; if not, urllib3 closes it and connects again."""
        is_own = self._owner == _SENDING.get().owner
        return is_own and time.monotonic() - self._last_used < _IDLE_SECONDS and super().is_connected


class _TLSConnection(_Connection, HTTPSConnection):
    """The same over TLS."""

    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:
            # ssl does not close a socket that was shut down or reset before the handshake. Only the frames of the
            # traceback still refer to it; without this, every failed handshake leaks a descriptor.
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if isinstance(lost := frame.f_locals.get("self"), ssl.SSLSocket):
                    lost.close()
            raise


class _Pool(HTTPConnectionPool):
    """Keeps only connections that the watchdog did not shut down."""

    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401 - urllib3 does not export the type
        if conn is not None:
            sending = _SENDING.get()
            if sending.watchdog.finish(sending.exchange):
                conn.close()
        super()._put_conn(conn)


class _TLSPool(_Pool, HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = _TLSConnection


_POOLS: Final = {"http": _Pool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on unchanged
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - the type differs with PySocks installed
        scheme = proxy.partition("://")[0].lower()
        if scheme not in _POOLS:
            # PySocks opens its sockets itself, so that the watchdog could not end them.
            # Any other scheme is not quoted: it may be the user name of a URL without one.
            named = f" {scheme}" if scheme in {"socks4", "socks4a", "socks5", "socks5h"} else ""
            raise TransportError("connection", f"proxy scheme{named} not supported: use http or https")
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    def __init__(self, concurrency: int) -> None:
        super().__init__()
        self.auth = lambda request: request  # without a function, requests reads .netrc
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = f"wechat-miniprogram-exporter/{__version__}"
        self.headers["Accept-Encoding"] = "identity"
        adapter = _Adapter(pool_maxsize=concurrency, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Never follow a redirect. To find its target, requests would read the entire body first."""


class Transport:
    """Sends requests over one pool of kept-alive connections. Safe for use from several threads.

    Args:
        timeout: seconds for one complete request: connecting (to all addresses of a name together), proxy, TLS,
            headers and body. Resolving a name counts but cannot be interrupted, so it may take longer.
        concurrency: idle connections kept per host.

    requests reads proxies (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) and CA certificates
    (``REQUESTS_CA_BUNDLE``) from the environment; ``.netrc`` is not read.
    """

    def __init__(self, *, timeout: float, concurrency: int) -> None:
        self._timeout = timeout
        self._concurrency = concurrency
        self._watchdog = Watchdog()
        self._session = _Session(concurrency)

    def adapt(self, *, timeout: float, concurrency: int) -> None:
        """Change the settings for later requests; those in flight keep theirs."""
        self._timeout = timeout
        if concurrency != self._concurrency:
            # The old session is not closed: requests in flight use it. It is freed with the last of them.
            self._concurrency, self._session = concurrency, _Session(concurrency)

    def send(self, request: ApiRequest, owner: str = "") -> ApiResponse:
        """Send one request and read its response, with any status; redirects are not followed.

        Args:
            request: the request.
            owner: the fetch that it belongs to; a kept connection is used again only for the same one.

        Raises:
            TransportError: ``timeout``: no complete response in time. ``malformed``: not HTTP, compressed, or over
                1 MiB. ``connection``: any other error, including a response that was cut off.
        """
        exchange = self._watchdog.begin(self._timeout)
        token = _SENDING.set(_Sending(self._watchdog, exchange, owner))
        cause: BaseException | None = None
        try:
            response = self._exchange(request, exchange.seconds)
            if not exchange.cut:  # a body without a length looks complete when the watchdog shuts the socket down
                return response
        except (requests.RequestException, HTTPError, TransportError, OSError, ValueError) as error:
            cause = error
        finally:
            self._watchdog.finish(exchange)
            _SENDING.reset(token)
        kind, message = self._describe(exchange, cause)
        del cause  # it contains the URL, and a traceback may be shown with its variables
        # Raised outside the handlers: the errors of requests quote the URL and must not be its __context__ either.
        raise TransportError(kind, message) from None

    def close(self) -> None:
        """End every request in flight at once; later ones fail with ``connection``."""
        self._watchdog.close()
        self._session.close()

    def _describe(self, exchange: Exchange, cause: BaseException | None) -> tuple[ErrorKind, str]:
        if isinstance(cause, TransportError):
            return cause.kind, str(cause)
        if exchange.cut == "closed":
            return "connection", "the exporter is stopping"
        if exchange.cut or cause is None or is_timeout(cause):
            return "timeout", f"no complete response within {exchange.seconds:g}s"
        return explain(cause)

    def _exchange(self, request: ApiRequest, seconds: float) -> ApiResponse:
        # Plain HTTP is used only on this machine and inside WeChat's network. A proxy must not see it.
        proxies = {"http": None, "all": None} if request.url.startswith("http://") else None
        with self._session.request(
            request.method,
            request.url,
            params=request.query,
            headers=dict(request.headers),
            data=request.body,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
            proxies=proxies,  # type: ignore[arg-type]  # None turns a proxy of the environment off
        ) as response:
            if response.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
                raise TransportError("malformed", "the response is compressed, which was not requested")
            headers = response.headers
            body = _read(response.raw)
            return ApiResponse(response.status_code, body, headers.get("Retry-After", ""), headers.get("Date", ""))


def _read(raw: Any) -> bytes:  # noqa: ANN401 - as requests types it
    body = bytearray()
    while chunk := raw.read(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_BODY:
            raise TransportError("malformed", "the response is larger than 1 MiB")
    return bytes(body)

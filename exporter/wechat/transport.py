"""Send one HTTP request and return its whole response, or the reason why there is none.

The only module that imports requests. A response must never be attributed to another app's request: a row of figures
does not say which app it belongs to, so the connection has to. HTTP/1.1 matches responses to requests by their order
alone, and a server or proxy can break that order in two ways that http.client does not notice:

* An interim response (RFC 9110 section 15.2) other than 100, such as ``103 Early Hints``, is returned as if it were the
  final one; the final response is then read as the response to the next request. ``_Response`` skips them all.
* A second, late response to the same request cannot be told from the response to the next one. Therefore a kept
  connection is used again only for the fetch that it was opened for (``owner``): one period of one app. Within a
  fetch a token and a row cannot be mistaken for each other; between two, an empty list could be.
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
"""Bytes of an answer that are read at most."""
_PIECE: Final = 1 << 16
_IDLE_SECONDS: Final = 60.0  # middle boxes forget a connection without telling either end


@dataclass(frozen=True, slots=True)
class _Sending:
    """The request that the current thread is sending."""

    watchdog: Watchdog
    exchange: Exchange
    owner: str


_SENDING: ContextVar[_Sending] = ContextVar("_SENDING")

# urllib3 logs the path of every request, and so the token, in warnings too: no level is high enough. A filter
# at the source, unlike a level, a handler or `disabled`, outlives whatever logging is configured to later.
for _name in list(logging.root.manager.loggerDict):
    if _name.partition(".")[0] == "urllib3":
        logging.getLogger(_name).addFilter(lambda _: False)


class _Response(HTTPResponse):
    """A response that is final: interim ones are read and dropped."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the stubs
            if status == HTTPStatus.SWITCHING_PROTOCOLS:  # we never ask for another protocol
                raise BadStatusLine("101")
            if not HTTPStatus.CONTINUE <= status < HTTPStatus.OK:
                return version, status, reason
            parse_headers(self.fp)


class _Connection(HTTPConnection):
    """Connects within what is left of its exchange's time, and hands its sockets to the watchdog."""

    response_class = _Response
    _last_used = 0.0
    _owner = ""

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            raise TransportError("connection", f"could not resolve host {self.host}") from None
        failure = OSError()
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            try:
                return self._reach(socket.socket(family, kind, protocol), address, len(found) - tried)
            except OSError as error:
                failure = error
        # A connect that is cut ends in EPIPE, which urllib3 would swallow and go on without a socket.
        _SENDING.get().exchange.remaining()
        raise failure

    def _reach(self, sock: socket.socket, address: Any, untried: int) -> socket.socket:  # noqa: ANN401 - its form depends on the family
        exchange = _SENDING.get().exchange
        try:
            exchange.adopt(sock.fileno())
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            # A silent address must not use up the time of those behind it.
            sock.settimeout(exchange.remaining() / untried)
            sock.connect(address)
            sock.settimeout(exchange.remaining())
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they came
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
            # ssl loses a socket that was cut or reset before the handshake, and leaves it open.
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if isinstance(lost := frame.f_locals.get("self"), ssl.SSLSocket):
                    lost.close()
            raise


class _Pool(HTTPConnectionPool):
    """Takes back only connections that the watchdog has let go of unhurt."""

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
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they came
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - the type differs with PySocks installed
        scheme = proxy.partition("://")[0].lower()
        if scheme not in _POOLS:
            # A SOCKS library connects by itself, out of the watchdog's reach.
            # Any other scheme is not quoted: it may be the user name of a URL without one.
            named = f" {scheme}" if scheme in {"socks4", "socks4a", "socks5", "socks5h"} else ""
            raise TransportError("connection", f"proxy scheme{named} not supported: use http or https")
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _Session(requests.Session):
    def __init__(self, concurrency: int) -> None:
        super().__init__()
        self.auth = lambda request: request  # or else .netrc is asked
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers["User-Agent"] = f"wechat-miniprogram-exporter/{__version__}"
        self.headers["Accept-Encoding"] = "identity"
        adapter = _Adapter(pool_maxsize=concurrency, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Never follow: not even to look, for which requests would read the whole body."""


class Transport:
    """Sends calls over one pool of kept-alive connections; may be used from many threads at once.

    Args:
        timeout: Seconds for one whole request: connecting (to all addresses of a name together), proxy, TLS,
            headers and body. Looking up a name cannot be interrupted: it counts, but may take longer.
        concurrency: Idle connections kept per host.

    Proxies (``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) and certificates to trust
    (``REQUESTS_CA_BUNDLE``) are read from the environment by requests; ``.netrc`` is not.
    """

    def __init__(self, *, timeout: float, concurrency: int) -> None:
        self._timeout = timeout
        self._concurrency = concurrency
        self._watchdog = Watchdog()
        self._session = _Session(concurrency)

    def adapt(self, *, timeout: float, concurrency: int) -> None:
        """What holds for the requests from now on; those under way end as they began."""
        self._timeout = timeout
        if concurrency != self._concurrency:
            # The old one must not be closed under those who use it: it goes with the last of them.
            self._concurrency, self._session = concurrency, _Session(concurrency)

    def send(self, call: ApiRequest, owner: str = "") -> ApiResponse:
        """Send one request and read its answer, whatever its status; redirects are answers like any other.

        Args:
            call: the request.
            owner: the fetch it belongs to; a kept connection is used again only for the same one.

        Raises:
            TransportError: ``timeout``: no complete response in time. ``malformed``: not HTTP, compressed
                unasked, or over 1 MiB. ``connection``: anything else, an answer that broke off included.
        """
        exchange = self._watchdog.begin(self._timeout)
        mark = _SENDING.set(_Sending(self._watchdog, exchange, owner))
        cause: BaseException | None = None
        try:
            reply = self._converse(call, exchange.seconds)
            if not exchange.cut:  # or else a body without a length only looks complete
                return reply
        except (requests.RequestException, HTTPError, TransportError, OSError, ValueError) as error:
            cause = error
        finally:
            self._watchdog.finish(exchange)
            _SENDING.reset(mark)
        fault, words = self._verdict(exchange, cause)
        del cause  # and so out of sight of whoever prints the variables of a traceback
        # Outside of the handlers: the errors of requests quote the URL and may not even be its context.
        raise TransportError(fault, words) from None

    def close(self) -> None:
        """End every request under way at once; later ones fail with ``connection``."""
        self._watchdog.close()
        self._session.close()

    def _verdict(self, exchange: Exchange, cause: BaseException | None) -> tuple[ErrorKind, str]:
        if isinstance(cause, TransportError):
            return cause.kind, str(cause)
        if exchange.cut == "closed":
            return "connection", "the exporter is stopping"
        if exchange.cut or cause is None or is_timeout(cause):
            return "timeout", f"no complete response within {exchange.seconds:g}s"
        return explain(cause)

    def _converse(self, call: ApiRequest, seconds: float) -> ApiResponse:
        # Plain HTTP is for this machine and for WeChat's own network alone: no proxy may see it.
        proxies = {"http": None, "all": None} if call.url.startswith("http://") else None
        with self._session.request(
            call.method,
            call.url,
            params=call.query,
            headers=dict(call.headers),
            data=call.body,
            timeout=seconds,
            allow_redirects=False,
            stream=True,
            proxies=proxies,  # type: ignore[arg-type]  # None is how requests is told of no proxy
        ) as response:
            if response.headers.get("Content-Encoding", "").strip().lower() not in {"", "identity"}:
                raise TransportError("malformed", "the response is compressed, which was not requested")
            headers = response.headers
            body = _read(response.raw)
            return ApiResponse(response.status_code, body, headers.get("Retry-After", ""), headers.get("Date", ""))


def _read(raw: Any) -> bytes:  # noqa: ANN401 - as requests types it
    body = bytearray()
    while piece := raw.read(_PIECE, decode_content=False):
        body += piece
        if len(body) > MAX_BODY:
            raise TransportError("malformed", "the response is larger than 1 MiB")
    return bytes(body)

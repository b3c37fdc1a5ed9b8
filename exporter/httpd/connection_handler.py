"""Serve one connection: read a request, call the handler, send its response, repeat.

h11 parses and writes HTTP/1.1 and decides whether a connection may be reused. It has no sockets and no clock, so
this module adds both: before each step it sets the deadline of the connection (head, body, idle, write), which
another thread enforces (see ``connections``). While the handler runs there is no deadline: a client is not blamed
for a slow handler.

It also rejects what h11 accepts but proxies may read differently, such as Content-Length next to
Transfer-Encoding: two readers that disagree on where a request ends can be made to see different requests
(request smuggling, RFC 9112 section 11.2). After any rejected request the connection is closed, since the
start of the next one is unknown.

An exception of the handler leaves ``run``; the server logs it and calls ``fail``. If a part of the response was
sent already, the connection is reset: to an HTTP/1.0 client a clean close is the end of a complete body.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from exporter.httpd.connections import DisconnectedError
from exporter.httpd.messages import Headers, Request, Response, split_target, text_response
from exporter.httpd.tls import PlainTextError

if TYPE_CHECKING:
    from exporter.httpd.connections import Connection, Limits
    from exporter.httpd.messages import Handler
    from exporter.httpd.tls import Tls

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class RequestError(Exception):
    """A request that is rejected before a handler sees it. Its text is sent to the client."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionHandler:
    """Serves the requests of one connection in its worker thread."""

    def __init__(self, connection: Connection, handler: Handler, limits: Limits) -> None:
        self._connection = connection
        self._handler = handler
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)

    def run(self, tls: Tls | None) -> None:
        """Serve requests until either side ends the connection; a client that disconnects is no error.

        Exceptions of the handler are not caught.

        Raises:
            HandshakeError: the TLS handshake failed; call ``lingering_close`` afterwards.
        """
        with contextlib.suppress(DisconnectedError):
            try:
                if tls is not None:
                    self._connection.start_tls(tls)
                while self._exchange():
                    self._await_next()
            except RequestError as error:
                self._end_with(error.status, str(error))
            except h11.RemoteProtocolError as error:
                # h11's message quotes the request, which may contain a secret: send the status alone.
                self._end_with(error.error_status_hint, "invalid HTTP request")
            except PlainTextError:
                self._end_with(HTTPStatus.BAD_REQUEST, "HTTPS required on this port")
            self.lingering_close()

    def fail(self) -> None:
        """Send 500 after an error of the handler, or reset the connection if a part of its response was sent."""
        if self._connection.responding:
            self._connection.reset_on_close()
            return
        with contextlib.suppress(DisconnectedError):
            self._end_with(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error, see the log of the exporter")

    def lingering_close(self) -> None:
        """Read and discard what the client still sends, so that it can read the last response (RFC 9112, 9.6)."""
        self._connection.set_deadline(self._limits.linger_seconds)
        with contextlib.suppress(DisconnectedError):
            self._connection.drain()

    def _await_next(self) -> None:
        self._http.start_next_cycle()
        connection = self._connection
        connection.method = ""
        if not self._http.trailing_data[0]:  # the next request was not pipelined
            connection.set_deadline(self._limits.idle_seconds)
            self._http.receive_data(connection.receive())
        connection.set_deadline(self._limits.header_seconds)

    def _exchange(self) -> bool:
        """Read one request and respond; return whether the connection can be reused."""
        connection = self._connection
        head = self._next_event()
        if not isinstance(head, h11.Request):
            raise DisconnectedError
        connection.method = head.method.decode()
        _check(head)
        connection.set_deadline(self._limits.body_seconds)
        body = self._read_body(head)
        path, query = split_target(head.target.decode())
        headers = Headers((name.decode(), value.decode("latin-1")) for name, value in head.headers)
        connection.set_deadline()
        connection.responding = False  # "100 Continue" was not a part of the response
        connection.request = Request(connection.method, path, query, headers, body)
        response = self._handler(connection.request)
        connection.set_deadline(self._limits.write_seconds)
        self._send(response)
        connection.request = None
        return not response.raw and self._http.our_state is h11.DONE

    def _next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._transmit(
                    h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[], reason="Continue")
                )
            self._http.receive_data(self._connection.receive())
        return event

    def _read_body(self, head: h11.Request) -> bytes:
        # The announced length is checked before "100 Continue" is sent, so that a client need not send it all.
        announced = [int(value) for name, value in head.headers if name == b"content-length"]
        body = bytearray()
        while max([len(body), *announced]) <= self._limits.body_bytes:
            event = self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(body)
            if isinstance(event, h11.Data):
                body += event.data
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"request body exceeds {self._limits.body_bytes} bytes")

    def _send(self, response: Response) -> None:
        try:
            if response.raw:
                for chunk in response.chunks:
                    self._connection.send(chunk)
                return
            self._transmit(_head_of(response))
            if self._connection.method != "HEAD" and response.status not in _WITHOUT_BODY:
                for chunk in response.chunks:
                    self._transmit(h11.Data(data=chunk))
            self._transmit(h11.EndOfMessage())
        finally:
            # A client that disconnects must not leave a generator suspended until garbage collection.
            if isinstance(response.body, Generator):
                response.body.close()

    def _transmit(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._connection.send(data)

    def _end_with(self, status: int, message: str) -> None:
        """Send the last response of the connection, whatever state the request is in."""
        self._connection.set_deadline(self._limits.write_seconds)
        self._http = h11.Connection(h11.SERVER)  # the previous one is in an error state and would send nothing
        response = text_response(status, message, ("Connection", "close"))
        self._transmit(_head_of(response))
        if self._connection.method != "HEAD":
            for chunk in response.chunks:
                self._transmit(h11.Data(data=chunk))


def _check(head: h11.Request) -> None:
    """Reject what h11 accepts and other servers read differently (RFC 9112, 6.1)."""
    if not head.http_version.startswith(b"1."):
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are supported")
    names = {name for name, _ in head.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise RequestError(HTTPStatus.BAD_REQUEST, "both Content-Length and Transfer-Encoding")


def _head_of(response: Response) -> h11.Response:
    # RFC 9110, 6.6.1: a server with a clock sends Date. The simulator sets its own, with the simulated time.
    headers = [*response.headers]
    if not any(name == "Date" for name, _ in headers):
        headers.insert(0, ("Date", formatdate(usegmt=True)))
    if response.length is not None and response.status not in _WITHOUT_BODY:
        headers.append(("Content-Length", str(response.length)))
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    return h11.Response(status_code=response.status, headers=headers, reason=reason)

"""One connection's talk: requests are read, handed over and answered, one after the other.

HTTP/1.1 itself is h11's: it reads and writes the messages and knows when a connection may go on. Added
here are the limits, and the refusal of what two readers could read differently.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from exporter.httpd.connections import DisconnectedError
from exporter.httpd.messages import Headers, Request, RequestError, Response, plain, split_target
from exporter.httpd.tls import PlainTextError

if TYPE_CHECKING:
    from exporter.httpd.connections import Connection, Limits
    from exporter.httpd.messages import Handler
    from exporter.httpd.tls import Tls

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class ConnectionHandler:
    """What is said over one connection."""

    def __init__(self, connection: Connection, handler: Handler, limits: Limits) -> None:
        self._connection = connection
        self._handler = handler
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)

    def run(self, tls: Tls | None) -> None:
        """Answers until one side ends it; a client that leaves is no error, so only a handler's escape.

        Raises:
            HandshakeError: the client cannot or may not connect; it is left to ``linger``.
        """
        with contextlib.suppress(DisconnectedError):
            try:
                if tls is not None:
                    self._connection.secure(tls)
                while self._exchange():
                    self._await_next()
            except RequestError as refusal:
                self._end_with(refusal.response)
            except h11.RemoteProtocolError as error:
                self._end_with(_refusal_of(error))
            except PlainTextError:
                self._end_with(plain(HTTPStatus.BAD_REQUEST, "this address speaks HTTPS, not HTTP"))
            self.lingering_close()

    def fail(self) -> None:
        """Answers that the handler failed, or breaks the connection if a part of its answer is out."""
        if self._connection.answering:
            self._connection.reset_on_close()
            return
        with contextlib.suppress(DisconnectedError):
            self._end_with(plain(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log"))

    def lingering_close(self) -> None:
        """Lets the client read what was said last, and come to its own end."""
        self._connection.allow(self._limits.linger_seconds)
        with contextlib.suppress(DisconnectedError):
            self._connection.drain()

    def _await_next(self) -> None:
        self._http.start_next_cycle()
        connection = self._connection
        connection.method = ""
        if not self._http.trailing_data[0]:
            connection.allow(self._limits.idle_seconds)
            self._http.receive_data(connection.receive())
        connection.allow(self._limits.header_seconds)

    def _exchange(self) -> bool:
        """Reads one request and answers it; False if the connection ends with that."""
        connection = self._connection
        head = self._next_event()
        if not isinstance(head, h11.Request):
            raise DisconnectedError
        connection.method = head.method.decode()
        _check(head)
        connection.allow(self._limits.body_seconds)
        body = self._read_body(head)
        path, query = split_target(head.target.decode())
        headers = Headers((name.decode(), value.decode("latin-1")) for name, value in head.headers)
        connection.allow()
        connection.answering = False
        connection.request = Request(connection.method, path, query, headers, body)
        response = self._handler(connection.request)
        connection.allow(self._limits.write_seconds)
        self._send(response)
        connection.request = None
        return not response.raw and self._http.our_state is h11.DONE

    def _next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[], reason="Continue")
                self._transmit(go_on)
            self._http.receive_data(self._connection.receive())
        return event

    def _read_body(self, head: h11.Request) -> bytes:
        announced = [int(value) for name, value in head.headers if name == b"content-length"]
        body = bytearray()
        while max([len(body), *announced]) <= self._limits.body_bytes:
            event = self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(body)
            if isinstance(event, h11.Data):
                body += event.data
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {self._limits.body_bytes} bytes")

    def _send(self, response: Response) -> None:
        try:
            if response.raw:
                for piece in response.pieces:
                    self._connection.send(piece)
                return
            self._transmit(_head_of(response))
            if self._connection.method != "HEAD" and response.status not in _WITHOUT_BODY:
                for piece in response.pieces:
                    self._transmit(h11.Data(data=piece))
            self._transmit(h11.EndOfMessage())
        finally:
            if isinstance(response.body, Generator):
                response.body.close()

    def _transmit(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._connection.send(data)

    def _end_with(self, response: Response) -> None:
        """Sends the last answer of the connection, whatever was going on."""
        self._connection.allow(self._limits.write_seconds)
        self._http = h11.Connection(h11.SERVER)
        self._transmit(_head_of(response))
        if self._connection.method != "HEAD":
            for piece in response.pieces:
                self._transmit(h11.Data(data=piece))


def _check(head: h11.Request) -> None:
    """Refuses what h11 lets pass and others read differently (RFC 9112 section 6.1)."""
    if not head.http_version.startswith(b"1."):
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken")
    names = {name for name, _ in head.headers}
    if {b"content-length", b"transfer-encoding"} <= names:
        raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding contradict each other")


def _refusal_of(error: h11.RemoteProtocolError) -> Response:
    """h11's reasons quote the request, so only the status is taken over."""
    status = HTTPStatus(error.error_status_hint)
    return plain(status, "not a request that can be answered")


def _head_of(response: Response) -> h11.Response:
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

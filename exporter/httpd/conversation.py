"""One client's requests, one after the other, on one connection: HTTP/1.1 as the standard library parses it.

What the library lets pass and we do not (RFC 9112): HTTP/0.9, a missing or second Host, a length that is not
one number, a length beside a transfer coding, folded headers, white space before a header's colon.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, BinaryIO, cast

from exporter.httpd.messages import Request, Response

if TYPE_CHECKING:
    from exporter.httpd.connections import Connection
    from exporter.httpd.server import Listener

_FIELD_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_EMPTY_LINES = (b"\r\n", b"\n", b"")
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_LINGER_SECONDS = 2.0


class _Refused(Exception):
    """A request that is not answered by the handler."""

    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(slots=True)
class _Head:
    """The head of one request: reads its lines, no more bytes than allowed, and remembers them."""

    source: BinaryIO
    left: int
    lines: list[bytes]

    def readline(self, limit: int = -1) -> bytes:
        """What ``http.client.parse_headers`` calls."""
        most = self.left + 1 if limit < 0 else min(limit, self.left + 1)
        line = self.source.readline(most)
        self.left -= len(line)
        if self.left < 0:
            if not self.lines:
                raise _Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long")
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
        self.lines.append(line)
        return line


class Conversation(BaseHTTPRequestHandler):
    """Serves one connection, in its own thread. Deadlines are held by ``connections``: a cut reads as an end."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    connection_of_client: Connection

    def setup(self) -> None:
        """Prepares reading and writing."""
        super().setup()
        self.connection_of_client = self.server.connections.of(self.request)

    def handle(self) -> None:
        """Answers request after request until one side has enough."""
        self.close_connection = False
        limits = self.server.limits
        while not self.close_connection:
            try:
                request = self._read()
            except _Refused as refusal:
                self._refuse(refusal.status, str(refusal))
                return
            if request is None:
                return
            self.connection_of_client.until(float("inf"), complete=True)
            response = self.server.handler(request)
            self.connection_of_client.until(limits.write_seconds, complete=True)
            self._write(response)
            self.connection_of_client.until(limits.idle_seconds, complete=False)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library's parser calls to refuse a request."""
        del explain  # it may quote the request
        status = HTTPStatus(code)
        words = status.phrase if message is None else message.partition(" (")[0]
        raise _Refused(status, words)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Requests are not logged."""

    def _read(self) -> Request | None:
        """The next request; None if the client is gone."""
        if not self.rfile.peek(1):  # type: ignore[attr-defined]
            return None
        limits = self.server.limits
        self.connection_of_client.until(limits.head_seconds, complete=False)
        head = _Head(cast("BinaryIO", self.rfile), limits.head_bytes, [])
        self.raw_requestline = head.readline()
        if len(self.raw_requestline.split()) == 2:  # noqa: PLR2004 (method and target: HTTP/0.9)
            raise _Refused(HTTPStatus.BAD_REQUEST, "HTTP/0.9 is not spoken here")
        source, self.rfile = self.rfile, cast("BinaryIO", head)  # type: ignore[assignment]
        try:
            if not self.parse_request():
                return None
        finally:
            self.rfile = source
        if head.lines[-1] in _EMPTY_LINES[2:]:
            return None  # the end came before the empty line
        self._check(head.lines[1:-1])
        length = self._length()
        self.connection_of_client.until(limits.head_seconds, complete=False)
        body = self.rfile.read(length)
        if len(body) < length:
            return None
        path, _, query = self.path.partition("?")
        return Request(self.command, path, query, self.headers, body)

    def _check(self, field_lines: list[bytes]) -> None:
        if not all(_FIELD_LINE.fullmatch(line) for line in field_lines):
            raise _Refused(HTTPStatus.BAD_REQUEST, "a header has not the form name: value")
        if self.request_version == "HTTP/1.0":
            self.close_connection = True
        elif len(self.headers.get_all("Host", [])) != 1:
            raise _Refused(HTTPStatus.BAD_REQUEST, "exactly one Host header is needed")

    def _length(self) -> int:
        """The length of the body."""
        lengths = set(self.headers.get_all("Content-Length", []))
        if "Transfer-Encoding" in self.headers:
            if lengths:
                raise _Refused(HTTPStatus.BAD_REQUEST, "a length and a transfer coding contradict each other")
            raise _Refused(HTTPStatus.NOT_IMPLEMENTED, "transfer codings are not spoken here")
        length = lengths.pop().strip() if lengths else "0"
        if lengths or not _LENGTH.fullmatch(length):
            raise _Refused(HTTPStatus.BAD_REQUEST, "Content-Length is not one number")
        if int(length) > self.server.limits.body_bytes:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long")
        return int(length)

    def _write(self, response: Response) -> None:
        if response.raw:
            self.close_connection = True
            self._write_pieces(response)
            return
        in_pieces = not isinstance(response.body, bytes)
        self.close_connection |= in_pieces
        self._write_head(response)
        if self.command == "HEAD" or response.status in _WITHOUT_BODY:
            return
        self._write_pieces(response)

    def _write_head(self, response: Response) -> None:
        self.send_response_only(response.status)
        self.send_header("Date", self.date_time_string())
        for name, value in response.headers:
            self.send_header(name, value)
        if isinstance(response.body, bytes) and response.status not in _WITHOUT_BODY:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _write_pieces(self, response: Response) -> None:
        for piece in (response.body,) if isinstance(response.body, bytes) else response.body:
            self.wfile.write(piece)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        """Answers what is wrong and closes; whatever the client still sends is read away, lest it miss the answer."""
        self.close_connection = True
        self.connection_of_client.until(_LINGER_SECONDS, complete=False)
        self.request_version = self.protocol_version
        self.command = ""
        headers = (("Content-Type", "text/plain; charset=utf-8"),)
        self._write(Response(status, headers, f"{words}\n".encode()))
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(1 << 16):
                pass

"""TLS over a socket that stays raw: whoever shuts that down wakes a handshake, a read and a write alike."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_CHUNK = 64 * 1024
"""Bytes that are encrypted, and so held twice, before they are sent on."""
_NAMES = {"DNS", "email", "URI", "IP Address"}
_HANDSHAKE = 22
"""The first byte of a TLS connection: a record that holds a part of a handshake."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is secured."""

    context: ssl.SSLContext
    client_names: frozenset[str] | None = None
    """The certificate of a client must be for one of these (DNS, IP, e-mail, URI); None: for anything."""


class HandshakeError(Exception):
    """A client that cannot or may not connect; the text says why, for people, in the words of the TLS library."""


class PlainTextError(Exception):
    """The client does not speak TLS."""


class TlsStream:
    """What a connection reads and writes, encrypted; named like the socket's own methods, and used by one thread."""

    def __init__(self, raw: socket.socket, tls: Tls) -> None:
        self._raw = raw
        self._client_names = tls.client_names
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self) -> None:
        """Agrees on keys and on who the client is.

        Raises:
            PlainTextError: what the client says is something else; nothing was sent.
            HandshakeError: the client is refused, and was told by an alert; but for a certificate of no allowed name,
                for Python's ssl has no alert after the handshake.
            OSError: the client left, or the connection was cut.
        """
        first = self._raw.recv(_CHUNK)
        if first and first[0] != _HANDSHAKE:
            raise PlainTextError
        self._take(first)
        try:
            self._drive(self._tls.do_handshake)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise
        except ssl.SSLError as error:
            raise HandshakeError(_words(error)) from None
        if self._client_names is not None and not self._client_names & _names_in(self._tls.getpeercert()):
            raise HandshakeError("the client's certificate is for no name that is allowed")

    def recv(self, size: int) -> bytes:
        """What comes next; at least one byte, or an OSError, for an end is one of these, too."""
        return self._drive(lambda: self._tls.read(size))

    def sendall(self, data: bytes) -> None:
        """Sends everything or raises OSError."""
        view = memoryview(data)
        while view:
            written = self._drive(lambda: self._tls.write(view[:_CHUNK]))  # noqa: B023 (called at once)
            view = view[written:]

    def shutdown(self, how: int) -> None:
        """Says that all was sent, which is how TLS tells a whole answer from a cut one, and ends our side."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the client's word, or there was no handshake
            self._tls.unwrap()
        self._flush()
        self._raw.shutdown(how)

    def _drive(self, step: Callable[[], T]) -> T:
        """Takes a step of TLS, and moves bytes until it is taken."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()  # of a step that failed: the alert
            self._take(self._raw.recv(_CHUNK))

    def _take(self, received: bytes) -> None:
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.sendall(self._outgoing.read())


def _words(error: ssl.SSLError) -> str:
    """What TLS says of a failure; one of a few texts, whatever the client did."""
    reason = error.reason.lower().replace("_", " ") if error.reason else "it does not speak TLS as it should"
    return f"{reason}: {error.verify_message}" if isinstance(error, ssl.SSLCertVerificationError) else reason


def _names_in(certificate: dict[str, Any] | None) -> set[str]:
    """The alternative names of a certificate; IP addresses as they are usually written."""
    names = [(kind, value) for kind, value in (certificate or {}).get("subjectAltName", ()) if kind in _NAMES]
    return {_usual_address(value) if kind == "IP Address" else value for kind, value in names}


def _usual_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:  # OpenSSL's words for an address of a wrong length
        return ""

"""TLS over a socket that stays unencrypted, so that another thread can shut it down.

``ssl.SSLSocket`` owns its socket, and one call of it may read and write. Here OpenSSL works on two memory buffers
(``ssl.MemoryBIO``), and ``TlsStream`` moves bytes between them and the socket. A shutdown of the socket by the
accepting thread thus ends a handshake, a read and a write in the same way, and the deadlines of ``connections`` apply
without change. One thread uses a stream; it needs no lock.

Writes are encrypted in slices of 64 KiB: a metrics page of several megabytes would otherwise exist twice in memory for
every client that reads slowly.

A client certificate is checked against the allowed names only after the handshake, because Python's ssl has no
callback for it; such a client sees a closed connection instead of a TLS alert.
"""

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
_NAMES = {"DNS", "email", "URI", "IP Address"}
_HANDSHAKE = 22
"""The first byte of a TLS connection: the content type of a handshake record (RFC 8446, 5.1)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS settings of a connection."""

    context: ssl.SSLContext
    client_names: frozenset[str] | None = None
    """The client's certificate must contain one of these names (DNS, IP, e-mail, URI); None: any name."""


class HandshakeError(Exception):
    """The handshake failed; the text is the reason that the TLS library gives."""


class PlainTextError(Exception):
    """The client does not use TLS."""


class TlsStream:
    """The encrypted stream of a connection. Its methods are named like those of a socket; for one thread."""

    def __init__(self, raw: socket.socket, tls: Tls) -> None:
        self._raw = raw
        self._client_names = tls.client_names
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def handshake(self) -> None:
        """Perform the handshake and check the client's certificate.

        Raises:
            PlainTextError: the first byte is not TLS; nothing was sent.
            HandshakeError: the handshake failed; the client got an alert, except for a certificate without an allowed
                name.
            OSError: the client disconnected, or the connection was aborted.
        """
        first = self._raw.recv(_CHUNK)
        if first and first[0] != _HANDSHAKE:
            raise PlainTextError
        self._feed(first)
        try:
            self._drive(self._tls.do_handshake)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            raise
        except ssl.SSLError as error:
            raise HandshakeError(_reason(error)) from None
        if self._client_names is not None and not self._client_names & _names_in(self._tls.getpeercert()):
            raise HandshakeError("client certificate without an allowed name")

    def recv(self, size: int) -> bytes:
        """Return the next bytes, at least one; raise OSError, at the end of the stream, too."""
        return self._drive(lambda: self._tls.read(size))

    def sendall(self, data: bytes) -> None:
        """Send all bytes or raise OSError."""
        view = memoryview(data)
        while view:
            written = self._drive(lambda: self._tls.write(view[:_CHUNK]))  # noqa: B023 (called at once)
            view = view[written:]

    def shutdown(self, how: int) -> None:
        """Send close_notify, which marks the response as complete (not truncated), and shut the socket down."""
        with contextlib.suppress(ssl.SSLError):  # the client has not sent its own yet, or there was no handshake
            self._tls.unwrap()
        self._flush()
        self._raw.shutdown(how)

    def _drive(self, step: Callable[[], T]) -> T:
        """Run a TLS operation, moving bytes between its buffers and the socket until it completes."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush()  # after a failed step, too: it wrote an alert
            self._feed(self._raw.recv(_CHUNK))

    def _feed(self, received: bytes) -> None:
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.sendall(self._outgoing.read())


def _reason(error: ssl.SSLError) -> str:
    """Return the reason of a failed handshake: one of OpenSSL's fixed texts, never what the client sent."""
    reason = error.reason.lower().replace("_", " ") if error.reason else "invalid TLS"
    return f"{reason}: {error.verify_message}" if isinstance(error, ssl.SSLCertVerificationError) else reason


def _names_in(certificate: dict[str, Any] | None) -> set[str]:
    """Return the subject alternative names of a certificate; IP addresses in their usual notation."""
    names = [(kind, value) for kind, value in (certificate or {}).get("subjectAltName", ()) if kind in _NAMES]
    return {_normalized_address(value) if kind == "IP Address" else value for kind, value in names}


def _normalized_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:  # OpenSSL returns a text for an address of invalid length
        return ""

"""Describe why a request failed, from the nested errors of requests, urllib3, http.client, ssl and the system.

No text of the server or of a library is repeated, because it may quote the URL, which contains the token. The messages
are made of numbers, the texts of the system and of OpenSSL, and names of error classes.
"""

from __future__ import annotations

import http
import http.client
import os
import re
import ssl
from typing import TYPE_CHECKING, TypeVar

from urllib3 import exceptions as urllib3_errors

if TYPE_CHECKING:
    from exporter.wechat.messages import ErrorKind

_Error = TypeVar("_Error", bound=BaseException)

_NOT_HTTP = (http.client.HTTPException, urllib3_errors.InvalidHeader)
_CUT_OFF = (http.client.IncompleteRead, urllib3_errors.IncompleteRead)


def is_timeout(error: BaseException) -> bool:
    """Return whether a timeout is among the causes of an error."""
    chain = _causes(error)
    return bool(_innermost(chain, TimeoutError) or _innermost(chain, urllib3_errors.ReadTimeoutError))


def explain(error: BaseException) -> tuple[ErrorKind, str]:
    """Return the kind and a description of the innermost cause of an error."""
    chain = _causes(error)
    kind, message = _describe(chain)
    if _innermost(chain, urllib3_errors.ProxyError) and not message.startswith("the proxy"):
        message = f"the proxy cannot be used: {message}"
    return kind, message


def _describe(chain: list[BaseException]) -> tuple[ErrorKind, str]:
    if tls := _innermost(chain, ssl.SSLError):
        return "connection", _tls(tls)
    if any(isinstance(one, _CUT_OFF) for one in chain):
        return "connection", "the response was cut off"
    if _innermost(chain, http.client.RemoteDisconnected):
        return "connection", "the connection was closed without a response"
    if any(isinstance(one, _NOT_HTTP) for one in chain):
        return "malformed", "the response is not valid HTTP"
    # The innermost errno: the outer errors are wrappers of the libraries.
    if number := next((one.errno for one in reversed(chain) if isinstance(one, OSError) and one.errno), 0):
        return "connection", os.strerror(number).lower()
    return "connection", _by_text(chain)


def _tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    reason = error.reason or "the connection was closed"
    return f"TLS failed: {reason.lower().replace('_', ' ')}"


def _by_text(chain: list[BaseException]) -> str:
    """Describe errors that only their text or class name identifies."""
    for one in chain:
        if refused := re.match(r"Tunnel connection failed: (\d{3})\b", str(one)):
            return f"the proxy refused: {_status(int(refused[1]))}"
        if str(one).startswith("Could not find a suitable TLS CA certificate bundle"):
            return "the CA certificate file does not exist: check REQUESTS_CA_BUNDLE"
        if type(one).__name__ == "InvalidProxyURL":
            return "the proxy address is invalid"
    return f"the request could not be sent ({type(chain[-1]).__name__})"


def _status(code: int) -> str:
    known = {status.value: f"{status.value} {status.phrase}" for status in http.HTTPStatus}
    return known.get(code, str(code))


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and the errors in it, outermost first: in its attributes, arguments and ``__cause__``.

    ``__context__`` is left out. It may be an unrelated error that the caller was handling.
    """
    found: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        one = pending.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            pending += (
                getattr(one, "reason", None),
                getattr(one, "original_error", None),
                one.__cause__,
                *one.args,
            )
    return found


def _innermost(chain: list[BaseException], kind: type[_Error]) -> _Error | None:
    return next((one for one in reversed(chain) if isinstance(one, kind)), None)

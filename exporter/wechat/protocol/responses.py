"""Read any response of WeChat: from bytes to a JSON object, or to the exception for its errcode.

WeChat reports errors as HTTP 200 with an ``errcode`` in the body. Any other HTTP status comes from a proxy or an
overloaded gateway, whatever the request was. The body is read strictly, because figures go to alerts: ``NaN`` and
numbers of thousands of digits, which Python's json accepts by default, are malformed.
"""

from __future__ import annotations

import json
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from exporter.wechat.codes import CODES, MALFORMED, OTHER, Failed, FetchError, NotReady, Refused
from exporter.wechat.protocol.redaction import redact

if TYPE_CHECKING:
    from exporter.wechat.messages import ApiResponse

_LONGEST_ERRMSG = 200
_LARGEST_ERRCODE = 10**10
_ADDRESS = re.compile(r"invalid ip ([0-9a-fA-F.:]+)")
_ACCESS_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_CLOUD_CODES = -500_000  # cloud codes lie below (docs/wechat-api.md section 5)


def error_label(response: ApiResponse) -> str:
    """Return the ``errcode`` label of a response; empty for a success or a malformed body.

    For the response of a cloud function it is the label of the function's result.
    """
    if response.status != HTTPStatus.OK:
        return _status_label(response.status)
    try:
        content = _decode(response.body)
        if errcode_of(content) == 0 and "resp_data" in content:
            content = decode_function(content)
        number = errcode_of(content)
    except Failed:
        return ""
    return _label(number) if number else ""


def retry_after_seconds(text: str, now: float) -> float:
    """Parse ``Retry-After``: seconds or a date (RFC 9110 section 10.2.3). Return 0 if it is missing or invalid."""
    text = text.strip()
    # Ten digits are more than 300 years; a float of 400 digits would be infinite.
    if text.isascii() and text.isdigit():
        return float(text[:10])
    moment = _http_date(text)
    return 0.0 if moment is None else max(0.0, moment - now)


def server_time(response: ApiResponse) -> float | None:
    """Return the server's clock, Unix seconds, from the ``Date`` header (RFC 9110 section 6.6.1); None without one."""
    return _http_date(response.date)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        # "-0000" is UTC as well, but parsedate_to_datetime returns it without a zone.
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    except (ValueError, OverflowError):  # the year 99999999
        return None


def read_response(response: ApiResponse, now: float, *, about_period: bool) -> dict[str, Any]:
    """Return the JSON object of a response without an error.

    The codes for "busy" and "not ready" mean ``NotReady`` only if the request was about a period. In the response to a
    request for a token they are ``Failed``.

    Raises:
        FetchError: as in the table of codes; ``Failed`` for a malformed response.
    """
    content = read_object(response, now)
    number = errcode_of(content)
    if number:
        decision = decide(number, errmsg_of(content, response.secrets), about_period=about_period)
        # "Busy" about a token must not look like "not published": the app's state would be fine, without any figures.
        if isinstance(decision, NotReady) and not about_period:
            raise Failed(str(decision), decision.errcode)
        raise decision
    return content


def read_object(response: ApiResponse, now: float) -> dict[str, Any]:
    """Return the JSON object of a response, with an error or without.

    Raises:
        Failed: there is no such object.
    """
    if response.status != HTTPStatus.OK:
        raise http_failure(response, now)
    return _decode(response.body)


def http_failure(response: ApiResponse, now: float) -> Failed:
    """Return the error for an HTTP status other than 200."""
    return Failed(
        f"unexpected HTTP status {response.status}",
        _status_label(response.status),
        retry_after=retry_after_seconds(response.retry_after, now),
    )


def require_access(response: ApiResponse, service: str) -> None:
    """Raise ``Refused`` if a service denies access: a retry cannot succeed before the configuration changes."""
    if response.status in _ACCESS_DENIED:
        message = f"{service} denied access (HTTP {response.status}): check `url` and `headers` in the configuration"
        raise Refused(message, _status_label(response.status), about_app=True)


def _status_label(status: int) -> str:
    return {4: "http_4xx", 5: "http_5xx"}.get(status // 100, MALFORMED)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        # Token servers may send a byte order mark. strict=False accepts control characters in an errmsg.
        content = json.loads(body.decode("utf-8-sig"), strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # RecursionError: 100,000 opening brackets
        raise malformed("not JSON") from None
    if not isinstance(content, dict):
        raise malformed("not a JSON object")
    return content


def _no_constant(name: str) -> float:
    raise ValueError(name)


def decode_function(content: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a cloud function, which is JSON text in ``resp_data``."""
    text = content.get("resp_data")
    if not isinstance(text, str):
        raise malformed("no function result in resp_data")
    return _decode(text.encode("utf-8", "replace"))


def errcode_of(content: dict[str, Any]) -> int:
    """Return the errcode of a response in either spelling; 0 for a success.

    Raises:
        Failed: it is not a whole number.
    """
    value = content.get("errcode", content.get("errCode", 0))  # a cloud function's SDK writes errCode
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        value = int(value)
    # bool is a subclass of int. The limit keeps numbers out of which str() cannot make a label.
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_ERRCODE:
        raise malformed("errcode is not a whole number")
    return value


def errmsg_of(content: dict[str, Any], secrets: tuple[str, ...]) -> str:
    """Return the errmsg in either spelling, redacted, then cut to a length that fits a log line."""
    # Redacted before it is cut: a cut through a token could leave a part that is not recognized.
    text = redact(str(content.get("errmsg", content.get("errMsg", ""))), secrets)[:_LONGEST_ERRMSG]
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _label(number: int) -> str:
    return str(number) if number in CODES else OTHER


def decide(number: int, errmsg: str, *, about_period: bool) -> FetchError:
    """Return the exception for an errcode."""
    code = CODES.get(number)
    if code is None and number < _CLOUD_CODES:
        advice = "cloud environment error: check `env` and `name`, and the function's log"
        return Failed(f"{number} {errmsg}: {advice}", OTHER, about_period=about_period)
    if code is None:
        return Failed(f"{number} {errmsg}: unknown error code", OTHER, about_period=about_period)
    # 40164 names the address that WeChat sees, which is not known on this machine behind NAT or a proxy.
    address = _ADDRESS.search(errmsg)
    advice = code.advice.format(ip=address[1] if address else "this machine's address")
    message = f"{number} {errmsg}: {advice}"
    return code.decision(
        message, str(number), about_period=about_period, no_data=code.no_data, about_app=code.about_app
    )


def malformed(what: str) -> Failed:
    """Return the error for a response that is not as documented."""
    return Failed(f"invalid response from WeChat: {what}", MALFORMED, about_period=True)

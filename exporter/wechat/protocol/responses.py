"""Any answer of WeChat's: from bytes to an object, or to the decision that its errcode leads to."""

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
_NO_ENTRY = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_CLOUD_CODES = -500_000  # cloud codes lie below (wechat-api.md section 5)


def error_label(reply: ApiResponse) -> str:
    """The ``errcode`` label of an answer; empty if it is a success or cannot be read as one of WeChat's.

    Of a cloud function's answer it is the label of what the function says.
    """
    if reply.status != HTTPStatus.OK:
        return _status_label(reply.status)
    try:
        answer = _decode(reply.body)
        if errcode_of(answer) == 0 and "resp_data" in answer:
            answer = decode_function(answer)
        number = errcode_of(answer)
    except Failed:
        return ""
    return _label(number) if number else ""


def retry_after_seconds(text: str, now: float) -> float:
    """Reads ``Retry-After``, seconds or a date (RFC 9110 section 10.2.3); 0 if it says nothing readable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    moment = _http_date(text)
    return 0.0 if moment is None else max(0.0, moment - now)


def server_time(reply: ApiResponse) -> float | None:
    """Return the server's clock, Unix seconds, from the ``Date`` header (RFC 9110 section 6.6.1); None without one."""
    return _http_date(reply.date)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    except (ValueError, OverflowError):
        return None


def read_response(reply: ApiResponse, now: float, *, about_period: bool) -> dict[str, Any]:
    """The object of an answer that is none of WeChat's errors.

    That WeChat is busy means "not ready" only where the answer is about a period.

    Raises:
        FetchError: as the table of codes says; ``Failed`` for what is no such object.
    """
    answer = read_object(reply, now)
    number = errcode_of(answer)
    if number:
        decision = decide(number, errmsg_of(answer, reply.secrets), about_period=about_period)
        if isinstance(decision, NotReady) and not about_period:
            raise Failed(str(decision), decision.errcode)
        raise decision
    return answer


def read_object(reply: ApiResponse, now: float) -> dict[str, Any]:
    """The JSON object of an answer, be it an error or not.

    Raises:
        Failed: there is none.
    """
    if reply.status != HTTPStatus.OK:
        raise http_failure(reply, now)
    return _decode(reply.body)


def http_failure(reply: ApiResponse, now: float) -> Failed:
    """What an HTTP status in place of an answer comes to."""
    return Failed(
        f"unexpected HTTP status {reply.status}",
        _status_label(reply.status),
        retry_after=retry_after_seconds(reply.retry_after, now),
    )


def require_access(reply: ApiResponse, service: str) -> None:
    """A service that does not let us in will not do so by itself."""
    if reply.status in _NO_ENTRY:
        words = f"{service} denied access (HTTP {reply.status}): check `url` and `headers` in the configuration"
        raise Refused(words, _status_label(reply.status), about_app=True)


def _status_label(status: int) -> str:
    return {4: "http_4xx", 5: "http_5xx"}.get(status // 100, MALFORMED)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body.decode("utf-8-sig"), strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise malformed("not JSON") from None
    if not isinstance(answer, dict):
        raise malformed("not a JSON object")
    return answer


def _no_constant(name: str) -> float:
    raise ValueError(name)


def decode_function(answer: dict[str, Any]) -> dict[str, Any]:
    """What a function returned, from the text that ``resp_data`` is."""
    text = answer.get("resp_data")
    if not isinstance(text, str):
        raise malformed("no function result in resp_data")
    return _decode(text.encode("utf-8", "replace"))


def errcode_of(answer: dict[str, Any]) -> int:
    """The errcode of an answer, in either spelling; 0 of a success.

    Raises:
        Failed: it is no whole number.
    """
    value = answer.get("errcode", answer.get("errCode", 0))
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_ERRCODE:
        raise malformed("errcode is not a whole number")
    return value


def errmsg_of(answer: dict[str, Any], secrets: tuple[str, ...]) -> str:
    """Return the text beside an errcode, in either spelling, without secrets and of a length that a log can bear."""
    text = redact(str(answer.get("errmsg", answer.get("errMsg", ""))), secrets)[:_LONGEST_ERRMSG]
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _label(number: int) -> str:
    return str(number) if number in CODES else OTHER


def decide(number: int, errmsg: str, *, about_period: bool) -> FetchError:
    """What an errcode leads to."""
    code = CODES.get(number)
    if code is None and number < _CLOUD_CODES:
        advice = "cloud environment error: check `env` and `name`, and the function's log"
        return Failed(f"{number} {errmsg}: {advice}", OTHER, about_period=about_period)
    if code is None:
        return Failed(f"{number} {errmsg}: unknown error code", OTHER, about_period=about_period)
    address = _ADDRESS.search(errmsg)
    advice = code.advice.format(ip=address[1] if address else "this machine's address")
    message = f"{number} {errmsg}: {advice}"
    return code.decision(
        message, str(number), about_period=about_period, no_data=code.no_data, about_app=code.about_app
    )


def malformed(what: str) -> Failed:
    """An answer that cannot be believed, and why."""
    return Failed(f"invalid response from WeChat: {what}", MALFORMED, about_period=True)

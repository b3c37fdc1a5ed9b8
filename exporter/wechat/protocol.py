"""What WeChat's answers mean: from bytes to a reading or a token, or to the reason why there is none.

Pure. The facts are those of wechat-api.md sections 1, 3 and 4.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from exporter.periods import week_from_ref_date
from exporter.reports import Reading, Unit
from exporter.wechat.codes import (
    CODES,
    MALFORMED,
    OTHER,
    WRONG_SECRET,
    Failed,
    NotReady,
    Refused,
    TokenRejected,
    Unanswered,
)

if TYPE_CHECKING:
    from exporter.periods import Week
    from exporter.reports import Field, Report
    from exporter.wechat.exchange import Reply

_LONGEST_ERRMSG = 200
_LARGEST_ERRCODE = 10**10
_LARGEST_FIGURE = 2**63 - 1  # what SQLite's INTEGER holds; no Mini Program comes near
_DECIMAL = re.compile(r"\d{1,19}(\.\d{1,19})?", re.ASCII)
_ADDRESS = re.compile(r"invalid ip ([0-9a-fA-F.:]+)")
_LONGEST_TOKEN = 4096
_LONGEST_LIFE = 7200.0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how long it lives, in seconds from its arrival."""

    value: str = field(repr=False)
    expires_in: float


def token_body(appid: str, secret: str) -> bytes:
    """What ``stable_token`` is asked, in the normal mode that logs nobody out (wechat-api.md section 3)."""
    asked = {"grant_type": "client_credential", "appid": appid, "secret": secret, "force_refresh": False}
    return json.dumps(asked).encode()


def report_body(week: Week) -> bytes:
    """What a report is asked (wechat-api.md section 1)."""
    return json.dumps({"begin_date": week.begin_date, "end_date": week.end_date}).encode()


def error_label(reply: Reply) -> str:
    """The ``errcode`` label of an answer; empty if it is a success or cannot be read as one of WeChat's."""
    if reply.status != HTTPStatus.OK:
        return _status_label(reply.status)
    try:
        number = _errcode(_decode(reply.body))
    except Failed:
        return ""
    return _label(number) if number else ""


def parse_token(reply: Reply, now: float) -> Token:
    """Reads the answer of ``stable_token`` (wechat-api.md section 3).

    Raises:
        Refused: WeChat does not know the appid or the secret, or refuses our address.
        QuotaSpent: too many requests for tokens.
        Failed: anything else; here -1, 61503 and 61504 do not mean "not ready".
    """
    try:
        answer = _answer(reply, now, about_week=False)
    except NotReady as busy:
        raise Failed(str(busy), busy.errcode) from None
    except TokenRejected as wrong:
        errcode = wrong.errcode
        raise Refused(f"{errcode} {CODES[int(errcode)].errmsg}: {WRONG_SECRET}", errcode) from None
    token, expires_in = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN or not token.isprintable():
        raise Failed("WeChat's answer holds no access_token", MALFORMED)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not 0 < expires_in < math.inf:
        raise Failed("WeChat's answer does not say how long the token lives", MALFORMED)
    return Token(token, float(min(expires_in, _LONGEST_LIFE)))


def parse_rows(reply: Reply, report: Report, week: Week, now: float) -> Reading:
    """Reads the answer to a report: exactly one row, about exactly the week asked for.

    Keys may be WeChat's snake_case or the camelCase of a Cloud Call. Null is missing, decimal strings are
    accepted.

    Raises:
        NotReady, TokenRejected, QuotaSpent, Refused: as the table of codes says; an empty list is not ready.
        Failed: the answer is not one that can be believed, or the code is unknown.
    """
    rows = _answer(reply, now, about_week=True).get("list")
    if not isinstance(rows, list):
        raise _malformed("it has no list of rows")
    if not rows:
        raise NotReady("WeChat has no figures for this week (yet)", about_week=True, no_data=True)
    row = rows[0]
    if len(rows) != 1 or not isinstance(row, dict):
        raise _malformed("it has not exactly one row")
    _check_week(row, week)
    values = tuple(_figure(row, field) for field in report.fields)
    if all(value is None for value in values):
        raise _malformed("its row has not one figure")
    return Reading(report, week, values)


def retry_after_seconds(text: str, now: float) -> float:
    """Reads ``Retry-After``, seconds or a date (RFC 9110 section 10.2.3); 0 if it says nothing readable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now)


def _answer(reply: Reply, now: float, *, about_week: bool) -> dict[str, Any]:
    if reply.status != HTTPStatus.OK:
        raise Failed(
            f"HTTP status {reply.status} in place of an answer",
            _status_label(reply.status),
            retry_after=retry_after_seconds(reply.retry_after, now),
        )
    answer = _decode(reply.body)
    number = _errcode(answer)
    if number:
        raise _decide(number, _errmsg(answer), about_week=about_week)
    return answer


def _status_label(status: int) -> str:
    return {4: "http_4xx", 5: "http_5xx"}.get(status // 100, MALFORMED)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body.decode("utf-8-sig"), strict=False, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _malformed("it is not JSON") from None
    if not isinstance(answer, dict):
        raise _malformed("it is not a JSON object")
    return answer


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _errcode(answer: dict[str, Any]) -> int:
    value = answer.get("errcode", 0)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_ERRCODE:
        raise _malformed("its errcode is not a whole number")
    return value


def _errmsg(answer: dict[str, Any]) -> str:
    text = str(answer.get("errmsg", ""))[:_LONGEST_ERRMSG]
    return "".join(char if char.isprintable() else " " for char in text).strip()


def _label(number: int) -> str:
    return str(number) if number in CODES else OTHER


def _decide(number: int, errmsg: str, *, about_week: bool) -> Unanswered:
    code = CODES.get(number)
    if code is None:
        return Failed(f"{number} {errmsg}: a code unknown to the exporter", OTHER, about_week=about_week)
    address = _ADDRESS.search(errmsg)
    cure = code.cure.format(ip=address[1] if address else "this machine's address")
    message = f"{number} {errmsg}: {cure}"
    return code.decision(message, str(number), about_week=about_week, no_data=code.no_data)


def _malformed(what: str) -> Failed:
    return Failed(f"WeChat's answer cannot be believed: {what}", MALFORMED, about_week=True)


def _check_week(row: dict[str, Any], week: Week) -> None:
    text = row.get("ref_date", row.get("refDate"))
    try:
        if isinstance(text, str) and week_from_ref_date(text) == week:
            return
    except ValueError:
        pass
    raise _malformed(f"its ref_date is not {week.label}")


def _figure(row: dict[str, Any], field: Field) -> float | None:
    value = row.get(field.wechat)
    if value is None:
        value = row.get(field.camel)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST_FIGURE:
        raise _malformed(f"{field.wechat} is not a figure")
    if field.unit is not Unit.COUNT:
        return value
    if value != int(value):
        raise _malformed(f"{field.wechat} is not a whole number")
    return int(value)

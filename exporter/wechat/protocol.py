"""What WeChat's answers mean: the table of codes, the decision each leads to, and the parsing of a row.

Pure: everything here goes from bytes to values. The facts are those of wechat-api.md sections 1, 3 and 4.
The decisions, one class each::

    Unanswered
     +-- NotReady       the week is not published yet
     +-- TokenRejected  another token may help, once
     +-- QuotaSpent     WeChat asks to be left alone for a while
     +-- Refused        a person must act
     +-- Failed         network, nonsense, unknown code, our own fault: tried again by itself
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from exporter.periods import week_from_ref_date
from exporter.reports import Reading, Unit

if TYPE_CHECKING:
    from exporter.periods import Week
    from exporter.reports import Field, Report
    from exporter.wechat.exchange import Reply

MALFORMED: Final = "malformed"
OTHER: Final = "other"
DAILY_QUOTA: Final = 45009

_LONGEST_ERRMSG = 200
_LARGEST_FIGURE = 2**63 - 1  # what SQLite's INTEGER holds; no Mini Program comes near
_DECIMAL = re.compile(r"\d{1,19}(\.\d{1,19})?", re.ASCII)
_ADDRESS = re.compile(r"invalid ip ([0-9a-fA-F.:]+)")
_LONGEST_TOKEN = 4096
_LONGEST_LIFE = 7200.0


class Unanswered(Exception):
    """Why there is no reading. The text is for people and holds no secret.

    Attributes:
        errcode: the ``errcode`` label; empty where WeChat gave no code (an empty list).
        about_week: the reason lies in this week's answer, so that another week may fare better.
        no_data: WeChat says that it has nothing for this week.
        retry_after: seconds that the server asked to be left alone, 0 if it did not.
    """

    def __init__(
        self,
        message: str,
        errcode: str = "",
        *,
        about_week: bool = False,
        no_data: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.errcode = errcode
        self.about_week = about_week
        self.no_data = no_data
        self.retry_after = retry_after


class NotReady(Unanswered):
    """The week is not published yet."""


class TokenRejected(Unanswered):
    """Another token may help, once."""


class QuotaSpent(Unanswered):
    """WeChat asks to be left alone for a minute or for the day."""


class Refused(Unanswered):
    """A person must act."""


class Failed(Unanswered):
    """Network, nonsense, an unknown code or our own fault: tried again by itself."""


@dataclass(frozen=True, slots=True)
class Code:
    """One ``errcode`` of WeChat's."""

    number: int
    errmsg: str
    """WeChat's own wording."""
    decision: type[Unanswered]
    """What the code leads to when a report is asked for."""
    cure: str
    """What to do about it, for people; ``{ip}`` is the address that WeChat names."""
    no_data: bool = False


_BY_ITSELF = "it is asked for again by itself"
_TAKE_ANOTHER = "the exporter takes another token once; if this stays, something else replaces the app's tokens"
_OUR_FAULT = "a fault of the exporter: please report it"
_CONFIRM = "the Mini Program's administrator must confirm the exporter's IP address in WeChat"
_PLATFORM = "complete the set-up of the third-party platform"
_PUNISHED = "the account is restricted: see the notices on mp.weixin.qq.com"

CODES: Final = {
    code.number: code
    for code in (
        Code(-1, "system error", NotReady, "WeChat is busy; " + _BY_ITSELF),
        Code(61503, "data not ready, please try later", NotReady, "not published yet; " + _BY_ITSELF),
        Code(61504, "system busy now , please try later", NotReady, "WeChat is busy; " + _BY_ITSELF),
        Code(
            40001,
            "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
            TokenRejected,
            _TAKE_ANOTHER,
        ),
        Code(40014, "invalid access_token", TokenRejected, _TAKE_ANOTHER),
        Code(42001, "access_token expired", TokenRejected, _TAKE_ANOTHER),
        Code(41001, "access_token missing", Failed, _OUR_FAULT),
        Code(DAILY_QUOTA, "reach max api daily quota limit", QuotaSpent, "nothing is asked until tomorrow"),
        Code(45011, "api minute-quota reach limit mustslower retry next minute", QuotaSpent, _BY_ITSELF),
        Code(40002, "invalid grant_type", Refused, _OUR_FAULT),
        Code(40013, "invalid appid", Refused, "correct `appid` in the configuration"),
        Code(
            40125,
            "invalid appsecret",
            Refused,
            "correct the app's secret: mp.weixin.qq.com shows or resets it",
        ),
        Code(41002, "appid missing", Refused, "give the app an `appid` in the configuration"),
        Code(41004, "appsecret missing", Refused, "give the app its secret in the configuration"),
        Code(
            40164,
            "invalid ip {ip} ipv6 ::ffff:{ip}, not in whitelist",
            Refused,
            "add {ip} to the app's IP allow list on mp.weixin.qq.com (Development > Development settings)",
        ),
        Code(40243, "AppSecret frozen", Refused, "unfreeze the AppSecret on mp.weixin.qq.com, or reset it"),
        Code(
            48001,
            "api unauthorized",
            Refused,
            "the token must be that of a Mini Program account (not an official account) that may use data analysis",
        ),
        Code(48004, "api forbidden for irregularities", Refused, _PUNISHED),
        Code(50002, "user limited", Refused, _PUNISHED),
        Code(50004, "user not allow to use accesstoken", Refused, _PUNISHED),
        Code(61004, "access clientip is not registered", Refused, "register the exporter's IP; " + _PLATFORM),
        Code(61007, "api is unauthorized to component", Refused, "grant permission set 18; " + _PLATFORM),
        Code(61500, "date format error", Failed, _OUR_FAULT),
        Code(
            61501,
            "date range error",
            Failed,
            "check this machine's clock; the week is not over",
            no_data=True,
        ),
        Code(
            61502,
            "this is game miniprogram, data api is not supported",
            Refused,
            "WeChat gives no figures for games: take the app out of the configuration",
            no_data=True,
        ),
        Code(43002, "require POST method", Failed, _OUR_FAULT),
        Code(44002, "empty post data", Failed, _OUR_FAULT),
        Code(47001, "data format error", Failed, _OUR_FAULT),
        Code(89501, "this ip is waiting for the administrator's confirmation", Refused, _CONFIRM),
        Code(89503, "this ip needs the administrator's confirmation", Refused, _CONFIRM),
        Code(89506, "the administrator refused this ip twice within 24 hours", Refused, _CONFIRM),
        Code(89507, "the administrator refused this ip within the last hour", Refused, _CONFIRM),
    )
}
"""Every code we know (wechat-api.md section 4), by its number."""

WRONG_SECRET = "the AppSecret is wrong: correct it in the configuration (mp.weixin.qq.com shows or resets it)"  # noqa: S105 (words, no secret)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and how long it lives, in seconds from its arrival."""

    value: str = field(repr=False)
    expires_in: float


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
    except ValueError:
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
    if isinstance(value, bool) or not isinstance(value, int):
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

"""A report's rows: from WeChat itself, or as a function in a cloud environment passes them on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from exporter.reports import Reading, Unit, is_figure
from exporter.wechat.codes import Failed, NotReady, TokenRejected
from exporter.wechat.protocol.responses import (
    decide,
    decode_function,
    errcode_of,
    errmsg_of,
    malformed,
    read_object,
    read_response,
    require_access,
)

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import Field, Report
    from exporter.wechat.messages import ApiResponse

_DECIMAL = re.compile(r"\d{1,19}(\.\d{1,19})?", re.ASCII)


def report_body(period: Period) -> bytes:
    """What a report is asked (wechat-api.md section 1)."""
    return json.dumps({"begin_date": period.begin_date, "end_date": period.end_date}).encode()


def event_body(report: Report, period: Period) -> bytes:
    """The event that a cloud function gets, with the names of a Cloud Call (section 5) and which of them to make."""
    api = report.api.partition(".")[2]
    return json.dumps({"api": api, "beginDate": period.begin_date, "endDate": period.end_date}).encode()


def parse_rows(reply: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Reads the answer to a report: exactly one row, about exactly the week asked for.

    Keys may be WeChat's snake_case or the camelCase of a Cloud Call. Null is missing, decimal strings are
    accepted.

    Raises:
        NotReady, TokenRejected, QuotaSpent, Refused: as the table of codes says; an empty list is not ready.
        Failed: the answer is not one that can be believed, or the code is unknown.
    """
    return _reading(read_response(reply, now, about_period=True), report, period)


def parse_invoked(reply: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Reads the answer of ``invokecloudfunction``, which holds as text what the function returned (section 5).

    Raises:
        FetchError: as for ``parse_rows``; that WeChat is busy calling the function says nothing about the period.
    """
    answer = read_response(reply, now, about_period=False)
    return _reading(_said_by_function(decode_function(answer), reply.secrets), report, period)


def parse_function(reply: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Reads what a function behind the HTTP access service answered (section 5).

    Raises:
        FetchError: as for ``parse_rows``; HTTP 401, 403 and 404 are ``Refused``.
    """
    require_access(reply, "the HTTP access service")
    return _reading(_said_by_function(read_object(reply, now), reply.secrets), report, period)


def _reading(answer: dict[str, Any], report: Report, period: Period) -> Reading:
    rows = answer.get("list")
    if not isinstance(rows, list):
        raise malformed("no list of rows")
    if not rows:
        raise NotReady("WeChat has no figures for this period (yet)", about_period=True, no_data=True)
    row = rows[0]
    if len(rows) != 1 or not isinstance(row, dict):
        raise malformed("expected exactly one row")
    _check_period(row, period)
    values = tuple(_figure(row, field) for field in report.fields)
    if all(value is None for value in values):
        raise malformed("the row has no figures")
    return Reading(report, period, values)


def _said_by_function(answer: dict[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    """The answer of a function, unless that is an error; a token that it speaks of is not ours to replace."""
    number = errcode_of(answer)
    if not number:
        return answer
    decision = decide(number, errmsg_of(answer, secrets), about_period=True)
    if isinstance(decision, TokenRejected):
        raise Failed(f"in the cloud function: {decision}", decision.errcode, about_period=True)
    raise decision


def _check_period(row: dict[str, Any], period: Period) -> None:
    text = row.get("ref_date", row.get("refDate"))
    try:
        if isinstance(text, str) and period.from_ref_date(text) == period:
            return
    except ValueError:
        pass
    raise malformed(f"ref_date is not {period.label}")


def _figure(row: dict[str, Any], field: Field) -> float | None:
    value = row.get(field.wechat)
    if value is None:
        value = row.get(field.camel)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if value is None:
        return None
    if not is_figure(value):
        raise malformed(f"{field.wechat} is not a valid number")
    if field.unit is not Unit.COUNT:
        return value
    if value != int(value):
        raise malformed(f"{field.wechat} is not a whole number")
    return int(value)

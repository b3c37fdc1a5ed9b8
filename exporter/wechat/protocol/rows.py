"""The rows of a report, from WeChat itself or from a function in a cloud environment.

A row is accepted only if it is exactly one, its ``ref_date`` is the requested period, and every figure is a finite
number that is not negative. A response that fails any check is malformed and nothing of it is kept: a wrong figure on a
dashboard does more harm than a missing one.
"""

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
    """Return the body of a request for a report (wechat-api.md section 1)."""
    return json.dumps({"begin_date": period.begin_date, "end_date": period.end_date}).encode()


def event_body(report: Report, period: Period) -> bytes:
    """Return the event for a cloud function: the Cloud Call to make and its arguments (section 5)."""
    api = report.api.partition(".")[2]
    return json.dumps({"api": api, "beginDate": period.begin_date, "endDate": period.end_date}).encode()


def parse_rows(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response to a report: exactly one row, for the requested period.

    Keys may be WeChat's snake_case or the camelCase of a Cloud Call. Null is a missing figure; decimal strings are
    accepted.

    Raises:
        NotReady, TokenRejected, QuotaSpent, Refused: as in the table of codes; ``NotReady`` for an empty list.
        Failed: the response is malformed, or the code is unknown.
    """
    return _reading(read_response(response, now, about_period=True), report, period)


def parse_invoked(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response of ``invokecloudfunction``, which contains the function's result as JSON text (section 5).

    Raises:
        FetchError: as for ``parse_rows``. An error of the invocation itself does not concern the period.
    """
    content = read_response(response, now, about_period=False)
    return _reading(_function_result(decode_function(content), response.secrets), report, period)


def parse_function(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response of a function behind the HTTP access service (section 5).

    Raises:
        FetchError: as for ``parse_rows``; HTTP 401, 403 and 404 are ``Refused``.
    """
    require_access(response, "the HTTP access service")
    return _reading(_function_result(read_object(response, now), response.secrets), report, period)


def _reading(content: dict[str, Any], report: Report, period: Period) -> Reading:
    rows = content.get("list")
    if not isinstance(rows, list):
        raise malformed("no list of rows")
    if not rows:
        # An empty list means both "not published" and "no data": the poller decides by the age of the period.
        raise NotReady("WeChat has no figures for this period (yet)", about_period=True, no_data=True)
    row = rows[0]
    if len(rows) != 1 or not isinstance(row, dict):
        raise malformed("expected exactly one row")
    _check_period(row, period)
    # A missing figure stays missing. Zero is a value, so that nothing may be filled in for it.
    values = tuple(_figure(row, field) for field in report.fields)
    if all(value is None for value in values):
        raise malformed("the row has no figures")
    return Reading(report, period, values)


def _function_result(content: dict[str, Any], secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return the result of a function, or raise its error.

    A rejected token is ``Failed``: it is the token of the function's own Cloud Call, which the exporter cannot replace.
    """
    number = errcode_of(content)
    if not number:
        return content
    decision = decide(number, errmsg_of(content, secrets), about_period=True)
    # A renewed token would not help, and the retry would count against the quota.
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
    # int() where possible: a float cannot represent every count above 2**53.
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

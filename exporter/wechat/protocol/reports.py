"""Requests for a report and their responses, from WeChat itself or from a function in a cloud environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from exporter.wechat.codes import Failed, TokenRejected
from exporter.wechat.protocol.figures import parse_figures
from exporter.wechat.protocol.responses import (
    decide,
    decode_function,
    errcode_of,
    errmsg_of,
    read_object,
    read_response,
    require_access,
)

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import Reading, Report
    from exporter.wechat.messages import ApiResponse


def report_body(period: Period) -> bytes:
    """Return the body of a request for a report (docs/wechat-api.md section 1)."""
    return json.dumps({"begin_date": period.begin_date, "end_date": period.end_date}).encode()


def event_body(report: Report, period: Period) -> bytes:
    """Return the event for a cloud function: the Cloud Call to make and its arguments (section 5)."""
    api = report.api.partition(".")[2]
    return json.dumps({"api": api, "beginDate": period.begin_date, "endDate": period.end_date}).encode()


def parse_report(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response to a report.

    Raises:
        NotReady, TokenRejected, QuotaSpent, Refused: as in the table of codes; ``NotReady`` for an empty list.
        Failed: the response is malformed, or the code is unknown.
    """
    return parse_figures(read_response(response, now, about_period=True), report, period)


def parse_invoked(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response of ``invokecloudfunction``, which contains the function's result as JSON text (section 5).

    Raises:
        FetchError: as for ``parse_report``. An error of the invocation itself does not concern the period.
    """
    content = read_response(response, now, about_period=False)
    return parse_figures(_function_result(decode_function(content), response.secrets), report, period)


def parse_function(response: ApiResponse, report: Report, period: Period, now: float) -> Reading:
    """Parse the response of a function behind the HTTP access service (section 5).

    Raises:
        FetchError: as for ``parse_report``; HTTP 401, 403 and 404 are ``Refused``.
    """
    require_access(response, "the HTTP access service")
    return parse_figures(_function_result(read_object(response, now), response.secrets), report, period)


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

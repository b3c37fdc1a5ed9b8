"""Requests and responses of ``httpd`` in the form that WeChat gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.httpd import Response
from exporter.wechat.codes import CODES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.httpd import Request

EGRESS_IP = "203.0.113.7"
"""The address from which the simulated WeChat sees requests come (TEST-NET-3, RFC 5737)."""


def query_of(request: Request) -> Mapping[str, str]:
    """Return the query parameters of a request, empty ones included: WeChat distinguishes an empty token from none."""
    return dict(parse_qsl(request.query, keep_blank_values=True))


def json_response(content: object) -> Response:
    """Return a well-formed response. WeChat's Content-Type has ``encoding`` in place of ``charset``."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(200, (("Content-Type", "application/json; encoding=utf-8"),), body)


def error_response(number: int, now: float) -> Response:
    """Return an error in WeChat's form: HTTP 200, and an errmsg that ends with a request id made from the time."""
    code = CODES.get(number)
    errmsg = code.errmsg.format(ip=EGRESS_IP) if code else "unknown error"
    rid = f"{int(now):08x}-00000000-00000000"
    return json_response({"errcode": number, "errmsg": f"{errmsg} rid: {rid}"})

"""Tokens: the bodies of requests for them, and the parsed responses (docs/wechat-api.md section 3).

A token goes into the query of the next request, so it is checked first: a portal's HTML page or an error that a token
server returns with status 200 must not be sent to WeChat as a token.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from exporter.wechat.codes import CODES, MALFORMED, WRONG_SECRET, Failed, Refused, TokenRejected
from exporter.wechat.protocol.responses import http_failure, read_response, require_access

if TYPE_CHECKING:
    from exporter.config import TokenUrl
    from exporter.wechat.messages import ApiResponse

_LONGEST_TOKEN = 4096
_TOKEN = re.compile(r"[!#-;=?-z|~]+")  # no white space, and none of the characters that begin JSON or HTML
_LONGEST_LIFETIME = 7200.0


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and its lifetime, in seconds from its arrival."""

    value: str = field(repr=False)
    expires_in: float


def token_body(appid: str, secret: str) -> bytes:
    """Return the body for ``stable_token``, in normal mode, which invalidates no other program's token (section 3)."""
    content = {"grant_type": "client_credential", "appid": appid, "secret": secret, "force_refresh": False}
    return json.dumps(content).encode()


def authorizer_body(component_appid: str, appid: str, refresh_token: str) -> bytes:
    """Return the body for ``api_authorizer_token`` (section 3)."""
    content = {
        "component_appid": component_appid,
        "authorizer_appid": appid,
        "authorizer_refresh_token": refresh_token,
    }
    return json.dumps(content).encode()


def parse_token(response: ApiResponse, now: float) -> Token:
    """Parse the response of ``stable_token`` (docs/wechat-api.md section 3).

    Raises:
        Refused: the appid or the secret is wrong, or the exporter's address is not allowed.
        QuotaSpent: too many requests for tokens.
        Failed: any other error; here -1, 61503 and 61504 do not mean "not ready".
    """
    try:
        content = read_response(response, now, about_period=False)
    except TokenRejected as wrong:
        # Here 40001 does not mean a rejected token, since none was sent, but a wrong secret: a retry cannot help.
        errcode = wrong.errcode
        raise Refused(f"{errcode} {CODES[int(errcode)].errmsg}: {WRONG_SECRET}", errcode) from None
    return Token(_token(content.get("access_token"), "WeChat's response"), _lifetime(content.get("expires_in")))


def parse_authorizer_token(response: ApiResponse, now: float) -> tuple[Token, str]:
    """Parse the response of ``api_authorizer_token``: the token, and the new refresh token (empty: unchanged).

    Raises:
        TokenRejected: the component's token was rejected.
        Refused, QuotaSpent, Failed: as for ``parse_token``.
    """
    content = read_response(response, now, about_period=False)
    token = _token(content.get("authorizer_access_token"), "WeChat's response")
    refresh_token = content.get("authorizer_refresh_token") or ""
    if refresh_token:  # checked like a token: it will be sent, and replaces the valid one in the file
        _token(refresh_token, "WeChat's response")
    return Token(token, _lifetime(content.get("expires_in"))), refresh_token


def parse_served_token(response: ApiResponse, source: TokenUrl, now: float) -> Token:
    """Parse the response of a central token server; without a lifetime in it, the longest possible one is assumed.

    Raises:
        Refused: the server denied access (HTTP 401, 403, 404), or returned such an error of WeChat's.
        Failed: any other response without a token.
    """
    require_access(response, "the token server")
    if source.plain_text:
        if response.status != HTTPStatus.OK:
            raise http_failure(response, now)
        text = response.body.decode("utf-8-sig", "replace").strip()
        return Token(_token(text, "the token server's response"), _LONGEST_LIFETIME)
    try:
        content = read_response(response, now, about_period=False)
    except TokenRejected as rejected:
        # The token server's own request was rejected. Another request to it would return the same.
        raise Refused(f"the token server returned: {rejected}", rejected.errcode) from None
    token = _token(_inside(content, source.json_field), "the token server's response")
    return Token(token, _lifetime(_inside(content, source.expires_in)) if source.expires_in else _LONGEST_LIFETIME)


def _token(value: object, source: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TOKEN or not _TOKEN.fullmatch(value):
        raise Failed(f"{source} contains no token", MALFORMED)
    return value


def _lifetime(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise Failed("the response contains no valid token lifetime", MALFORMED)
    return float(min(seconds, _LONGEST_LIFETIME))


def _inside(content: dict[str, Any], path: str) -> object:
    """Return the value at a dotted path; None if there is none."""
    found: object = content
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found

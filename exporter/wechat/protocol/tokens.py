"""Tokens: what is asked for them, and what the answers give (wechat-api.md section 3)."""

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
_TOKEN = re.compile(r"[!#-;=?-z|~]+")  # no white space, and nothing that begins JSON or HTML
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


def authorizer_body(component_appid: str, appid: str, refresh_token: str) -> bytes:
    """What ``api_authorizer_token`` is asked (section 3)."""
    asked = {
        "component_appid": component_appid,
        "authorizer_appid": appid,
        "authorizer_refresh_token": refresh_token,
    }
    return json.dumps(asked).encode()


def parse_token(reply: ApiResponse, now: float) -> Token:
    """Reads the answer of ``stable_token`` (wechat-api.md section 3).

    Raises:
        Refused: WeChat does not know the appid or the secret, or refuses our address.
        QuotaSpent: too many requests for tokens.
        Failed: anything else; here -1, 61503 and 61504 do not mean "not ready".
    """
    try:
        answer = read_response(reply, now, about_period=False)
    except TokenRejected as wrong:
        errcode = wrong.errcode
        raise Refused(f"{errcode} {CODES[int(errcode)].errmsg}: {WRONG_SECRET}", errcode) from None
    return Token(_token(answer.get("access_token"), "WeChat's response"), _life(answer.get("expires_in")))


def parse_authorizer_token(reply: ApiResponse, now: float) -> tuple[Token, str]:
    """Reads the answer of ``api_authorizer_token``: the token, and the refresh token from now on (empty: as before).

    Raises:
        TokenRejected: the component's token is not accepted.
        Refused, QuotaSpent, Failed: as for ``parse_token``.
    """
    answer = read_response(reply, now, about_period=False)
    token = _token(answer.get("authorizer_access_token"), "WeChat's response")
    refresh_token = answer.get("authorizer_refresh_token") or ""
    if refresh_token:
        _token(refresh_token, "WeChat's response")
    return Token(token, _life(answer.get("expires_in"))), refresh_token


def parse_served_token(reply: ApiResponse, source: TokenUrl, now: float) -> Token:
    """Reads the answer of a central token server; where it does not say how long the token lives, the longest.

    Raises:
        Refused: the server refuses us (HTTP 401, 403, 404), or passes on such an answer of WeChat's.
        Failed: anything else that is no token.
    """
    require_access(reply, "the token server")
    if source.plain_text:
        if reply.status != HTTPStatus.OK:
            raise http_failure(reply, now)
        text = reply.body.decode("utf-8-sig", "replace").strip()
        return Token(_token(text, "the token server's response"), _LONGEST_LIFE)
    try:
        answer = read_response(reply, now, about_period=False)
    except TokenRejected as rejected:
        raise Refused(f"the token server returned: {rejected}", rejected.errcode) from None
    token = _token(_inside(answer, source.json_field), "the token server's response")
    return Token(token, _life(_inside(answer, source.expires_in)) if source.expires_in else _LONGEST_LIFE)


def _token(value: object, whose: str) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TOKEN or not _TOKEN.fullmatch(value):
        raise Failed(f"{whose} contains no token", MALFORMED)
    return value


def _life(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise Failed("the response contains no valid token lifetime", MALFORMED)
    return float(min(seconds, _LONGEST_LIFE))


def _inside(answer: dict[str, Any], path: str) -> object:
    """What a dotted path leads to; None if it leads nowhere."""
    found: object = answer
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found

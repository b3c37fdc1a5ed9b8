"""WeChat's error codes, and what the exporter does about each: one table, and one exception class per decision.

The codes are those of WeChat's documentation, and some of real responses. The table of docs/troubleshooting.md is
generated from ``CODES``. The classes::

    FetchError
     +-- NotReady       the period is not published yet
     |    +-- Busy      WeChat is overloaded: retried sooner
     +-- TokenRejected  a different token may work: one retry
     +-- QuotaSpent     no requests for a minute or for the rest of the day
     +-- Refused        action required
     +-- Failed         network error, malformed response, unknown code or internal error: retried automatically
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MALFORMED: Final = "malformed"
OTHER: Final = "other"
DAILY_QUOTA: Final = 45009


class FetchError(Exception):
    """The reason why there is no reading. The message is for people and contains no secret.

    Attributes:
        errcode: the ``errcode`` label; empty if WeChat sent no code (an empty list).
        about_period: the error concerns this period only, so that another one may succeed.
        about_app: the error concerns the app's credentials or account, and so all its reports.
        no_data: WeChat has no figures for this period.
        retry_after: seconds to wait, from the server's ``Retry-After``; 0 without one.
    """

    def __init__(  # noqa: PLR0913 (the attributes)
        self,
        message: str,
        errcode: str = "",
        *,
        about_period: bool = False,
        about_app: bool = False,
        no_data: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.errcode = errcode
        self.about_period = about_period
        self.about_app = about_app
        self.no_data = no_data
        self.retry_after = retry_after


class NotReady(FetchError):
    """The period is not published yet."""


class Busy(NotReady):
    """WeChat is overloaded. Whether the period is published is unknown, so it is retried sooner, with backoff."""


class TokenRejected(FetchError):
    """A different token may work: one retry."""


class QuotaSpent(FetchError):
    """A quota is used up, for a minute or for the rest of the day."""


class Refused(FetchError):
    """Action required: a retry cannot succeed before the configuration or a setting at WeChat is changed."""


class Failed(FetchError):
    """Network error, malformed response, unknown code or internal error: retried automatically."""


@dataclass(frozen=True, slots=True)
class Code:
    """One ``errcode`` of WeChat."""

    number: int
    errmsg: str
    """WeChat's own message."""
    decision: type[FetchError]
    """The exception in the response to a report."""
    advice: str
    """What to do, for people; ``{ip}`` is the address in WeChat's message."""
    no_data: bool = False
    about_app: bool = False
    """The code concerns the app's credentials or account, and so all its reports."""


# Texts that several codes share.
_RETRIED = "retried automatically"
_RENEWED = "the exporter fetches another token once; if the error persists, another program replaces the app's tokens"
_INTERNAL = "internal error, please report it"
_CONFIRM = "the Mini Program's administrator must confirm the exporter's IP address in WeChat"
_WRONG = "correct the app's secret; a lost AppSecret can only be reset, which breaks services that use the old one"
_PUNISHED = "the account is restricted: see the notices on mp.weixin.qq.com"

CODES: Final = {
    code.number: code
    for code in (
        # Responses to a report.
        Code(-1, "system error", Busy, "WeChat is busy; " + _RETRIED),
        Code(61503, "data not ready, please try later", NotReady, "not published yet; " + _RETRIED),
        Code(61504, "system busy now , please try later", Busy, "WeChat is busy; " + _RETRIED),
        Code(
            40001,
            "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
            TokenRejected,
            _RENEWED,
        ),
        Code(40014, "invalid access_token", TokenRejected, _RENEWED),
        Code(42001, "access_token expired", TokenRejected, _RENEWED),
        Code(41001, "access_token missing", Failed, _INTERNAL),
        Code(DAILY_QUOTA, "reach max api daily quota limit", QuotaSpent, "no requests until tomorrow"),
        Code(45011, "api minute-quota reach limit mustslower retry next minute", QuotaSpent, _RETRIED),
        # Responses to a request for a token, and about the account.
        Code(40002, "invalid grant_type", Refused, _INTERNAL),
        Code(40013, "invalid appid", Refused, "correct `appid` in the configuration"),
        Code(40125, "invalid appsecret", Refused, _WRONG),
        Code(41002, "appid missing", Refused, "set the app's `appid` in the configuration"),
        Code(41004, "appsecret missing", Refused, "set the app's secret in the configuration"),
        Code(
            40164,
            "invalid ip {ip} ipv6 ::ffff:{ip}, not in whitelist",
            Refused,
            "add {ip} to the app's IP allow list on mp.weixin.qq.com (Development > Development settings)",
            about_app=True,
        ),
        Code(
            40243,
            "AppSecret frozen",
            Refused,
            "unfreeze the AppSecret on mp.weixin.qq.com, or reset it",
            about_app=True,
        ),
        Code(
            48001,
            "api unauthorized",
            Refused,
            "the token must belong to a Mini Program (not an official account) that may use WeChat's data analysis API",
        ),
        Code(48004, "api forbidden for irregularities", Refused, _PUNISHED, about_app=True),
        Code(50002, "user limited", Refused, _PUNISHED, about_app=True),
        Code(50004, "user not allow to use accesstoken", Refused, _PUNISHED, about_app=True),
        Code(
            61004,
            "access clientip is not registered",
            Refused,
            "register the exporter's IP address in the third-party platform's IP list",
            about_app=True,
        ),
        Code(
            61007,
            "api is unauthorized to component",
            Refused,
            "grant permission set 18 (or 21): the Mini Program's administrator must authorize the platform again",
        ),
        # About the request itself. The exporter sends valid ones, except when the clock is wrong (61501).
        Code(61500, "date format error", Failed, _INTERNAL),
        Code(
            61501,
            "date range error",
            Failed,
            "the period is not over: check this machine's clock",
            no_data=True,
        ),
        Code(
            61502,
            "this is game miniprogram, data api is not supported",
            Refused,
            "WeChat has no figures for games: remove the app from the configuration",
            no_data=True,
            about_app=True,
        ),
        Code(43002, "require POST method", Failed, _INTERNAL),
        Code(44002, "empty post data", Failed, _INTERNAL),
        # Responses of cloud functions.
        Code(-1000, "system error", Failed, _RETRIED),
        Code(40101, "missing parameter", Refused, "check `env` and `name` of `cloud_function` in the configuration"),
        Code(85088, "no qbase privilege", Refused, "enable cloud development for the Mini Program in WeChat DevTools"),
        Code(
            -604101,
            "function has no permission to call this API",
            Refused,
            "allow this report in the cloud function's config.json, and upload the function with that file",
        ),
        Code(47001, "data format error", Failed, _INTERNAL),
        # The administrator has to confirm the address from which an AppSecret is used.
        Code(89501, "this ip is waiting for the administrator's confirmation", Refused, _CONFIRM, about_app=True),
        Code(89503, "this ip needs the administrator's confirmation", Refused, _CONFIRM, about_app=True),
        Code(89506, "the administrator refused this ip twice within 24 hours", Refused, _CONFIRM, about_app=True),
        Code(89507, "the administrator refused this ip within the last hour", Refused, _CONFIRM, about_app=True),
    )
}
"""All known codes by their number; any other code gets the label ``other``."""

BUSY: Final = frozenset(str(code.number) for code in CODES.values() if code.decision is Busy)
"""The ``errcode`` labels that mean that WeChat is overloaded."""

WRONG_SECRET = "the AppSecret is wrong: " + _WRONG

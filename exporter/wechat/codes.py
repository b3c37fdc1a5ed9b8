"""WeChat's error codes, and the decision each leads to: one table, one class for each decision.

The codes are those of wechat-api.md section 4. The decisions::

    FetchError
     +-- NotReady       the period is not published yet
     |    +-- Busy      WeChat is overloaded: retried sooner
     +-- TokenRejected  another token may help, once
     +-- QuotaSpent     WeChat asks to be left alone for a while
     +-- Refused        a person must act
     +-- Failed         network, nonsense, unknown code, our own fault: tried again by itself
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MALFORMED: Final = "malformed"
OTHER: Final = "other"
DAILY_QUOTA: Final = 45009


class FetchError(Exception):
    """Why there is no reading. The text is for people and holds no secret.

    Attributes:
        errcode: the ``errcode`` label; empty where WeChat gave no code (an empty list).
        about_period: the reason is about this period alone, so that another one may succeed.
        about_app: the reason is the app's credentials or account, and holds for all its reports.
        no_data: WeChat says that it has nothing for this period.
        retry_after: seconds that the server asked to be left alone, 0 if it did not.
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
    """WeChat is overloaded, which has nothing to do with publication: retried soon, with backoff."""


class TokenRejected(FetchError):
    """Another token may help, once."""


class QuotaSpent(FetchError):
    """WeChat asks to be left alone for a minute or for the day."""


class Refused(FetchError):
    """A person must act."""


class Failed(FetchError):
    """Network, nonsense, an unknown code or our own fault: tried again by itself."""


@dataclass(frozen=True, slots=True)
class Code:
    """One ``errcode`` of WeChat's."""

    number: int
    errmsg: str
    """WeChat's own wording."""
    decision: type[FetchError]
    """What the code leads to when a report is asked for."""
    advice: str
    """What to do about it, for people; ``{ip}`` is the address that WeChat names."""
    no_data: bool = False
    about_app: bool = False
    """It is about the app's credentials or account, whichever report met it."""


_BY_ITSELF = "retried automatically"
_TAKE_ANOTHER = (
    "the exporter fetches another token once; if the error persists, another program replaces the app's tokens"
)
_OUR_FAULT = "internal error, please report it"
_CONFIRM = "the Mini Program's administrator must confirm the exporter's IP address in WeChat"
_PLATFORM = "complete the setup of the third-party platform"
_PUNISHED = "the account is restricted: see the notices on mp.weixin.qq.com"

CODES: Final = {
    code.number: code
    for code in (
        Code(-1, "system error", Busy, "WeChat is busy; " + _BY_ITSELF),
        Code(61503, "data not ready, please try later", NotReady, "not published yet; " + _BY_ITSELF),
        Code(61504, "system busy now , please try later", Busy, "WeChat is busy; " + _BY_ITSELF),
        Code(
            40001,
            "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken",
            TokenRejected,
            _TAKE_ANOTHER,
        ),
        Code(40014, "invalid access_token", TokenRejected, _TAKE_ANOTHER),
        Code(42001, "access_token expired", TokenRejected, _TAKE_ANOTHER),
        Code(41001, "access_token missing", Failed, _OUR_FAULT),
        Code(DAILY_QUOTA, "reach max api daily quota limit", QuotaSpent, "no requests until tomorrow"),
        Code(45011, "api minute-quota reach limit mustslower retry next minute", QuotaSpent, _BY_ITSELF),
        Code(40002, "invalid grant_type", Refused, _OUR_FAULT),
        Code(40013, "invalid appid", Refused, "correct `appid` in the configuration"),
        Code(
            40125,
            "invalid appsecret",
            Refused,
            "correct the app's secret (mp.weixin.qq.com shows or resets it)",
        ),
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
            "the token must belong to a Mini Program (not an official account) with access to data analysis",
        ),
        Code(48004, "api forbidden for irregularities", Refused, _PUNISHED, about_app=True),
        Code(50002, "user limited", Refused, _PUNISHED, about_app=True),
        Code(50004, "user not allow to use accesstoken", Refused, _PUNISHED, about_app=True),
        Code(
            61004,
            "access clientip is not registered",
            Refused,
            "register the exporter's IP address; " + _PLATFORM,
            about_app=True,
        ),
        Code(61007, "api is unauthorized to component", Refused, "grant permission set 18; " + _PLATFORM),
        Code(61500, "date format error", Failed, _OUR_FAULT),
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
        Code(43002, "require POST method", Failed, _OUR_FAULT),
        Code(44002, "empty post data", Failed, _OUR_FAULT),
        Code(-1000, "system error", Failed, _BY_ITSELF),
        Code(40101, "missing parameter", Refused, "check `env` and `name` of `cloud_function` in the configuration"),
        Code(85088, "no qbase privilege", Refused, "enable cloud development for the Mini Program in WeChat DevTools"),
        Code(
            -604101,
            "function has no permission to call this API",
            Refused,
            "allow this report in the cloud function's config.json, and upload the function with that file",
        ),
        Code(47001, "data format error", Failed, _OUR_FAULT),
        Code(89501, "this ip is waiting for the administrator's confirmation", Refused, _CONFIRM, about_app=True),
        Code(89503, "this ip needs the administrator's confirmation", Refused, _CONFIRM, about_app=True),
        Code(89506, "the administrator refused this ip twice within 24 hours", Refused, _CONFIRM, about_app=True),
        Code(89507, "the administrator refused this ip within the last hour", Refused, _CONFIRM, about_app=True),
    )
}
"""Every code we know (wechat-api.md section 4), by its number."""

BUSY: Final = frozenset(str(code.number) for code in CODES.values() if code.decision is Busy)
"""The ``errcode`` labels of an overloaded WeChat."""

WRONG_SECRET = "the AppSecret is wrong: correct it in the configuration (mp.weixin.qq.com shows or resets it)"  # noqa: S105 (words, no secret)

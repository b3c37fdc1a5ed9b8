"""The state of one report of an app, and its texts for the status page, the JSON and the documentation."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """The state of one report of an app, about its newest wanted period (``wechat_miniprogram_fetch_state``)."""

    PENDING = "pending"
    OK = "ok"
    NOT_READY = "not_ready"
    QUOTA_SPENT = "quota_spent"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def up(self) -> bool:
        """Whether WeChat responds as expected; False for ``pending``, which has not been fetched."""
        return self in {State.OK, State.NOT_READY}

    @property
    def text(self) -> str:
        """A short text for pages, the JSON and the log."""
        return _STATE_TEXTS[self]

    @property
    def meaning(self) -> str:
        """One or two sentences: what the state means and what happens next."""
        return _STATE_MEANINGS[self]


_STATE_TEXTS = {
    State.PENDING: "not fetched yet",
    State.OK: "up to date",
    State.NOT_READY: "waiting for WeChat to publish",
    State.QUOTA_SPENT: "quota used up",
    State.REFUSED: "refused, action required",
    State.FAILED: "failing, retrying",
}
_STATE_MEANINGS = {
    State.PENDING: "The exporter has just started; the first fetch follows within seconds.",
    State.OK: "The newest finished period is stored. It is fetched again, because WeChat may revise figures.",
    State.NOT_READY: (
        "WeChat has not published the newest finished period. It is fetched again automatically; until then the"
        " previous period is shown."
    ),
    State.QUOTA_SPENT: "WeChat accepts no more calls for now. The exporter tries again automatically.",
    State.REFUSED: "WeChat refuses requests. Action required: see the message of the app.",
    State.FAILED: "The network failed, or the response was invalid. The exporter tries again automatically.",
}


SEVERITY: Final = (State.OK, State.NOT_READY, State.PENDING, State.QUOTA_SPENT, State.FAILED, State.REFUSED)
"""The states from good to bad."""

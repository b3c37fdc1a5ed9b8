"""When WeChat is asked, and about which week. Pure: everything here decides and touches nothing.

The rules are those of the design, "When WeChat is asked"; all times are Unix seconds, all waits seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.periods import DAY, Week, newest_wanted, next_midnight
from exporter.status import Answer, State
from exporter.wechat.codes import BUSY, DAILY_QUOTA

if TYPE_CHECKING:
    from exporter.config import Fetch
    from exporter.poller.ledger import Ledger

UNAVAILABLE_RETRY = 30 * DAY
"""Seconds after which a week without data is requested again: WeChat may have published it late."""
JITTER = 0.1
"""The largest part of a wait that is added to it, so that thousands of apps spread out."""


@dataclass(frozen=True, slots=True)
class Look:
    """The next thing to ask about an app, and when."""

    at: float
    week: Week
    history: bool = False
    """The week is an older one that the store lacks; the newest weeks of all apps come first."""


def plan(ledger: Ledger, fetch: Fetch, now: float) -> Look:
    """What to ask next about one app."""
    newest = Look(max(now, _newest_due(ledger, fetch, now)), newest_wanted(Week, now, fetch.ready_after))
    if newest.at <= now:
        return newest
    missing = _missing_week(ledger, fetch, now)
    return newest if missing is None else Look(now, missing, history=True)


def next_fetch(ledger: Ledger, fetch: Fetch, now: float) -> float:
    """When the newest wanted week is asked for next."""
    return max(now, _newest_due(ledger, fetch, now))


def jitter(appid: str) -> float:
    """The app's own place in the spread, from 0 to ``JITTER``: always the same, and unlike its neighbours'."""
    digest = hashlib.sha256(appid.encode()).digest()
    return JITTER * int.from_bytes(digest[:4]) / 2**32


def wait(answer: Answer, fetch: Fetch) -> float:
    """How long an app is left alone after an answer, before jitter."""
    if answer.state is State.FAILED or answer.errcode in BUSY:
        return _backoff(answer, fetch)
    match answer.state:
        case State.NOT_READY:
            first_day_ends = answer.week.end + fetch.ready_after + DAY
            return fetch.retry_interval if answer.at < first_day_ends else fetch.interval
        case State.QUOTA_SPENT if answer.errcode == str(DAILY_QUOTA):
            return next_midnight(answer.at) + fetch.ready_after - answer.at
        case State.QUOTA_SPENT:
            return fetch.retry_interval
        case State.REFUSED if answer.retry_after:  # what was refused may be renewed by somebody else
            return min(max(fetch.retry_interval, answer.retry_after), fetch.interval)
        case _:
            return fetch.interval


def _backoff(answer: Answer, fetch: Fetch) -> float:
    doublings = min(max(answer.failures - 1, 0), 64)
    return min(max(fetch.retry_interval * 2.0**doublings, answer.retry_after), fetch.interval)


def _newest_due(ledger: Ledger, fetch: Fetch, now: float) -> float:
    answer = ledger.answer
    if answer is None or ledger.ask_at_once or answer.at > now:
        return now
    spread = jitter(ledger.app.appid)
    wait_over = answer.at + wait(answer, fetch) * (1 + spread)
    next_turn = answer.week.after().end + fetch.ready_after + fetch.retry_interval * spread
    return min(wait_over, next_turn)


def _missing_week(ledger: Ledger, fetch: Fetch, now: float) -> Week | None:
    """The newest older week that the store lacks and that may be asked for as part of this look."""
    answer = ledger.answer
    if answer is None or answer.history_stopped:
        return None
    older = (answer.week.before(weeks) for weeks in range(1, fetch.history_weeks))
    return next((week for week in older if _is_missing(ledger, week, answer.at, now)), None)


def _is_missing(ledger: Ledger, week: Week, looked_at: float, now: float) -> bool:
    if week in ledger.held:
        return False
    miss = ledger.misses.get(week)
    if miss is None or miss.at > now:  # concluded with a clock that has been set back since
        return True
    if miss.final:
        return now - miss.at >= UNAVAILABLE_RETRY * (1 + jitter(ledger.app.appid))
    return miss.at < looked_at

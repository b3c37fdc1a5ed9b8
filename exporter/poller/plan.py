"""Decides when WeChat is requested, and for which period. Pure.

All times are Unix seconds, all waits seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.apps import LastResult, State
from exporter.periods import DAY, Period, next_midnight
from exporter.wechat.codes import BUSY, DAILY_QUOTA

if TYPE_CHECKING:
    from exporter.config import Fetch
    from exporter.poller.tracker import ReportTracker
    from exporter.reports import Report

UNAVAILABLE_RETRY = 30 * DAY
"""Seconds after which a period without data is requested again: WeChat may have published it late."""
JITTER = 0.1
"""Maximum jitter as a ratio of the wait: thousands of apps that started together spread out."""


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What is requested next of one report of an app, and when."""

    at: float
    period: Period
    history: bool = False
    """The period is an older one that the store lacks; the newest periods of all apps come first."""


def plan(tracker: ReportTracker, fetch: Fetch, now: float) -> FetchPlan:
    """Return what to request next of one report of an app."""
    wanted = tracker.report.newest_wanted(now, fetch.ready_after)
    newest = FetchPlan(next_fetch(tracker, fetch, now), wanted)
    if newest.at <= now:
        return newest
    missing = _missing_period(tracker, fetch, now)
    return newest if missing is None else FetchPlan(now, missing, history=True)


def next_fetch(tracker: ReportTracker, fetch: Fetch, now: float) -> float:
    """Return when the newest wanted period is requested next."""
    return max(now, _newest_due(tracker, fetch, now))


def jitter(appid: str) -> float:
    """Return the jitter of an app, from 0 to ``JITTER``: a hash, so that a restart does not move its next fetch."""
    digest = hashlib.sha256(appid.encode()).digest()
    return JITTER * int.from_bytes(digest[:4]) / 2**32


def wait(report: Report, result: LastResult, fetch: Fetch) -> float:
    """Return how long a report waits after a result, before jitter."""
    # Busy is the state not_ready, but repeating it every half hour for a day would add to WeChat's load.
    if result.state is State.FAILED or result.errcode in BUSY:
        return _backoff(result, fetch)
    match result.state:
        case State.NOT_READY:
            first_day_ends = report.known_from(result.period, result.period) + fetch.ready_after + DAY
            return fetch.retry_interval if result.at < first_day_ends else fetch.interval
        case State.QUOTA_SPENT if result.errcode == str(DAILY_QUOTA):
            return next_midnight(result.at) + fetch.ready_after - result.at
        case State.QUOTA_SPENT:
            return fetch.retry_interval
        case State.REFUSED if result.retry_after:  # a token that another program renews
            return min(max(fetch.retry_interval, result.retry_after), fetch.interval)
        case _:
            return fetch.interval


def _backoff(result: LastResult, fetch: Fetch) -> float:
    doublings = min(max(result.failures - 1, 0), 64)  # a float cannot represent 2**1024
    return min(max(fetch.retry_interval * 2.0**doublings, result.retry_after), fetch.interval)


def _newest_due(tracker: ReportTracker, fetch: Fetch, now: float) -> float:
    result = tracker.last_result
    if result is None or tracker.fetch_at_once or result.at > now:
        return now
    spread = jitter(tracker.app.appid)
    wait_over = result.at + wait(tracker.report, result, fetch) * (1 + spread)
    # A newer period is wanted before a long wait is over, for example after a refusal on the last day of a week.
    following = result.period.after()
    next_turn = tracker.report.known_from(following, following) + fetch.ready_after + fetch.retry_interval * spread
    return min(wait_over, max(next_turn, result.at + _imposed_wait(tracker.report, result, fetch)))


def _imposed_wait(report: Report, result: LastResult, fetch: Fetch) -> float:
    """Return the seconds that WeChat demands, even if a newer period is wanted meanwhile."""
    if result.state is State.QUOTA_SPENT:
        return wait(report, result, fetch)
    return min(result.retry_after, fetch.interval) if result.state is State.FAILED else 0.0


def _missing_period(tracker: ReportTracker, fetch: Fetch, now: float) -> Period | None:
    """Return the newest older period that the store lacks and that may be requested before the next fetch."""
    result = tracker.last_result
    if result is None or result.history_stopped:
        return None
    older = (result.period.before(number) for number in range(1, tracker.report.periods_in_weeks(fetch.history_weeks)))
    return next((period for period in older if _is_missing(tracker, period, result, fetch, now)), None)


def _is_missing(tracker: ReportTracker, period: Period, newest: LastResult, fetch: Fetch, now: float) -> bool:
    if tracker.has(period, newest.period):
        return False
    unavailable = tracker.unavailable.get(period)
    if unavailable is None or unavailable.at > now:  # the clock has been set back since
        return True
    if unavailable.final:
        return now - unavailable.at >= UNAVAILABLE_RETRY * (1 + jitter(tracker.app.appid))
    # While WeChat is late, the newest period is requested every half hour. Three older cohorts lack the same week: with
    # them, a late Monday was 168 calls.
    is_late = newest.state is State.NOT_READY and now - unavailable.at < fetch.interval
    return unavailable.at < newest.at and not is_late

"""Results about an app's credentials, which concern all its reports. Pure.

Without sharing them, each of an app's reports would be requested with the same wrong secret, and logged; and after the
secret was corrected, all but the first would wait for their own next fetch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.poller.tracker import RETRIED_AT_ONCE, apply_shared, stop_history

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.poller.tracker import Applied, Key, ReportTracker
    from exporter.wechat.codes import FetchError


def share_newest(
    trackers: Mapping[Key, ReportTracker], found: ReportTracker, reason: FetchError, ready_after: float, now: float
) -> Iterator[Applied]:
    """Apply an error about the newest period of one report to the other reports of its app."""
    for other in _others_of(trackers, found):
        yield apply_shared(other, other.report.newest_wanted(now, ready_after), reason, now)


def share_history(trackers: Mapping[Key, ReportTracker], found: ReportTracker) -> Iterator[Applied]:
    """Stop the history of the other reports of an app after an error about an older period of one report."""
    for other in _others_of(trackers, found):
        yield stop_history(other)


def retried_with(
    trackers: Mapping[Key, ReportTracker], before: ReportTracker, after: ReportTracker
) -> Iterator[ReportTracker]:
    """Yield the other reports that are fetched at once, because the cause of their failure has ended."""
    previous = before.last_result
    if previous is None or before.state not in RETRIED_AT_ONCE or after.state in RETRIED_AT_ONCE:
        return
    error = previous.errcode, previous.at
    for other in _others_of(trackers, after):
        last = other.last_result
        if last is not None and other.state in RETRIED_AT_ONCE and (last.errcode, last.at) == error:
            yield replace(other, fetch_at_once=True)


def _others_of(trackers: Mapping[Key, ReportTracker], found: ReportTracker) -> list[ReportTracker]:
    """Return a list, since the caller replaces trackers meanwhile."""
    appid = found.app.appid
    return [trackers[appid, report.name] for report in found.app.reports if report.name != found.report.name]

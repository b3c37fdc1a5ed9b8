"""Logs once when a report of an app fails, once when it recovers, and when a new period is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from exporter.apps import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.poller.tracker import Key, ReportTracker

log = structlog.get_logger()


class TransitionLog:
    """Remembers what was logged about each report of each app; for use by one thread."""

    def __init__(self) -> None:
        self._logged: dict[Key, State] = {}
        self._failing_since: dict[Key, float] = {}
        """When the failure of a report began, whichever states it had since; Unix seconds."""
        self._announced: set[Key] = set()
        """Reports whose failure was logged, in this run or, according to the store, in an earlier one.

        A recovery is logged only for these, so that each "app recovered" has its "app failing"."""

    def restart(self, trackers: Iterable[ReportTracker], *, forget: bool = False) -> None:
        """Continue with these reports; forget removed ones.

        Args:
            trackers: all of them.
            forget: whether the API host changed, so that nothing was logged about any of them.
        """
        logged, since = self._logged, self._failing_since
        previous = {} if forget else logged
        self._logged, self._failing_since = {}, {}
        announced, self._announced = self._announced, set()
        for tracker in trackers:
            self._logged[tracker.key] = previous.get(tracker.key, State.PENDING)
            last = tracker.last_result
            began = since.get(tracker.key, last.since if last is not None and not tracker.state.up else None)
            if began is not None:
                self._failing_since[tracker.key] = began
                if tracker.key in announced or tracker.key not in logged:
                    self._announced.add(tracker.key)

    def observe(self, before: ReportTracker, after: ReportTracker, now: float, *, quiet: bool = False) -> None:
        """Log what changed between two trackers of one report.

        Args:
            before: the tracker until now.
            after: the next one.
            now: Unix seconds.
            quiet: do not log a failure, because it was logged for another report of the app.
        """
        last, state = after.last_result, after.state
        logged, self._logged[after.key] = self._logged[after.key], state
        began = self._failing_since.pop(after.key, None)
        facts = {"appid": after.app.appid, "report": after.report.name, "state": state.value}
        # From one failing state to another, for example refused to failed, the failure continues and began earlier.
        if last is not None and not state.up:
            self._failing_since[after.key] = now if began is None else min(began, now)
            if state is not logged and not quiet:
                self._announced.add(after.key)
                log.warning("app failing", **facts, errcode=last.errcode, error=last.message)
        elif began is not None and after.key in self._announced:
            self._announced.discard(after.key)
            # Not negative if the clock was set back.
            log.info("app recovered", **facts, duration_seconds=max(0, round(now - began)))
        live = after.history.live
        if live is not None and live != before.history.live:
            log.info("period published", appid=after.app.appid, report=after.report.name, period=live.label)

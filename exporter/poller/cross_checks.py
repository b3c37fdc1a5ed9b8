"""Compares a reading with another report of the same app about the same period. Pure, apart from the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from exporter.reports import REPORTS, Reading
from exporter.wechat.codes import NotReady

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.periods import Period
    from exporter.poller.tracker import Key, ReportTracker
    from exporter.reports import CrossCheck
    from exporter.wechat.client import Outcome

log = structlog.get_logger()


def believed(trackers: Mapping[Key, ReportTracker], appid: str, outcome: Outcome) -> Outcome:
    """Return the outcome after a comparison of its reading with another report: completed, unchanged or not ready."""
    reading = outcome.result
    if not isinstance(reading, Reading) or reading.report.check is None:
        return outcome
    check = reading.report.check
    if check.believe is None:
        return outcome
    other, own = trackers.get((appid, check.report)), trackers.get((appid, reading.report.name))
    known = _known(other, reading.period) or _known(own, reading.period)
    believable = check.believe(reading, known)
    # Zeros cannot be judged before the other report is known. That of an older period is fetched within minutes.
    is_unproven = other is not None and known is None and not any(reading.values) and not any(_parts(reading))
    if believable is None or is_unproven:
        message = f"WeChat returned only zeros for {reading.period.NAME} {reading.period.label}, which no other"
        message += " response confirms (yet)"
        return replace(outcome, result=NotReady(message, about_period=True, no_data=True))
    return replace(outcome, result=believable)


class TotalsLog:
    """Logs once per app that two reports differ about the same total; for use by one thread."""

    def __init__(self) -> None:
        self._logged: set[Key] = set()

    def observe(self, trackers: Mapping[Key, ReportTracker], appid: str, reading: Reading) -> None:
        """Compare the totals of a period after one of the two reports arrived."""
        for report in REPORTS.values():
            check = report.check
            if check is not None and check.totals is not None and reading.report.name in {report.name, check.report}:
                self._compare(trackers.get((appid, report.name)), trackers.get((appid, check.report)), check, reading)

    def _compare(
        self, tracker: ReportTracker | None, other: ReportTracker | None, check: CrossCheck, reading: Reading
    ) -> None:
        if tracker is None or other is None or check.totals is None:
            return
        name, other_name = check.totals
        total, expected = _total(tracker, name, reading), _total(other, other_name, reading)
        # Not again after days that agree: in a history where every other day differs, that was a line for each.
        if total is not None and expected is not None and total != expected and tracker.key not in self._logged:
            self._logged.add(tracker.key)
            facts = {"appid": tracker.app.appid, "report": tracker.report.name, "period": reading.period.label}
            log.warning("reports differ", **facts, total=total, other_report=other.report.name, other_total=expected)


def _total(tracker: ReportTracker, name: str, reading: Reading) -> float | None:
    field = next(field for field in tracker.report.fields if field.wechat == name)
    return tracker.history.value(reading.period, field)


def _known(tracker: ReportTracker | None, period: Period) -> Reading | None:
    return None if tracker is None else tracker.history.reading(period)


def _parts(reading: Reading) -> list[float]:
    return [value for _, _, value in reading.by_dimension]

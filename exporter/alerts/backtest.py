"""Finds the alerts about figures that past periods would have raised, from the conditions of ``drops``.

The rules of Prometheus add to the conditions: an alert fires after a wait and keeps firing for a time, days in a row
are one alert, and a weekly alert is left out where a daily one has reported the drop. ``figures`` has the rules; a test
compares both over weeks of figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.alerts.drops import find_drops
from exporter.alerts.figures import KEEP_DAILY_FIRING_FOR, REPORTED_SECONDS, explaining_fields, reported_since
from exporter.alerts.model import FOR
from exporter.config import parse_duration
from exporter.periods import Day
from exporter.reports.catalogue import DAILY, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.alerts.drops import Drop, DropRule
    from exporter.apps import AppStatus
    from exporter.periods import Period
    from exporter.reports import Report

_WAIT = parse_duration(FOR)
_KEEP_DAILY = parse_duration(KEEP_DAILY_FIRING_FOR)


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One alert of an app about a week, or about days in a row."""

    rule: DropRule
    first: Period
    last: Period
    drop: Drop
    """The one with the lowest ratio."""
    start: float
    """When its condition became true, Unix seconds."""
    end: float
    """When its condition became false, Unix seconds."""
    reported: bool = False
    """Whether Prometheus leaves it out, because an alert about the days of this week has reported the drop."""

    @property
    def fires_at(self) -> float:
        """When it fires, Unix seconds."""
        return self.start + _WAIT

    @property
    def fires_until(self) -> float:
        """When a daily alert ends, Unix seconds."""
        return self.end + _KEEP_DAILY


class Backtest:
    """The alerts of one app, from its statuses in the order of time."""

    def __init__(self) -> None:
        self._live: dict[str, Period] = {}
        self._alerts: list[PastAlert] = []

    def add(self, start: float, end: float, status: AppStatus) -> None:
        """Evaluate what the app exposed from ``start`` until ``end`` (Unix seconds)."""
        for of in status.reports:
            live = of.history.live
            if live is None:
                continue
            if self._live.get(of.report.name) == live:
                self._extend(of.report, live, end)
                continue
            self._live[of.report.name] = live
            for drop in find_drops(status, of.report):
                self._add(PastAlert(drop.rule, live, live, drop, start, end))

    def alerts(self) -> Iterator[PastAlert]:
        """Yield every alert, in the order of time."""
        daily = [alert for alert in self._alerts if alert.rule.report is DAILY]
        for alert in sorted(self._alerts, key=lambda each: each.start):
            if alert.end - alert.start > _WAIT:
                yield replace(alert, reported=_is_reported(alert, daily))

    def _extend(self, report: Report, live: Period, end: float) -> None:
        for number, alert in enumerate(self._alerts):
            if alert.rule.report is report and alert.last == live:
                self._alerts[number] = replace(alert, end=end)

    def _add(self, alert: PastAlert) -> None:
        """Add an alert, or the days of one to the same alert that still fires."""
        for number, earlier in enumerate(self._alerts):
            same = earlier.rule == alert.rule and alert.rule.report.period is Day
            if same and alert.start <= earlier.fires_until:
                lowest = min(earlier.drop, alert.drop, key=lambda drop: drop.ratio)
                self._alerts[number] = replace(earlier, last=alert.last, drop=lowest, end=alert.end)
                return
        self._alerts.append(alert)


def _is_reported(alert: PastAlert, daily: Iterable[PastAlert]) -> bool:
    """Return whether the rules leave out a weekly alert all the time, as those of ``figures.weekly_alerts`` do."""
    rule = alert.rule
    if rule.report is not WEEKLY:
        return False
    fields = explaining_fields(rule.field)
    since = reported_since(alert.first.end)
    # Prometheus evaluates the rule that remembers daily alerts before the weekly ones: one that fires at the same time
    # counts.
    reports = [
        each
        for each in daily
        if each.rule.field in fields
        and (each.rule.severity == "critical" or rule.severity != "critical")
        and each.fires_at <= alert.fires_at
        and each.fires_until > since
    ]
    # A week that stays live for longer than the memory of the rule, since the next ones are missing, fires after it.
    return any(each.fires_until + REPORTED_SECONDS + _WAIT > alert.end for each in reports)

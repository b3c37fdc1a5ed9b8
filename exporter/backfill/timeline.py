"""The statuses of an app over time, as scrapes would have shown them, from the readings in the store.

A period is live from the instant at which it became wanted until the next known one did: while a period is missing, the
older one stays exposed, as in the running exporter. At each instant the history of a report ends with its live period,
so that comparison figures and alerts are those of that time. A cohort gains its later figures one by one, in the
weeks in which WeChat publishes them, although a single response had all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from exporter.apps import AppStatus, Counters, ReportStatus, State
from exporter.backfill.selection import stored_readings
from exporter.reports import History

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from exporter.backfill.selection import PeriodRange
    from exporter.config import App
    from exporter.reports import Reading, Report, StoredReading
    from exporter.store import Store


@dataclass(frozen=True, slots=True)
class Moment:
    """What an app exposed from ``start`` until ``end`` (Unix seconds)."""

    start: float
    end: float
    status: AppStatus


@dataclass(frozen=True, slots=True)
class _Event:
    """A change of what a report exposes: the next reading, or nothing more."""

    at: float
    report: Report
    stored: StoredReading | None


@dataclass(frozen=True, slots=True)
class Timelines:
    """Reads timelines from a store.

    Args:
        store: has the readings.
        ready_after: seconds after its end from which a period is wanted.
        until: where every timeline ends, Unix seconds.
    """

    store: Store
    ready_after: float
    until: float

    def of(self, app: App, chosen: Mapping[str, PeriodRange]) -> Iterator[Moment]:
        """Yield the moments of an app in order, without gaps between them.

        Args:
            app: the app.
            chosen: by the name of each report, the periods that may be live; older ones are for comparison only.
        """
        reports = [report for report in app.reports if report.name in chosen]
        streams = [
            self._events(app, report, chosen[report.name], later)
            for report in reports
            for later in range(min(report.later, 1), report.later + 1)
        ]
        events = merge(*streams, key=lambda each: each.at)
        histories = {report.name: History(report) for report in reports}
        exposed: dict[str, Report] = {}
        start = self.until
        for at, simultaneous in groupby(events, key=lambda each: each.at):
            if at >= self.until:
                break
            if exposed:
                yield Moment(start, at, _status(app, exposed, histories))
            start = at
            for event in simultaneous:
                name = event.report.name
                if event.stored is None:
                    exposed.pop(name, None)
                    continue
                histories[name] = histories[name].with_reading(event.stored)
                if event.stored.period >= chosen[name].first:
                    exposed[name] = event.report
        if exposed:
            yield Moment(start, self.until, _status(app, exposed, histories))

    def bounds(self, report: Report, chosen: PeriodRange) -> tuple[float, float]:
        """Return the start and the end of the samples of a report, Unix seconds, if its first period is known."""
        first, following = chosen.first, chosen.last.after()
        end = self.until if chosen.is_open else report.known_from(following, following) + self.ready_after
        return report.known_from(first, first) + self.ready_after, end

    def _events(self, app: App, report: Report, chosen: PeriodRange, later: int) -> Iterator[_Event]:
        """Yield the readings of a report as of the end of ``later`` further periods; 0 for all but cohorts."""
        _, end = self.bounds(report, chosen)
        for stored in stored_readings(self.store, app, report, chosen.first.before(report.lookback), chosen.last):
            reading, at = _until(stored.reading, later), stored.period.before(-later).end + self.ready_after
            if reading is not None and at < end:
                yield _Event(at, report, replace(stored, reading=reading))
        yield _Event(end, report, None)


def _until(reading: Reading, later: int) -> Reading | None:
    """Return a cohort as known at the end of ``later`` further periods; None if that was only its size."""
    if not reading.report.later:
        return reading
    known = tuple(part for part in reading.by_dimension if int(part[1]) <= later)
    return replace(reading, by_dimension=known) if known else None


def _status(app: App, exposed: Mapping[str, Report], histories: Mapping[str, History]) -> AppStatus:
    reports = tuple(
        ReportStatus(report, State.OK, None, histories[report.name], 0.0, Counters())
        for report in app.reports
        if report.name in exposed
    )
    return AppStatus(app.appid, app.name, reports, app.alerts)

"""An app with two years of weeks, days and months in a store: drops, missing periods, a missing figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from stores import HOST

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.periods import DAY, Day, Week
from exporter.reports import REPORTS, Reading, Report, StoredReading, Thresholds
from exporter.reports.fields import STAY_PER_VISITOR
from exporter.store import MEMORY, Change, Store
from exporter.wechat.protocol.figures import parse_figures
from exporter.wechat.simulator import Audience, SimulatedApp, Simulator

if TYPE_CHECKING:
    from exporter.periods import Period

NOW = 1_795_579_200.0
"""Wednesday, 25 November 2026, 12:00 in Beijing."""
READY_AFTER = 36_000.0
NAME = "转转二手书 · Second-hand Books"
DROP = Week.of(date(2026, 3, 16))
AUDIENCE = Audience(2400, drops_in=DROP, drops_through="2", retention_drops_in=DROP)
MISSING_WEEKS = (Week.of(date(2025, 11, 3)), Week.of(date(2025, 11, 10)))
MISSING_DAYS = tuple(Day.of(date(2026, 7, day)) for day in (*range(6, 26), 28))
WITHOUT_STAY = Week.of(date(2026, 5, 11))


@dataclass(frozen=True)
class TwoYears:
    """The app, and what the store has of it, the oldest first."""

    status: AppStatus
    stored: dict[str, tuple[StoredReading, ...]]


def fill(store: Store, audience: Audience = AUDIENCE, appid: str = "wx00000000000000a1") -> TwoYears:
    """Save the figures of 104 weeks of each report, and return the app as the poller would publish it."""
    wechat = Simulator([SimulatedApp(appid, "", audience)], lambda: NOW)
    stored = {report.name: _stored(wechat, appid, report) for report in REPORTS.values()}
    store.save(Change(appid, REPORTS[report], each) for report, readings in stored.items() for each in readings)
    reports = tuple(_status(store, appid, report) for report in REPORTS.values())
    return TwoYears(AppStatus(appid, NAME, reports, Thresholds()), stored)


def open_store(directory: str = MEMORY) -> Store:
    return Store(directory, HOST, lambda: NOW)


def newest(report: Report) -> Period:
    return report.newest_wanted(NOW, READY_AFTER)


def _stored(wechat: Simulator, appid: str, report: Report) -> tuple[StoredReading, ...]:
    last = newest(report)
    periods = (last.before(number) for number in reversed(range(report.periods_in_weeks(104))))
    return tuple(
        StoredReading(_reading(wechat, appid, report, period), period.end + DAY / 2)
        for period in periods
        if period not in MISSING_WEEKS and period not in MISSING_DAYS
    )


def _reading(wechat: Simulator, appid: str, report: Report, period: Period) -> Reading:
    reading = parse_figures(dict(wechat.content(appid, report, period)), report, period)
    if period != WITHOUT_STAY or STAY_PER_VISITOR not in report.fields:
        return reading
    values = zip(report.fields, reading.values, strict=True)
    return replace(reading, values=tuple(None if field is STAY_PER_VISITOR else value for field, value in values))


def _status(store: Store, appid: str, report: Report) -> ReportStatus:
    known = store.read(appid, report, 1)
    result = LastResult(newest(report), State.OK, NOW - 3600, NOW - 9 * 3600, succeeded=NOW - 3600)
    return ReportStatus(report, State.OK, result, known.history, NOW + 5 * 3600, Counters(3))


STORE = open_store()
APP = fill(STORE)
STATUS = APP.status

"""The periods of a backfill, and which of them are requested. Pure, apart from reading the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from exporter.poller.plan import UNAVAILABLE_RETRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config import App
    from exporter.periods import Period
    from exporter.reports import Report, StoredReading
    from exporter.store import Store

LAUNCH = date(2017, 1, 9)
"""The day on which WeChat introduced Mini Programs; there are no figures before it."""
WEEKS = 104
"""Default length of a backfill."""
_AT_ONCE = 100
"""Number of periods that are read from the store at once, so that memory does not grow with their total number."""


@dataclass(frozen=True, slots=True)
class PeriodRange:
    """Successive periods of one report."""

    first: Period
    last: Period
    newest: Period
    """The newest wanted period of the report."""

    @property
    def is_open(self) -> bool:
        """Whether the last period is the newest wanted one, which stays live."""
        return self.last == self.newest

    def __len__(self) -> int:
        """Return the number of periods."""
        return self.last.periods_since(self.first) + 1

    def __iter__(self) -> Iterator[Period]:
        """Yield the periods, the oldest first."""
        return (self.first.before(-number) for number in range(len(self)))


@dataclass(frozen=True, slots=True)
class Selection:
    """The periods that the user chose: a number of weeks, or days."""

    weeks: int = WEEKS
    """Length, if ``begin`` is not given."""
    begin: date | None = None
    """A day of the first period."""
    end: date | None = None
    """A day of the last period; None for the newest wanted one."""

    def periods(self, report: Report, now: float, ready_after: float) -> PeriodRange | None:
        """Return the periods of a report; None if none of them is wanted yet.

        Args:
            report: the report.
            now: Unix seconds.
            ready_after: seconds after its end from which a period is wanted.
        """
        kind = report.period
        newest = report.newest_wanted(now, ready_after)
        last = newest if self.end is None else min(newest, kind.containing_day(self.end))
        back = report.periods_in_weeks(self.weeks) - 1
        first = last.before(back) if self.begin is None else kind.containing_day(self.begin)
        first = max(first, kind.containing_day(LAUNCH))
        return PeriodRange(first, last, newest) if first <= last else None


def stored_readings(store: Store, app: App, report: Report, first: Period, last: Period) -> Iterator[StoredReading]:
    """Yield the stored readings of the periods from ``first`` to ``last``, the oldest first, read in portions."""
    while first <= last:
        end = min(first.before(1 - _AT_ONCE), last)
        yield from store.periods(app.appid, report, first, end)
        first = end.after()


def missing_periods(store: Store, app: App, report: Report, chosen: PeriodRange, now: float) -> tuple[Period, ...]:
    """Return the periods to request, the newest first.

    Those are the periods of which the store lacks a figure that should be known, except those for which WeChat had no
    data in the last 30 days.
    """
    stored = {
        each.period
        for each in stored_readings(store, app, report, chosen.first, chosen.last)
        if each.reading.last_key >= report.wanted_key(each.period, chosen.newest)
    }
    unavailable = {
        each.period
        for each in store.read(app.appid, report, 1).unavailable
        if each.final and 0 <= now - each.at < UNAVAILABLE_RETRY
    }
    return tuple(period for period in chosen if period not in stored and period not in unavailable)[::-1]

"""Apps as the poller publishes them, with predictable figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.metrics.families import families
from exporter.periods import Day, Month, Week
from exporter.reports import REPORTS, WEEKLY, History, Reading, Report, StoredReading, Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.periods import Period

W2 = Week.of(date(2026, 11, 16))
W1 = W2.before()
LABEL = "20261116-20261122"
ALL = tuple(REPORTS.values())


def stored(period: Period, *values: float | None, report: Report = WEEKLY) -> StoredReading:
    return StoredReading(Reading(report, period, values), 100.5)


def history(*readings: StoredReading, report: Report = WEEKLY) -> History:
    return History.of(report, readings)


def with_report(status: AppStatus, **changes: object) -> AppStatus:
    """Return the app with its first report changed."""
    first, *others = status.reports
    return replace(status, reports=(replace(first, **changes), *others))  # type: ignore[arg-type]


FULL = AppStatus(
    "wx1",
    "Shop",
    (
        ReportStatus(
            WEEKLY,
            State.OK,
            LastResult(W2, State.OK, 5.0, 5.0, succeeded=4.0),
            history(stored(W2, 2470, 8913, 754, 248, 226.4748, 69.1344, 1.9798), stored(W1, 0, 1, 2, 3, 4.5, None, 0)),
            9.0,
            Counters(3, 1, 2, (("45009", 1), ("timeout", 2))),
        ),
    ),
    Thresholds(),
)
NEW = AppStatus(
    "wx2",
    "",
    (ReportStatus(WEEKLY, State.PENDING, None, History(WEEKLY), 7.0, Counters()),),
    Thresholds().with_ratios({("weekly", "visitors_min_ratio"): 0.5}),
)
HOSTILE = with_report(
    replace(FULL, appid='wx"\\\n{}', name='<script>"\\\n\u2028'),
    history=history(stored(W2, 2470, 8913, 754, 248, 226.4748, 69.1344, 1.9798)),
)

# --- an app that fetches all reports -----------------------------------------------------------------

DAY = Day.of(date(2026, 11, 24))
MONTH = Month.of(date(2026, 10, 1))
LIVE: dict[str, Period] = {"weekly": W2, "daily": DAY, "monthly": MONTH}


def figures(period: Period) -> tuple[float, ...]:
    """Return seven figures that no two periods share; four times a week, the days are 1 % higher."""
    base = 1000 + period.first.toordinal() % 997
    return (base * 3, base * 9, base, base // 3, 70.5 + base, 30.25 + base, 2.5)


def whole_history(report: Report) -> History:
    """Return every period of the report's lookback."""
    live = LIVE[report.name]
    return history(
        *(stored(live.before(n), *figures(live.before(n)), report=report) for n in range(report.lookback + 1)),
        report=report,
    )


EVERY = AppStatus(
    "wx3",
    "Everything",
    tuple(
        ReportStatus(
            report,
            State.OK,
            LastResult(LIVE[report.name], State.OK, 5.0, 5.0, succeeded=4.0),
            whole_history(report),
            9.0,
            Counters(fetches),
        )
        for fetches, report in enumerate(ALL, 1)
    ),
    Thresholds().with_ratios({("daily", "sessions_min_ratio"): 0.25}),
)


def samples(*statuses: AppStatus, reports: Sequence[Report] = (WEEKLY,)) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("wechat_miniprogram_"), *sample.labels.values()): sample.value
        for family in families(reports, statuses)
        for sample in family.samples
    }

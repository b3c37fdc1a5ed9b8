"""Apps as the poller publishes them, with predictable figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from exporter.apps import AppStatus, Counters, LastResult, ReportStatus, State
from exporter.metrics.families import families
from exporter.periods import Day, Month, Week
from exporter.reports import (
    DAILY_SOURCES,
    DAILY_SUMMARY,
    REPORTS,
    WEEKLY,
    History,
    Reading,
    Report,
    Shape,
    StoredReading,
    Thresholds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.periods import Period

W2 = Week.of(date(2026, 11, 16))
W1 = W2.before()
LABEL = "20261116-20261122"
ALL = tuple(REPORTS.values())


Parts = dict[str, dict[int, float]]
"""Of a reading: WeChat's name of the field, key, value."""


def stored(period: Period, *values: float | None, report: Report = WEEKLY, parts: Parts | None = None) -> StoredReading:
    listed = sorted((name, str(key), value) for name, each in (parts or {}).items() for key, value in each.items())
    return StoredReading(Reading(report, period, values, tuple(listed)), 100.5)


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
LIVE: dict[str, Period] = {
    "weekly": W2,
    "daily": DAY,
    "monthly": MONTH,
    "weekly_retention": W1,
    "daily_sources": DAY,
    "daily_summary": DAY,
}


def figures(period: Period) -> tuple[float, ...]:
    """Return seven figures that no two periods share; four times a week, the days are 1 % higher."""
    base = 1000 + period.first.toordinal() % 997
    return (base * 3, base * 9, base, base // 3, 70.5 + base, 30.25 + base, 2.5)


def sharing(day: Period) -> tuple[float, ...]:
    """Return shares, sharers and total visitors."""
    visitors = int(figures(day)[2])
    return visitors // 10, visitors // 15, day.first.toordinal()


def cohort(week: Period) -> Parts:
    """Return how many of a week's visitors, and of its new ones, came back in each later week that is over."""
    visitors, new = (int(number) for number in figures(week)[2:4])
    weeks = range(1, min(W2.periods_since(week), 4) + 1)
    return {
        "visit_uv": {later: visitors // (1 + later) for later in weeks},
        "visit_uv_new": {later: new // (3 + later) for later in weeks},
    }


UNKNOWN_SOURCE = 63
"""A key that is not in the table of entrances."""
GONE_SOURCE = 9
"""An entrance that was last used 28 days before the live day."""


def distribution(day: Period) -> Parts:
    """Return the parts of the sessions and visitors of a day, without those that are 0, as WeChat sends them."""
    sessions = int(figures(day)[0])
    back = DAY.periods_since(day)
    sources = {
        2: sessions // 2 if back > 6 else sessions // 4,
        18: sessions // 3,
        UNKNOWN_SOURCE: 5 if back % 2 else 0,
        GONE_SOURCE: 7 if back > 27 else 0,
    }
    sources[10] = sessions - sum(sources.values())
    stays = {1: sessions // 3, 8: sessions - sessions // 3}
    depths = {1: sessions - 40 - back, 6: 40 + back}
    visitors = {key: number // 2 for key, number in sources.items()}
    named = zip(DAILY_SOURCES.fields, (sources, visitors, stays, depths), strict=True)
    return {field.wechat: {key: number for key, number in parts.items() if number} for field, parts in named}


def filled(report: Report, period: Period) -> StoredReading:
    """Return a period of any report with all of its figures."""
    if report.shape is Shape.COHORT:
        return stored(period, *figures(period)[2:4], report=report, parts=cohort(period))
    if report.shape is Shape.DISTRIBUTION:
        parts = distribution(period)
        return stored(period, *(sum(each.values()) for each in parts.values()), report=report, parts=parts)
    values = sharing if report.name == DAILY_SUMMARY.name else figures
    return stored(period, *values(period), report=report)


def whole_history(report: Report) -> History:
    """Return every period of the report's lookback."""
    live = LIVE[report.name]
    return history(*(filled(report, live.before(number)) for number in range(report.lookback + 1)), report=report)


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

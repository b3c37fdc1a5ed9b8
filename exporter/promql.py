"""PromQL fragments and limits that the alert rules and the dashboard share.

Every fragment aggregates by the labels that identify its subject: ``appid`` and the period, ``appid`` and ``report``,
or ``instance``. If Prometheus restarts while a week is published, the series of the old and the new week both exist for
up to five minutes (no stale markers); two replicas or a new instance label add further series.

* ``max by (appid, week)`` keeps both weeks apart and gives one value for all replicas, so no row or alert is doubled.
* ``ignoring (week)`` would match several series and fail the join.
* ``sum by (appid)`` would add the two weeks, and the replicas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.metrics import catalogue
from exporter.periods import DAY
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from exporter.reports import Report

STALLED_AFTER: Final = 300
"""Seconds without a run of the poller after which it has stalled; it runs every second."""
PUBLISHED_AFTER: Final = 36 * 3600
"""Seconds after the end of a period until it is late: noon of the second day in Beijing.

According to WeChat's staff, figures are published after 10:00 on the first day, sometimes after 15:00.
"""
_DAY = int(DAY)
_BEIJING = 8 * 3600
"""Offset of Beijing from UTC, in seconds."""
_MAX_DAYS = {"day": 1, "week": 7, "month": 31}
"""Length in days of the longest period of each kind."""


def selector(metric: str, matchers: str = "") -> str:
    """Return an instant vector selector: ``metric{matchers}``."""
    return f"{metric}{{{matchers}}}" if matchers else metric


def join_matchers(*matchers: str) -> str:
    """Return label matchers separated by commas, without the empty ones."""
    return ", ".join(filter(None, matchers))


def report_matcher(report: Report) -> str:
    """Return the label matcher of a report."""
    return f'report="{report.name}"'


def per_app_and_period(report: Report, vector: str) -> str:
    """Return an expression with one value for each app and period of a report."""
    return f"max by (appid, {report.period.NAME}) ({vector})"


def per_app_and_report(vector: str) -> str:
    """Return an expression with one value for each app and report."""
    return f"max by (appid, report) ({vector})"


def ratio(value: str, baseline: str) -> str:
    """Return the ratio of two expressions with the same labels; no sample where the baseline is 0."""
    # Without `> 0` an app without visitors would have the ratios NaN and +Inf.
    return f"{value}\n/\n({baseline} > 0)"


def seconds_since_poller_run(by: str, matchers: str = "") -> str:
    """Return the seconds since the last run of the poller, by labels; compare it with ``STALLED_AFTER``."""
    return f"time() - max by ({by}) ({selector(catalogue.POLLER_LAST_RUN.name, matchers)})"


def late_age(report: Report) -> int:
    """Return the age in seconds from which the newest period of a report is late; of a month, the largest such age."""
    return _periods_until_next(report) * _MAX_DAYS[report.period.NAME] * _DAY + PUBLISHED_AFTER


def late(matchers: str = "") -> str:
    """Return the age (seconds since its end) of the newest period of each app and report, only where it is late.

    The newest period is late when the next one has ended more than ``PUBLISHED_AFTER`` ago; a cohort, when the next but
    one has.
    """
    return "\nor\n".join(_late(report, matchers) for report in REPORTS.values())


def _late(report: Report, matchers: str) -> str:
    end = per_app_and_report(selector(catalogue.PERIOD_END.name, join_matchers(matchers, report_matcher(report))))
    # days_in_month() works in UTC. A month ends in Beijing at 16:00 UTC of its last day; adding 8 hours gives a time in
    # the next month, whose length is needed.
    days = f"days_in_month({end} + {_BEIJING})" if report.period.NAME == "month" else f"{_MAX_DAYS[report.period.NAME]}"
    periods = _periods_until_next(report)
    times = "" if periods == 1 else f"{periods} * "
    return f"time() - {end}\n> {times}{days} * {_DAY} + {PUBLISHED_AFTER // 3600} * 3600"


def _periods_until_next(report: Report) -> int:
    """Return after how many periods the next one is published: a cohort waits for the week in which it comes back."""
    return 1 + min(report.later, 1)

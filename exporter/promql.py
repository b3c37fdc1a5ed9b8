"""PromQL fragments and limits that the alert rules and the dashboard share.

Every fragment aggregates by what names its subject (``appid`` and the period, ``appid`` and ``report``, ``instance``):
two replicas are one, and series from before and after a restart neither double a row nor break a join.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exporter.metrics import catalogue
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from exporter.reports import Report

STALLED_AFTER: Final = 300
"""Seconds without a run of the poller, which runs each second, after which it has stalled."""
PUBLISHED_AFTER: Final = 36 * 3600
"""Seconds after the end of a period after which it is late: noon of the second day in Beijing.

WeChat publishes at about 10:00 on the first day.
"""
_DAY = 86400
_BEIJING = 8 * 3600
"""UTC+8: the end of a month, moved by it, lies in the next month by UTC, too."""
_LONGEST = {"day": 1, "week": 7, "month": 31}
"""Days of the longest period of each kind."""


def selector(metric: str, matchers: str = "") -> str:
    """Return a selector of a metric."""
    return f"{metric}{{{matchers}}}" if matchers else metric


def join_matchers(*matchers: str) -> str:
    """Return label matchers as one text; empty ones are left out."""
    return ", ".join(filter(None, matchers))


def report_matcher(report: Report) -> str:
    """Return the label matcher of a report."""
    return f'report="{report.name}"'


def per_app_and_period(report: Report, vector: str) -> str:
    """Return one value for each app and period of a report."""
    return f"max by (appid, {report.period.NAME}) ({vector})"


def per_app_and_report(vector: str) -> str:
    """Return one value for each app and report."""
    return f"max by (appid, report) ({vector})"


def ratio(value: str, baseline: str) -> str:
    """Return the ratio of two expressions with the same labels; no sample where the baseline is 0."""
    return f"{value}\n/\n({baseline} > 0)"


def seconds_since_poller_run(by: str, matchers: str = "") -> str:
    """Return the seconds since the poller last ran, by labels; to be compared with ``STALLED_AFTER``."""
    return f"time() - max by ({by}) ({selector(catalogue.POLLER_LAST_RUN.name, matchers)})"


def late_age(report: Report) -> int:
    """Return the age in seconds from which the newest period of a report is late; the longest one for a month."""
    return _LONGEST[report.period.NAME] * _DAY + PUBLISHED_AFTER


def late(matchers: str = "") -> str:
    """Return the age of the newest period, seconds since its end, for each app and report where it is late.

    The newest period is late when the one after it should have been published: ``PUBLISHED_AFTER`` its end.
    """
    return "\nor\n".join(_late(report, matchers) for report in REPORTS.values())


def _late(report: Report, matchers: str) -> str:
    end = per_app_and_report(selector(catalogue.PERIOD_END.name, join_matchers(matchers, report_matcher(report))))
    days = f"days_in_month({end} + {_BEIJING})" if report.period.NAME == "month" else f"{_LONGEST[report.period.NAME]}"
    return f"time() - {end}\n> {days} * {_DAY} + {PUBLISHED_AFTER // 3600} * 3600"

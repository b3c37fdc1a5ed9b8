"""PromQL of the bar charts: one sample for each period of the app in detail, at whatever times it was scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.dashboards.queries import ONE_APP, chosen, in_window
from exporter.metrics import catalogue
from exporter.periods import Day, Month, Week

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import Report

_DAY = 86400
_BEIJING = 8 * 3600
_MAX_GAPS: dict[type[Period], int] = {Day: 7, Week: 4, Month: 2}
"""How many missing periods in a row a chart shows as a gap."""


def bar(metric: str, report: Report) -> str:
    """Return the latest value of a figure for each period of the app in the time range."""
    kind = report.period.NAME
    values = in_window(chosen(metric, ONE_APP), "$__range")
    # A new instance label leaves the old series with the figures of its time in the range, and a figure can be revised
    # downwards: of several series of a period, those count whose exporter had the latest success.
    success = in_window(
        chosen(catalogue.LAST_SUCCESS.name, promql.join_matchers(ONE_APP, promql.report_matcher(report))), "$__range"
    )
    latest = f"max by (job, instance, {kind}) (0 * {values}) + on (job, instance) group_left () {_newest(success)}"
    is_latest = f"({latest} == on ({kind}) group_left () max by ({kind}) ({latest}))"
    # Backfilled figures have no success beside them.
    every = f"max by ({kind}) ({values})"
    return f"(max by ({kind}) ({values} and on (job, instance, {kind}) {is_latest}) or {every})"


def split_by_fact(bars: str, fact: str, report: Report) -> tuple[str, str]:
    """Return the bars of periods for which a calendar fact is zero or unknown, and of the others."""
    # `unless` and not `== 0`: a year without a published calendar has no sample of the fact.
    kind = report.period.NAME
    is_true = f"(max by ({kind}) ({in_window(chosen(fact, ONE_APP), '$__range')}) > 0)"
    return f"{bars} unless on ({kind}) {is_true}", f"{bars} and on ({kind}) {is_true}"


def around_gaps(report: Report) -> str:
    """Return a sample for each period before a known one, so that a chart leaves room for those that are missing.

    A bar chart has a place for each label that a query returns, and a missing period has no series. Its label is
    calculated from the end of a later period.
    """
    kind = report.period.NAME
    ends = f"max by ({kind}) ({in_window(chosen(catalogue.end_metric(report), ONE_APP), '$__range')})"
    labels = {Day: _day_label, Week: _week_label, Month: _month_label}[report.period]
    back = range(1, _MAX_GAPS[report.period] + 1)
    periods = " or ".join(f'count_values("{kind}", {labels(ends, number)})' for number in back)
    if report.period is Week:
        periods = f'label_replace({periods}, "week", "$1-$2", "week", "(.{{8}})(.{{8}})")'
    return f"0 * ({periods})"


def _newest(success: str) -> str:
    return f"max by (job, instance) ({success})"


def _since_first(ends: str, seconds: int) -> str:
    """Return the ends of earlier periods, without those before the first known one."""
    return f"({ends} - {seconds} > on () group_left () min({ends}))"


def _date(moment: str, factor: str = "") -> str:
    """Return a date as the number YYYYMMDD."""
    return " + ".join(
        f"{factor}{scale}{part}({moment})"
        for scale, part in (("10000 * ", "year"), ("100 * ", "month"), ("", "day_of_month"))
    )


def _day_label(ends: str, number: int) -> str:
    # The functions of dates work in UTC. A day ends at midnight in Beijing; less one day, that is its own date.
    day = f"{ends} - {(number + 1) * _DAY - _BEIJING}"
    return f"0 * {_since_first(ends, number * _DAY)} + {_date(day)}"


def _week_label(ends: str, number: int) -> str:
    # One number with both dates: 16 digits are exact in a float.
    monday = f"{ends} - {(number + 1) * 7 * _DAY - _BEIJING}"
    sunday = f"{ends} - {number * 7 * _DAY + _DAY - _BEIJING}"
    since = _since_first(ends, number * 7 * _DAY)
    return f"0 * {since} + {_date(monday, '100000000 * ')} + {_date(sunday)}"


def _month_label(ends: str, number: int) -> str:
    # In Beijing's time a month ends on the first of the next one. Months have no fixed length: count them from year 0.
    first = f"{ends} + {_BEIJING}"
    months = f"(12 * year({first}) + month({first}) - {2 + number})"
    since = f"({ends} - {number * 31 * _DAY} > on () group_left () min({ends}) - {_DAY * 3 * number})"
    return f"0 * {since} + 100 * floor({months} / 12) + {months} % 12 + 1"

"""PromQL about the periods of the app in detail: one sample for each, at whatever times it was scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.dashboards.queries import FIRST_MONDAY, ONE_APP, chosen, in_window
from exporter.metrics import catalogue
from exporter.periods import Day, Month, Week

if TYPE_CHECKING:
    from exporter.periods import Period
    from exporter.reports import Report

_DAY = 86400
_BEIJING = 8 * 3600
_LEFT_DATE = "100000000 * "
"""Puts a date before another one in the same number: 16 digits are exact in a float."""
_LENGTHS: dict[type[Period], int] = {Day: 1, Week: 7}
"""Days of a period."""
_SPAN = "157w"
"""How far back ``starts`` reaches: three years."""
_MAX_GAPS: dict[type[Period], int] = {Day: 7, Week: 4, Month: 2}
"""How many missing periods in a row a chart shows as a gap."""


def bar(metric: str, report: Report) -> str:
    """Return the latest value of a figure for each period of the app in the time range."""
    values = in_range(metric)
    return latest(values, values, report, report.period.NAME)


def in_range(metric: str, matchers: str = "") -> str:
    """Return the last sample in the time range of each series of a metric about the app in detail."""
    return in_window(chosen(metric, promql.join_matchers(ONE_APP, matchers)), "$__range")


def latest(value: str, of: str, report: Report, kind: str, *parts: str) -> str:
    """Return one value for each period and part, whatever instances have exposed in the time range.

    Args:
        value: an expression with the labels of the series ``of``, or fewer parts.
        of: the series of the figure, made by ``in_range``.
        report: the report from which the figure comes.
        kind: the label of its period.
        parts: labels that tell several values of a period apart.
    """
    # A new instance label leaves the old series with the figures of its time in the range, and a figure can be revised
    # downwards: of several series of a period, those count whose exporter had the latest success.
    success = in_range(catalogue.LAST_SUCCESS.name, promql.report_matcher(report))
    last = f"max by (job, instance, {kind}) (0 * {of}) + on (job, instance) group_left () {_newest_success(success)}"
    is_latest = f"({last} == on ({kind}) group_left () max by ({kind}) ({last}))"
    labels = ", ".join((kind, *parts))
    # Backfilled figures have no success beside them.
    every = f"max by ({labels}) ({value})"
    return f"(max by ({labels}) ({value} and on (job, instance, {kind}) {is_latest}) or on ({kind}) {every})"


def split_by_fact(bars: str, fact: str, report: Report) -> tuple[str, str]:
    """Return the bars of periods for which a calendar fact is zero or unknown, and of the others."""
    # `unless` and not `== 0`: a year without a published calendar has no sample of the fact.
    kind = report.period.NAME
    is_true = f"(max by ({kind}) ({in_range(fact)}) > 0)"
    return f"{bars} unless on ({kind}) {is_true}", f"{bars} and on ({kind}) {is_true}"


def around_gaps(report: Report) -> str:
    """Return zero for the missing periods between those with data, as many in a row as are shown.

    A merge of queries knows only the labels that have samples, so the label of a period that was not fetched has to be
    calculated: from the end of a later period, if the report has a metric of it.
    """
    kind = report.period.NAME
    if not report.has_end_metric:
        return missing(report.period, in_range(report.metric(report.plain_fields[0])))
    ends = f"max by ({kind}) ({in_range(catalogue.end_metric(report))})"
    labels = {Day: _day_label, Week: _week_label, Month: _month_label}[report.period]
    back = range(1, _MAX_GAPS[report.period] + 1)
    periods = " or ".join(f'count_values("{kind}", {labels(ends, number)})' for number in back)
    if report.period is Week:
        periods = _two_dates(periods)
    return f"0 * ({periods})"


def starts(period: type[Period]) -> str:
    """Return a sample for each day or week up to now: its start in Beijing, Unix seconds.

    The label is that of the metrics, which PromQL can neither compare nor sort. It is made of dates, because not every
    period with figures has a metric of its end.
    """
    days = _LENGTHS[period]
    start = f"(time() - (time() - {FIRST_MONDAY}) % {days * _DAY})"
    first, last = (f"vector({start} + {after * _DAY + _BEIJING})" for after in (0, days - 1))
    if period is Day:
        labels = f'count_values("day", {_date(first)})'
    else:
        labels = _two_dates(f'count_values("week", {_date(first, _LEFT_DATE)} + {_date(last)})')
    # A subquery with a step of one period has each period once.
    return f"max_over_time(({start} * {labels})[{_SPAN}:{days}d])"


def newest(period: type[Period], values: str) -> str:
    """Return the start of the newest day or week among the values."""
    return f"topk(1, {starts(period)} and on ({period.NAME}) {values})"


def missing(period: type[Period], values: str) -> str:
    """Return zero for each day or week between the first and the last of the values that has none."""
    kind, every = period.NAME, starts(period)
    after, before = (f"on () group_left () {side}({every} and on ({kind}) {values})" for side in ("min", "max"))
    return f"0 * (({every} > {after}) < {before} unless on ({kind}) {values})"


def _newest_success(success: str) -> str:
    return f"max by (job, instance) ({success})"


def _since_first(ends: str, seconds: int) -> str:
    """Return the ends of earlier periods, without those before the first known one."""
    return f"({ends} - {seconds} > on () group_left () min({ends}))"


def _two_dates(weeks: str) -> str:
    """Return the same samples with a hyphen between the two dates of the label ``week``."""
    return f'label_replace({weeks}, "week", "$1-$2", "week", "(.{{8}})(.{{8}})")'


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
    monday = f"{ends} - {(number + 1) * 7 * _DAY - _BEIJING}"
    sunday = f"{ends} - {number * 7 * _DAY + _DAY - _BEIJING}"
    since = _since_first(ends, number * 7 * _DAY)
    return f"0 * {since} + {_date(monday, _LEFT_DATE)} + {_date(sunday)}"


def _month_label(ends: str, number: int) -> str:
    # In Beijing's time a month ends on the first of the next one. Months have no fixed length: count them from year 0.
    first = f"{ends} + {_BEIJING}"
    months = f"(12 * year({first}) + month({first}) - {2 + number})"
    since = f"({ends} - {number * 31 * _DAY} > on () group_left () min({ends}) - {_DAY * 3 * number})"
    return f"0 * {since} + 100 * floor({months} / 12) + {months} % 12 + 1"

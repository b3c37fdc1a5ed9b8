"""The annotation ``cause``: through which entrance visits were lost, and whether new visitors still come back.

Prometheus evaluates it for alerts that fire, from the reports about entrances and retention. The sentence about
entrances is left out if together they lost no more than ``LEAST_LOSS``, that about retention for cohorts of fewer than
``ENOUGH_VISITORS``, and either if the app does not fetch its report.

The share of an entrance is its part of the sum of all losses. It is not that of the net loss, which an entrance can
exceed while others rise.

The text begins with what fits into a line of a notification, up to the colon (prometheus/templates/):

    search -61%, 70% of the loss: 7,530 sessions against 19,310 in the previous week. Of the new visitors of 2026-11-09
    to 2026-11-15, 21.5% came back after a week; of those of the previous week, 26.0%.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.alerts.annotations import THOUSANDS, newest_day
from exporter.alerts.drops import ENOUGH_VISITORS
from exporter.reports import PREFIX
from exporter.reports.catalogue import DAILY_SOURCES, WEEKLY, WEEKLY_RETENTION
from exporter.reports.fields import COHORT_FIELDS, NEW_VISITORS, SOURCE_SESSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.alerts.drops import DropRule
    from exporter.reports import Field, Report

LEAST_LOSS = 0.1
"""Share of all sessions. If no more is lost, the alert is about an earlier fall, and no entrance explains it."""
_RETAINED_FIELD = COHORT_FIELDS[1]
_DATES = r'reReplaceAll "^(....)(..)(..)-(....)(..)(..)$" "$1-$2-$3 to $4-$5-$6"'


def cause(rule: DropRule) -> str:
    """Return a template of the text for an alert about a count; empty where nothing is known."""
    entrance = _weekly_entrance() if rule.report is WEEKLY else _daily_entrance()
    # Whether new visitors come back later does not change how many there are.
    return entrance if rule.field is NEW_VISITORS else entrance + _retention()


def _weekly_entrance() -> str:
    now, before = (_metric(DAILY_SOURCES, name, SOURCE_SESSIONS) for name in ("weekly_{}", "previous_week_{}"))
    labels = {"appid": "$labels.appid", "week": "$labels.week"}
    return _entrance(now, before, labels, "", "in the previous week")


def _daily_entrance() -> str:
    now, before = (_metric(DAILY_SOURCES, name, SOURCE_SESSIONS) for name in ("recent_{}", "typical_recent_{}"))
    labels = {"appid": "$labels.appid", "day": "$day"}
    matcher = 'days="3"'
    return newest_day(now, matcher) + _entrance(now, before, labels, matcher, "typical of the last 3 ordinary days")


def _entrance(now: str, before: str, labels: Mapping[str, str], matcher: str, against: str) -> str:
    """Return a template of the entrance with the largest loss.

    Args:
        now: the metric of its sessions.
        before: the metric of what they are compared with, under the same labels.
        labels: those that the samples must have, with variables of the template.
        matcher: a further label matcher.
        against: what they are compared with, in words.
    """
    loss = "topk(1, %[2]s - %[1]s > 0) and on () (sum(%[2]s - %[1]s)" + f" > {LEAST_LOSS} * sum(%[2]s))"
    count = f'printf "%.0f"{THOUSANDS}'
    return (
        f"{{{{ $now := {_selected(now, labels, matcher)} }}}}{{{{ $before := {_selected(before, labels, matcher)} }}}}"
        f'{{{{ $loss := printf "{loss}" $now $before }}}}{{{{ $space := "" }}}}'
        '{{ with query $loss }}{{ . | first | label "source" | reReplaceAll "_" " " }} '
        + _first('"-100 * (%s) / on (source) %s" $loss $before', 'printf "%.0f"')
        + "%, "
        + _first('"100 * sum(%[3]s) / sum(%[2]s - %[1]s > 0)" $now $before $loss', 'printf "%.0f"')
        + "% of the loss: "
        + _first('"sum(%s and on (source) (%s))" $now $loss', count)
        + " sessions against "
        + _first('"sum(%s and on (source) (%s))" $before $loss', count)
        + f' {against}.{{{{ $space = " " }}}}{{{{ end }}}}'
    )


def _retention() -> str:
    """Return a template of how many new visitors of the newest known cohort came back after a week."""
    now, before = (
        f"100 * max by (week) ({_metric(WEEKLY_RETENTION, prefix + 'retained_{}', _RETAINED_FIELD)}{{{matchers}}})"
        f" / (max by (week) ({_metric(WEEKLY_RETENTION, prefix + 'cohort_{}', _RETAINED_FIELD)}{{{matchers}}})"
        f" >= {ENOUGH_VISITORS})"
        for prefix, matchers in (
            ("weekly_", r"appid=%[1]q,weeks_later=\"1\""),
            ("previous_week_", r"appid=%[1]q,weeks_later=\"1\",week=%[2]q"),
        )
    )
    return (
        # The last one: after a restart of Prometheus, or with a replica that is behind, there are two weeks.
        f'{{{{ $week := "" }}}}{{{{ $back := 0.0 }}}}{{{{ range printf "{now}" $labels.appid | query'
        ' | sortByLabel "week" }}{{ $week = .Labels.week }}{{ $back = .Value }}{{ end }}'
        f'{{{{ with printf "{before}" $labels.appid $week | query }}}}'
        f"{{{{ $space }}}}Of the new visitors of {{{{ $week | {_DATES} }}}}, "
        '{{ $back | printf "%.1f" }}% came back after a week; of those of the previous week, '
        '{{ . | first | value | printf "%.1f" }}%.{{ end }}'
    )


def _selected(metric: str, labels: Mapping[str, str], matcher: str) -> str:
    """Return a template pipeline: the query of one sample for each entrance of the alert's app and period."""
    matchers = ",".join((*(f"{label}=%q" for label in labels), *filter(None, (matcher,)))).replace('"', '\\"')
    return f'printf "max by (source) ({metric}{{{matchers}}})" {" ".join(labels.values())}'


def _first(query: str, form: str) -> str:
    """Return a template of the first sample of a query, which ``printf`` makes."""
    return f"{{{{ with printf {query} | query }}}}{{{{ . | first | value | {form} }}}}{{{{ end }}}}"


def _metric(report: Report, pattern: str, field: Field) -> str:
    """Return the name of a derived figure of the catalogue."""
    (entry,) = (each for each in report.derived if each.metric == pattern and field.wechat in each.fields)
    return PREFIX + entry.metric.format(field.metric)

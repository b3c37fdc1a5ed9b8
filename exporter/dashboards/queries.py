"""PromQL of the panels; fragments that the alert rules need, too, are in ``exporter.promql``.

Every expression aggregates by the labels that identify its subject (``appid``, ``appid`` and ``week``, ``instance``)
before it joins. Two replicas have two series of everything, and for up to five minutes after a restart of Prometheus so
has a single exporter. Without the aggregation a row would be doubled, or a join would fail and empty the table.

Queries about past periods read raw figures and not the recordings of the rules, because ``promtool tsdb
create-blocks-from rules`` produces nothing for backfilled samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.apps import SEVERITY, State
from exporter.metrics import catalogue
from exporter.reports.catalogue import WEEKLY

if TYPE_CHECKING:
    from exporter.reports import Field, Report

JOB = 'job=~"$job"'
APPS = f'{JOB}, appid=~"$appid"'
"""Matchers of the apps selected at the top of the dashboard."""
ONE_APP = f'{JOB}, appid="$app"'
"""Matchers of the app whose periods are charted."""

FIGURES = {field.metric: field for field in WEEKLY.fields}

FIRST_BAD = SEVERITY.index(State.QUOTA_SPENT)
"""Index into ``SEVERITY`` from which a state is a problem. In tables a state is its index."""

# Backfilled samples are at most one hour apart. With the default lookback of five minutes a graph would show them only
# where a step falls on a sample.
_LINE_WINDOW = "1h"
"""How long a line continues after the last sample."""


def chosen(metric: str, matchers: str = APPS) -> str:
    """Return a selector of a metric for the selected apps."""
    return promql.selector(metric, matchers)


def newest_label(metric: str, key: str, label: str, matchers: str) -> str:
    """Return the latest value of ``label`` of an info metric for each ``key``, at the end of the time range."""
    # Replicas may disagree, and a renamed app has had two names. The join needs exactly one: that of the newest sample.
    return f"topk by ({key}) (1, max by ({key}, {label}) (timestamp({chosen(metric, matchers)} @ end())))"


def app_names(matchers: str = APPS) -> str:
    """Return one sample for each app with the label ``app``: its name, or its AppID if it has no name."""
    newest_name = newest_label(catalogue.APP_INFO.name, "appid", "name", matchers)
    appid_as_app = f'label_replace({newest_name}, "app", "$1", "appid", "(.*)")'
    return f'max by (appid, app) (label_replace({appid_as_app}, "app", "$1", "name", "(.+)"))'


def with_app_name(expression: str) -> str:
    """Return the same values with the app's current name as the label ``app``, joined by the label ``appid``."""
    return f"{expression} + on (appid) group_left (app) 0 * {app_names()}"


def live(value: str, *, window: str = "") -> str:
    """Return one sample for each app: the value of its live week, even while an older week is still visible.

    Args:
        value: an expression with the labels ``appid`` and ``week``.
        window: range over which the last sample of the week's end counts; empty for the lookback of Prometheus.
    """
    # The live week is the one that ends last. The newest sample does not tell it: a replica that is a week behind still
    # exposes the older week.
    ends = _in_window(chosen(catalogue.end_metric(WEEKLY)), window)
    live_week = f"max by (appid, week) ({ends}) == on (appid) group_left () max by (appid) ({ends})"
    return f"({value} and on (appid, week) ({live_week}))"


def weekly(metric: str, *, window: str = "") -> str:
    """Return a figure for each app and week."""
    return promql.per_app_and_period(WEEKLY, _in_window(chosen(metric), window))


def figure(field: Field) -> str:
    """Return a figure of each app's live week."""
    return live(weekly(WEEKLY.metric(field)))


def change(field: Field, baseline: str) -> str:
    """Return the relative change of a figure against the metric ``baseline`` of the same week (0.25 is 25 % more)."""
    return live(f"{promql.ratio(weekly(WEEKLY.metric(field)), weekly(baseline))} - 1")


def line(field: Field) -> str:
    """Return a figure over time: one line for each app, which steps when WeChat publishes."""
    published = live(weekly(WEEKLY.metric(field), window=_LINE_WINDOW), window=_LINE_WINDOW)
    return with_app_name(f"max by (appid) ({published})")


def bar(metric: str, report: Report) -> str:
    """Return a figure for each period of one app in the time range, at whatever times it was scraped."""
    return f"max by ({report.period.NAME}) (last_over_time({chosen(metric, ONE_APP)}[$__range]))"


def split_by_fact(bars: str, fact: str, report: Report) -> tuple[str, str]:
    """Return the bars of periods for which a calendar fact is false or unknown, and of those for which it is true."""
    # `unless` and not `== 0`: a year without a published calendar has no sample of the fact.
    kind = report.period.NAME
    is_true = f"{bar(fact, report)} == 1"
    return f"{bars} unless on ({kind}) ({is_true})", f"{bars} and on ({kind}) ({is_true})"


def newest_week_seen() -> str:
    """Return when an exporter first had the newest week of any app, in Unix seconds, with the label ``week``."""
    ends = chosen(catalogue.end_metric(WEEKLY))
    first_seen = chosen(catalogue.PERIOD_FIRST_SEEN.name, promql.join_matchers(APPS, promql.report_matcher(WEEKLY)))
    by_week = (
        f"min by (week) (0 * max by (appid, week) ({ends}) + on (appid) group_left () max by (appid) ({first_seen}))"
    )
    # Only the newest week of all apps: an app that is weeks behind would mark its old week again when it catches up.
    return f"({by_week} and on (week) (max by (week) ({ends}) == on () group_left () max ({ends})))"


def comparison_metric(report: Report, comparison: str, field: Field) -> str:
    """Return the name of a field's comparison metric; ``comparison`` is a name of the catalogue."""
    return report.comparison_metric(next(each for each in report.comparisons if each.name == comparison), field)


def severity(report: Report) -> str:
    """Return the index of the report's state in ``SEVERITY`` for each app."""
    # `max`: after a change of state and a restart both states are visible; the worse one is shown.
    return f"max by (appid) ({_states(promql.join_matchers(APPS, promql.report_matcher(report)))})"


def severity_by_report() -> str:
    """Return the index of the state in ``SEVERITY`` for each app and report."""
    return promql.per_app_and_report(_states(APPS))


def lateness() -> str:
    """Return 1 for each app and report whose newest period is late by the condition of the alert PeriodLate, else 0."""
    # `late()` has no sample for a period that is not late; 0 is shown as "on time".
    newest = promql.per_app_and_report(chosen(catalogue.PERIOD_END.name))
    return f"(0 * ({promql.late(APPS)}) + 1) or 0 * {newest}"


def rank(field: Field) -> str:
    """Return the order of apps, the worst lowest: problem states first, then by the change against a baseline.

    The baseline is the typical week, or the previous week for an app without a typical week.
    """
    baselines = [comparison_metric(WEEKLY, name, field) for name in ("typical_week", "previous_week")]
    changes = " or ".join(f"max by (appid) ({change(field, baseline)})" for baseline in baselines)
    zero, is_bad = f"0 * {severity(WEEKLY)}", f"{severity(WEEKLY)} >= {FIRST_BAD}"
    # A change is at least -1, so 10 for each step of severity sorts every problem state before every drop.
    return f"({changes} or {zero}) - 10 * ({is_bad} or {zero})"


def _states(matchers: str) -> str:
    metric = catalogue.FETCH_STATE.name
    return " or ".join(f'{index} * {metric}{{{matchers}, state="{state}"}}' for index, state in enumerate(SEVERITY))


def _in_window(selector: str, window: str) -> str:
    return f"last_over_time({selector}[{window}])" if window else selector

"""The queries of the panels, as PromQL; ``exporter.promql`` has what the alert rules need, too.

Every expression aggregates by what names its subject (``appid``, ``appid`` and ``week``, ``instance``) before it joins,
so that two replicas are one, and so that a restart of Prometheus, after which both the old and the new series are seen
for five minutes, neither doubles a row nor breaks a join.
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
"""The apps chosen at the top of the dashboard."""
ONE_APP = f'{JOB}, appid="$app"'
"""The app whose periods are shown."""

FIGURES = {field.metric: field for field in WEEKLY.fields}

FIRST_BAD = SEVERITY.index(State.QUOTA_SPENT)
"""In a table a state is its place in ``SEVERITY``; from here on it is bad."""

_LINGER = "1h"
"""How long a figure holds in a line after its last sample: bridges gaps, and the hours between backfilled samples."""


def selected(metric: str, chosen: str = APPS) -> str:
    """Return a metric of the chosen apps."""
    return promql.selector(metric, chosen)


def newest(metric: str, key: str, label: str, chosen: str) -> str:
    """Return the label of an info metric for each key, as it is at the end of a graph.

    From the newest sample: replicas may disagree, and one must win.
    """
    return f"topk by ({key}) (1, max by ({key}, {label}) (timestamp({selected(metric, chosen)} @ end())))"


def names(chosen: str = APPS) -> str:
    """Return one sample for each app, with its name, or else its appid, as ``app``."""
    newest_name = newest(catalogue.APP_INFO.name, "appid", "name", chosen)
    unnamed = f'label_replace({newest_name}, "app", "$1", "appid", "(.*)")'
    return f'max by (appid, app) (label_replace({unnamed}, "app", "$1", "name", "(.+)"))'


def named(expression: str) -> str:
    """Return the same values with the app's current name as ``app``; ``expression`` has the label ``appid``."""
    return f"{expression} + on (appid) group_left (app) 0 * {names()}"


def live(value: str, *, window: str = "") -> str:
    """Return one sample for each app: that of its live week, even while an older week is still seen.

    Args:
        value: has the labels ``appid`` and ``week``.
        window: also look that far back for the week's end.
    """
    ends = _reaching(selected(catalogue.end_metric(WEEKLY)), window)
    live_week = f"max by (appid, week) ({ends}) == on (appid) group_left () max by (appid) ({ends})"
    return f"({value} and on (appid, week) ({live_week}))"


def weekly(metric: str, *, window: str = "") -> str:
    """Return a figure for each app and week."""
    return promql.per_app_and_period(WEEKLY, _reaching(selected(metric), window))


def figure(field: Field) -> str:
    """Return a figure of each app's live week."""
    return live(weekly(WEEKLY.metric(field)))


def change(field: Field, base: str) -> str:
    """Return how far a figure is above (0.25: a quarter more) or below the metric ``base`` of the same week."""
    return live(f"{promql.ratio(weekly(WEEKLY.metric(field)), weekly(base))} - 1")


def line(field: Field) -> str:
    """Return a figure over time: for each app one line that steps when WeChat publishes."""
    published = live(weekly(WEEKLY.metric(field), window=_LINGER), window=_LINGER)
    return named(f"max by (appid) ({published})")


def bar(metric: str, report: Report) -> str:
    """Return a figure for each period of one app that Prometheus has seen, whatever its scrape times were."""
    return f"max by ({report.period.NAME}) (last_over_time({selected(metric, ONE_APP)}[$__range]))"


def marked(bars: str, fact: str, report: Report) -> tuple[str, str]:
    """Return bars of the periods for which a fact of the calendar does not hold, and of those for which it does."""
    kind = report.period.NAME
    holds = f"{bar(fact, report)} == 1"
    return f"{bars} unless on ({kind}) ({holds})", f"{bars} and on ({kind}) ({holds})"


def newest_week_seen() -> str:
    """Return when the newest week of all was first had of any app, Unix seconds; an app that is late marks nothing."""
    ends = selected(catalogue.end_metric(WEEKLY))
    first_seen = selected(catalogue.PERIOD_FIRST_SEEN.name, promql.join_matchers(APPS, promql.report_matcher(WEEKLY)))
    by_week = (
        f"min by (week) (0 * max by (appid, week) ({ends}) + on (appid) group_left () max by (appid) ({first_seen}))"
    )
    return f"({by_week} and on (week) (max by (week) ({ends}) == on () group_left () max ({ends})))"


def base(report: Report, comparison: str, field: Field) -> str:
    """Return the metric of a field's comparison value."""
    return report.comparison_metric(next(each for each in report.comparisons if each.name == comparison), field)


def severity(report: Report) -> str:
    """Return for each app the place of a report's state in ``SEVERITY``; the worst where two are seen."""
    return f"max by (appid) ({_states(promql.join_matchers(APPS, promql.report_matcher(report)))})"


def severity_of_each() -> str:
    """Return the same for each app and report."""
    return promql.per_app_and_report(_states(APPS))


def lateness() -> str:
    """Return 1 for each app and report whose newest period is late, as the alert PeriodLate means it, else 0."""
    newest = promql.per_app_and_report(selected(catalogue.PERIOD_END.name))
    return f"(0 * ({promql.late(APPS)}) + 1) or 0 * {newest}"


def rank(field: Field) -> str:
    """Return what orders apps, the worst least: bad states, then the change against the typical or previous week."""
    bases = [base(WEEKLY, comparison, field) for comparison in ("typical_week", "previous_week")]
    changes = " or ".join(f"max by (appid) ({change(field, base)})" for base in bases)
    none, bad = f"0 * {severity(WEEKLY)}", f"{severity(WEEKLY)} >= {FIRST_BAD}"
    return f"({changes} or {none}) - 10 * ({bad} or {none})"


def _states(matchers: str) -> str:
    metric = catalogue.FETCH_STATE.name
    return " or ".join(f'{place} * {metric}{{{matchers}, state="{state}"}}' for place, state in enumerate(SEVERITY))


def _reaching(selector: str, window: str) -> str:
    return f"last_over_time({selector}[{window}])" if window else selector

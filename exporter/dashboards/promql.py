"""What the panels ask Prometheus, as PromQL.

Every expression aggregates by what names its subject (``appid``, ``appid`` and ``week``, ``instance``) before it joins,
so that two replicas are one, and so that a restart of Prometheus, after which both the old and the new series are seen
for five minutes, neither doubles a row nor breaks a join.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalogue
from exporter.reports import WEEKLY
from exporter.status import SEVERITY, State

if TYPE_CHECKING:
    from exporter.reports import Field

JOB = 'job=~"$job"'
APPS = f'{JOB}, appid=~"$appid"'
"""The apps chosen at the top of the dashboard."""
ONE_APP = f'{JOB}, appid="$app"'
"""The app whose weeks are shown."""

FIGURES = {field.metric: field for field in WEEKLY.fields}

TROUBLE = SEVERITY.index(State.QUOTA_SPENT)
"""In a table a state is its place in ``SEVERITY``; from here on it is bad."""

_LINGER = "1h"
"""How long a figure holds in a line after its last sample: bridges gaps, and the hours between backfilled samples."""


def selected(metric: str, chosen: str = APPS) -> str:
    """A metric of the chosen apps."""
    return f"{metric}{{{chosen}}}"


def newest(metric: str, key: str, label: str, chosen: str) -> str:
    """The label of an info metric for each key, as it is at the end of a graph.

    From the newest sample, for replicas may disagree, and one must win.
    """
    return f"topk by ({key}) (1, max by ({key}, {label}) (timestamp({selected(metric, chosen)} @ end())))"


def names(chosen: str = APPS) -> str:
    """One sample for each app, with its name, or else its appid, as ``app``."""
    newest_name = newest(catalogue.APP_INFO.name, "appid", "name", chosen)
    unnamed = f'label_replace({newest_name}, "app", "$1", "appid", "(.*)")'
    return f'max by (appid, app) (label_replace({unnamed}, "app", "$1", "name", "(.+)"))'


def named(expression: str) -> str:
    """The same values, with the app's name of today as ``app``; ``expression`` has one sample for each appid."""
    return f"{expression} + on (appid) group_left (app) 0 * {names()}"


def live(value: str, *, window: str = "") -> str:
    """One sample for each app: that of its live week, though an older week is still seen.

    Args:
        value: has the labels ``appid`` and ``week``.
        window: also look that far back for the week's end.
    """
    ends = _reaching(selected(catalogue.WEEK_END.name), window)
    live_week = f"max by (appid, week) ({ends}) == on (appid) group_left () max by (appid) ({ends})"
    return f"({value} and on (appid, week) ({live_week}))"


def weekly(metric: str, *, window: str = "") -> str:
    """A figure for each app and week."""
    return f"max by (appid, week) ({_reaching(selected(metric), window)})"


def figure(field: Field) -> str:
    """A figure of each app's live week."""
    return live(weekly(WEEKLY.metric(field)))


def change(field: Field, base: str) -> str:
    """How far a figure lies above (0.25: a quarter more) or below the metric ``base`` of the same week."""
    return live(f"{weekly(WEEKLY.metric(field))} / ({weekly(base)} > 0) - 1")


def line(field: Field) -> str:
    """A figure over time: for each app one line that steps when WeChat publishes."""
    published = live(weekly(WEEKLY.metric(field), window=_LINGER), window=_LINGER)
    return named(f"max by (appid) ({published})")


def bar(metric: str) -> str:
    """A figure for each week of one app that Prometheus has seen: exact weeks, no steps that PromQL would align."""
    return f"max by (week) (last_over_time({selected(metric, ONE_APP)}[$__range]))"


def newest_week_seen() -> str:
    """When the newest week of all was first had of any app, Unix seconds; an app that is late marks nothing."""
    ends = selected(catalogue.WEEK_END.name)
    first_seen = selected(catalogue.WEEK_FIRST_SEEN.name)
    return f"(min by (week) ({first_seen}) and on (week) (max by (week) ({ends}) == on () group_left () max ({ends})))"


def severity() -> str:
    """For each app the place of its state in ``SEVERITY``; the worst where two are seen."""
    metric = catalogue.FETCH_STATE.name
    states = (f'{place} * {metric}{{{APPS}, state="{state}"}}' for place, state in enumerate(SEVERITY))
    return f"max by (appid) ({' or '.join(states)})"


def rank(field: Field) -> str:
    """The worse, the less: by the trouble an app is in, then by its change against four weeks or else against one."""
    bases = (WEEKLY.median_metric(field), WEEKLY.previous_metric(field))
    changes = " or ".join(f"max by (appid) ({change(field, base)})" for base in bases)
    none, trouble = f"0 * {severity()}", f"{severity()} >= {TROUBLE}"
    return f"({changes} or {none}) - 10 * ({trouble} or {none})"


def _reaching(selector: str, window: str) -> str:
    return f"last_over_time({selector}[{window}])" if window else selector

"""PromQL of the panels; fragments that the alert rules need, too, are in ``exporter.promql``.

Every expression aggregates by the labels that identify its subject (``appid``, ``appid`` and ``week``, ``instance``)
before it joins. Two replicas have two series of everything, and for up to five minutes after a restart of Prometheus so
has a single exporter. Without the aggregation a row would be doubled, or a join would fail and empty the table.

Queries about past periods read raw figures and not the recordings of the rules, because ``promtool tsdb
create-blocks-from rules`` produces nothing for backfilled samples.

Tables show what the exporters expose at the end of the time range. If no exporter is scraped then (an outage of the
exporter or of Prometheus), they show the last samples of the hour before, see ``current``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.apps import SEVERITY, State
from exporter.metrics import catalogue
from exporter.reports import PREFIX
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
WINDOW = "1h"
"""How long a sample counts after the last scrape: of a line, and of a table while no exporter is scraped."""
_END = " @ end()"
"""At the end of the time range, also in a query over time."""
_WEEK = 7 * 86400
FIRST_MONDAY = 4 * 86400 - 8 * 3600
"""The first Monday after 1970, midnight in Beijing, Unix seconds."""
_NO_EXPORTER = f"unless on (job) (up{{{JOB}}} == 1)"


def chosen(metric: str, matchers: str = APPS) -> str:
    """Return a selector of a metric for the selected apps."""
    return promql.selector(metric, matchers)


def in_window(selector: str, window: str = WINDOW, at: str = "") -> str:
    """Return the last sample of each series in a range before the evaluation time, or before another time ``at``."""
    return f"last_over_time({selector}[{window}]{at})"


def current(metric: str, matchers: str = APPS) -> str:
    """Return what is exposed now; while no exporter of the job is scraped, what was exposed within ``WINDOW``."""
    # The window alone would keep an app for an hour after it left the configuration, and each state that it had.
    selector = chosen(metric, matchers)
    return f"({selector} or {in_window(selector)} {_NO_EXPORTER})"


def app_names(matchers: str = APPS) -> str:
    """Return one sample for each app with the label ``app``: its name, or its AppID if it has no name."""
    info = chosen(catalogue.APP_INFO.name, matchers)
    return _newest_names(f"timestamp({info}{_END}) or {in_window(info, at=_END)}")


def all_app_names(matchers: str = APPS) -> str:
    """Return the same for each app of the time range: an app that left the configuration keeps its lines."""
    info = chosen(catalogue.APP_INFO.name, matchers)
    # A subquery, which reads one sample for each hour: 0.2 s for 500 apps and 12 weeks. With timestamp() in it, which
    # would tell the newest of several names of an app that has left, it took 15 s.
    past = f"last_over_time({info}[$__range:1h]{_END})"
    return _newest_names(f"timestamp({info}{_END}) or 2 * {in_window(info, at=_END)} or {past}")


def with_app_name(expression: str) -> str:
    """Return the same values with the app's newest name as the label ``app``, joined by the label ``appid``."""
    return f"{expression} + on (appid) group_left (app) 0 * {all_app_names()}"


def with_app_links(expression: str) -> str:
    """Return the same values with the labels ``app`` and ``instance``: an exporter that has the app."""
    exporter = f"topk by (appid) (1, group by (appid, instance) ({current(catalogue.APP_INFO.name)}))"
    both = f"({app_names()} + on (appid) group_left (instance) {exporter})"
    return f"{expression} + on (appid) group_left (app, instance) 0 * {both}"


def versions() -> str:
    """Return one sample for each exporter with the label ``version``."""
    build = in_window(chosen(catalogue.BUILD_INFO.name, JOB), "$__range")
    return f"topk by (instance) (1, max by (instance, version) ({build}))"


def live(value: str, *, window: str = "") -> str:
    """Return one sample for each app: the value of its live week, even while an older week is still visible.

    Args:
        value: an expression with the labels ``appid`` and ``week``.
        window: range over which the last sample of the week's end counts; empty for what is exposed now.
    """
    # The live week is the one that ends last. The newest sample does not tell it: a replica that is a week behind still
    # exposes the older week.
    metric = catalogue.end_metric(WEEKLY)
    ends = in_window(chosen(metric), window) if window else current(metric)
    live_week = f"max by (appid, week) ({ends}) == on (appid) group_left () max by (appid) ({ends})"
    return f"({value} and on (appid, week) ({live_week}))"


def weekly(metric: str) -> str:
    """Return a figure for each app and week that is exposed."""
    return promql.per_app_and_period(WEEKLY, current(metric))


def figure(field: Field) -> str:
    """Return a figure of each app's live week."""
    return live(weekly(WEEKLY.metric(field)))


def change(field: Field, baseline: str) -> str:
    """Return the relative change of a figure against the metric ``baseline`` of the same week (0.25 is 25 % more)."""
    return live(f"{promql.ratio(weekly(WEEKLY.metric(field)), weekly(baseline))} - 1")


def total(field: Field) -> str:
    """Return the sum of a count over the live weeks of all apps."""
    return f"sum({figure(field)})"


def total_change(field: Field, baseline: str) -> str:
    """Return the relative change of the sum over the apps of which the metric ``baseline`` is known."""
    now, base = figure(field), live(weekly(baseline))
    return f"sum({now} and on (appid, week) {base}) / (sum({base} and on (appid, week) {now}) > 0) - 1"


def line(field: Field) -> str:
    """Return a figure over time: one line for each app, which steps when WeChat publishes."""
    values = promql.per_app_and_period(WEEKLY, in_window(chosen(WEEKLY.metric(field))))
    return with_app_name(f"max by (appid) ({live(values, window=WINDOW)})")


def newest_week_seen() -> str:
    """Return when an exporter first had the newest week of any app, in Unix seconds, with the label ``week``."""
    ends = chosen(catalogue.end_metric(WEEKLY))
    first_seen = chosen(catalogue.PERIOD_FIRST_SEEN.name, promql.join_matchers(APPS, promql.report_matcher(WEEKLY)))
    by_week = (
        f"min by (week) (0 * max by (appid, week) ({ends}) + on (appid) group_left () max by (appid) ({first_seen}))"
    )
    # Only the newest week of all apps: an app that is weeks behind would mark its old week again when it catches up.
    return f"({by_week} and on (week) (max by (week) ({ends}) == on () group_left () max ({ends})))"


def holiday_weeks() -> str:
    """Return the Monday of each week with a public holiday, in Unix seconds, with the label ``week``."""
    ends = in_window(chosen(catalogue.end_metric(WEEKLY)))
    holidays = in_window(chosen(PREFIX + WEEKLY.calendar[0].metric))
    return f"(max by (week) ({ends}) - {_WEEK} and on (week) (max by (week) ({holidays}) > 0))"


def comparison_metric(report: Report, comparison: str, field: Field) -> str:
    """Return the name of a field's comparison metric; ``comparison`` is a name of the catalogue."""
    return report.comparison_metric(next(each for each in report.comparisons if each.name == comparison), field)


def number_of_apps() -> str:
    """Return how many apps there are."""
    return f"count(count by (appid) ({current(catalogue.APP_INFO.name)})) or vector(0)"


def with_new_week() -> str:
    """Return how many apps have the week that ended last."""
    last_end = f"(time() - (time() - {FIRST_MONDAY}) % {_WEEK})"
    return f"count(max by (appid) ({current(catalogue.end_metric(WEEKLY))}) >= {last_end}) or vector(0)"


def age_in_days() -> str:
    """Return the days since the end of each app's live week."""
    return f"(time() - max by (appid) ({current(catalogue.end_metric(WEEKLY))})) / 86400"


def severity(report: Report) -> str:
    """Return the index of the report's state in ``SEVERITY`` for each app."""
    # `max`: after a change of state and a restart both states are visible; the worse one is shown.
    return f"max by (appid) ({_states(promql.join_matchers(APPS, promql.report_matcher(report)))})"


def severity_by_report() -> str:
    """Return the index of the state in ``SEVERITY`` for each app and report."""
    return promql.per_app_and_report(_states(APPS))


def in_state(state: State) -> str:
    """Return how many apps have a report in a state."""
    states = current(catalogue.FETCH_STATE.name, promql.join_matchers(APPS, f'state="{state}"'))
    return f"count(max by (appid) ({states}) == 1) or vector(0)"


def lateness() -> str:
    """Return 1 for each app and report whose newest period is late by the condition of the alert PeriodLate, else 0."""
    # `late()` has no sample for a period that is not late; 0 is shown as "on time".
    newest = promql.per_app_and_report(chosen(catalogue.PERIOD_END.name))
    return f"(0 * ({promql.late(APPS)}) + 1) or 0 * {newest}"


def _newest_names(seen: str) -> str:
    # Replicas may disagree, and a renamed app has had two names. The join needs exactly one: that of the newest sample.
    newest_name = f"topk by (appid) (1, max by (appid, name) ({seen}))"
    appid_as_app = f'label_replace({newest_name}, "app", "$1", "appid", "(.*)")'
    return f'max by (appid, app) (label_replace({appid_as_app}, "app", "$1", "name", "(.+)"))'


def _states(matchers: str) -> str:
    metric = catalogue.FETCH_STATE.name

    def indexes(window: str) -> str:
        selectors = (f'{metric}{{{matchers}, state="{state}"}}' for state in SEVERITY)
        values = (in_window(selector, window) if window else selector for selector in selectors)
        return " or ".join(f"{index} * {value}" for index, value in enumerate(values))

    return f"({indexes('')}) or ({indexes(WINDOW)}) {_NO_EXPORTER}"

"""The alerts about figures: ``drops.RULES`` in PromQL, with the annotations that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.annotations import APP, APPS, DAY, NUMBER_OF_APPS, PERCENT, RANK, WEEK, found, newest_day, number
from exporter.alerts.causes import cause
from exporter.alerts.conditions import Operand
from exporter.alerts.drops import RULES
from exporter.alerts.model import KEEP_FIRING_FOR, PREFIX, AlertingRule, RecordingRule
from exporter.metrics import catalogue
from exporter.periods import Day, Week
from exporter.reports import Unit
from exporter.reports.catalogue import DAILY, WEEKLY, WEEKLY_RETENTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.drops import DropRule
    from exporter.reports import Field

KEEP_DAILY_FIRING_FOR = "36h"
"""Daily figures change once a day: one better day must not split an event into two alerts."""
REPORTED = "appid_figure_severity:wechat_miniprogram_daily_drop:last_timestamp"
"""A recording: when a daily alert about a figure last fired, Unix seconds."""
_DAILY_ALERTS = f'ALERTS{{alertname=~"{PREFIX}.*Daily.*", alertstate="firing", report="{DAILY.name}"}}'
REPORTED_SECONDS = 15 * 86400
"""How long ``REPORTED`` keeps a daily alert: longer than the week and its publication."""
_DAYS_OF_WEEK = 5 * 86400
"""Before the end of a week: daily alerts that fired after this instant may be about days of that week."""
_COUNTS = tuple(threshold.field for threshold in WEEKLY.alert_thresholds if threshold.field.unit is Unit.COUNT)
"""In the order of what explains what."""


def recordings() -> Iterator[RecordingRule]:
    """Yield what annotations read."""
    yield RecordingRule(APPS, f"count(count by (appid) ({catalogue.APP_INFO.name}))")


def daily_alerts() -> Iterator[AlertingRule]:
    """Yield the alerts about days, the most severe of each figure first."""
    for rule in RULES:
        if rule.report.period is Day:
            yield _daily(rule)


def reported() -> RecordingRule:
    """Return when a daily alert about each figure of each app last fired.

    The rule reads its own last value, so that it outlives the alert and a restart of Prometheus: a drop that was
    reported and ended on Saturday must not be reported again on Monday, when the figures of the week arrive. Keeping
    the daily alert firing for so long was the alternative; a restart of Prometheus ends it, a second drop would not be
    reported, and people would see an alert about an app that has recovered.
    """
    return RecordingRule(
        REPORTED,
        f"max by (appid, figure, severity) (timestamp({_DAILY_ALERTS}))\n"
        f"or\nlast_over_time({REPORTED}[1d]) > time() - {REPORTED_SECONDS // 86400} * 86400",
    )


def weekly_alerts() -> Iterator[AlertingRule]:
    """Yield the alerts about weeks, the most severe of each figure first."""
    for rule in RULES:
        if rule.report.period is Week:
            yield _weekly(rule)


def explaining_fields(field: Field) -> tuple[Field, ...]:
    """Return the figure and those that explain it: a daily alert about one of them replaces the weekly one."""
    return _COUNTS[: _COUNTS.index(field) + 1] if field in _COUNTS else ()


def reported_since(week_end: float) -> float:
    """Return the instant after which a daily alert replaces the weekly one of a week (both Unix seconds)."""
    return week_end - _DAYS_OF_WEEK


def alerts() -> Iterator[AlertingRule]:
    """Yield every alert about a figure."""
    yield from daily_alerts()
    yield from weekly_alerts()


def _weekly(rule: DropRule) -> AlertingRule:
    period = f"week from {WEEK}"
    if rule.report is WEEKLY_RETENTION:
        period += " and the week after it"
    return _alert(rule, condition(rule, *_not_reported(rule)), period)


def _daily(rule: DropRule) -> AlertingRule:
    # Without the day: an event is one alert from its first day until it ends, not one alert for each day.
    expr = f"max by (appid) ({_indented(condition(rule))}\n)"
    days = "ordinary days until" if rule.report is DAILY else "day"
    return _alert(rule, expr, f"{_newest_day(rule)}{days} {DAY}", KEEP_DAILY_FIRING_FOR)


def _alert(rule: DropRule, expr: str, period: str, keep_firing_for: str = KEEP_FIRING_FOR) -> AlertingRule:
    now = number(rule.field, rule.baselines[0].now)
    base = number(rule.field, *(each.base for each in rule.baselines))
    # Losses of entrances do not explain an average; alerts about retention and shares need no further figures.
    causes = {"cause": cause(rule)} if rule.report in (DAILY, WEEKLY) and rule.field in _COUNTS else {}
    return AlertingRule(
        name=rule.name,
        severity=rule.severity,
        expr=expr,
        labels={"figure": rule.figure, "report": rule.report.name},
        summary=f"{_newest_day(rule)}{APP}: {rule.title} at {PERCENT}% of {_base(rule)}, {now} against {base}",
        description=f"{rule.title}, AppID {{{{ $labels.appid }}}}, {period}.",
        notification={"rank": RANK, "apps": NUMBER_OF_APPS, **causes},
        keep_firing_for=keep_firing_for,
    )


def condition(rule: DropRule, *further: str) -> str:
    """Return the apps whose figure dropped against any baseline; the value is the ratio."""
    threshold = promql.selector(catalogue.THRESHOLDS[rule.threshold.option].name, promql.report_matcher(rule.report))
    share = "" if rule.share == 1 else f" * {rule.share.numerator} / {rule.share.denominator}"
    return "\nor\n".join(
        "\n".join(
            (
                f"{promql.ratio(each.now.promql, each.base.promql)}",
                f"< on (appid) group_left ()\n(max by (appid) ({threshold}){share})",
                *(condition.clause(", ".join(each.now.labels)) for condition in each.conditions),
                *further,
            )
        )
        for each in rule.baselines
    )


def _not_reported(rule: DropRule) -> tuple[str, ...]:
    """Return the clause that leaves out what a daily alert about days of this week has reported.

    That alert was about the same figure or one that explains it, and not less severe. About days of a week it fires on
    the Wednesday at the earliest, when Monday and Tuesday are published; before, it was about the previous week.
    """
    fields = explaining_fields(rule.field)
    if not fields:
        return ()
    explaining = "|".join(field.short_name for field in fields)
    severity = ', severity="critical"' if rule.severity == "critical" else ""
    last = f'max by (appid) ({REPORTED}{{figure=~"{explaining}"{severity}}})'
    week_end = f"max by (appid) ({catalogue.end_metric(WEEKLY)})"
    return (f"unless on (appid)\n({last}\n> on (appid) {week_end} - {_DAYS_OF_WEEK // 86400} * 86400)",)


def _newest_day(rule: DropRule) -> str:
    """Return a template that sets ``$day`` for the texts of an alert about days; empty for others."""
    now = rule.baselines[0].now
    return newest_day(now.metric, now.matchers) if isinstance(now, Operand) and rule.report.period is Day else ""


def _base(rule: DropRule) -> str:
    """Return a template that names what the figure is compared with."""
    first, *others = (each.base for each in rule.baselines)
    if not others:
        return first.description
    return f"{{{{ if {found(first)} }}}}{first.description}{{{{ else }}}}{others[0].description}{{{{ end }}}}"


def _indented(expr: str) -> str:
    return "".join(f"\n  {line}" for line in expr.split("\n"))

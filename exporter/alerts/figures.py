"""Rules about figures: recordings of the ratios to the baselines, and alerts when a figure drops.

The conditions are those of ``conditions``, in PromQL. The measurements behind them are in docs/alerts.md, "Why these
rules".

A week's figure and its baseline are two metrics with the same labels, so that a ratio is one division. The obvious
alternatives were tried and fail. ``m / m offset 1w`` never matches, because the ``week`` label differs. Without that
label, ``offset 1w`` compares with the wrong week when WeChat publishes on another weekday than the week before (a false
alert of 16 hours), after a missed week and on a new Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.conditions import ENOUGH_VISITORS, NOISE, Baseline
from exporter.alerts.model import AlertingRule, RecordingRule
from exporter.metrics import catalogue
from exporter.reports import PREFIX, Unit
from exporter.reports.catalogue import VISITORS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.model import Severity
    from exporter.reports import AlertThreshold, Field

COLLAPSED_FACTOR = "4 / 7"
"""Factor on the app's threshold for a collapse: 0.4 with the default threshold of 0.7."""

APP_NAME = "appid_name:wechat_miniprogram_app_info:topk"
"""Recording with the label ``name`` of each app."""
APP = "{{ with $labels.name }}{{ . }} ({{ $labels.appid }}){{ else }}{{ $labels.appid }}{{ end }}"
"""Template: name and AppID of the alert's app."""
WEEK = '{{ $labels.week | reReplaceAll "^(....)(..)(..)-(....)(..)(..)$" "$1-$2-$3 to $4-$5-$6" }}'
"""Template: first and last day of the alert's week."""

HOLIDAYS, PREVIOUS_HOLIDAYS = (PREFIX + fact.metric for fact in WEEKLY.calendar)
_HOLIDAYS_OF = {
    Baseline.PREVIOUS_WEEK: (HOLIDAYS, PREVIOUS_HOLIDAYS),
    Baseline.TYPICAL_WEEK: (HOLIDAYS,),
}
"""The metrics that count the public holidays in the compared weeks; see ``Baseline.has_holiday``."""


@dataclass(frozen=True, slots=True)
class _DropAlert:
    """One of the alerts that each figure has."""

    suffix: str
    """The end of the alert name."""
    severity: Severity
    baseline: Baseline
    factor: str
    """Factor on the app's threshold, in PromQL."""


# Ordered by strength: Alertmanager's inhibitions send only the first that fires for a figure of an app and week.
# BelowNormal is stronger than Dropped because it is more often right: 0.01 false alerts per app and year against 0.10.
_DROP_ALERTS = (
    _DropAlert("Collapsed", "critical", Baseline.PREVIOUS_WEEK, f" * {COLLAPSED_FACTOR}"),
    _DropAlert("BelowNormal", "warning", Baseline.TYPICAL_WEEK, ""),
    _DropAlert("Dropped", "warning", Baseline.PREVIOUS_WEEK, ""),
)


def per_app_and_week(metric: str) -> str:
    """Return an expression with one value for each app and week (see ``promql`` for why it is ``max``)."""
    return promql.per_app_and_period(WEEKLY, metric)


def recordings() -> Iterator[RecordingRule]:
    """Yield the ratio of each figure to each baseline, and the name of each app."""
    for field in WEEKLY.fields:
        for baseline in Baseline:
            current = per_app_and_week(WEEKLY.metric(field))
            yield RecordingRule(
                _ratio(field, baseline), promql.ratio(current, per_app_and_week(baseline.metric(field)))
            )
    # An app that was just renamed, or that two replicas know under different names, has two app_info series. `topk`
    # keeps one of them; two would break every many-to-one join on appid.
    name = f"group by (appid, name) ({catalogue.APP_INFO.name})"
    yield RecordingRule(APP_NAME, f"topk by (appid) (1, {name})")


def alerts() -> Iterator[AlertingRule]:
    """Yield the alerts of each figure that has a threshold, the strongest first."""
    for threshold in WEEKLY.alert_thresholds:
        for drop_alert in _DROP_ALERTS:
            yield _alert(threshold, drop_alert)


def with_app_name(expr: str) -> str:
    """Return the expression with the app's name as the label ``name``; it must have the label ``appid``."""
    return f"({_indent(expr)}\n)\n* on (appid) group_left (name)\n{APP_NAME}"


def alert_name_prefix(field: Field) -> str:
    """Return the part of an alert name that stands for a field: ``StayPerVisitor``."""
    return "".join(word.capitalize() for word in field.short_name.split("_"))


def _alert(threshold: AlertThreshold, drop_alert: _DropAlert) -> AlertingRule:
    baseline, field = drop_alert.baseline, threshold.field
    metric = promql.selector(catalogue.THRESHOLDS[threshold.option].name, promql.report_matcher(WEEKLY))
    # A threshold of 0 disables the alert without a condition of its own: no ratio is below 0.
    limit = f"max by (appid) ({metric}){drop_alert.factor}"
    below_limit = f"{_ratio(field, baseline)}\n< on (appid) group_left ()\n({limit})"
    gates = [f"and on (appid, week)\n{_significant(field, baseline)}"]
    # `unless` and not `and .. == 0`: a year whose schedule is not published has no sample, and must still alert.
    gates += [f"unless on (appid, week)\n({per_app_and_week(holidays)} > 0)" for holidays in _HOLIDAYS_OF[baseline]]
    current, before = _value(WEEKLY.metric(field), field), _value(baseline.metric(field), field)
    return AlertingRule(
        name=alert_name_prefix(field) + drop_alert.suffix,
        severity=drop_alert.severity,
        expr=with_app_name("\n".join((below_limit, *gates))),
        labels={"figure": field.short_name},
        summary=f"{APP}: {field.title} at {{{{ $value | humanizePercentage }}}} of {baseline.description}",
        description=(
            f"{field.title} of {APP} in the week {WEEK}: {current}, compared with {before} in {baseline.description}"
            " ({{ $value | humanizePercentage }})."
        ),
    )


def _ratio(field: Field, baseline: Baseline) -> str:
    """Return the name of the recording of a figure's ratio to a baseline."""
    return f"appid_week:{WEEKLY.metric(field)}:ratio_{baseline.value}"


def _significant(field: Field, baseline: Baseline) -> str:
    """Return the expression of ``conditions._is_significant``."""
    visitors = (WEEKLY.metric(VISITORS), baseline.metric(VISITORS))
    if field.unit is not Unit.COUNT:
        return "\nand on (appid, week)\n".join(
            f"({per_app_and_week(metric)} >= {ENOUGH_VISITORS})" for metric in visitors
        )
    now, before = per_app_and_week(WEEKLY.metric(field)), per_app_and_week(baseline.metric(field))
    weight = "" if field is VISITORS else f" * {before} / {per_app_and_week(baseline.metric(VISITORS))}"
    return f"(({before} - {now})\n/\nsqrt(({before} + {now}){weight}) > {NOISE})"


def _value(metric: str, field: Field) -> str:
    """Return a template of a metric's value for the alert's app and week, with its unit."""
    number, unit = {Unit.COUNT: ("%.0f", ""), Unit.SECONDS: ("%.1f", " s"), Unit.PAGES: ("%.2f", " pages")}[field.unit]
    query = f'printf "max({metric}{{appid=%q,week=%q}})" $labels.appid $labels.week | query'
    # `with` and not `query | first`: once the exporter is down the query is empty, and `first` of nothing is an error
    # that replaces the whole annotation.
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "{number}" }}}}{unit}{{{{ end }}}}'


def _indent(expr: str) -> str:
    return "".join(f"\n  {line}" for line in expr.split("\n"))

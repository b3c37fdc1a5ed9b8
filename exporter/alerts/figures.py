"""Rules about the figures: ratios to their baselines, and alerts where one falls (``conditions`` in PromQL).

docs/alerts.md, "Why these rules", has the measurements behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.conditions import ENOUGH_VISITORS, NOISE, Baseline
from exporter.alerts.model import Alert, Recording
from exporter.metrics import catalogue
from exporter.reports import PREFIX, Unit
from exporter.reports.catalogue import VISITORS, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.model import Severity
    from exporter.reports import AlertThreshold, Field

COLLAPSED = "4 / 7"
"""Of the ratio that alerts: 0.4 where that is 0.7."""

NAME_OF_APP = "appid_name:wechat_miniprogram_app_info:topk"
APP = "{{ with $labels.name }}{{ . }} ({{ $labels.appid }}){{ else }}{{ $labels.appid }}{{ end }}"
"""The app for people, in an annotation."""
WEEK = '{{ $labels.week | reReplaceAll "^(....)(..)(..)-(....)(..)(..)$" "Monday $1-$2-$3 to Sunday $4-$5-$6" }}'
"""The week for people, in an annotation."""


@dataclass(frozen=True, slots=True)
class _RatioBaseline:
    """What a figure is compared with."""

    baseline: Baseline
    holidays: tuple[str, ...]
    """A public holiday counted by one of these explains a fall."""

    @property
    def description(self) -> str:
        return self.baseline.description

    @property
    def recorded_as(self) -> str:
        return f"ratio_{self.baseline.value}"

    def metric(self, field: Field) -> str:
        return WEEKLY.comparison_metric(self.baseline.comparison, field)


HOLIDAYS, PREVIOUS_HOLIDAYS = (PREFIX + fact.metric for fact in WEEKLY.calendar)
PREVIOUS_WEEK = _RatioBaseline(Baseline.PREVIOUS_WEEK, (HOLIDAYS, PREVIOUS_HOLIDAYS))
TYPICAL_WEEK = _RatioBaseline(Baseline.TYPICAL_WEEK, (HOLIDAYS,))


@dataclass(frozen=True, slots=True)
class _DropAlert:
    """One kind of alert about a figure."""

    name: str
    severity: Severity
    baseline: _RatioBaseline
    share: str
    """Of the app's own ratio."""


FALLS = (
    _DropAlert("Collapsed", "critical", PREVIOUS_WEEK, f" * {COLLAPSED}"),
    _DropAlert("BelowNormal", "warning", TYPICAL_WEEK, ""),
    _DropAlert("Dropped", "warning", PREVIOUS_WEEK, ""),
)
"""The strongest first: an earlier one silences the later ones about the same figure of the same app and week."""


def per_app_and_week(metric: str) -> str:
    """Return one value for each app and week, however many exporters and instances there are or were."""
    return promql.per_app_and_period(WEEKLY, metric)


def recordings() -> Iterator[Recording]:
    """Return the ratio of each figure to its two baselines, and one name for each app."""
    for field in WEEKLY.fields:
        for baseline in (PREVIOUS_WEEK, TYPICAL_WEEK):
            yield Recording(
                _ratio(field, baseline),
                promql.ratio(per_app_and_week(WEEKLY.metric(field)), per_app_and_week(baseline.metric(field))),
            )
    name = f"group by (appid, name) ({catalogue.APP_INFO.name})"
    yield Recording(NAME_OF_APP, f"topk by (appid) (1, {name})")


def alerts() -> Iterator[Alert]:
    """Return the alerts of each watched figure, the strongest first."""
    for threshold in WEEKLY.alert_thresholds:
        for fall in FALLS:
            yield _alert(threshold, fall)


def named(expr: str) -> str:
    """Return the expression with each app's name as a label."""
    return f"({_indented(expr)}\n)\n* on (appid) group_left (name)\n{NAME_OF_APP}"


def alert_name_prefix(field: Field) -> str:
    """Return the field as alerts are named after it: ``StayPerVisitor``."""
    return "".join(word.capitalize() for word in field.short_name.split("_"))


def _alert(threshold: AlertThreshold, fall: _DropAlert) -> Alert:
    base, field = fall.baseline, threshold.field
    configured = promql.selector(catalogue.THRESHOLDS[threshold.option].name, promql.report_matcher(WEEKLY))
    limit = f"max by (appid) ({configured})"
    ratio = f"{_ratio(field, base)}\n< on (appid) group_left ()\n({limit}{fall.share})"
    gates = [f"and on (appid, week)\n{_significant(field, base)}"]
    gates += [f"unless on (appid, week)\n({per_app_and_week(holidays)} > 0)" for holidays in base.holidays]
    figures = f"{_figure(WEEKLY.metric(field), field)} against {_figure(base.metric(field), field)}"
    return Alert(
        name=alert_name_prefix(field) + fall.name,
        severity=fall.severity,
        expr=named("\n".join((ratio, *gates))),
        labels={"figure": field.short_name},
        summary=f"{APP}: {field.title} at {{{{ $value | humanizePercentage }}}} of {base.description}",
        description=(
            f"{field.title} of {APP} in the week from {WEEK}: {figures} in {base.description},"
            f" which is {{{{ $value | humanizePercentage }}}} of it."
        ),
    )


def _ratio(field: Field, baseline: _RatioBaseline) -> str:
    return f"appid_week:{WEEKLY.metric(field)}:{baseline.recorded_as}"


def _significant(field: Field, baseline: _RatioBaseline) -> str:
    """Whether there is enough behind a fall, as ``exporter.alerts.conditions`` says."""
    visitors = (WEEKLY.metric(VISITORS), baseline.metric(VISITORS))
    if field.unit is not Unit.COUNT:
        return "\nand on (appid, week)\n".join(
            f"({per_app_and_week(metric)} >= {ENOUGH_VISITORS})" for metric in visitors
        )
    now, before = per_app_and_week(WEEKLY.metric(field)), per_app_and_week(baseline.metric(field))
    each = "" if field is VISITORS else f" * {before} / {per_app_and_week(baseline.metric(VISITORS))}"
    return f"(({before} - {now})\n/\nsqrt(({before} + {now}){each}) > {NOISE})"


def _figure(metric: str, field: Field) -> str:
    """The value of a metric of the alert's app and week, as a template."""
    number, unit = {Unit.COUNT: ("%.0f", ""), Unit.SECONDS: ("%.1f", " s"), Unit.PAGES: ("%.2f", " pages")}[field.unit]
    query = f'printf "max({metric}{{appid=%q,week=%q}})" $labels.appid $labels.week | query'
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "{number}" }}}}{unit}{{{{ end }}}}'


def _indented(expr: str) -> str:
    return "".join(f"\n  {line}" for line in expr.split("\n"))

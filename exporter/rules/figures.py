"""Rules about the figures: ratios to their baselines, and alerts where one falls (``exporter.falls`` in PromQL).

What was tried and measured before these rules were chosen stands in docs/alerts.md, "Why these rules".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.falls import ENOUGH_VISITORS, NOISE, Baseline
from exporter.metrics import catalogue
from exporter.reports import WEEKLY, Unit
from exporter.rules.model import Alert, Recording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from exporter.reports import Field
    from exporter.rules.model import Severity

COLLAPSED = "4 / 7"
"""Of the ratio that alerts: 0.4 where that is 0.7."""

NAME_OF_APP = "appid_name:wechat_miniprogram_app_info:topk"
APP = "{{ with $labels.name }}{{ . }} ({{ $labels.appid }}){{ else }}{{ $labels.appid }}{{ end }}"
"""The app for people, in an annotation."""
WEEK = '{{ $labels.week | reReplaceAll "^(....)(..)(..)-(....)(..)(..)$" "Monday $1-$2-$3 to Sunday $4-$5-$6" }}'
"""The week for people, in an annotation."""

_VISITORS = next(field for field in WEEKLY.fields if field.wechat == "visit_uv")


@dataclass(frozen=True, slots=True)
class _Baseline:
    """What a figure is compared with."""

    words: str
    metric: Callable[[Field], str]
    recorded_as: str
    holidays: tuple[str, ...]
    """A public holiday counted by one of these explains a fall."""


PREVIOUS_WEEK = _Baseline(
    Baseline.PREVIOUS_WEEK.value,
    WEEKLY.previous_metric,
    "ratio_previous_week",
    (catalogue.WEEK_HOLIDAYS.name, catalogue.PREVIOUS_WEEK_HOLIDAYS.name),
)
MEDIAN_WEEK = _Baseline(
    Baseline.MEDIAN_WEEK.value, WEEKLY.median_metric, "ratio_median_week", (catalogue.WEEK_HOLIDAYS.name,)
)


@dataclass(frozen=True, slots=True)
class _Fall:
    """One kind of alert about a figure."""

    name: str
    severity: Severity
    baseline: _Baseline
    share: str
    """Of the app's own ratio."""


FALLS = (
    _Fall("Collapsed", "critical", PREVIOUS_WEEK, f" * {COLLAPSED}"),
    _Fall("BelowNormal", "warning", MEDIAN_WEEK, ""),
    _Fall("Dropped", "warning", PREVIOUS_WEEK, ""),
)
"""The strongest first: an earlier one silences the later ones about the same figure of the same app and week."""


def per_app_and_week(metric: str) -> str:
    """One value for each app and week, however many exporters and instances there are or were."""
    return f"max by (appid, week) ({metric})"


def recordings() -> Iterator[Recording]:
    """The ratio of each figure to its two baselines, and each app's one name."""
    for field in WEEKLY.fields:
        for baseline in (PREVIOUS_WEEK, MEDIAN_WEEK):
            yield Recording(
                _ratio(field, baseline),
                f"{per_app_and_week(WEEKLY.metric(field))}\n/\n({per_app_and_week(baseline.metric(field))} > 0)",
            )
    name = f"group by (appid, name) ({catalogue.APP_INFO.name})"
    yield Recording(NAME_OF_APP, f"topk by (appid) (1, {name})")


def alerts() -> Iterator[Alert]:
    """For each figure that is watched, its alerts, the strongest first."""
    for field in WEEKLY.watched:
        for fall in FALLS:
            yield _alert(field, fall)


def named(expr: str) -> str:
    """The expression with each app's name as a label."""
    return f"({_indented(expr)}\n)\n* on (appid) group_left (name)\n{NAME_OF_APP}"


def figure_label(field: Field) -> str:
    """The ``figure`` label of the alerts about a field: its metric without the unit."""
    return field.metric.removesuffix(f"_{field.unit.value}")


def stem(field: Field) -> str:
    """The field in the names of its alerts: ``StayPerVisitor``."""
    return "".join(word.capitalize() for word in figure_label(field).split("_"))


def _alert(field: Field, fall: _Fall) -> Alert:
    base = fall.baseline
    threshold = f"max by (appid) ({catalogue.THRESHOLDS[field.threshold].name})"
    ratio = f"{_ratio(field, base)}\n< on (appid) group_left ()\n({threshold}{fall.share})"
    gates = [f"and on (appid, week)\n{_significant(field, base)}"]
    gates += [f"unless on (appid, week)\n({per_app_and_week(holidays)} > 0)" for holidays in base.holidays]
    figures = f"{_figure(WEEKLY.metric(field), field)} against {_figure(base.metric(field), field)}"
    return Alert(
        name=stem(field) + fall.name,
        severity=fall.severity,
        expr=named("\n".join((ratio, *gates))),
        labels={"figure": figure_label(field)},
        summary=f"{APP}: {field.title} at {{{{ $value | humanizePercentage }}}} of {base.words}",
        description=(
            f"{field.title} of {APP} in the week from {WEEK}: {figures} in {base.words},"
            f" which is {{{{ $value | humanizePercentage }}}} of it."
        ),
    )


def _ratio(field: Field, baseline: _Baseline) -> str:
    return f"appid_week:{WEEKLY.metric(field)}:{baseline.recorded_as}"


def _significant(field: Field, baseline: _Baseline) -> str:
    """Whether there is enough behind a fall, as ``exporter.falls`` says."""
    visitors = (WEEKLY.metric(_VISITORS), baseline.metric(_VISITORS))
    if field.unit is not Unit.COUNT:
        return "\nand on (appid, week)\n".join(
            f"({per_app_and_week(metric)} >= {ENOUGH_VISITORS})" for metric in visitors
        )
    now, before = per_app_and_week(WEEKLY.metric(field)), per_app_and_week(baseline.metric(field))
    each = "" if field is _VISITORS else f" * {before} / {per_app_and_week(baseline.metric(_VISITORS))}"
    return f"(({before} - {now})\n/\nsqrt(({before} + {now}){each}) > {NOISE})"


def _figure(metric: str, field: Field) -> str:
    """The value of a metric of the alert's app and week, as a template."""
    number, unit = {Unit.COUNT: ("%.0f", ""), Unit.SECONDS: ("%.1f", " s"), Unit.PAGES: ("%.2f", " pages")}[field.unit]
    query = f'printf "max({metric}{{appid=%q,week=%q}})" $labels.appid $labels.week | query'
    return f'{{{{ with {query} }}}}{{{{ . | first | value | printf "{number}" }}}}{unit}{{{{ end }}}}'


def _indented(expr: str) -> str:
    return "".join(f"\n  {line}" for line in expr.split("\n"))

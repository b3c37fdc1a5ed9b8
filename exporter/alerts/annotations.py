"""Fragments of annotations, in the template language of Prometheus.

Queries in annotations run only for alerts that fire. The app's name is such a query, and not a label joined to every
expression: the join had a sample of every app in every rule, and a renamed app was a new alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.alerts.conditions import Operand, Proportion
from exporter.metrics import catalogue
from exporter.reports import Unit

if TYPE_CHECKING:
    from exporter.reports import Field

APPS = "apps:wechat_miniprogram_app_info:count"
"""A recording: how many apps there are."""
_NAME = (
    "{{ $name := $labels.appid }}"
    f'{{{{ with printf "{catalogue.APP_INFO.name}{{appid=%q}}" $labels.appid | query }}}}'
    '{{ with . | first | label "name" }}{{ $name = . }}{{ end }}{{ end }}'
)
APP = _NAME + "{{ $name }}"
"""The name of the alert's app; its AppID where it has none."""
DAY = '{{ $day | reReplaceAll "^(....)(..)(..)$" "$1-$2-$3" }}'
"""The day that ``newest_day`` found: ``2026-11-22``."""
WEEK = '{{ $labels.week | reReplaceAll "^(....)(..)(..)-(....)(..)(..)$" "Monday $1-$2-$3 to Sunday $4-$5-$6" }}'
_PERCENT = r'$value | humanizePercentage | reReplaceAll "[.%].*" ""'
PERCENT = f"{{{{ {_PERCENT} }}}}"
"""The alert's ratio in whole percent, rounded down."""
RANK = f'{{{{ {_PERCENT} | reReplaceAll "^(.)$" "0$1" }}}}'
"""The same with two digits, by which a notification sorts."""
THOUSANDS = r' | reReplaceAll "(\\d)(\\d{3})$" "$1,$2"' + r' | reReplaceAll "(\\d)(\\d{3})," "$1,$2,"' * 2
"""The end of a pipeline that separates the thousands of a number."""
NUMBER_OF_APPS = f'{{{{ with query "{APPS}" }}}}{{{{ . | first | value | printf "%.0f"{THOUSANDS} }}}}{{{{ end }}}}'
_FORMS = {
    Unit.COUNT: (f'printf "%.0f"{THOUSANDS}', ""),
    Unit.SECONDS: ('printf "%.1f"', " s"),
    Unit.PAGES: ('printf "%.2f"', " pages"),
}


def found(*figures: Operand | Proportion) -> str:
    """Return a template pipeline: the sample of the first figure that has one, for the alert's app and period.

    A proportion is in percent. Figures of days need ``newest_day`` before it.
    """
    period = {"week": "$labels.week"} if "week" in figures[0].labels else {"day": "$day"}
    labels = {"appid": "$labels.appid", **period}
    query = " or ".join(_query(figure, tuple(labels)) for figure in figures).replace('"', '\\"')
    return f'printf "{query}" {" ".join(labels.values())} | query'


def number(field: Field, *figures: Operand | Proportion) -> str:
    """Return a template of the value of the first figure that has one, with the unit of a field."""
    form, unit = ('printf "%.1f"', "%") if isinstance(figures[0], Proportion) else _FORMS[field.unit]
    return f"{{{{ with {found(*figures)} }}}}{{{{ . | first | value | {form} }}}}{unit}{{{{ end }}}}"


def newest_day(metric: str, matchers: str = "") -> str:
    """Return a template that sets ``$day`` to the newest day of a metric: ``20261122``; empty if there is none.

    An alert about days has no label for them, and a replica that is refused keeps exposing an earlier day.
    """
    selected = ",".join(("appid=%q", *filter(None, (matchers,)))).replace('"', '\\"')
    return (
        f'{{{{ $day := "" }}}}{{{{ range printf "max by (day) ({metric}{{{selected}}})" $labels.appid | query'
        ' | sortByLabel "day" }}{{ $day = .Labels.day }}{{ end }}'
    )


def _query(figure: Operand | Proportion, labels: tuple[str, ...]) -> str:
    """Return PromQL with a placeholder for the value of each label."""
    if isinstance(figure, Proportion):
        return f"100 * {_query(figure.part, labels)} / ({_query(figure.whole, labels)} > 0)"
    matchers = (f"{label}=%[{place}]q" for place, label in enumerate(labels, 1))
    return f"max({figure.metric}{{{','.join((*matchers, *filter(None, (figure.matchers,))))}}})"

"""PromQL of what fell and what rose, by the conditions of the weekly alerts.

The expressions are those of ``exporter.alerts``, restricted to the selected apps and, unlike the alerts, without what a
daily alert has already reported: a table shows each fall, a notification only what is new.
"""

from __future__ import annotations

import re

from exporter import promql
from exporter.alerts import figures
from exporter.alerts.conditions import BeyondChance, compared, live
from exporter.alerts.drops import CHANCE, RULES
from exporter.dashboards import queries
from exporter.dashboards.queries import APPS, FIGURES, FIRST_BAD
from exporter.reports import PREFIX
from exporter.reports.catalogue import WEEKLY
from exporter.reports.fields import VISITORS

_SELECTOR = re.compile(rf"\b({PREFIX}\w+)(?:{{([^}}]*)}})?")
# A table names one fall of each app: a collapse before a smaller fall, then in the order of the figures.
FALLS = tuple(
    sorted((rule for rule in RULES if rule.report is WEEKLY), key=lambda rule: rule.severity != "critical"),
)
"""The weekly rules, the most severe first. In tables a fall is its index, counted from 1."""
_KINDS = {"Collapsed": "collapsed", "BelowNormal": "below normal", "Dropped": "dropped"}
RISEN = round(1 / next(each.min_ratio for each in WEEKLY.alert_thresholds if each.field is VISITORS), 4)
"""The ratio to the typical week from which visitors have risen: as far from 1 as the default threshold."""

# More than the visitors of any app, so that these sort before all others.
_FALLEN_RANK, _STATE_RANK = 10**10, 10**9


def fall_texts() -> dict[str, str]:
    """Return the text of each index into ``FALLS``."""
    return {
        str(index): f"{rule.field.title}: {_KINDS[rule.kind]}" if rule.kind in _KINDS else rule.name
        for index, rule in enumerate(FALLS, start=1)
    }


def falls() -> str:
    """Return the index, counted from 1, of the first rule that holds for each app; no sample where none holds."""
    by_rule = (f"0 * ({_restricted(figures.condition(rule))}) + {index}" for index, rule in enumerate(FALLS, start=1))
    return f"max by (appid) ({queries.live(f'({_or(*by_rule)})')})"


def number_of_fallen() -> str:
    """Return for how many apps a weekly rule holds."""
    return f"count({falls()}) or vector(0)"


def number_of_risen() -> str:
    """Return how many apps have more visitors than ``RISEN`` of their typical week, by more than chance."""
    now, typical = live(WEEKLY, VISITORS), compared(WEEKLY, "typical_week", VISITORS)
    rise = f"{promql.ratio(now.promql, typical.promql)} > {RISEN} {BeyondChance(typical, now, CHANCE).clause(_LABELS)}"
    return f"count({queries.live(f'({_restricted(rise)})')}) or vector(0)"


def visitors_lost() -> str:
    """Return how many visitors each app lost against its typical week, or the previous week if that is unknown."""
    now = queries.weekly(WEEKLY.metric(FIGURES["visitors"]))
    bases = (
        queries.weekly(queries.comparison_metric(WEEKLY, name, FIGURES["visitors"]))
        for name in ("typical_week", "previous_week")
    )
    return f"clamp_min(max by (appid) ({queries.live(f'(({_or(*bases)}) - {now})')}), 0)"


def rank() -> str:
    """Return the order of apps, the first lowest: those that fell, then problem states, then by visitors lost."""
    state = queries.severity(WEEKLY)
    zero = f"0 * {_bracketed(state)}"
    lost, fell = f"({visitors_lost()} or {zero})", f"(0 * {falls()} + {_FALLEN_RANK} or {zero})"
    return f"-1 * {lost} - {fell} - {_STATE_RANK} * ({_bracketed(state)} >= {FIRST_BAD} or {zero})"


_LABELS = "appid, week"


def _restricted(expression: str) -> str:
    """Return an expression of the rules for the selected apps, also when nothing was scraped for five minutes."""

    def selector(found: re.Match[str]) -> str:
        return queries.in_window(queries.chosen(found[1], promql.join_matchers(APPS, found[2] or "")))

    return _SELECTOR.sub(selector, expression).replace("\n", " ")


def _or(*expressions: str) -> str:
    return " or ".join(expressions)


def _bracketed(expression: str) -> str:
    return f"({expression})"

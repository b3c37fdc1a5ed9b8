"""Bar charts and lines as Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from exporter.dashboards import transformations
from exporter.dashboards.panels import (
    base_panel,
    column_properties,
    column_titles,
    instant_queries,
    override,
    target,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.dashboards.panels import Column, LabelColumn
    from exporter.dashboards.styles import Json

_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_BARS: Json = {"min": 0, "color": {"mode": "palette-classic"}, "custom": {"fillOpacity": 80, "lineWidth": 0}}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of stacked bars."""

    label: str
    order: str
    """An expression that orders them, lowest first, with the labels of the values."""
    overrides: Sequence[Json] = ()
    renames: Sequence[Json] = ()
    """Transformations that rename them."""


def bar_chart(
    title: str,
    description: str,
    x: LabelColumn,
    columns: Sequence[Column],
    stacking: str = "none",
) -> Json:
    """Return a bar chart: a group for each value of the label ``x``, a bar for each column.

    The y axis has the unit of the first column.

    Args:
        title: the panel's title.
        description: the panel's description.
        x: the label that groups the bars.
        columns: the queries to show.
        stacking: Grafana's name: ``none`` or ``normal``.
    """
    further = [expression for expression in (x.further_values, x.order) if expression]
    targets = instant_queries([*(column.expression for column in columns), *further])
    hidden = [f"Value #{query['refId']}" for query in targets[len(columns) :]]
    styles = {x.title: x.style} | {column.title: column.style for column in columns}
    order = [transformations.sort_by(hidden[-1] if x.order else x.name)]
    order += [transformations.limit(x.rows)] if x.rows else []
    shown = {x.name: x.title} | column_titles(columns)
    return base_panel("barchart", title, description, targets) | {
        "fieldConfig": {
            "defaults": _BARS | {"unit": columns[0].unit, "decimals": columns[0].decimals},
            "overrides": [override(title, **style) for title, style in styles.items() if style],
        },
        "options": _bar_options(x, stacking),
        "transformations": [
            transformations.merge(),
            *order,
            transformations.organize(shown, hidden=hidden),
        ],
    }


def stacked_bars(title: str, description: str, x: LabelColumn, parts: Parts, expression: str) -> Json:
    """Return a bar chart: a bar for each value of the label ``x``, stacked from the values of another label.

    Args:
        title: the panel's title.
        description: the panel's description.
        x: the label that has a bar for each value, in its order.
        parts: the label that is stacked.
        expression: the query, which has both labels.
    """
    targets = instant_queries([expression, parts.order])
    x_column = transformations.matrix_rows(x.name, parts.label)
    return base_panel("barchart", title, description, targets) | {
        "fieldConfig": {
            "defaults": _BARS | {"unit": "none", "decimals": 0},
            "overrides": [*([override(x.title, **x.style)] if x.style else []), *parts.overrides],
        },
        "options": _bar_options(x, "normal") | {"legend": _LEGEND | {"placement": "right"}},
        # The first query has the values, the second one the order of the parts. A matrix has its columns in the order
        # in which their names occur.
        "transformations": [
            transformations.merge(),
            transformations.sort_by("Value #B"),
            transformations.matrix(x.name, parts.label, "Value #A"),
            transformations.sort_by(x_column),
            transformations.organize({x_column: x.title}),
            *parts.renames,
        ],
    }


def time_series(
    title: str, description: str, queries: Mapping[str, str], style: Json, overrides: Sequence[Json] = ()
) -> Json:
    """Return a time series panel.

    Args:
        title: the panel's title.
        description: the panel's description.
        queries: expressions by legend.
        style: field properties of all series; ``unit`` is required.
        overrides: field properties of single series, made by ``override``.
    """
    targets = [
        target(letter, expression, format="time_series", range=True, instant=False, legendFormat=legend)
        for letter, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False)
    ]
    # Figures change only when WeChat publishes: a straight line between two weeks would show values that never existed.
    custom = {"lineInterpolation": "stepAfter", "lineWidth": 2, "fillOpacity": 0, "showPoints": "never"} | style.get(
        "custom", {}
    )
    defaults = {"min": 0, "color": {"mode": "palette-classic"}} | style | {"custom": custom}
    return base_panel("timeseries", title, description, targets) | {
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def dated_lines(title: str, description: str, period: LabelColumn, columns: Sequence[Column], unit: str) -> Json:
    """Return lines through one point for each period, from instant queries.

    Args:
        title: the panel's title.
        description: the panel's description.
        period: the label that has a point for each value; its order is the time in milliseconds.
        columns: the queries to show, each with this label.
        unit: Grafana's unit.
    """
    targets = instant_queries([*(column.expression for column in columns), period.order])
    moment = f"Value #{targets[-1]['refId']}"
    custom = {"lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": 0, "showPoints": "always", "pointSize": 7}
    return base_panel("timeseries", title, description, targets) | {
        "fieldConfig": {
            "defaults": {"min": 0, "unit": unit, "color": {"mode": "palette-classic"}, "custom": custom},
            "overrides": [override(column.title, **column_properties(column)) for column in columns],
        },
        "options": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}},
        "transformations": [
            transformations.merge(),
            transformations.sort_by(moment),
            transformations.as_time(moment),
            transformations.organize({moment: period.title} | column_titles(columns), hidden=[period.name]),
        ],
    }


def _bar_options(x: LabelColumn, stacking: str) -> Json:
    return {
        "xField": x.title,
        "xTickLabelSpacing": 0 if x.order else 50,  # 50 leaves out labels that would overlap
        "stacking": stacking,
        "showValue": "never",
        "groupWidth": 0.8,
        "barWidth": 0.9,
        "legend": _LEGEND,
        "tooltip": {"mode": "multi", "sort": "none"},
    } | ({"orientation": "horizontal"} if x.rows else {})

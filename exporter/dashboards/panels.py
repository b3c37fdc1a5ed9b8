"""Panels as Grafana's JSON: tables, bar charts and time series, each with a description, units and the data source.

Tables and bar charts are instant queries in table format, merged by label. An instant query has exactly one sample for
each week, whatever the time range; a range query would have a step, and would miss samples that fall between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING

from exporter.dashboards.styles import thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.dashboards.styles import Json

WIDTH = 24
"""Width of the dashboard in grid columns, fixed by Grafana."""
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True}


@dataclass(frozen=True, slots=True)
class Column:
    """A query: a column of a table, or one bar of each group of a bar chart."""

    title: str
    expression: str
    unit: str = "none"
    decimals: int | None = 0
    """None: Grafana's default for the unit."""
    style: Json = field(default_factory=dict)
    """Further field properties by Grafana's name: ``thresholds``, ``custom.cellOptions``."""


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """A label that is shown as a column, or as the x axis of a bar chart."""

    name: str
    title: str
    style: Json = field(default_factory=dict)
    further_values: str = ""
    """Of a bar chart: an expression with a sample for each value of the label that has a place even without a bar."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel and its size in grid columns and grid rows."""

    width: int
    height: int
    content: Json


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels under a title, placed from left to right and wrapped at the full width."""

    title: str
    panels: tuple[Panel, ...]


def table(
    title: str, description: str, labels: Sequence[LabelColumn], columns: Sequence[Column], sort: str = ""
) -> Json:
    """Return a table with one row for each combination of the columns' labels.

    Args:
        title: the panel's title.
        description: the panel's description.
        labels: the labels to show.
        columns: the queries to show.
        sort: an expression that orders the rows, lowest first; it is not shown.
    """
    targets = _tables([column.expression for column in columns] + ([sort] if sort else []))
    shown = {label.name: label.title for label in labels}
    shown |= _titles(columns)
    # The sort expression is a query of its own, because a table can only sort by a column that it has.
    order = [f"Value #{targets[-1]['refId']}"] if sort else []
    styles = [override(label.title, **label.style) for label in labels if label.style]
    return _panel("table", title, description, targets) | {
        "fieldConfig": {
            "defaults": {"unit": "none", "custom": {"minWidth": 85}},
            "overrides": styles + [override(column.title, **_properties(column)) for column in columns],
        },
        "options": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        "transformations": [_merge(), *map(_sort_by, order), _organize(shown, hidden=order)],
    }


def stat(title: str, description: str, columns: Sequence[Column]) -> Json:
    """Return large numbers, one for each column; the titles are shown where there are several."""
    targets = _tables([column.expression for column in columns])
    defaults = {"unit": "none", "decimals": 0, "thresholds": thresholds("text"), "color": {"mode": "thresholds"}}
    return _panel("stat", title, description, targets) | {
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [override(column.title, **_properties(column)) for column in columns],
        },
        "options": {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
            "orientation": "vertical",
            "textMode": "value_and_name" if len(columns) > 1 else "value",
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
        },
        "transformations": [_merge(), _organize(_titles(columns))],
    }


def bar_chart(title: str, description: str, x: LabelColumn, columns: Sequence[Column], stacking: str = "none") -> Json:
    """Return a bar chart: a group for each value of the label ``x``, a bar for each column.

    The y axis has the unit of the first column.
    """
    targets = _tables([*(column.expression for column in columns), x.further_values])
    gap_column = f"Value #{targets[-1]['refId']}"
    styles = {x.title: x.style} | {column.title: column.style for column in columns}
    shown = {x.name: x.title} | _titles(columns)
    defaults = {"min": 0, "color": {"mode": "palette-classic"}, "custom": {"fillOpacity": 80, "lineWidth": 0}}
    return _panel("barchart", title, description, targets) | {
        "fieldConfig": {
            "defaults": defaults | {"unit": columns[0].unit, "decimals": columns[0].decimals},
            "overrides": [override(title, **style) for title, style in styles.items() if style],
        },
        "options": {
            "xField": x.title,
            "xTickLabelSpacing": 50,  # leaves out labels that would overlap
            "stacking": stacking,
            "showValue": "never",
            "groupWidth": 0.8,
            "barWidth": 0.9,
            "legend": _LEGEND,
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "transformations": [_merge(), _sort_by(x.name), _organize(shown, hidden=[gap_column])],
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
        _target(letter, expression, format="time_series", range=True, instant=False, legendFormat=legend)
        for letter, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False)
    ]
    # Figures change only when WeChat publishes: a straight line between two weeks would show values that never existed.
    custom = {"lineInterpolation": "stepAfter", "lineWidth": 2, "fillOpacity": 0, "showPoints": "never"} | style.get(
        "custom", {}
    )
    defaults = {"min": 0, "color": {"mode": "palette-classic"}} | style | {"custom": custom}
    return _panel("timeseries", title, description, targets) | {
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def override(title: str, **properties: object) -> Json:
    """Return field properties of the column or series with this title."""
    return {
        "matcher": {"id": "byName", "options": title},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def layout(rows: Iterable[PanelRow]) -> list[Json]:
    """Return all panels with their grid positions and ids."""
    placed: list[Json] = []
    y = 0
    for row in rows:
        header = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        placed.append(header | _grid_position(0, y, WIDTH, 1))
        # A row header is one grid row high, and a line of panels as high as its tallest panel.
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.content | _grid_position(x, y, panel.width, panel.height))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return [{"id": number, **content} for number, content in enumerate(placed, start=1)]


def _panel(kind: str, title: str, description: str, targets: list[Json]) -> Json:
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets}


def _tables(expressions: Sequence[str]) -> list[Json]:
    return [
        _target(letter, expression, format="table", range=False, instant=True)
        for letter, expression in zip(ascii_uppercase, expressions, strict=False)
    ]


def _target(letter: str, expression: str, **options: object) -> Json:
    return {"refId": letter, "datasource": DATASOURCE, "editorMode": "code", "expr": expression, **options}


def _merge() -> Json:
    return {"id": "merge", "options": {}}


def _sort_by(column: str) -> Json:
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": column}]}}


def _organize(titles: Mapping[str, str], hidden: Iterable[str] = ()) -> Json:
    """Order and rename the columns by ``titles``; the time and ``hidden`` are not shown."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "indexByName": {name: index for index, name in enumerate(titles)},
            "renameByName": dict(titles),
        },
    }


def _titles(columns: Sequence[Column]) -> dict[str, str]:
    """Return titles by the column names of Grafana's merge transformation."""
    # It calls the column of query B `Value #B`, but just `Value` when no other query has data.
    titles = {f"Value #{letter}": column.title for letter, column in zip(ascii_uppercase, columns, strict=False)}
    return {"Value": columns[0].title} | titles


def _properties(column: Column) -> Json:
    decimals = {} if column.decimals is None else {"decimals": column.decimals}
    return {"unit": column.unit} | decimals | column.style


def _grid_position(x: int, y: int, width: int, height: int) -> Json:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}

"""Panels as Grafana's JSON: tables, bars and lines, each described, with units, on one data source."""

from __future__ import annotations

from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.dashboards.styles import Json

WIDTH = 24
"""Columns of Grafana's grid."""
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}

_LEGEND: Json = {"displayMode": "list", "placement": "bottom", "showLegend": True}


@dataclass(frozen=True, slots=True)
class Column:
    """A figure: a column of a table, or one bar of each group."""

    title: str
    expression: str
    unit: str = "none"
    decimals: int | None = 0
    """None: Grafana's default for the unit."""
    looks: Json = field(default_factory=dict)
    """Further properties of the field, by Grafana's name: ``thresholds``, ``custom.cellOptions``."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label that is shown as a column of its own."""

    name: str
    title: str
    looks: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel and its size: columns and rows of the grid."""

    width: int
    height: int
    content: Json


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels under a title; they fill the width from the left, and wrap."""

    title: str
    panels: tuple[Panel, ...]


def table(title: str, description: str, labels: Sequence[Label], columns: Sequence[Column], sort: str = "") -> Json:
    """Return a table: one row for each combination of the labels that all columns have.

    ``sort`` is an expression that orders the rows, the least first; it is not shown.
    """
    targets = _tables([column.expression for column in columns] + ([sort] if sort else []))
    shown = {label.name: label.title for label in labels}
    shown |= _titles(columns)
    order = [f"Value #{targets[-1]['refId']}"] if sort else []
    looks = [override(label.title, **label.looks) for label in labels if label.looks]
    return _panel("table", title, description, targets) | {
        "fieldConfig": {
            "defaults": {"unit": "none", "custom": {"minWidth": 85}},
            "overrides": looks + [override(column.title, **_look(column)) for column in columns],
        },
        "options": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        "transformations": [_merged(), *map(_sorted, order), _organized(shown, hidden=order)],
    }


def bars(title: str, description: str, by: Label, columns: Sequence[Column], stacking: str = "none") -> Json:
    """Return bars: a group for each value of a label in order, a bar for each column, all in the unit of the first."""
    targets = _tables([column.expression for column in columns])
    looked = {by.title: by.looks} | {column.title: column.looks for column in columns}
    shown = {by.name: by.title} | _titles(columns)
    defaults = {"min": 0, "color": {"mode": "palette-classic"}, "custom": {"fillOpacity": 80, "lineWidth": 0}}
    return _panel("barchart", title, description, targets) | {
        "fieldConfig": {
            "defaults": defaults | {"unit": columns[0].unit, "decimals": columns[0].decimals},
            "overrides": [override(title, **look) for title, look in looked.items() if look],
        },
        "options": {
            "xField": by.title,
            "xTickLabelSpacing": 50,
            "stacking": stacking,
            "showValue": "never",
            "groupWidth": 0.8,
            "barWidth": 0.9,
            "legend": _LEGEND,
            "tooltip": {"mode": "multi", "sort": "none"},
        },
        "transformations": [_merged(), _sorted(by.name), _organized(shown)],
    }


def lines(
    title: str, description: str, queries: Mapping[str, str], looks: Json, overrides: Sequence[Json] = ()
) -> Json:
    """Return series over time, from expressions by the legend of their series; ``looks`` begins with the unit."""
    targets = [
        _target(letter, expression, format="time_series", range=True, instant=False, legendFormat=legend)
        for letter, (legend, expression) in zip(ascii_uppercase, queries.items(), strict=False)
    ]
    custom = {"lineInterpolation": "stepAfter", "lineWidth": 2, "fillOpacity": 0, "showPoints": "never"} | looks.get(
        "custom", {}
    )
    defaults = {"min": 0, "color": {"mode": "palette-classic"}} | looks | {"custom": custom}
    return _panel("timeseries", title, description, targets) | {
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    }


def override(title: str, **properties: object) -> Json:
    """Return properties for the one column, or series, of this title."""
    return {
        "matcher": {"id": "byName", "options": title},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def arranged(rows: Iterable[PanelRow]) -> list[Json]:
    """Return all panels with their places and numbers."""
    placed: list[Json] = []
    y = 0
    for row in rows:
        head = {"type": "row", "title": row.title, "collapsed": False, "panels": []}
        placed.append(head | _place(0, y, WIDTH, 1))
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.content | _place(x, y, panel.width, panel.height))
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


def _merged() -> Json:
    return {"id": "merge", "options": {}}


def _sorted(column: str) -> Json:
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": column}]}}


def _organized(titles: Mapping[str, str], hidden: Iterable[str] = ()) -> Json:
    """Columns in the order of their titles; the others are hidden."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "indexByName": {name: place for place, name in enumerate(titles)},
            "renameByName": dict(titles),
        },
    }


def _titles(columns: Sequence[Column]) -> dict[str, str]:
    """Titles by the names of Grafana's data source: only ``Value`` where no other query has data."""
    titles = {f"Value #{letter}": column.title for letter, column in zip(ascii_uppercase, columns, strict=False)}
    return {"Value": columns[0].title} | titles


def _look(column: Column) -> Json:
    decimals = {} if column.decimals is None else {"decimals": column.decimals}
    return {"unit": column.unit} | decimals | column.looks


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}

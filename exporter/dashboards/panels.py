"""Panels as Grafana's JSON, each with a description, units and the data source: tables and numbers; and their layout.

Tables and bar charts are instant queries in table format, merged by label. An instant query has exactly one sample for
each week, whatever the time range; a range query would have a step, and would miss samples that fall between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING

from exporter.dashboards import transformations
from exporter.dashboards.styles import thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.dashboards.styles import Json

WIDTH = 24
"""Width of the dashboard in grid columns, fixed by Grafana."""
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


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
    order: str = ""
    """Of a bar chart: an expression that orders the groups of bars, lowest first; empty: by the label."""
    rows: int = 0
    """Of a bar chart: number of groups, one below the other; 0: all groups, side by side."""


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
    targets = instant_queries([column.expression for column in columns] + ([sort] if sort else []))
    shown = {label.name: label.title for label in labels}
    shown |= column_titles(columns)
    # The sort expression is a query of its own, because a table can only sort by a column that it has.
    order = [f"Value #{targets[-1]['refId']}"] if sort else []
    styles = [override(label.title, **label.style) for label in labels if label.style]
    return base_panel("table", title, description, targets) | {
        "fieldConfig": {
            "defaults": {"unit": "none", "custom": {"minWidth": 85}},
            "overrides": styles + [override(column.title, **column_properties(column)) for column in columns],
        },
        "options": {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        "transformations": [
            transformations.merge(),
            *map(transformations.sort_by, order),
            transformations.organize(shown, hidden=order),
        ],
    }


def stat(title: str, description: str, columns: Sequence[Column]) -> Json:
    """Return large numbers, one for each column; the titles are shown where there are several."""
    targets = instant_queries([column.expression for column in columns])
    defaults = {"unit": "none", "decimals": 0, "thresholds": thresholds("text"), "color": {"mode": "thresholds"}}
    return base_panel("stat", title, description, targets) | {
        "fieldConfig": {
            "defaults": defaults,
            "overrides": [override(column.title, **column_properties(column)) for column in columns],
        },
        "options": {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
            "orientation": "vertical",
            "textMode": "value_and_name" if len(columns) > 1 else "value",
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
        },
        "transformations": [transformations.merge(), transformations.organize(column_titles(columns))],
    }


def with_empty_text(content: Json, text: str) -> Json:
    """Return the panel with a text for when no query has data; without it Grafana shows "No data"."""
    fields = content["fieldConfig"]
    # Grafana would show the same text in each empty cell of a panel that has data.
    in_cells = {"matcher": {"id": "byType", "options": "number"}, "properties": [{"id": "noValue", "value": "\u2013"}]}
    return content | {
        "fieldConfig": {
            "defaults": fields["defaults"] | {"noValue": text},
            "overrides": [in_cells, *fields["overrides"]],
        }
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


def base_panel(kind: str, title: str, description: str, targets: list[Json]) -> Json:
    """Return what all kinds of panels have."""
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets}


def instant_queries(expressions: Sequence[str]) -> list[Json]:
    """Return queries whose results are tables, with the ids A, B, .."""
    return [
        target(letter, expression, format="table", range=False, instant=True)
        for letter, expression in zip(ascii_uppercase, expressions, strict=False)
    ]


def target(letter: str, expression: str, **options: object) -> Json:
    """Return a query with an id."""
    return {"refId": letter, "datasource": DATASOURCE, "editorMode": "code", "expr": expression, **options}


def column_titles(columns: Sequence[Column]) -> dict[str, str]:
    """Return titles by the column names of Grafana's merge transformation."""
    # It calls the column of query B `Value #B`, but just `Value` when no other query has data.
    titles = {f"Value #{letter}": column.title for letter, column in zip(ascii_uppercase, columns, strict=False)}
    return {"Value": columns[0].title} | titles


def column_properties(column: Column) -> Json:
    """Return the field properties of a column."""
    decimals = {} if column.decimals is None else {"decimals": column.decimals}
    return {"unit": column.unit} | decimals | column.style


def _grid_position(x: int, y: int, width: int, height: int) -> Json:
    return {"gridPos": {"x": x, "y": y, "w": width, "h": height}}

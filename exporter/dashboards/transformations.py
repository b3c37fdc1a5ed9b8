"""Grafana's transformations, which make one table of the results of a panel's queries.

The names of columns are those of Grafana: a label, or ``Value #B`` for the value of query B.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from exporter.dashboards.styles import Json


def merge() -> Json:
    """Make one row of the rows that agree in all labels that they share."""
    return {"id": "merge", "options": {}}


def sort_by(column: str) -> Json:
    """Sort the rows by a column, lowest first."""
    return {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": column}]}}


def limit(rows: int) -> Json:
    """Keep the first rows."""
    return {"id": "limit", "options": {"limitField": rows}}


def matrix(row: str, column: str, value: str) -> Json:
    """Make a column of each value of one label, a row of each value of another; see ``matrix_rows``."""
    options = {"rowField": row, "columnField": column, "valueField": value, "emptyValue": "null"}
    return {"id": "groupingToMatrix", "options": options}


def matrix_rows(row: str, column: str) -> str:
    """Return the name of the first column of ``matrix``, which names the rows."""
    return f"{row}\\{column}"


def rename(pattern: str, text: str) -> Json:
    """Replace what matches a regular expression in the names of columns."""
    return {"id": "renameByRegex", "options": {"regex": pattern, "renamePattern": text}}


def as_time(column: str) -> Json:
    """Make a time of a column of milliseconds."""
    return {
        "id": "convertFieldType",
        "options": {"fields": {}, "conversions": [{"targetField": column, "destinationType": "time"}]},
    }


def organize(titles: Mapping[str, str], hidden: Iterable[str] = ()) -> Json:
    """Order and rename the columns by ``titles``; the time of the query and ``hidden`` are not shown."""
    return {
        "id": "organize",
        "options": {
            "excludeByName": dict.fromkeys(("Time", *hidden), True),
            "indexByName": {name: index for index, name in enumerate(titles)},
            "renameByName": dict(titles),
        },
    }

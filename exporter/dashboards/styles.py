"""How values look: colours by value, words in place of numbers. A colour is Grafana's name, fit for light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.apps import SEVERITY, State

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

COLOURED_TEXT: Json = {"type": "color-text"}

STATE_COLOURS = {
    State.OK: "green",
    State.NOT_READY: "blue",
    State.PENDING: "text",
    State.QUOTA_SPENT: "purple",
    State.FAILED: "orange",
    State.REFUSED: "red",
}


def state() -> Json:
    """Return a column whose values are places in ``SEVERITY``."""
    meanings = {str(place): (known.words, STATE_COLOURS[known]) for place, known in enumerate(SEVERITY)}
    return worded(meanings) | {"custom.width": 210}


def worded(meanings: Mapping[str, tuple[str, str]]) -> Json:
    """Return a column of words, each in its colour, in place of numbers."""
    return {"mappings": words(meanings), "custom.cellOptions": COLOURED_TEXT, "custom.align": "left"}


def fixed(color: str) -> Json:
    """Return one colour, whatever the value."""
    return {"mode": "fixed", "fixedColor": color}


def thresholds(lowest: str, *steps: tuple[float, str]) -> Json:
    """Return colours by value: the lowest one, then each from its value on."""
    colours = [{"color": lowest, "value": None}] + [{"color": color, "value": value} for value, color in steps]
    return {"mode": "absolute", "steps": colours}


def words(meanings: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return text and colour in place of a value."""
    options = {
        value: {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(meanings.items())
    }
    return [{"type": "value", "options": options}]


def pattern(expression: str, text: str) -> list[Json]:
    """Return text in place of one that matches a regular expression, whose groups are ``$1`` and so on."""
    return [{"type": "regex", "options": {"pattern": expression, "result": {"text": text, "index": 0}}}]

"""Field properties of Grafana: colours by value and texts in place of numbers.

Colours are Grafana's names, which it adapts to the light and the dark theme; ``text`` is the theme's text colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.apps import SEVERITY, State

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

UID = "wechat-miniprogram"
"""The dashboard's identifier in its URL."""

COLOURED_TEXT: Json = {"type": "color-text"}

STATE_COLOURS = {
    State.OK: "green",
    State.NOT_READY: "blue",
    State.PENDING: "text",
    State.QUOTA_SPENT: "purple",
    State.FAILED: "orange",
    State.REFUSED: "red",
}


def state_column() -> Json:
    """Return the properties of a column whose values are indexes into ``SEVERITY``."""
    texts = {str(index): (state.text, STATE_COLOURS[state]) for index, state in enumerate(SEVERITY)}
    return text_column(texts) | {"custom.width": 210}


def text_column(texts: Mapping[str, tuple[str, str]]) -> Json:
    """Return the properties of a column that shows texts; ``texts`` has text and colour for each value."""
    return {"mappings": value_mappings(texts), "custom.cellOptions": COLOURED_TEXT, "custom.align": "left"}


def fixed_colour(color: str) -> Json:
    """Return one colour for every value."""
    return {"mode": "fixed", "fixedColor": color}


def thresholds(lowest: str, *steps: tuple[float, str]) -> Json:
    """Return colours by value: ``lowest`` below the first step, then the colour of each step from its value upwards."""
    colours = [{"color": lowest, "value": None}] + [{"color": color, "value": value} for value, color in steps]
    return {"mode": "absolute", "steps": colours}


def value_mappings(texts: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return value mappings; ``texts`` has text and colour for each value."""
    options = {
        value: {"text": text, "color": color, "index": index}
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}]


def regex_mapping(pattern: str, text: str) -> list[Json]:
    """Return a value mapping for texts that match ``pattern``; ``text`` may use its groups as ``$1``, ``$2``."""
    return [{"type": "regex", "options": {"pattern": pattern, "result": {"text": text, "index": 0}}}]


def app_links() -> list[Json]:
    """Return links from an app's name to its weeks and to the status page; the table has AppID and Exporter columns."""
    selection = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "appid"))
    weeks = f"/d/{UID}?var-app=${{__data.fields.AppID}}&{selection}&${{__url_time_range}}"
    # The status page reads its filter from the fragment.
    status_page = "http://${__data.fields.Exporter}/#q=${__data.fields.AppID}"
    return [
        {"title": "Weeks of this app", "url": weeks},
        {"title": "Status page of this app", "url": status_page, "targetBlank": True},
    ]

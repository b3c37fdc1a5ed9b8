"""Figures, changes and notes as the pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.reports import Unit

if TYPE_CHECKING:
    from exporter.reports import Field

UNKNOWN = "–"  # noqa: RUF001 (an en dash for an unknown figure)


def format_figure(value: float | None, unit: Unit) -> str:
    """Format a figure with its unit."""
    if value is None:
        return UNKNOWN
    match unit:
        case Unit.COUNT:
            return f"{value:,}"
        case Unit.SECONDS:
            return f"{value:,.1f} s"
        case Unit.PAGES:
            return f"{value:,.2f}"


def format_change(change: float | None) -> str:
    """Format a relative change with its sign; the minus sign U+2212 is as wide as a plus. Empty if unknown."""
    if change is None:
        return ""
    return f"{change:+.1%}".replace("-", "−") if round(change, 3) else "0.0%"  # noqa: RUF001


def format_ratio(value: float | None) -> str:
    """Format a share of a whole in percent."""
    return UNKNOWN if value is None else f"{value:.1%}"


def format_points(difference: float | None) -> str:
    """Format a difference of two shares in percentage points. Empty if unknown."""
    return format_change(difference).replace("%", " pp")


def format_note(template: str, number: float) -> str:
    """Return the note of a calendar fact."""
    return template.format(number=f"{number:g}", s="" if number == 1 else "s")


def format_part(name: str) -> str:
    """Return the label value of a part for people: ``long press code``."""
    return name.replace("_", " ")


def came_back_title(field: Field, weeks_later: int) -> str:
    """Return the title of the share of a cohort that came back."""
    return f"{field.title} back after {weeks_later} week{'' if weeks_later == 1 else 's'}"

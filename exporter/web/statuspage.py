"""The page for people: every app with its week, figures, state, last error and next look.

One self-contained response: its style and its script are in it, and the policy allows these two alone, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from exporter import __version__
from exporter.falls import falls
from exporter.holidays import public_holidays
from exporter.periods import beijing_stamp, beijing_words, rfc3339
from exporter.reports import Unit
from exporter.status import SEVERITY
from exporter.web import sparkline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.falls import Fall
    from exporter.reports import Field, Report
    from exporter.status import Status
    from exporter.web.documents import Surroundings

_TEMPLATES = Environment(
    loader=PackageLoader("exporter.web"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"beijing": beijing_words, "stamp": beijing_stamp, "rfc3339": rfc3339}
_FRAME = _TEMPLATES.get_template("status.html")
_APP = _TEMPLATES.get_template("app.html")
_STYLE = _TEMPLATES.get_template("status.css")
_SCRIPT = (files("exporter.web") / "templates" / "status.js").read_text()
_HEAD = "</thead>"
"""Behind it stand the apps; what is escaped cannot hold it."""
_NOTICED = 0.01
"""Smaller changes, either way, have no colour."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One figure and its change against the week before, as words."""

    figure: str
    change: str
    trend: str
    """How the change looks: ``up``, ``down`` or nothing."""
    fall: str
    """What is left of what the figure is compared with, where it fell further than the app may; else nothing."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the page has of one app."""

    written: bytes
    rank: tuple[int, float]
    """The less, the sooner a person should look: by the trouble, then the deeper a figure fell beyond its limit."""
    fell: bool
    """Whether one did."""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The page; the app that most needs a look comes first."""

    def piece(self, status: Status, report: Report) -> Row:
        """One app."""
        fallen = tuple(falls(status))
        chart = sparkline.sparkline(status.recent.trail, report.leading)
        row = _APP.render(
            status=status,
            cells=_cells(status, report, fallen),
            fell=bool(fallen),
            holidays=_holidays(status),
            chart=chart,
            box=sparkline.BOX,
        )
        lowest = min((fall.ratio for fall in fallen), default=inf)
        return Row(row.encode(errors="replace"), (-SEVERITY.index(status.state), lowest), bool(fallen))

    def whole(self, statuses: Sequence[Status], pieces: Sequence[Row], surroundings: Surroundings) -> list[bytes]:
        """The page: what is wrong on top, then how many apps there are of each state, then the apps."""
        report = surroundings.report
        totals = {state: sum(status.state is state for status in statuses) for state in reversed(SEVERITY)}
        frame = _FRAME.render(
            version=__version__,
            surroundings=surroundings,
            report=report,
            style=_style(report),
            script=_SCRIPT,
            totals=totals,
            fell=sum(row.fell for row in pieces),
            apps=len(statuses),
        )
        before, head, after = frame.partition(_HEAD)
        return [
            f"{before}{head}\n".encode(errors="replace"),
            *(row.written for row in sorted(pieces, key=lambda row: row.rank)),
            after.encode(errors="replace"),
        ]


@lru_cache(maxsize=8)
def policy(report: Report) -> str:
    """The page's Content-Security-Policy."""
    return (
        f"default-src 'none'; style-src '{_hash(_style(report))}'; script-src '{_hash(_SCRIPT)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@lru_cache(maxsize=8)
def _style(report: Report) -> str:
    """The style sheet; on a narrow screen it says what the columns are called."""
    return _STYLE.render(fields=report.fields)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _holidays(status: Status) -> list[tuple[int, str]]:
    """How many working days were public holidays, in which week: they explain a fall; 0, too, where that is unknown."""
    current = status.recent.current
    weeks = ((current.week, ""), (current.week.before(), "before: ")) if current else ()
    return [(public_holidays(week) or 0, words) for week, words in weeks]


def _both(status: Status, field: Field) -> tuple[float | None, float | None]:
    """A figure of the live week and of the week before."""
    current, previous = status.recent.current, status.recent.previous
    return (
        None if current is None else current.reading.value(field),
        None if previous is None else previous.reading.value(field),
    )


def _change(now: float | None, before: float | None) -> float | None:
    """The change against the week before; None where there is no base to compare with."""
    return None if now is None or not before else now / before - 1


def _cells(status: Status, report: Report, fallen: Sequence[Fall]) -> list[_Cell]:
    fell: dict[Field, list[str]] = {}
    for fall in fallen:
        fell.setdefault(fall.field, []).append(f"{fall.ratio:.0%} of {fall.baseline.value}")
    cells = []
    for field in report.fields:
        now, before = _both(status, field)
        change = _change(now, before)
        cells.append(
            _Cell(_figure(now, field.unit), _change_words(change), _trend(change), ", ".join(fell.get(field, ())))
        )
    return cells


def _figure(value: float | None, unit: Unit) -> str:
    if value is None:
        return "–"  # noqa: RUF001 (an en dash: no figure)
    match unit:
        case Unit.COUNT:
            return f"{value:,}"
        case Unit.SECONDS:
            return f"{value:,.1f} s"
        case Unit.PAGES:
            return f"{value:,.2f}"


def _change_words(change: float | None) -> str:
    """The change with its sign, where there is one; a true minus is as wide as a plus."""
    if change is None:
        return ""
    return f"{change:+.1%}".replace("-", "−") if round(change, 3) else "0.0%"  # noqa: RUF001


def _trend(change: float | None) -> str:
    if change is None or abs(change) < _NOTICED:
        return ""
    return "up" if change > 0 else "down"

"""The page for people: every app with its week, figures, state, last error and next look.

One self-contained response: its style and its script are in it, and the policy allows these two alone, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from exporter import __version__
from exporter.periods import beijing_stamp, beijing_words, rfc3339
from exporter.reports import Unit
from exporter.status import SEVERITY
from exporter.web import sparkline

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True, slots=True)
class _Cell:
    """One figure and its change against the week before, as words."""

    figure: str
    change: str
    trend: str
    """How the change looks: ``up``, ``down``, ``fall`` (more than the app may fall) or nothing."""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """The page; the app that most needs a look comes first."""

    def piece(self, status: Status, report: Report) -> bytes:
        """The rows of one app."""
        chart = sparkline.sparkline(status.recent.trail, report.leading)
        row = _APP.render(status=status, cells=_cells(status, report), chart=chart, box=sparkline.BOX)
        return row.encode(errors="replace")

    def whole(self, statuses: Sequence[Status], pieces: Sequence[bytes], surroundings: Surroundings) -> list[bytes]:
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
            apps=len(statuses),
        )
        before, head, after = frame.partition(_HEAD)
        worst_first = sorted(range(len(statuses)), key=lambda place: _rank(statuses[place], report.leading))
        return [
            f"{before}{head}\n".encode(errors="replace"),
            *(pieces[place] for place in worst_first),
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


def _rank(status: Status, field: Field) -> tuple[int, float]:
    """The less, the sooner a person should look: by the trouble an app is in, then by how far its visitors fell."""
    now, before = _both(status, field)
    change = _change(now, before)
    return -SEVERITY.index(status.state), float("inf") if change is None else change


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


def _cells(status: Status, report: Report) -> list[_Cell]:
    cells = []
    for field in report.fields:
        now, before = _both(status, field)
        change = _change(now, before)
        limit = getattr(status.thresholds, field.threshold) if field.threshold else 0.0
        cells.append(_Cell(_figure(now, field.unit), _change_words(change), _trend(change, limit)))
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
    """The change with its sign; a true minus is as wide as a plus."""
    return "" if change is None else f"{change:+.1%}".replace("-", "−")  # noqa: RUF001


def _trend(change: float | None, limit: float) -> str:
    if change is None or not round(change, 3):
        return ""
    if change > 0:
        return "up"
    return "fall" if 1 + change < limit else "down"

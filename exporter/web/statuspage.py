"""The page for people: every app with its week, figures, state, last error and next look."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from exporter import __version__
from exporter.periods import beijing_words
from exporter.reports import Unit
from exporter.status import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.reports import Report
    from exporter.status import Status


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the page says beside the apps."""

    report: Report
    telemetry_path: str
    store_problem: str
    """Empty while the store takes and gives."""
    config_problems: tuple[str, ...]
    """Broken app files, one line each."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One figure and its change against the week before, as words."""

    figure: str
    change: str


_TEMPLATES = Environment(
    loader=PackageLoader("exporter.web"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["beijing"] = beijing_words


class StatusPage:
    """The page as bytes, rendered again only when what it shows has changed; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: tuple[Sequence[Status], Surroundings] | None = None
        self._body = b""

    def body(self, statuses: Sequence[Status], surroundings: Surroundings) -> bytes:
        """The page about these apps; ``statuses`` is known again by being the same object."""
        with self._lock:
            if self._shown is None or self._shown[0] is not statuses or self._shown[1] != surroundings:
                self._body = status_page(statuses, surroundings).encode()
                self._shown = (statuses, surroundings)
            return self._body


def status_page(statuses: Sequence[Status], surroundings: Surroundings) -> str:
    """The page as HTML; everything that comes from a configuration or from WeChat is escaped."""
    report = surroundings.report
    totals = {state: sum(status.state is state for status in statuses) for state in State}
    return _TEMPLATES.get_template("status.html").render(
        version=__version__,
        surroundings=surroundings,
        fields=report.fields,
        totals={state.words: total for state, total in totals.items() if total},
        rows=[(status, _cells(status, report)) for status in statuses],
    )


def _cells(status: Status, report: Report) -> list[_Cell]:
    cells = []
    for field in report.fields:
        now, before = (
            None if kept is None else kept.reading.value(field)
            for kept in (status.recent.current, status.recent.previous)
        )
        cells.append(_Cell(_figure(now, field.unit), _change(now, before)))
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


def _change(now: float | None, before: float | None) -> str:
    """The change against the week before, with its sign; nothing where there is no base to compare with."""
    if now is None or not before:
        return ""
    return f"{(now - before) / before:+.1%}"

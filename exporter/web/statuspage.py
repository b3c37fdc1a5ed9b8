"""The page for people: every app with its newest figures, changes, state, last error and next fetch.

One self-contained response: its style and its script are in it, and the policy allows these two alone, by their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.alerts.conditions import Baseline, falls
from exporter.apps import SEVERITY
from exporter.reports import REPORTS, Unit
from exporter.web import sparkline
from exporter.web.rendering import TEMPLATES, content_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.alerts.conditions import Fall
    from exporter.apps import AppStatus, ReportStatus
    from exporter.reports import Field, Report
    from exporter.web.documents import Surroundings

_FRAME = TEMPLATES.get_template("status.html")
_APP = TEMPLATES.get_template("app.html")
_STYLE = TEMPLATES.get_template("status.css")
_SCRIPT = (files("exporter.web") / "templates" / "status.js").read_text()
_HEAD = "</thead>"
"""Behind it stand the apps; what is escaped cannot hold it."""
_NOTICED = 0.01
"""Smaller changes, either way, have no colour."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """One figure and its change against the earlier period, as words."""

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
    """The view of one report; the app that most needs attention comes first."""

    report: Report

    def piece(self, status: AppStatus) -> Row | None:
        """One app; None if it does not fetch the report."""
        of = status.of(self.report)
        if of is None:
            return None
        fallen = tuple(falls(status)) if _baselines(self.report) else ()
        row = _APP.render(
            app=status,
            status=of,
            live=of.history.live,
            cells=_cells(of, fallen),
            fell=bool(fallen),
            facts=_facts(of),
            charted=self.report.leading is not None,
            chart=sparkline.sparkline(of.history),
            box=sparkline.BOX,
        )
        lowest = min((fall.ratio for fall in fallen), default=inf)
        return Row(row.encode(errors="replace"), (-SEVERITY.index(of.state), lowest), bool(fallen))

    def whole(
        self, statuses: Sequence[AppStatus], pieces: Sequence[Row | None], surroundings: Surroundings
    ) -> list[bytes]:
        """The page: what is wrong on top, then how many apps there are of each state, then the apps."""
        report, rows = self.report, [row for row in pieces if row is not None]
        states = [of.state for status in statuses if (of := status.of(report)) is not None]
        totals = {state: states.count(state) for state in reversed(SEVERITY)}
        views = [each for each in REPORTS.values() if any(status.of(each) for status in statuses)]
        frame = _FRAME.render(
            version=__version__,
            surroundings=surroundings,
            report=report,
            kind=report.period.NAME,
            trail=_trail(report),
            baselines=_baselines(report),
            facts=[fact.help[0].lower() + fact.help[1:].partition(";")[0] for fact in report.calendar],
            style=_style(report),
            script=_SCRIPT,
            totals=totals,
            views=views,
            fell=sum(row.fell for row in rows),
            apps=len(states),
        )
        before, head, after = frame.partition(_HEAD)
        return [
            f"{before}{head}\n".encode(errors="replace"),
            *(row.written for row in sorted(rows, key=lambda row: row.rank)),
            after.encode(errors="replace"),
        ]


@lru_cache(maxsize=8)
def policy(report: Report) -> str:
    """The page's Content-Security-Policy."""
    return (
        f"default-src 'none'; style-src '{content_hash(_style(report))}'; script-src '{content_hash(_SCRIPT)}';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@lru_cache(maxsize=8)
def _style(report: Report) -> str:
    """The style sheet; on a narrow screen it says what the columns are called."""
    first = 5 if report.leading else 4
    return _STYLE.render(
        fields=report.fields,
        kind=report.period.NAME,
        trail=_trail(report),
        column=f"{sparkline.stroke(report):g}",
        first=first,
        last=first + len(report.fields) - 1,
    )


def _trail(report: Report) -> str:
    """The head of the chart's column; empty where the report has no figure to draw."""
    return f"{report.leading.title}, {report.chart} {report.period.NAME}s" if report.leading else ""


@lru_cache(maxsize=8)
def _baselines(report: Report) -> tuple[str, ...]:
    """What falls of the report's figures are judged by; empty where they are not."""
    return tuple(each.comparison.words for each in Baseline if each.comparison in report.comparisons)


def _facts(status: ReportStatus) -> list[str]:
    """What the calendar says about the live period, and so may explain a fall; nothing where that is unknown."""
    live = status.history.live
    facts = [(fact, fact.value(live)) for fact in status.report.calendar] if live else []
    return [_words_of_fact(fact.words, number) for fact, number in facts if number]


def _words_of_fact(words: str, number: float) -> str:
    return words.format(number=f"{number:g}", s="" if number == 1 else "s")


def _change(now: float | None, before: float | None) -> float | None:
    """The change against an earlier figure; None where there is no base to compare with."""
    return None if now is None or not before else now / before - 1


def _cells(status: ReportStatus, fallen: Sequence[Fall]) -> list[_Cell]:
    fell: dict[Field, list[str]] = {}
    for fall in fallen:
        fell.setdefault(fall.field, []).append(f"{fall.ratio:.0%} of {fall.baseline.words}")
    history, comparisons = status.history, status.report.comparisons
    cells = []
    for field in status.report.fields:
        now = history.live_value(field)
        change = _change(now, comparisons[0].value(history, field) if comparisons else None)
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

"""The status page: every app with its newest figures, changes, state, last error and next fetch.

The page is one response without external resources. Style and script are inline, and the Content-Security-Policy allows
these two alone, by their hashes: markup in a name or an error message of WeChat cannot run even if escaping failed. The
page works without scripts; the script adds sorting, filtering and relative times.

Each app is rendered once into one ``tbody`` and kept (see ``documents``). Their order is decided when the page is
assembled, because it depends on all apps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import inf
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.alerts.drops import RULES, find_drops
from exporter.apps import SEVERITY
from exporter.reports import REPORTS
from exporter.web import sparkline
from exporter.web.columns import cells, columns
from exporter.web.formats import format_note
from exporter.web.rendering import TEMPLATES, content_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.alerts.drops import Drop
    from exporter.apps import AppStatus, ReportStatus
    from exporter.reports import Field, Report
    from exporter.web.columns import Cell, ViewColumn
    from exporter.web.documents import PageContext

_FRAME = TEMPLATES.get_template("status.html")
_APP = TEMPLATES.get_template("app.html")
_STYLE = TEMPLATES.get_template("status.css")
_SCRIPT = (files("exporter.web") / "templates" / "status.js").read_text()
_LONG_TITLE = 20
"""Characters of a title for which a third of a card, or of a narrow screen, is too narrow."""
_HEAD = "</thead>"
"""The apps are inserted after it. Escaped text cannot contain it."""


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app on the page."""

    html: bytes
    urgency: tuple[int, float]
    """Sort key, most urgent first: the state, then the lowest ratio among figures below their alert threshold."""
    fell: bool
    """Whether a figure is below its alert threshold."""


@dataclass(frozen=True, slots=True)
class StatusPage:
    """Renders the view of one report; the most urgent app comes first."""

    report: Report
    dashboard_url: str = ""
    """The URL of the dashboard in Grafana; empty if not given."""

    def render_app(self, status: AppStatus) -> AppRow | None:
        """Return one app; None if it does not fetch the report."""
        of = status.of(self.report)
        if of is None:
            return None
        fallen = tuple(find_drops(status, self.report))
        html = _APP.render(
            app=status,
            dashboard_url=self.dashboard_url,
            status=of,
            live=of.history.live,
            cells=_cells(of, fallen),
            fell=bool(fallen),
            facts=_facts(of),
            charted=self.report.primary_field is not None,
            chart=sparkline.sparkline(of.history),
            box=sparkline.BOX,
        )
        lowest = min((fall.ratio for fall in fallen), default=inf)
        # errors="replace": a name from the configuration may contain a lone surrogate, which UTF-8 cannot encode.
        return AppRow(html.encode(errors="replace"), (-SEVERITY.index(of.state), lowest), bool(fallen))

    def render_document(
        self, statuses: Sequence[AppStatus], fragments: Sequence[AppRow | None], context: PageContext
    ) -> list[bytes]:
        """Return the page: issues of the exporter, number of apps by state, then the apps."""
        report, rows = self.report, [row for row in fragments if row is not None]
        states = [of.state for status in statuses if (of := status.of(report)) is not None]
        totals = {state: states.count(state) for state in reversed(SEVERITY)}
        views = [each for each in REPORTS.values() if any(status.of(each) for status in statuses)]
        frame = _FRAME.render(
            version=__version__,
            context=context,
            report=report,
            shape=report.shape.value,
            kind=report.period.NAME,
            columns=columns(report),
            chart_title=_chart_title(report),
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
            *(row.html for row in sorted(rows, key=lambda row: row.urgency)),
            after.encode(errors="replace"),
        ]


@lru_cache(maxsize=8)
def content_security_policy(report: Report) -> str:
    """Return the Content-Security-Policy of a view."""
    return (
        f"default-src 'none'; style-src '{content_hash(_style(report))}'; script-src '{content_hash(_SCRIPT)}';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@lru_cache(maxsize=8)
def _style(report: Report) -> str:
    """Return the style sheet. It contains the column titles, which narrow screens show beside each figure."""
    first = 5 if report.primary_field else 4
    shown = columns(report)
    return _STYLE.render(
        columns=shown,
        is_wide=any(column.is_text or len(column.title) > _LONG_TITLE for column in shown),
        kind=report.period.NAME,
        chart_title=_chart_title(report),
        column=f"{sparkline.column_width(report):g}",
        first=first,
        last_number=first + sum(not column.is_text for column in shown) - 1,
        last=first + len(shown) - 1,
    )


def _chart_title(report: Report) -> str:
    """Return the title of the chart column; empty if the report has no primary figure."""
    return (
        f"{report.primary_field.total_title}, {report.chart_periods} {report.period.NAME}s"
        if report.primary_field
        else ""
    )


@lru_cache(maxsize=8)
def _baselines(report: Report) -> tuple[str, ...]:
    """Return the names of the baselines of the report's alerts; empty if it has none."""
    bases = (each.base.description for rule in RULES if rule.report is report for each in rule.baselines)
    return tuple(dict.fromkeys(bases))


def _facts(status: ReportStatus) -> list[str]:
    """Return notes about public holidays in the live period, which may explain a drop."""
    live = status.history.live
    facts = [(fact, fact.value(live)) for fact in status.report.calendar] if live else []
    return [format_note(fact.note, number) for fact, number in facts if number]


def _cells(status: ReportStatus, fallen: Sequence[Drop]) -> list[tuple[ViewColumn, Cell, str]]:
    """Return each column and cell, with the ratios to the baselines if its figure is below the alert threshold."""
    fell: dict[Field, list[str]] = {}
    for fall in fallen:
        fell.setdefault(fall.rule.field, []).append(f"{fall.ratio:.0%} of {fall.baseline.base.description}")
    shown = zip(columns(status.report), cells(status.history), strict=True)
    return [(column, cell, ", ".join(fell.get(column.field, ())) if column.field else "") for column, cell in shown]

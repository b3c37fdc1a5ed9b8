"""Every stored period of one report of an app as CSV (RFC 4180), for spreadsheets. docs/api.md describes it."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from exporter.alerts.model import PREFIX as ALERT_PREFIX
from exporter.reports import PREFIX
from exporter.web.parts import keys, part_metric, total_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.alerts.past_periods import PastPeriod
    from exporter.apps import AppStatus
    from exporter.reports import Field, Report

    Column = tuple[str, Callable[[PastPeriod], object]]
    """Its title, and a function that returns the cell of a period; None is an empty cell."""

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"

# OWASP, "CSV Injection": a cell that begins with one of these is a formula, in some locales also the full-width forms.
_FORMULA = re.compile("[=+\\-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
                      "\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip
_UNSAFE_IN_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]")


def render(app: AppStatus, report: Report, periods: Sequence[PastPeriod]) -> bytes:
    """Return the document, the oldest period first; an unknown figure is an empty cell."""
    text = io.StringIO()
    # Excel opens UTF-8 without a byte order mark in the encoding of the system, which garbles Chinese names.
    text.write("\N{BYTE ORDER MARK}")
    writer = csv.writer(text)  # commas and CRLF, as in RFC 4180
    columns = _columns(report, periods)
    writer.writerow(("appid", "name", *(title for title, _ in columns)))
    owner = (_cell(app.appid), _cell(app.name))
    writer.writerows((*owner, *(cell(past) for _, cell in columns)) for past in periods)
    # errors="replace": a name from the configuration may contain a lone surrogate, which UTF-8 cannot encode.
    return text.getvalue().encode(errors="replace")


def file_name(app: AppStatus, report: Report) -> str:
    """Return a file name that needs no quoting in a header and is valid on every system."""
    return f"{_UNSAFE_IN_FILE_NAME.sub('_', app.appid)}-{report.name}.csv"


def _columns(report: Report, periods: Sequence[PastPeriod]) -> list[Column]:
    """Return the columns after the owner: days, figures with their units, calendar, alerts."""
    return [
        ("begin", lambda past: past.period.first.isoformat()),
        ("end", lambda past: past.period.last.isoformat()),
        *(column for field in report.fields for column in _of_field(report, field, periods)),
        *((PREFIX + fact.metric, lambda past, fact=fact: fact.value(past.period)) for fact in report.calendar[:1]),
        ("alerts", lambda past: " ".join(ALERT_PREFIX + drop.rule.name for drop in past.drops)),
    ]


def _of_field(report: Report, field: Field, periods: Sequence[PastPeriod]) -> Iterator[Column]:
    """Yield the columns of a figure: one, or the total and one for each part that any of the periods has."""
    unit = f" ({field.unit.value})"
    if field.dimension is None:
        yield report.metric(field) + unit, lambda past: past.value(field)
        return
    yield total_metric(report, field) + unit, lambda past: past.value(field)
    for key in keys(field, (past.stored.reading for past in periods)):
        yield part_metric(report, field, key) + unit, lambda past, key=key: past.part(field, key)  # type: ignore[misc]


def _cell(text: str) -> str:
    """Return a text that a spreadsheet does not read as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text

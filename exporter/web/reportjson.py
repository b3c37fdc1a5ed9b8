"""Every stored period of one report of an app as JSON. docs/api.md describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.alerts.model import PREFIX as ALERT_PREFIX
from exporter.metrics import catalogue
from exporter.reports import PREFIX
from exporter.web.appsjson import document, state_facts
from exporter.web.parts import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.alerts.drops import Drop
    from exporter.alerts.past_periods import PastPeriod
    from exporter.apps import AppStatus, ReportStatus
    from exporter.reports import Field
    from exporter.web.appsjson import Facts


def render(app: AppStatus, status: ReportStatus, periods: Sequence[PastPeriod]) -> bytes:
    """Return the document."""
    comparisons = status.report.comparisons
    in_parts = (field for field in status.report.fields if field.dimension is not None)
    parts = {field: keys(field, (past.stored.reading for past in periods)) for field in in_parts}
    return document(
        {
            "appid": app.appid,
            "name": app.name,
            "report": status.report.name,
            **state_facts(status),
            "compared_with": comparisons[0].name if comparisons else None,
            "periods": [_period(each, parts) for each in periods],
        }
    )


def _period(past: PastPeriod, parts: Mapping[Field, tuple[str, ...]]) -> Facts:
    report, period = past.history.report, past.period
    return {
        report.period.NAME: period.label,
        "iso": period.iso,
        "begin": period.first.isoformat(),
        "end": period.last.isoformat(),
        catalogue.PERIOD_END.name.removeprefix(PREFIX): period.end,
        catalogue.PERIOD_FIRST_SEEN.name.removeprefix(PREFIX): past.stored.first_seen,
        "figures": {field.metric: past.value(field) for field in report.plain_fields},
        "change": {field.metric: past.change(field) for field in report.plain_fields},
        "totals": {field.metric: past.value(field) for field in parts},
        "parts": {field.metric: _parts(past, field, of) for field, of in parts.items()},
        "calendar": {fact.metric: fact.value(period) for fact in report.calendar},
        "alerts": [_alert(drop) for drop in past.drops],
    }


def _parts(past: PastPeriod, field: Field, of: Sequence[str]) -> Facts:
    return {field.dimension.name(key): past.part(field, key) for key in of} if field.dimension else {}


def _alert(drop: Drop) -> Facts:
    return {
        "alert": ALERT_PREFIX + drop.rule.name,
        "severity": drop.rule.severity,
        "figure": drop.rule.subject or drop.rule.field.metric,
        "value": drop.now,
        "baseline": drop.base,
        "baseline_text": drop.baseline.base.description,
    }

"""The parts of figures over many periods: sessions by entrance, visitors who came back by number of weeks later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.reports import PREFIX, retention, sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.reports import Field, Reading, Report

_PARTS = (sources.by_part, retention.retained)
"""The calculations that use one period only."""


def keys(field: Field, readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return the keys of a figure in parts: those that a reading has, and for a bounded dimension all of its table."""
    if field.dimension is None:
        return ()
    known = field.dimension.names if field.dimension.is_bounded else ()
    found = {key for each in readings for name, key, _ in each.by_dimension if name == field.wechat}
    return tuple(sorted({*known, *found}, key=int))


def part_metric(report: Report, field: Field, key: str) -> str:
    """Return the series of one part: ``wechat_miniprogram_daily_source_sessions{source="search"}``."""
    label, name = (field.dimension.label, field.dimension.name(key)) if field.dimension else ("", "")
    return f'{_metric(report, field)}{{{label}="{name}"}}'


def total_metric(report: Report, field: Field) -> str:
    """Return the metric of the size of a cohort, or the sum of the metric of the parts."""
    size = (each for each in report.derived if each.values is retention.cohort and field.wechat in each.fields)
    found = next(size, None)
    return PREFIX + found.metric.format(field.metric) if found else f"sum({_metric(report, field)})"


def _metric(report: Report, field: Field) -> str:
    of_field = (each for each in report.derived if each.values in _PARTS and field.wechat in each.fields)
    return PREFIX + next(of_field).metric.format(field.metric)

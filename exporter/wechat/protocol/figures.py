"""The figures of a response, by the form of its report: a row, a cohort or a distribution (docs/wechat-api.md).

A response is accepted only if its ``ref_date`` is the requested period and every figure is a finite number that is not
negative. One that fails any check is malformed and nothing of it is kept: a wrong figure on a dashboard does more harm
than a missing one. Names may be WeChat's snake_case or the camelCase of a Cloud Call; numbers may be decimal strings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from exporter.reports import Reading, Shape, Unit, is_figure, is_key
from exporter.wechat.codes import NotReady
from exporter.wechat.protocol.responses import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.periods import Period
    from exporter.reports import Field, Report

_DECIMAL = re.compile(r"\d{1,19}(\.\d{1,19})?", re.ASCII)

Json = dict[str, Any]
Figures = tuple[tuple[float | None, ...], tuple[tuple[str, str, float], ...]]
"""The values of the fields, and the parts as field, key and value."""


def parse_figures(content: Json, report: Report, period: Period) -> Reading:
    """Return the reading in the JSON object of a successful response.

    Raises:
        NotReady: there are no figures (yet).
        Failed: it is malformed.
    """
    values, parts = _PARSERS[report.shape](content, report, period)
    # A missing figure stays missing. Zero is a value, so that nothing may be filled in for it.
    if not parts and all(value is None for value in values):
        raise malformed("the response has no figures")
    return Reading(report, period, values, tuple(sorted(parts)))


def _row(content: Json, report: Report, period: Period) -> Figures:
    rows = _list_of(content)
    row = rows[0]
    if len(rows) != 1 or not isinstance(row, dict):
        raise malformed("expected exactly one row")
    _check_period(row, period)
    return tuple(_figure(_either(row, field), field) for field in report.fields), ()


def _cohort(content: Json, report: Report, period: Period) -> Figures:
    found = {field: _either(content, field) for field in report.fields}
    if all(entries is None for entries in found.values()) and content.get("list") != []:
        raise malformed("no cohort")
    if not any(found.values()):
        raise _no_figures()
    _check_period(content, period)
    sizes: list[float | None] = []
    parts: list[tuple[str, str, float]] = []
    for field, entries in found.items():
        by_key = {} if entries is None else _by_key(entries, field)
        sizes.append(by_key.pop("0", None))
        parts += [(field.wechat, key, value) for key, value in by_key.items() if int(key) <= report.later]
    return tuple(sizes), tuple(parts)


def _distribution(content: Json, report: Report, period: Period) -> Figures:
    entries = _list_of(content)
    if not all(isinstance(entry, dict) for entry in entries):
        raise malformed("expected a list of distributions")
    _check_period(content, period)
    found = {str(entry.get("index")): entry.get("item_list", entry.get("itemList")) for entry in entries}
    if len(found) != len(entries):
        raise malformed("repeated index")
    totals: list[float | None] = []
    parts: list[tuple[str, str, float]] = []
    for field in report.fields:
        items = found.get(field.wechat, found.get(field.camel))
        by_key = None if items is None else _by_key(items, field)
        # An index that is not there is unknown, not zero: only its parts that are 0 are left out.
        totals.append(None if by_key is None else _figure(sum(by_key.values()), field))
        parts += [(field.wechat, key, value) for key, value in (by_key or {}).items() if value]
    return tuple(totals), tuple(parts)


_PARSERS: dict[Shape, Callable[[Json, Report, Period], Figures]] = {
    Shape.ROW: _row,
    Shape.COHORT: _cohort,
    Shape.DISTRIBUTION: _distribution,
}


def _list_of(content: Json) -> list[Any]:
    rows = content.get("list")
    if not isinstance(rows, list):
        raise malformed("no list of rows")
    if not rows:
        raise _no_figures()
    return rows


def _no_figures() -> NotReady:
    # An empty list means both "not published" and "no data": the poller decides by the age of the period.
    return NotReady("WeChat has no figures for this period (yet)", about_period=True, no_data=True)


def _by_key(entries: object, field: Field) -> dict[str, float]:
    """Return the values of a list of keys and values."""
    if not isinstance(entries, list):
        raise malformed(f"{field.wechat} is not a list of keys and values")
    by_key: dict[str, float] = {}
    for entry in entries:
        # WeChat sends numbers; a published client expected digits, so both are accepted. str(True) is no digit.
        key = str(entry.get("key")) if isinstance(entry, dict) else ""
        value = _figure(entry.get("value"), field) if is_key(key) else None
        if value is None or key in by_key:
            raise malformed(f"{field.wechat} has an invalid or repeated key, or a key without a value")
        by_key[key] = value
    return by_key


def _check_period(row: Json, period: Period) -> None:
    text = row.get("ref_date", row.get("refDate"))
    try:
        if isinstance(text, str) and period.from_ref_date(text) == period:
            return
    except ValueError:
        pass
    raise malformed(f"ref_date is not {period.label}")


def _either(row: Json, field: Field) -> object:
    """Return the value of a field under either of its names."""
    value = row.get(field.wechat)
    return row.get(field.camel) if value is None else value


def _figure(value: object, field: Field) -> float | None:
    # int() where possible: a float cannot represent every count above 2**53.
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if value is None:
        return None
    if not is_figure(value):
        raise malformed(f"{field.wechat} is not a valid number")
    if field.unit is not Unit.COUNT:
        return value
    if value != int(value):
        raise malformed(f"{field.wechat} is not a whole number")
    return int(value)

"""Read the sections ``fetch``, ``api``, ``defaults`` and ``alerts`` and the list ``reports``."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from exporter.config.app.addresses import parse_base_url
from exporter.config.durations import MINUTE, WEEK, format_duration, parse_duration
from exporter.config.types import Api, Defaults, Fetch
from exporter.reports import REPORTS, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.document.sections import Section
    from exporter.reports import Report

FETCH_OPTIONS = tuple(field.name for field in fields(Fetch))
API_OPTIONS = tuple(field.name for field in fields(Api))
DEFAULTS_OPTIONS = tuple(field.name for field in fields(Defaults))

_RATIO = re.compile(r"[0-9]{0,3}\.?[0-9]{0,9}")
_WHOLE_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
_TYPICAL_WEEKS = 5
"""The live week and the four previous ordinary weeks that ``typical_week`` figures need."""


def read_fetch(section: Section) -> Fetch:
    """Return the section ``fetch``; an absent or invalid option has its default."""
    given = {option: section.value(option, _FETCH_RULES[option]) for option in FETCH_OPTIONS}
    fetch = Fetch(**{option: value for option, value in given.items() if value is not None})
    _check_waits(section, fetch)
    if fetch.history_weeks < _TYPICAL_WEEKS:
        section.warning("history_weeks", f"is below {_TYPICAL_WEEKS}: the typical_week figures will be missing")
    return fetch


def read_api(section: Section) -> Api:
    """Return the section ``api``; an absent or invalid option has its default."""
    base_url = section.value("base_url", parse_base_url)
    return Api() if base_url is None else Api(base_url)


def read_defaults(section: Section) -> Defaults:
    """Return the section ``defaults``; an absent or invalid option has its default."""
    return Defaults(alerts=read_alerts(section, Thresholds()))


def read_alerts(parent: Section, default: Thresholds) -> Thresholds:
    """Return the section ``alerts`` of another section; absent or invalid options are those of ``default``."""
    section = parent.section("alerts", _watched_reports())
    ratios: dict[tuple[str, str], float] = {}
    for name in _watched_reports():
        options = [threshold.option for threshold in REPORTS[name].alert_thresholds]
        of_report = section.section(name, options)
        given = {(name, option): of_report.value(option, _ratio) for option in options}
        ratios |= {key: ratio for key, ratio in given.items() if ratio is not None}
    return default.with_ratios(ratios)


def read_reports(section: Section, default: tuple[Report, ...]) -> tuple[Report, ...]:
    """Return the reports of the list ``reports``, in the order of the catalogue; ``default`` if absent or invalid."""
    if "reports" not in section:
        return default
    names: list[str] = []
    for line, name in section.texts("reports"):
        if name not in REPORTS:
            section.problem_at(line, "reports", f"unknown report; valid reports: {', '.join(REPORTS)}")
        elif name in names:
            section.problem_at(line, "reports", f"{name} is listed twice")
        else:
            names.append(name)
    if section.is_empty("reports"):
        section.problem("reports", "is empty; list at least one report, or remove the option")
    return tuple(report for name, report in REPORTS.items() if name in names) or default


def _watched_reports() -> list[str]:
    return [name for name, report in REPORTS.items() if report.alert_thresholds]


def _duration(minimum: float, maximum: float, *, exclusive: bool = False) -> Callable[[str], float]:
    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if seconds < minimum:
            raise ValueError(f"must be at least {format_duration(minimum)}")
        if seconds > maximum or (exclusive and seconds == maximum):
            raise ValueError(f"must be {'below' if exclusive else 'at most'} {format_duration(maximum)}")
        return seconds

    return parse


def _ratio(text: str) -> float:
    try:
        # The pattern excludes nan, inf and exponents, which float() accepts.
        ratio = float(text) if _RATIO.fullmatch(text) else -1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError("must be a number from 0 (no alert) to 1, such as 0.7")
    return ratio


def _whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


# Any: each parser returns the type of its own field.
_FETCH_RULES: dict[str, Callable[[str], Any]] = {
    "interval": _duration(1.0, 4 * WEEK),
    "retry_interval": _duration(1.0, 4 * WEEK),
    "ready_after": _duration(0.0, WEEK, exclusive=True),
    "timeout": _duration(0.1, 5 * MINUTE),
    "concurrency": _whole_number(1, 256),
    "history_weeks": _whole_number(2, 520),
}


def _check_waits(section: Section, fetch: Fetch) -> None:
    if fetch.retry_interval <= fetch.interval:
        return
    if "retry_interval" in section:
        section.problem("retry_interval", "must not be longer than fetch.interval")
    else:
        retry_default = format_duration(Fetch().retry_interval)
        section.problem("interval", f"is shorter than fetch.retry_interval (default {retry_default}); set both")

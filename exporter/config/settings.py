"""The sections ``fetch``, ``api`` and ``defaults``: what each option must be."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from exporter.config.app.addresses import parse_base_url
from exporter.config.durations import MINUTE, WEEK, duration_words, parse_duration
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
_FOR_TYPICAL = 5
"""Weeks: the wanted one and four ordinary ones before it."""


def read_fetch(section: Section) -> Fetch:
    """Reads the section ``fetch``; what is absent or wrong has its default."""
    given = {option: section.value(option, _FETCH_RULES[option]) for option in FETCH_OPTIONS}
    fetch = Fetch(**{option: value for option, value in given.items() if value is not None})
    _check_waits(section, fetch)
    if fetch.history_weeks < _FOR_TYPICAL:
        section.warning("history_weeks", f"below {_FOR_TYPICAL}: the typical week will be missing")
    return fetch


def read_api(section: Section) -> Api:
    """Reads the section ``api``; what is absent or wrong has its default."""
    base_url = section.value("base_url", parse_base_url)
    return Api() if base_url is None else Api(base_url)


def read_defaults(section: Section) -> Defaults:
    """Reads the section ``defaults``; what is absent or wrong has its default."""
    return Defaults(alerts=read_alerts(section, Thresholds()))


def read_alerts(parent: Section, otherwise: Thresholds) -> Thresholds:
    """Reads the section ``alerts`` within another; what is absent or wrong is as in ``otherwise``."""
    section = parent.section("alerts", _watched_reports())
    ratios: dict[tuple[str, str], float] = {}
    for name in _watched_reports():
        options = [threshold.option for threshold in REPORTS[name].alert_thresholds]
        of_report = section.section(name, options)
        given = {(name, option): of_report.value(option, _ratio) for option in options}
        ratios |= {key: ratio for key, ratio in given.items() if ratio is not None}
    return otherwise.with_ratios(ratios)


def read_reports(section: Section, otherwise: tuple[Report, ...]) -> tuple[Report, ...]:
    """Reads the list ``reports``, in any order; what is absent or wrong is as in ``otherwise``."""
    if "reports" not in section:
        return otherwise
    names: list[str] = []
    for line, name in section.words("reports"):
        if name not in REPORTS:
            section.problem_at(line, "reports", f"no such report; there are {', '.join(REPORTS)}")
        elif name in names:
            section.problem_at(line, "reports", f"{name} is given twice")
        else:
            names.append(name)
    if section.is_empty("reports"):
        section.problem("reports", "is empty; name at least one report, or leave it out")
    return tuple(report for name, report in REPORTS.items() if name in names) or otherwise


def _watched_reports() -> list[str]:
    return [name for name, report in REPORTS.items() if report.alert_thresholds]


def _duration(least: float, most: float, *, below: bool = False) -> Callable[[str], float]:
    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if seconds < least:
            raise ValueError(f"must be at least {duration_words(least)}")
        if seconds > most or (below and seconds == most):
            raise ValueError(f"must be {'below' if below else 'at most'} {duration_words(most)}")
        return seconds

    return parse


def _ratio(text: str) -> float:
    try:
        ratio = float(text) if _RATIO.fullmatch(text) else -1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError("must be a number from 0 (never alerts) to 1, such as 0.7")
    return ratio


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parse


# Any: each parser gives the type of its own field.
_FETCH_RULES: dict[str, Callable[[str], Any]] = {
    "interval": _duration(1.0, 4 * WEEK),
    "retry_interval": _duration(1.0, 4 * WEEK),
    "ready_after": _duration(0.0, WEEK, below=True),
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
        default = duration_words(Fetch().retry_interval)
        section.problem("interval", f"is shorter than fetch.retry_interval, by default {default}; give both")

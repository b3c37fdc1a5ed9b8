"""The sections ``fetch``, ``api`` and ``defaults``: what each option must be."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from exporter.config.addresses import parse_base_url
from exporter.config.durations import MINUTE, WEEK, duration_words, parse_duration
from exporter.config.types import Api, Defaults, Fetch
from exporter.reports import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config.sections import Section

FETCH_OPTIONS = tuple(field.name for field in fields(Fetch))
API_OPTIONS = tuple(field.name for field in fields(Api))
DEFAULTS_OPTIONS = tuple(field.name for field in fields(Defaults))
ALERT_OPTIONS = tuple(field.name for field in fields(Thresholds))

_RATIO = re.compile(r"[0-9]{0,3}\.?[0-9]{0,9}")
_WHOLE_NUMBER = re.compile("0|[1-9][0-9]{0,8}")
_FOR_MEDIAN = 5
"""Weeks: the wanted one and the four before it."""


def read_fetch(section: Section) -> Fetch:
    """Reads the section ``fetch``; what is absent or wrong has its default."""
    given = {option: section.value(option, _FETCH_RULES[option]) for option in FETCH_OPTIONS}
    fetch = Fetch(**{option: value for option, value in given.items() if value is not None})
    _check_waits(section, fetch)
    if fetch.history_weeks < _FOR_MEDIAN:
        section.warning("history_weeks", "below 5: the median of the four weeks before will be missing")
    return fetch


def read_api(section: Section) -> Api:
    """Reads the section ``api``; what is absent or wrong has its default."""
    base_url = section.value("base_url", parse_base_url)
    return Api() if base_url is None else Api(base_url)


def read_defaults(section: Section) -> Defaults:
    """Reads the section ``defaults``; what is absent or wrong has its default."""
    return Defaults(alerts=read_alerts(section.section("alerts", ALERT_OPTIONS), Thresholds()))


def read_alerts(section: Section, otherwise: Thresholds) -> Thresholds:
    """Reads a section ``alerts``; what is absent or wrong is as in ``otherwise``."""
    given = {option: section.value(option, _ratio) for option in ALERT_OPTIONS}
    return replace(otherwise, **{option: ratio for option, ratio in given.items() if ratio is not None})


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

"""Durations as Prometheus writes them: ``90s``, ``15m``, ``1h30m``, ``1d``, ``2w``."""

from __future__ import annotations

import math
import re

from exporter.periods import DAY

MINUTE = 60.0
HOUR = 60 * MINUTE
WEEK = 7 * DAY

_UNITS = {
    "y": 31_536_000_000,
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
"""Milliseconds of each unit, in the order in which they must be written."""
_EXACT_ONLY = {"y", "w", "d"}
"""Used by ``format_duration`` only without a remainder: 36h stays 36h, as in Prometheus."""
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))
_MAX_MILLISECONDS = 2**63 // 1_000_000
"""292 years: Prometheus counts nanoseconds in a signed 64-bit integer."""


def parse_duration(text: str) -> float:
    """Return the seconds of a Prometheus duration.

    Raises:
        ValueError: it is not a duration; the message does not repeat the text.
    """
    # As in Prometheus, 0 is the only duration without a unit.
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(_explain(text))
    amounts = zip(match.groups(), _UNITS.values(), strict=True)
    milliseconds = sum(int(amount) * unit for amount, unit in amounts if amount)
    if milliseconds > _MAX_MILLISECONDS:
        raise ValueError("is longer than 292 years")
    return milliseconds / 1000


def format_duration(seconds: float) -> str:
    """Return seconds as a Prometheus duration, to the millisecond: ``21600.0`` gives ``6h``.

    Raises:
        ValueError: the seconds are negative or not finite.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration must be finite and not negative")
    rest = round(seconds * 1000)
    text = ""
    for name, unit in _UNITS.items():
        if rest >= unit and not (name in _EXACT_ONLY and rest % unit):
            text += f"{rest // unit}{name}"
            rest %= unit
    return text or "0s"


def _explain(text: str) -> str:
    if not text:
        return "is empty; use a duration such as 90s, 15m or 6h"
    if text.startswith("-"):
        return "must not be negative"
    if text.isdecimal():
        return "has no unit; use a duration such as 90s, 15m or 6h"
    return (
        "is not a duration; use whole numbers with the units y, w, d, h, m, s, ms, largest first, "
        "such as 90s, 15m, 1h30m or 1d"
    )

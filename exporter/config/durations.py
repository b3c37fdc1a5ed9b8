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
"""Milliseconds, the largest first: the order in which they must be written."""
_WHOLE_ONLY = {"y", "w", "d"}
"""Written only where nothing remains: 36h stays 36h, as Prometheus does it."""
_DURATION = re.compile("".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))
_LONGEST = 2**63 // 1_000_000
"""Milliseconds; Prometheus counts nanoseconds in 64 bits: 292 years."""


def parse_duration(text: str) -> float:
    """Reads a Prometheus duration; gives seconds.

    Raises:
        ValueError: it is none; the words never repeat the text.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(_complaint(text))
    amounts = zip(match.groups(), _UNITS.values(), strict=True)
    milliseconds = sum(int(amount) * unit for amount, unit in amounts if amount)
    if milliseconds > _LONGEST:
        raise ValueError("is longer than 292 years")
    return milliseconds / 1000


def duration_words(seconds: float) -> str:
    """Writes seconds as a Prometheus duration, to the millisecond: ``21600.0`` gives ``6h``.

    Raises:
        ValueError: the seconds are negative or not finite.
    """
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("a duration is finite and not negative")
    rest = round(seconds * 1000)
    words = ""
    for name, unit in _UNITS.items():
        if rest >= unit and not (name in _WHOLE_ONLY and rest % unit):
            words += f"{rest // unit}{name}"
            rest %= unit
    return words or "0s"


def _complaint(text: str) -> str:
    if not text:
        return "is empty; write a duration such as 90s, 15m or 6h"
    if text.startswith("-"):
        return "must not be negative"
    if text.isdecimal():
        return "has no unit; write a duration such as 90s, 15m or 6h"
    return (
        "is not a duration; write whole numbers with the units y, w, d, h, m, s, ms, the largest first, "
        "such as 90s, 15m, 1h30m or 1d"
    )

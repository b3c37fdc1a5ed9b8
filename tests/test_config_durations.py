"""Durations as Prometheus writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import format_duration, parse_duration

LONGEST = 9_223_372_036_854 / 1000

DURATIONS = (
    ("0s", 0.0),
    ("1ms", 0.001),
    ("90s", 90.0),
    ("15m", 900.0),
    ("1h30m", 5400.0),
    ("6h", 21_600.0),
    ("1d", 86_400.0),
    ("2w", 1_209_600.0),
    ("1y", 31_536_000.0),
    ("1h1ms", 3600.001),
    ("1y2w3d4h5m6s7ms", 33_019_506.007),
)
"""Texts that are parsed; those that are not also formatted are in the next table."""

WRITTEN = (
    (0.0, "0s"),
    (0.001, "1ms"),
    (0.1, "100ms"),
    (90.0, "1m30s"),
    (5400.0, "1h30m"),
    (36_000.0, "10h"),
    (90_000.0, "25h"),
    (172_800.0, "2d"),
    (604_800.0, "1w"),
    (2_419_200.0, "4w"),
    (31_536_000.0, "1y"),
)

REFUSED = (
    ("", "is empty"),
    ("30", "has no unit"),
    ("-1s", "must not be negative"),
    ("1.5h", "is not a duration"),
    ("30m1h", "is not a duration"),
    ("1h1h", "is not a duration"),
    ("1H", "is not a duration"),
    (" 1h", "is not a duration"),
    ("1h\n", "is not a duration"),
    ("1 h", "is not a duration"),
    ("\u0661s", "is not a duration"),
    ("293y", "is longer than 292 years"),
    ("9" * 5000 + "s", "is not a duration"),
)


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_duration_is_parsed_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_zero_needs_no_unit() -> None:
    assert parse_duration("0") == 0.0


@pytest.mark.parametrize(("seconds", "formatted"), WRITTEN)
def test_seconds_are_formatted_as_by_prometheus(seconds: float, formatted: str) -> None:
    assert format_duration(seconds) == formatted


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_invalid_duration_is_rejected_without_quoting_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_duration(text)
    assert not text or text.strip() not in str(caught.value).replace("90s, 15m, 1h30m or 1d", "")


@given(st.integers(min_value=0, max_value=9_223_372_036_854))
def test_formatted_duration_parses_to_the_same_value(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text())
def test_any_text_is_a_duration_or_rejected(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_impossible_seconds_cannot_be_formatted(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        format_duration(seconds)

"""The flags of the command ``backfill``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.backfill import WEEKS
from exporter.cli import flag_values

if TYPE_CHECKING:
    import argparse
    from datetime import date

SAMPLE_INTERVAL = 3600
REQUESTS_PER_SECOND = 5.0
SAFE_AGE = 3 * 3600.0
"""Minimum age of the samples, in seconds: Prometheus writes newer ones itself."""
FORMATS = ("table", "json")


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The flags of ``backfill``."""

    weeks: int | None = None
    begin: date | None = None
    end: date | None = None
    reports: tuple[str, ...] = ()
    appids: tuple[str, ...] = ()
    sample_interval: int = SAMPLE_INTERVAL
    """Seconds between two samples; 0 for one sample per period."""
    until: float | None = None
    """Where the live data begins, Unix seconds."""
    labels: tuple[tuple[str, str], ...] = ()
    requests_per_second: float = REQUESTS_PER_SECOND
    evaluate: bool = False
    min_ratio: float | None = None
    format: str = FORMATS[0]


def take_options(values: dict[str, Any]) -> BackfillOptions:
    """Remove the flags of ``backfill`` from parsed values, and return them."""
    given = {field.name: values.pop(field.name) for field in fields(BackfillOptions) if field.name in values}
    repeated = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return BackfillOptions(**given | repeated)


def add_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags of ``backfill``."""
    begin = command.add_mutually_exclusive_group()
    begin.add_argument(
        "--weeks",
        type=flag_values.weeks,
        metavar="N",
        help=f"Number of weeks up to the last period (default: {WEEKS}).",
    )
    begin.add_argument(
        "--from", dest="begin", type=flag_values.day, metavar="DAY", help="A day of the first period: 2025-01-31."
    )
    command.add_argument(
        "--to", dest="end", type=flag_values.day, metavar="DAY", help="A day of the last period (default: the newest)."
    )
    command.add_argument(
        "--report",
        dest="reports",
        action="append",
        metavar="REPORT",
        help="Report to include. Repeatable (default: all that each app fetches).",
    )
    command.add_argument(
        "--appid", dest="appids", action="append", metavar="APPID", help="App to include. Repeatable (default: all)."
    )
    command.add_argument(
        "--max-requests-per-second",
        dest="requests_per_second",
        type=flag_values.rate,
        metavar="N",
        help=f"Maximum rate of requests to WeChat (default: {REQUESTS_PER_SECOND:g}).",
    )
    _add_output_flags(command)
    _add_evaluation_flags(command)


def _add_output_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="Write the history to FILE as OpenMetrics, atomically; - is standard output.",
    )
    command.add_argument(
        "--sample-interval",
        type=flag_values.sample_interval,
        metavar="DURATION",
        help="Interval between two samples of a series; `period` writes one sample per period (default: 1h).",
    )
    command.add_argument(
        "--label",
        dest="labels",
        type=flag_values.label,
        action="append",
        metavar="NAME=VALUE",
        help="Label to add to every series, as a scrape does: job=wechat-miniprogram. Repeatable.",
    )
    command.add_argument(
        "--until",
        type=flag_values.instant,
        metavar="TIME",
        help="Time of the first scrape, before which the history ends, in RFC 3339 or Unix seconds; at least 3 hours"
        " ago (default: 3 hours ago).",
    )


def _add_evaluation_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--evaluate",
        action="store_true",
        help="Print which alerts about figures the past periods would have raised, instead of writing a file.",
    )
    command.add_argument(
        "--min-ratio",
        type=flag_values.ratio,
        metavar="RATIO",
        help="With --evaluate: threshold of all alerts (default: those configured).",
    )
    command.add_argument(
        "--format", choices=FORMATS, help="With --evaluate: output format, table or json (default: table)."
    )

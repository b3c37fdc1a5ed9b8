"""Writes timelines as OpenMetrics with timestamps, as ``promtool tsdb create-blocks-from openmetrics`` reads them.

The format requires all samples of a family together, and within it those of a series together and in order. Without
temporary files this would need everything in memory, or one pass over the apps per family. So each family has a spool,
a temporary file: one pass over the apps appends to all spools, then they are joined. A spool has no name in its
directory, so that nothing is left behind after SIGKILL. Memory holds the series that an app exposes at one instant, and
the instants.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import IO, TYPE_CHECKING

from exporter.periods import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.backfill.timeline import Moment
    from exporter.metrics import SeriesRenderer

_SPOOL_BUFFER = 1 << 17
_COPY_BUFFER = 1 << 20
_RETURNS_WITHIN = 35 * DAY
"""A cohort without its first later weeks is exposed up to four weeks after its own week was, with the same holidays."""
_TIMESTAMP_BYTES = len(" 1795000000\n")


@dataclass(frozen=True, slots=True)
class Grid:
    """When samples are written: at the start of each moment, then at equal intervals.

    Timestamps are whole seconds: promtool takes milliseconds without an error, and Prometheus then deletes all its
    older blocks, because they seem to be thousands of years older than the newest one.
    """

    interval: int
    """Seconds between samples; 0 for one sample per period."""
    seam: float
    """Where the live data begins, Unix seconds: the last samples are right before it."""

    def times(self, start: float, end: float) -> tuple[int, ...]:
        """Return the times of the samples of a moment, Unix seconds."""
        first = ceil(start)
        if not self.interval:
            return (first,) if first < end else ()
        times = range(first, ceil(end), self.interval)
        last = ceil(end) - 1
        return (*times, last) if end == self.seam and times and times[-1] != last else tuple(times)


@dataclass(slots=True)
class _Stretch:
    """A value of a series over successive moments."""

    value: bytes
    first: int
    last: int
    """Index of the last moment, included."""


class HistoryFile:
    """Collects the samples of one app after the other, then writes the file.

    Args:
        renderer: renders the series of an app.
        grid: when samples are written.
        directory: of the temporary files; None for that of the system.
    """

    def __init__(self, renderer: SeriesRenderer, grid: Grid, directory: Path | None) -> None:
        self._renderer = renderer
        self._grid = grid
        self.samples = 0
        """Number of samples."""
        self._times = lru_cache(maxsize=64)(self._formatted_times)  # apps have most moments in common
        with ExitStack() as opened:
            self._spools: list[IO[bytes]] = [
                opened.enter_context(tempfile.TemporaryFile(buffering=_SPOOL_BUFFER, dir=directory))
                for _ in renderer.families
            ]
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Discard what was collected."""
        self._opened.close()

    def add(self, moments: Iterator[Moment]) -> None:
        """Add the samples of one app."""
        moment_times: list[tuple[float, float]] = []
        current: dict[tuple[int, bytes], list[_Stretch]] = {}
        for number, moment in enumerate(moments):
            moment_times.append((moment.start, moment.end))
            for place, series, value in self._renderer.series(moment.status):
                stretches = current.setdefault((place, series), [])
                if stretches and stretches[-1].last == number - 1 and stretches[-1].value == value:
                    stretches[-1].last = number
                else:
                    stretches.append(_Stretch(value, number, number))
            # The figures of the previous period have ended, so that memory does not grow with the number of periods.
            for key in [key for key, stretches in current.items() if stretches[-1].last < number]:
                family = self._renderer.families[key[0]]
                ended = moment_times[current[key][-1].last][1]
                # All samples of a series must be together, also if it ends and returns.
                if family.of_period and not (family.is_shared and moment.start < ended + _RETURNS_WITHIN):
                    self._spool(key, current.pop(key), moment_times)
        for key, stretches in current.items():
            self._spool(key, stretches, moment_times)

    def write(self, output: IO[bytes]) -> None:
        """Write the complete file; each spool is deleted as soon as it is copied."""
        for head, spool in zip(self._renderer.families, self._spools, strict=True):
            if spool.tell():
                output.write(head.lines)
                spool.seek(0)
                shutil.copyfileobj(spool, output, _COPY_BUFFER)
            spool.close()
        output.write(b"# EOF\n")

    def _spool(
        self, key: tuple[int, bytes], stretches: Sequence[_Stretch], moments: Sequence[tuple[float, float]]
    ) -> None:
        family, series = key
        of_period = self._renderer.families[family].of_period
        spool = self._spools[family]
        for stretch in stretches:
            line = b"%b %b " % (series, stretch.value)
            # With one sample per period, a series without a period, such as a threshold, still has one at each moment:
            # an alert's expression needs both at the same time.
            last = stretch.first if of_period and not self._grid.interval else stretch.last
            for start, end in moments[stretch.first : last + 1]:
                times = self._times(start, end)
                if times:
                    spool.write(line + (b"\n" + line).join(times) + b"\n")
                    self.samples += len(times)

    def _formatted_times(self, start: float, end: float) -> tuple[bytes, ...]:
        return tuple(b"%d" % time for time in self._grid.times(start, end))


@dataclass(frozen=True, slots=True)
class Size:
    """The expected size of a file."""

    samples: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.samples + other.samples, self.bytes + other.bytes)


def expected_size(renderer: SeriesRenderer, moment: Moment, instants: float) -> Size:
    """Return the size of a file that has the series of this moment at a number of instants."""
    lines = [len(series) + len(value) + 1 + _TIMESTAMP_BYTES for _, series, value in renderer.series(moment.status)]
    return Size(round(len(lines) * instants), round(sum(lines) * instants))

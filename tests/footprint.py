"""What a process takes of the machine, as the kernel counts it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

MARGIN = 32.0
"""MiB by which resident memory may differ and still count as the same: an allocator keeps what it
may need again, for each of many threads."""


@dataclass(frozen=True)
class Footprint:
    """One look at a process."""

    memory: float
    """MiB, resident."""
    peak: float
    """MiB, the most that was resident since ``at_rest``."""
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """How it is now."""
        status = dict(re.findall(r"^(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(status["VmRSS"]) / 1024, int(status["VmHWM"]) / 1024, int(status["Threads"]), descriptors)

    def is_back_at(self, before: Footprint) -> bool:
        """Whether it is as it was: as many threads and descriptors at the most, and as much memory."""
        few = self.threads <= before.threads and self.descriptors <= before.descriptors
        return few and self.memory <= before.memory + MARGIN


def at_rest(pid: int) -> Footprint:
    """How a process is when it does nothing; its peak counts from here."""
    found = Footprint.of(pid)
    while True:
        time.sleep(0.1)
        last, found = found, Footprint.of(pid)
        if (last.threads, last.descriptors) == (found.threads, found.descriptors):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            return found


def back_at(before: Footprint, pid: int, seconds: float = 10) -> Footprint:
    """How a process is as soon as it is as it was before, or else after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := Footprint.of(pid)).is_back_at(before) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found

"""The resources of a process, as the kernel counts them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

MARGIN = 32.0
"""MiB by which resident memory may differ and still count as equal: an allocator keeps freed memory for each thread."""


@dataclass(frozen=True)
class Footprint:
    """The resources of a process at one moment."""

    memory: float
    """MiB, resident."""
    peak: float
    """MiB, the maximum since ``at_rest``."""
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """Return the current resources."""
        status = dict(re.findall(r"^(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(status["VmRSS"]) / 1024, int(status["VmHWM"]) / 1024, int(status["Threads"]), descriptors)

    def is_back_at(self, before: Footprint) -> bool:
        """Return whether it has at most as many threads and descriptors as before, and as much memory."""
        few = self.threads <= before.threads and self.descriptors <= before.descriptors
        return few and self.memory <= before.memory + MARGIN


def at_rest(pid: int) -> Footprint:
    """Return the resources of an idle process; its peak counts from here."""
    found = Footprint.of(pid)
    while True:
        time.sleep(0.1)
        last, found = found, Footprint.of(pid)
        if (last.threads, last.descriptors) == (found.threads, found.descriptors):
            Path(f"/proc/{pid}/clear_refs").write_text("5")
            return found


def back_at(before: Footprint, pid: int, seconds: float = 60) -> Footprint:
    """Return the resources of a process once they are as before, at the latest after that many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := Footprint.of(pid)).is_back_at(before) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found

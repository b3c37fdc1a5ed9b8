"""The threads that request, as many as requests may be in flight at once: tasks in, outcomes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import App
    from exporter.periods import Period
    from exporter.poller.plan import FetchPlan
    from exporter.reports import Report
    from exporter.wechat.client import Outcome


class Fetcher(Protocol):
    """What requests a report from WeChat: ``wechat.client.Client``."""

    def fetch(self, app: App, report: Report, period: Period) -> Outcome:
        """Request one period of one report of one app."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FetchTask:
    """One fetch of one report of one app."""

    fetcher: Fetcher
    app: App
    report: Report
    plan: FetchPlan


class WorkerPool:
    """Carries tasks out, each in one of its threads.

    Args:
        carry_out: does a task and hands in what came of it; never raises.
    """

    def __init__(self, carry_out: Callable[[FetchTask], None]) -> None:
        self._carry_out = carry_out
        self._tasks: SimpleQueue[FetchTask | None] = SimpleQueue()
        self.size = 0
        """How many threads there are."""

    def resize(self, size: int) -> None:
        """Start more threads or let some of them go; those with a request in flight end after it."""
        for index in range(self.size, size):
            threading.Thread(target=self._work, name=f"fetch-{index}", daemon=True).start()
        for _ in range(size, self.size):
            self._tasks.put(None)
        self.size = size

    def put(self, task: FetchTask) -> None:
        """Have a task done as soon as a thread is free."""
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._carry_out(task)

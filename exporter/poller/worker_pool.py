"""The threads that send requests to WeChat, one request at a time each.

Workers take tasks from one queue; the outcome is handed over by the callable that the pool was created with, which puts
it into the poller's inbox. The poller dispatches only as many tasks as there are workers, so that no task waits in the
queue while a reload changes its app.

``concurrent.futures`` cannot change the size of a pool, which a reload may do. A worker ends when it takes a None from
the queue, after its request: a request cannot be interrupted, and its outcome still counts. The threads are daemons, so
that one that waits for a slow server does not delay the exit.
"""

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
    """Fetches a report from WeChat: ``wechat.client.Client``."""

    def fetch(self, app: App, report: Report, period: Period) -> Outcome:
        """Fetch one period of one report of one app."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FetchTask:
    """One fetch of one report of one app."""

    fetcher: Fetcher
    app: App
    report: Report
    plan: FetchPlan


class WorkerPool:
    """Runs tasks, each in one of its threads. ``resize`` and ``put`` are called from one thread.

    Args:
        run_task: runs a task and hands over its outcome; must not raise.
    """

    def __init__(self, run_task: Callable[[FetchTask], None]) -> None:
        self._run_task = run_task
        self._tasks: SimpleQueue[FetchTask | None] = SimpleQueue()
        self.size = 0
        """The number of threads."""

    def resize(self, size: int) -> None:
        """Start or stop threads; those with a request in flight end after it."""
        for index in range(self.size, size):
            threading.Thread(target=self._work, name=f"fetch-{index}", daemon=True).start()
        for _ in range(size, self.size):
            self._tasks.put(None)
        self.size = size

    def put(self, task: FetchTask) -> None:
        """Queue a task for the next free thread."""
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._run_task(task)

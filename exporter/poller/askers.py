"""The threads that ask, as many as requests may be under way at once: tasks in, outcomes out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import App
    from exporter.periods import Week
    from exporter.poller.plan import Look
    from exporter.reports import Report
    from exporter.wechat.client import Outcome


class Asker(Protocol):
    """The door to WeChat: ``wechat.client.Client``."""

    def ask(self, app: App, report: Report, week: Week) -> Outcome:
        """Asks for one week of one app."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One look at one app, and the door through which it is made."""

    asker: Asker
    app: App
    look: Look


class Askers:
    """Carries tasks out, each in one of its threads.

    Args:
        carry_out: does a task and hands in what came of it; never raises.
    """

    def __init__(self, carry_out: Callable[[Task], None]) -> None:
        self._carry_out = carry_out
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self.number = 0
        """How many there are."""

    def become(self, number: int) -> None:
        """Lets more of them begin or some of them go; those with a request under way end after it."""
        for index in range(self.number, number):
            threading.Thread(target=self._work, name=f"asker-{index}", daemon=True).start()
        for _ in range(number, self.number):
            self._tasks.put(None)
        self.number = number

    def put(self, task: Task) -> None:
        """Has a task done as soon as somebody is free."""
        self._tasks.put(task)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._carry_out(task)

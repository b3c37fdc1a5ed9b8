"""Whose turn it is: apps in the order in which they are to be looked at."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.poller.plan import Look


class Agenda:
    """One entry for each app; a later entry replaces an earlier one.

    Newest weeks come before history, however long that has been due; of the history, newer weeks come first.
    """

    def __init__(self) -> None:
        self._newest: list[tuple[float, int, str]] = []
        self._history: list[tuple[float, int, str]] = []
        self._entries: dict[str, int] = {}
        self._numbers = count()

    def put(self, appid: str, look: Look, newest_at: float) -> None:
        """Enters an app's next look; one that waits with history is due for its newest week all the same."""
        number = self._entries[appid] = next(self._numbers)
        heapq.heappush(self._newest, (newest_at, number, appid))
        if look.history:
            heapq.heappush(self._history, (-look.week.first.toordinal(), number, appid))

    def take_due(self, now: float) -> str | None:
        """Takes out the app whose turn it is; None if nobody is due."""
        self._drop_replaced()
        if self._newest and self._newest[0][0] <= now:
            appid = heapq.heappop(self._newest)[2]
        elif self._history:
            appid = heapq.heappop(self._history)[2]
        else:
            return None
        del self._entries[appid]
        return appid

    def _drop_replaced(self) -> None:
        for heap in (self._newest, self._history):
            while heap and self._entries.get(heap[0][2]) != heap[0][1]:
                heapq.heappop(heap)

"""Whose turn it is: reports of apps in the order in which they are to be requested."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.poller.plan import FetchPlan
    from exporter.poller.tracker import Key

_Entry = tuple[float, int, int, "Key"]
"""When, rank, number, and which report of which app."""
_MOST_REPLACED = 4
"""So many entries to one that counts are kept before the replaced ones are dropped."""


class FetchQueue:
    """One entry for each report of each app; a later entry replaces an earlier one.

    Newest periods come before history, however long that has been due; of the history, newer periods come first. Of
    what is due at the same moment, the first report of the catalogue comes first.
    """

    def __init__(self) -> None:
        self._newest: list[_Entry] = []
        self._history: list[_Entry] = []
        self._entries: dict[Key, int] = {}
        self._numbers = count()

    def put(self, key: Key, plan: FetchPlan, newest_at: float, rank: int) -> None:
        """Enter a report's next fetch; one that waits with history is due for its newest period all the same.

        Args:
            key: which report of which app.
            plan: what is requested next.
            newest_at: when its newest wanted period is due.
            rank: the place of the report in the catalogue.
        """
        number = self._entries[key] = next(self._numbers)
        heapq.heappush(self._newest, (newest_at, rank, number, key))
        if plan.history:
            heapq.heappush(self._history, (-plan.period.end, rank, number, key))

    def take_due(self, now: float) -> Key | None:
        """Take out the report whose turn it is; None if none is due."""
        self._drop_replaced()
        if self._newest and self._newest[0][0] <= now:
            key = heapq.heappop(self._newest)[-1]
        elif self._history:
            key = heapq.heappop(self._history)[-1]
        else:
            return None
        del self._entries[key]
        return key

    def _drop_replaced(self) -> None:
        for heap in (self._newest, self._history):
            while heap and self._is_replaced(heap[0]):
                heapq.heappop(heap)
            if len(heap) > _MOST_REPLACED * len(self._entries) + 1:  # what is due late would be kept for hours
                heap[:] = [entry for entry in heap if not self._is_replaced(entry)]
                heapq.heapify(heap)

    def _is_replaced(self, entry: _Entry) -> bool:
        return self._entries.get(entry[-1]) != entry[-2]

"""The order in which due reports of apps are requested.

Two heaps: newest periods by due time, and history by period, the newest first. Removing an entry from a heap takes
linear time, so a replaced entry stays in it and is skipped: only the number in ``_entries`` is current. Rebuilding a
heap limits how many replaced entries it keeps.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exporter.poller.plan import FetchPlan
    from exporter.poller.tracker import Key

_Entry = tuple[float, int, int, "Key"]
"""Order within the heap, rank of the report, number, and key."""
_MOST_REPLACED = 4
"""Entries per current entry at which a heap is rebuilt without the replaced ones."""


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
        """Queue the next fetch of a report; one with history is also due for its newest period.

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
        """Remove and return the next report that is due; None if none is."""
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
            if len(heap) > _MOST_REPLACED * len(self._entries) + 1:  # an entry due in hours would stay until then
                heap[:] = [entry for entry in heap if not self._is_replaced(entry)]
                heapq.heapify(heap)

    def _is_replaced(self, entry: _Entry) -> bool:
        return self._entries.get(entry[-1]) != entry[-2]

"""The days of a request: ``?from=2026-11-02&to=2026-11-29``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.periods import parse_day

if TYPE_CHECKING:
    from exporter.periods import Period

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 2000, 2999  # so that every period around such a day has a date, too


@dataclass(frozen=True, slots=True)
class Days:
    """A range of days, inclusive; None: no limit."""

    first: date | None = None
    last: date | None = None

    @classmethod
    def of_query(cls, query: str) -> Days:
        """Return the days of a query string.

        Raises:
            ValueError: what is wrong with them, without what the client sent.
        """
        given = dict(parse_qsl(query))
        days = cls(*(_day(name, given[name]) if name in given else None for name in ("from", "to")))
        if days.first and days.last and days.first > days.last:
            raise ValueError("from must not be after to")
        return days

    def periods(self, kind: type[Period]) -> tuple[Period | None, Period | None]:
        """Return the first and the last period that contain one of the days."""
        return (
            None if self.first is None else kind.containing_day(self.first),
            None if self.last is None else kind.containing_day(self.last),
        )


def _day(name: str, text: str) -> date:
    if _DAY.fullmatch(text):
        try:
            day = parse_day(text.replace("-", ""))
        except ValueError:
            day = date.min
        if _FIRST_YEAR <= day.year <= _LAST_YEAR:
            return day
    raise ValueError(f"{name} must be a day from {_FIRST_YEAR} to {_LAST_YEAR}, such as 2026-11-02 or 20261102")

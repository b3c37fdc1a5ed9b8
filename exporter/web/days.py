"""The days of a request: ``?from=2026-11-02&to=2026-11-29``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from exporter.periods import parse_iso_day

if TYPE_CHECKING:
    from datetime import date

    from exporter.periods import Period


@dataclass(frozen=True, slots=True)
class Days:
    """A range of days, inclusive; None: no limit."""

    first: date | None = None
    last: date | None = None

    @classmethod
    def of_query(cls, query: str) -> Days:
        """Return the days of a query string.

        Raises:
            ValueError: what is wrong with them, but not what the client sent, which may be a secret.
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
    try:
        return parse_iso_day(text)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None

"""WeChat's calendar: natural weeks, Monday to Sunday, in Beijing days.

The only place where an instant becomes a date. An instant is a Unix time in seconds; Beijing is UTC+8
all year (wechat-api.md section 2), whatever the zone of the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache

BEIJING = timezone(timedelta(hours=8), "Beijing")
DAY = 86_400.0

_REF_DATE = re.compile(r"(\d{8})\W(\d{8})", re.ASCII)


@dataclass(frozen=True, order=True, slots=True)
class Week:
    """One natural week, known by its Monday.

    Raises:
        ValueError: the day is not a Monday.
    """

    monday: date

    def __post_init__(self) -> None:
        if self.monday.weekday() != 0:
            raise ValueError(f"{self.monday} is not a Monday")

    @property
    def sunday(self) -> date:
        """The last day of the week."""
        return self.monday + timedelta(days=6)

    @property
    def begin_date(self) -> str:
        """The Monday as WeChat writes it: ``20261116``."""
        return f"{self.monday:%Y%m%d}"

    @property
    def end_date(self) -> str:
        """The Sunday as WeChat writes it: ``20261122``."""
        return f"{self.sunday:%Y%m%d}"

    @property
    def label(self) -> str:
        """The value of the ``week`` label: ``20261116-20261122``, always an ASCII hyphen."""
        return f"{self.begin_date}-{self.end_date}"

    @property
    def words(self) -> str:
        """The week for people: ``16-22 Nov 2026``."""
        first, last = self.monday, self.sunday
        begin = f"{first.day}"
        if first.month != last.month:
            begin += f" {first:%b}"
        if first.year != last.year:
            begin += f" {first.year}"
        return f"{begin}-{last.day} {last:%b} {last.year}"

    @property
    def iso(self) -> str:
        """The week as ISO 8601 and HTML write it: ``2026-W47``."""
        return f"{self.monday:%G-W%V}"

    @property
    def start(self) -> float:
        """The instant the week began: Monday 00:00 Beijing."""
        return _midnight(self.monday)

    @property
    def end(self) -> float:
        """The instant the week ended: the next Monday 00:00 Beijing."""
        return _midnight(self.monday + timedelta(days=7))

    def before(self, weeks: int = 1) -> Week:
        """The week that many weeks earlier."""
        return _week(self.monday - timedelta(weeks=weeks))

    def after(self) -> Week:
        """The week that follows."""
        return _week(self.monday + timedelta(weeks=1))


def week_containing(instant: float) -> Week:
    """The natural week that is running in Beijing at ``instant``."""
    day = datetime.fromtimestamp(instant, BEIJING).date()
    return _week(day - timedelta(days=day.weekday()))


def week_from_ref_date(text: str) -> Week:
    """Reads WeChat's ``ref_date``, two days with any dash between them (wechat-api.md section 1).

    Raises:
        ValueError: the text is not the Monday and Sunday of one week.
    """
    match = _REF_DATE.fullmatch(text.strip())
    if match is None:
        raise ValueError("not of the form yyyymmdd-yyyymmdd")
    first, last = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=BEIJING).date() for day in match.groups())
    if last - first != timedelta(days=6):
        raise ValueError("not the Monday and Sunday of one week")
    return Week(first)


def newest_wanted_week(now: float, ready_after: float) -> Week:
    """The newest week that ended at least ``ready_after`` seconds before ``now``."""
    return week_containing(now - ready_after).before()


def next_midnight(instant: float) -> float:
    """The first Beijing midnight after ``instant``."""
    day = datetime.fromtimestamp(instant, BEIJING).date()
    return _midnight(day + timedelta(days=1))


def beijing_words(instant: float) -> str:
    """An instant for people: ``Mon 2026-11-23 10:04 Beijing``."""
    return f"{datetime.fromtimestamp(instant, BEIJING):%a %Y-%m-%d %H:%M} Beijing"


def beijing_stamp(instant: float) -> str:
    """An instant for people in a table that says whose time it is: ``2026-11-23 10:04``."""
    return f"{datetime.fromtimestamp(instant, BEIJING):%Y-%m-%d %H:%M}"


def rfc3339(instant: float) -> str:
    """An instant for programs that may show it to people: ``2026-11-23T10:04:00+08:00``."""
    return datetime.fromtimestamp(instant, BEIJING).isoformat(timespec="seconds")


def utc_stamp(instant: float) -> str:
    """An instant for file names and logs: ``20261123T020400Z``."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y%m%dT%H%M%SZ}"


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING).timestamp()


@lru_cache(maxsize=2048)
def _week(monday: date) -> Week:
    """One object for each week: ten thousand apps speak about the same few."""
    return Week(monday)

"""The periods of WeChat's figures: days, natural weeks (Monday to Sunday) and months, as Beijing dates.

Only this module converts an instant (Unix time in seconds) into a date. Beijing is UTC+8 all year (China has had no
daylight saving time since 1991), so a fixed offset is used and the time zone and tzdata of the machine do not matter.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import ClassVar, Self, TypeVar

BEIJING = timezone(timedelta(hours=8), "Beijing")
DAY = 86_400.0

# ASCII, because both \d and strptime accept the digits of other scripts, such as full-width ones.
_REF_WEEK = re.compile(r"(\d{8})\W(\d{8})", re.ASCII)
_REF_DAY = re.compile(r"\d{8}", re.ASCII)
_REF_MONTH = re.compile(r"\d{6}", re.ASCII)
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 2000, 2999  # so that every period around such a day has a date, too


@dataclass(frozen=True, order=True, slots=True)
class Period(ABC):
    """A range of Beijing days with one figure of each field, identified by its first day.

    Periods of one kind are ordered by time; comparing periods of different kinds raises ``TypeError``.
    """

    first: date
    """The first day."""

    NAME: ClassVar[str]
    """The kind of period, and the name of its label: ``week``."""

    def __post_init__(self) -> None:  # noqa: B027 (a day needs no check, but dataclass calls only a method defined here)
        """Raise ``ValueError`` if no period of this kind starts on the first day."""

    @classmethod
    def of(cls, first: date) -> Self:
        """Return the period that starts on a day, always the same object.

        Raises:
            ValueError: no period of this kind starts on it.
        """
        # Interned, because the readings of 10,000 apps refer to the same few hundred periods.
        return _interned(cls, first)  # type: ignore[return-value]  # lru_cache does not support type variables

    @classmethod
    @abstractmethod
    def containing_day(cls, day: date) -> Self:
        """Return the period that contains a day."""

    @classmethod
    @abstractmethod
    def from_ref_date(cls, text: str) -> Self:
        """Return the period of the ``ref_date`` in a row of WeChat's response.

        Raises:
            ValueError: the text is not a period of this kind.
        """

    @classmethod
    def containing(cls, instant: float) -> Self:
        """Return the period that contains an instant."""
        return cls.containing_day(beijing_day(instant))

    @property
    @abstractmethod
    def last(self) -> date:
        """The last day."""

    @abstractmethod
    def before(self, number: int = 1) -> Self:
        """Return the period that is ``number`` periods earlier, or later if it is negative."""

    def after(self) -> Self:
        """Return the next period."""
        return self.before(-1)

    @abstractmethod
    def periods_since(self, earlier: Period) -> int:
        """Return the number of periods from an earlier one of the same kind to this one."""

    @property
    def label(self) -> str:
        """The value of its label, which is also WeChat's ``ref_date``."""
        return self.begin_date

    @property
    @abstractmethod
    def display_name(self) -> str:
        """The period on pages: ``16-22 Nov 2026``."""

    @property
    @abstractmethod
    def iso(self) -> str:
        """The period in ISO 8601, for the ``datetime`` attribute in HTML."""

    @property
    def days(self) -> tuple[date, ...]:
        """Every day, in order."""
        return tuple(self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1))

    @property
    def begin_date(self) -> str:
        """The first day in WeChat's format: ``20261116``."""
        return f"{self.first:%Y%m%d}"

    @property
    def end_date(self) -> str:
        """The last day in WeChat's format: ``20261122``."""
        return f"{self.last:%Y%m%d}"

    @property
    def start(self) -> float:
        """The start in Unix seconds: the first day at 00:00 Beijing."""
        return _midnight(self.first)

    @property
    def end(self) -> float:
        """The end in Unix seconds: the day after the last day at 00:00 Beijing."""
        return _midnight(self.last + timedelta(days=1))


P = TypeVar("P", bound=Period)


class Day(Period):
    """One day."""

    __slots__ = ()
    NAME = "day"

    @classmethod
    def containing_day(cls, day: date) -> Self:
        """Return the day itself."""
        return cls.of(day)

    @classmethod
    def from_ref_date(cls, text: str) -> Self:
        """Return the day of a ``ref_date`` like ``20261124``."""
        if _REF_DAY.fullmatch(text.strip()) is None:
            raise ValueError("not of the form yyyymmdd")
        return cls.of(parse_day(text.strip()))

    @property
    def last(self) -> date:
        """The day itself."""
        return self.first

    def before(self, number: int = 1) -> Self:
        """Return the day that is ``number`` days earlier."""
        return self.of(self.first - timedelta(days=number))

    def periods_since(self, earlier: Period) -> int:
        """Return the number of days."""
        return (self.first - earlier.first).days

    @property
    def display_name(self) -> str:
        """The day on pages: ``Tue 24 Nov 2026``."""
        return f"{self.first:%a} {self.first.day} {self.first:%b} {self.first.year}"

    @property
    def iso(self) -> str:
        """The day in ISO 8601: ``2026-11-24``."""
        return self.first.isoformat()


class Week(Period):
    """One natural week.

    Raises:
        ValueError: its first day is not a Monday.
    """

    __slots__ = ()
    NAME = "week"

    def __post_init__(self) -> None:
        if self.first.weekday() != 0:
            raise ValueError(f"{self.first} is not a Monday")

    @classmethod
    def containing_day(cls, day: date) -> Self:
        """Return the week that contains a day."""
        return cls.of(day - timedelta(days=day.weekday()))

    @classmethod
    def from_ref_date(cls, text: str) -> Self:
        """Return the week of a ``ref_date`` like ``20261116-20261122``."""
        # Any character may separate the days: WeChat's English documentation shows an en dash, the API sends a hyphen.
        match = _REF_WEEK.fullmatch(text.strip())
        if match is None:
            raise ValueError("not of the form yyyymmdd-yyyymmdd")
        first, last = map(parse_day, match.groups())
        # Some other range of days would be stored under the label of a week.
        if last - first != timedelta(days=6):
            raise ValueError("not the Monday and Sunday of one week")
        return cls.of(first)

    @property
    def last(self) -> date:
        """The Sunday."""
        return self.first + timedelta(days=6)

    def before(self, number: int = 1) -> Self:
        """Return the week that is ``number`` weeks earlier."""
        return self.of(self.first - timedelta(weeks=number))

    def periods_since(self, earlier: Period) -> int:
        """Return the number of weeks."""
        return (self.first - earlier.first).days // 7

    @property
    def label(self) -> str:
        """The value of the ``week`` label: ``20261116-20261122``, always an ASCII hyphen."""
        return f"{self.begin_date}-{self.end_date}"

    @property
    def display_name(self) -> str:
        """The week on pages: ``16-22 Nov 2026``."""
        # f"{first.day}" has no leading zero; the directive %-d of strftime is not portable.
        first, last = self.first, self.last
        begin = f"{first.day}"
        if first.month != last.month:
            begin += f" {first:%b}"
        if first.year != last.year:
            begin += f" {first.year}"
        return f"{begin}-{last.day} {last:%b} {last.year}"

    @property
    def iso(self) -> str:
        """The week in ISO 8601: ``2026-W47``."""
        return f"{self.first:%G-W%V}"


class Month(Period):
    """One calendar month.

    Raises:
        ValueError: its first day is not the first of a month.
    """

    __slots__ = ()
    NAME = "month"

    def __post_init__(self) -> None:
        if self.first.day != 1:
            raise ValueError(f"{self.first} is not the first day of a month")

    @classmethod
    def containing_day(cls, day: date) -> Self:
        """Return the month that contains a day."""
        return cls.of(day.replace(day=1))

    @classmethod
    def from_ref_date(cls, text: str) -> Self:
        """Return the month of a ``ref_date`` like ``202610``."""
        if _REF_MONTH.fullmatch(text.strip()) is None:
            raise ValueError("not of the form yyyymm")
        return cls.of(parse_day(f"{text.strip()}01"))

    @property
    def last(self) -> date:
        """The last day, from the 28th to the 31st."""
        # From the next month, as months have 28 to 31 days.
        return self.after().first - timedelta(days=1)

    def before(self, number: int = 1) -> Self:
        """Return the month that is ``number`` months earlier."""
        months = self.first.year * 12 + self.first.month - 1 - number
        return self.of(date(months // 12, months % 12 + 1, 1))

    def periods_since(self, earlier: Period) -> int:
        """Return the number of months."""
        return (self.first.year - earlier.first.year) * 12 + self.first.month - earlier.first.month

    @property
    def label(self) -> str:
        """The value of the ``month`` label: ``202610``."""
        return f"{self.first:%Y%m}"

    @property
    def display_name(self) -> str:
        """The month on pages: ``October 2026``."""
        return f"{self.first:%B %Y}"

    @property
    def iso(self) -> str:
        """The month in ISO 8601: ``2026-10``."""
        return f"{self.first:%Y-%m}"


def newest_wanted(kind: type[P], now: float, ready_after: float) -> P:
    """Return the newest period that ended at least ``ready_after`` seconds before ``now`` (Unix seconds)."""
    # A period that ended `ready_after` ago directly precedes the period that contained that instant.
    return kind.containing(now - ready_after).before()


def beijing_day(instant: float) -> date:
    """Return the date in Beijing at an instant."""
    return datetime.fromtimestamp(instant, BEIJING).date()


def next_midnight(instant: float) -> float:
    """Return the first midnight in Beijing after an instant, in Unix seconds."""
    return _midnight(beijing_day(instant) + timedelta(days=1))


def format_beijing(instant: float) -> str:
    """Return an instant as text with weekday and time zone: ``Mon 2026-11-23 10:04 Beijing``."""
    return f"{datetime.fromtimestamp(instant, BEIJING):%a %Y-%m-%d %H:%M} Beijing"


def format_beijing_minute(instant: float) -> str:
    """Return an instant as text for a table whose heading has the time zone: ``2026-11-23 10:04``."""
    return f"{datetime.fromtimestamp(instant, BEIJING):%Y-%m-%d %H:%M}"


def rfc3339(instant: float) -> str:
    """Return an instant in RFC 3339, as Beijing time: ``2026-11-23T10:04:00+08:00``."""
    return datetime.fromtimestamp(instant, BEIJING).isoformat(timespec="seconds")


def format_utc_compact(instant: float) -> str:
    """Return an instant as text for file names: ``20261123T020400Z``."""
    return f"{datetime.fromtimestamp(instant, UTC):%Y%m%dT%H%M%SZ}"


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=BEIJING).timestamp()


def parse_day(text: str) -> date:
    """Return the date of eight digits in WeChat's format, ``yyyymmdd``.

    Raises:
        ValueError: it is not a date.
    """
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=BEIJING).date()


def parse_iso_day(text: str) -> date:
    """Return the day that a user gave in ISO 8601, with or without hyphens: ``2026-11-02`` or ``20261102``.

    Raises:
        ValueError: what a day must be, without the text.
    """
    if _ISO_DAY.fullmatch(text):
        with suppress(ValueError):
            day = parse_day(text.replace("-", ""))
            if _FIRST_YEAR <= day.year <= _LAST_YEAR:
                return day
    raise ValueError(f"must be a day from {_FIRST_YEAR} to {_LAST_YEAR}, such as 2026-11-02 or 20261102")


@lru_cache(maxsize=8192)
def _interned(kind: type[Period], first: date) -> Period:
    return kind(first)

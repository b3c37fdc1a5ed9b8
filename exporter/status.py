"""What is known of an app at one moment: values that the poller makes and every way out reads."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, nan
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.periods import Week
    from exporter.reports import Field, Reading, Thresholds

BASELINE_WEEKS: Final = 4
"""Weeks before the live one whose median is its baseline (a drop below it is told from noise best: docs/alerts.md)."""
TRAIL_WEEKS: Final = 26
"""Weeks of a report's leading figure that are kept at hand, the live one included: half a year."""


class State(StrEnum):
    """How it stands with an app's newest wanted week (design: ``wechat_miniprogram_fetch_state``)."""

    PENDING = "pending"
    OK = "ok"
    NOT_READY = "not_ready"
    QUOTA_SPENT = "quota_spent"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def up(self) -> bool:
        """Whether WeChat answers for this app as it should; ``pending`` has not been asked and is not up."""
        return self in {State.OK, State.NOT_READY}

    @property
    def words(self) -> str:
        """The state for people."""
        return _STATE_WORDS[self]

    @property
    def meaning(self) -> str:
        """What the state means, and who does something about it."""
        return _STATE_MEANINGS[self]


_STATE_WORDS = {
    State.PENDING: "not asked yet",
    State.OK: "up to date",
    State.NOT_READY: "waiting for WeChat to publish",
    State.QUOTA_SPENT: "quota spent",
    State.REFUSED: "refused: a person must act",
    State.FAILED: "failed: tried again by itself",
}
_STATE_MEANINGS = {
    State.PENDING: "The exporter has just begun and asks WeChat in a moment.",
    State.OK: "The newest finished week is in. It is asked for again, because WeChat may revise figures.",
    State.NOT_READY: (
        "WeChat has not published the newest finished week. It is asked for again by itself; until then the older week"
        " stays."
    ),
    State.QUOTA_SPENT: "WeChat answers no more calls for now. The app is asked for again by itself.",
    State.REFUSED: "WeChat refuses until a person does what is said beside the app.",
    State.FAILED: "The network failed, or the answer could not be believed. It is tried again by itself.",
}


SEVERITY: Final = (State.OK, State.NOT_READY, State.PENDING, State.QUOTA_SPENT, State.FAILED, State.REFUSED)
"""The states from good to bad."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What WeChat's last answer about an app's newest wanted week came to."""

    week: Week
    state: State
    """What the answer said; never ``pending``."""
    at: float
    """When it came, Unix seconds."""
    since: float
    """When the app's state began, Unix seconds: of several failures in a row, the first."""
    errcode: str = ""
    """The ``errcode`` label; empty if nothing was wrong."""
    message: str = ""
    """What was wrong and what to do, for people; no secret is ever in it."""
    failures: int = 0
    """How many answers in a row were failures or said that WeChat is busy."""
    retry_after: float = 0.0
    """Seconds the server asked to be left alone."""
    history_stopped: bool = False
    """Older weeks are not asked for until the next look."""
    succeeded: float | None = None
    """When the newest wanted week's row last arrived, Unix seconds."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A reading and when the exporter first had its week, Unix seconds."""

    reading: Reading
    first_seen: float

    @property
    def week(self) -> Week:
        """The week that was kept."""
        return self.reading.week


@dataclass(frozen=True, slots=True)
class Trail:
    """The leading figure of a report over the newest ``TRAIL_WEEKS`` weeks.

    Packed, because ten thousand apps have one each: 0.3 kB in place of 1.1 kB.
    """

    newest: Week | None = None
    """The live week, which the last figure is of; None while there is none."""
    packed: bytes = b""
    """One double for each week, the newest last; NaN where the figure is not known."""

    @classmethod
    def of(cls, figures: Mapping[Week, float | None]) -> Trail:
        """The trail of these weeks; it begins with the first figure that is known, and ends with the newest week."""
        if not figures:
            return cls()
        newest = max(figures)
        course = [figures.get(newest.before(weeks)) for weeks in reversed(range(TRAIL_WEEKS))]
        begin = next((place for place, figure in enumerate(course) if figure is not None), TRAIL_WEEKS)
        doubles = array("d", [nan if figure is None else figure for figure in course[begin:]])
        return cls(newest, doubles.tobytes())

    @property
    def figures(self) -> Mapping[Week, float | None]:
        """The figure of each week, oldest first; None where it is not known."""
        doubles = array("d", self.packed)
        if self.newest is None:
            return {}
        weeks = (self.newest.before(weeks) for weeks in reversed(range(len(doubles))))
        return {week: figure if isfinite(figure) else None for week, figure in zip(weeks, doubles, strict=True)}

    def with_figure(self, week: Week, figure: float | None) -> Trail:
        """With one more week, or with another figure of a known one; what is too old is let go."""
        known = dict(self.figures)
        if self.newest is not None:
            known.setdefault(self.newest, None)
        return Trail.of({**known, week: figure})


@dataclass(frozen=True, slots=True)
class Recent:
    """The live week and, of the ``BASELINE_WEEKS`` before it, those that are known; newest first."""

    weeks: tuple[Kept, ...] = ()
    trail: Trail = Trail()

    @property
    def current(self) -> Kept | None:
        """The live week: the latest that WeChat has published."""
        return self.weeks[0] if self.weeks else None

    @property
    def previous(self) -> Kept | None:
        """Exactly the week before the live one."""
        is_known = len(self.weeks) > 1 and self.weeks[1].week == self.weeks[0].week.before()
        return self.weeks[1] if is_known else None

    def median(self, field: Field) -> float | None:
        """The median of a figure over the weeks before; None unless it is known of all of them."""
        figures = [kept.reading.value(field) for kept in self.weeks[1:]]
        known = [figure for figure in figures if figure is not None]
        return median(known) if len(known) == BASELINE_WEEKS else None

    def with_week(self, kept: Kept) -> Recent:
        """With one more week, or with another reading of a known one; what is too old for a baseline is let go."""
        weeks = {known.week: known for known in (*self.weeks, kept)}
        newest = max(weeks)
        reading = kept.reading
        return Recent(
            tuple(weeks[week] for week in sorted(weeks, reverse=True) if week >= newest.before(BASELINE_WEEKS)),
            self.trail.with_figure(kept.week, reading.value(reading.report.leading)),
        )


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted about one app since the exporter started."""

    fetches: int = 0
    failures: int = 0
    revisions: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    """How often each ``errcode`` label was met, in the order of the first meeting."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the ways out may say about one app."""

    appid: str
    name: str
    state: State
    answer: Answer | None
    recent: Recent
    next_fetch: float
    """When the app is looked at next, Unix seconds."""
    counters: Counters
    thresholds: Thresholds

"""The catalogue: which reports WeChat gives, what each field means, what its metric is called.

A further report of the same form is one more entry here. The meaning of the fields is that of
wechat-api.md section 1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from exporter.periods import Week

PREFIX = "wechat_miniprogram_"
LARGEST_FIGURE: Final = 2**63 - 1
"""What SQLite's INTEGER holds; no Mini Program comes near."""


class Unit(Enum):
    """What a figure counts."""

    COUNT = "count"
    SECONDS = "seconds"
    PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How far the figures of one app may fall: ratios to a baseline, below which it alerts; 0 never does.

    In the order of what explains what: fewer visitors make fewer sessions, not the other way round.
    """

    visitors_min_ratio: float = 0.7
    sessions_min_ratio: float = 0.7
    stay_per_visitor_min_ratio: float = 0.7
    visit_depth_min_ratio: float = 0.7


@dataclass(frozen=True, slots=True)
class Field:
    """One figure of a report."""

    wechat: str
    """WeChat's name on the wire: ``visit_uv``."""
    metric: str
    """The end of the metric's name: ``visitors``."""
    title: str
    """The figure for people, a column's heading."""
    meaning: str
    """The figure in a phrase that HELP can carry."""
    unit: Unit
    threshold: str = ""
    """Its attribute of ``Thresholds``: how far it may fall; empty if no alert watches it."""
    leads: bool = False
    """It stands for the whole report where there is room for one figure."""

    @property
    def camel(self) -> str:
        """WeChat's name in a Cloud Call: ``visitUv``."""
        first, *rest = self.wechat.split("_")
        return first + "".join(word.capitalize() for word in rest)

    def is_possible(self, value: object) -> bool:
        """Whether a value can be a figure of this field: a finite number, not negative, and whole if it is a count."""
        return is_figure(value) and (self.unit is not Unit.COUNT or value == int(value))


def is_figure(value: object) -> TypeGuard[float]:
    """Whether a value is a number that any field can have; ``bool`` is none."""
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= LARGEST_FIGURE


@dataclass(frozen=True, slots=True)
class Report:
    """One report of WeChat's, asked for one period and answered with one row."""

    name: str
    """Its key in the store, and its ``endpoint`` label."""
    api: str
    """WeChat's name for the call."""
    path: str
    """Where it is asked for, under the API's base URL."""
    current: str
    """The word in metric names for the live period: ``weekly``."""
    previous: str
    """The word in metric names for the period before: ``previous_week``."""
    median: str
    """The word in metric names for the median of the four periods before: ``median_week``."""
    fields: tuple[Field, ...]

    def metric(self, field: Field) -> str:
        """The gauge of a field in the live period."""
        return f"{PREFIX}{self.current}_{field.metric}"

    def previous_metric(self, field: Field) -> str:
        """The gauge of a field in the period before, with the same labels."""
        return f"{PREFIX}{self.previous}_{field.metric}"

    def median_metric(self, field: Field) -> str:
        """The gauge of a field's median over the four periods before, with the same labels."""
        return f"{PREFIX}{self.median}_{field.metric}"

    @property
    def leading(self) -> Field:
        """The figure that stands for the report where there is room for one."""
        return next(field for field in self.fields if field.leads)

    @property
    def watched(self) -> tuple[Field, ...]:
        """The fields that alerts watch, a drop of an earlier one explaining that of a later one."""
        names = [threshold.name for threshold in fields(Thresholds)]
        watched = (field for field in self.fields if field.threshold)
        return tuple(sorted(watched, key=lambda field: names.index(field.threshold)))


@dataclass(frozen=True, slots=True)
class Reading:
    """One row of a report: what WeChat published about one period of one app.

    ``values`` stand in the order of ``report.fields``; None is a field that WeChat did not send, zero a figure.
    """

    report: Report
    week: Week
    values: tuple[float | None, ...]

    def value(self, field: Field) -> float | None:
        """The figure of one field; None where WeChat did not send it."""
        return self.values[self.report.fields.index(field)]


WEEKLY = Report(
    name="weekly",
    api="analysis.getWeeklyVisitTrend",
    path="/datacube/getweanalysisappidweeklyvisittrend",
    current="weekly",
    previous="previous_week",
    median="median_week",
    fields=(
        Field(
            "session_cnt",
            "sessions",
            "Sessions",
            "times the Mini Program was opened",
            Unit.COUNT,
            "sessions_min_ratio",
        ),
        Field("visit_pv", "visits", "Visits", "page visits", Unit.COUNT),
        Field(
            "visit_uv",
            "visitors",
            "Visitors",
            "visitors, de-duplicated over the week",
            Unit.COUNT,
            "visitors_min_ratio",
            leads=True,
        ),
        Field("visit_uv_new", "new_visitors", "New visitors", "new visitors, de-duplicated", Unit.COUNT),
        Field(
            "stay_time_uv",
            "stay_per_visitor_seconds",
            "Stay per visitor",
            "average stay per visitor in seconds",
            Unit.SECONDS,
            "stay_per_visitor_min_ratio",
        ),
        Field(
            "stay_time_session",
            "stay_per_session_seconds",
            "Stay per session",
            "average stay per opening in seconds",
            Unit.SECONDS,
        ),
        Field(
            "visit_depth",
            "visit_depth_pages",
            "Visit depth",
            "average visit depth in pages",
            Unit.PAGES,
            "visit_depth_min_ratio",
        ),
    ),
)

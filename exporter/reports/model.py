"""What a report is: its call, its period, its fields, and what each figure is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.periods import Period

PREFIX: Final = "wechat_miniprogram_"
LARGEST_FIGURE: Final = 2**63 - 1
"""What SQLite's INTEGER holds; no Mini Program comes near."""


class Unit(Enum):
    """What a figure counts."""

    COUNT = "count"
    SECONDS = "seconds"
    PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Field:
    """One figure of a report."""

    wechat: str
    """WeChat's name on the wire: ``visit_uv``."""
    metric: str
    """What metric names call it: ``visitors``."""
    title: str
    """For people: ``Visitors``."""
    meaning: str
    """One noun phrase with its unit, for HELP texts."""
    unit: Unit
    is_primary: bool = False
    """Shown where there is room for only one figure of the report."""

    @property
    def camel(self) -> str:
        """WeChat's name in a Cloud Call: ``visitUv``."""
        first, *rest = self.wechat.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def short_name(self) -> str:
        """The figure without its unit, as labels and options name it: ``stay_per_visitor``."""
        return self.metric.removesuffix(f"_{self.unit.value}")

    def is_possible(self, value: object) -> bool:
        """Whether a value can be a figure of this field: a finite number, not negative, and whole if it is a count."""
        return is_figure(value) and (self.unit is not Unit.COUNT or value == int(value))

    def typed(self, value: float) -> float:
        """The value with the type that its unit has: a count is an ``int``."""
        return int(value) if self.unit is Unit.COUNT else value


def is_figure(value: object) -> TypeGuard[float]:
    """Whether a value is a number that any field can have; ``bool`` is none."""
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= LARGEST_FIGURE


class StoredFigures(Protocol):
    """What comparison figures are calculated from: ``history.History``."""

    @property
    def live(self) -> Period | None:
        """The latest period that WeChat has published; None while there is none."""
        ...

    def value(self, period: Period | None, figure: Field) -> float | None:
        """Return a figure of a period; None where it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """An earlier value of each figure, exposed under the labels of the live one, so that a ratio is one division."""

    name: str
    """The word in metric names and in the JSON: ``previous_week``."""
    description: str
    """For people and HELP texts: ``the week before``."""
    value: Callable[[StoredFigures, Field], float | None]
    """Pure: from what is stored and the calendar. None where it is not known."""
    counts_only: bool = False

    def applies_to(self, figure: Field) -> bool:
        """Whether there is such a value of this field."""
        return not self.counts_only or figure.unit is Unit.COUNT


@dataclass(frozen=True, slots=True)
class DerivedFigure:
    """A further figure that is calculated from stored periods, with labels of its own."""

    metric: str
    """Its name without ``PREFIX``; ``{}`` is the field's: ``recent_{}``."""
    description: str
    """For HELP texts."""
    fields: tuple[str, ...]
    """Which fields have it, by WeChat's names."""
    values: Callable[[StoredFigures, Field], Iterable[tuple[Period, tuple[str, ...], float]]]
    """The period of the label, the values of the further labels, and the value."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CalendarFact:
    """What the calendar says about the live period."""

    metric: str
    """Its name without ``PREFIX``."""
    help: str
    value: Callable[[Period], float | None]
    note: str
    """For people, where the value is not 0; ``{number}`` is the value, ``{s}`` a plural s."""


@dataclass(frozen=True, slots=True)
class AlertThreshold:
    """A field that alerts watch, and below which ratio to its baseline it alerts unless configured otherwise."""

    field: Field
    min_ratio: float

    @property
    def option(self) -> str:
        """The configuration's name for the ratio: ``visitors_min_ratio``."""
        return f"{self.field.short_name}_min_ratio"


@dataclass(frozen=True, slots=True)
class Report:
    """One report of WeChat's, requested for one period and answered with one row."""

    name: str
    """The ``report`` label, the word in metric names, the key in store and configuration, the ``endpoint`` label."""
    title: str
    """For people: ``Weeks``."""
    api: str
    """WeChat's name for the call: ``analysis.getWeeklyVisitTrend``."""
    path: str
    """Where it is requested, under the API's base URL."""
    period: type[Period]
    fields: tuple[Field, ...]
    comparisons: tuple[Comparison, ...] = ()
    """The first one is what people compare with first."""
    derived: tuple[DerivedFigure, ...] = ()
    calendar: tuple[CalendarFact, ...] = ()
    alert_thresholds: tuple[AlertThreshold, ...] = ()
    """In the order of what explains what: fewer visitors make fewer sessions, not the other way round."""
    lookback: int = 0
    """How many earlier periods comparisons and the chart look back."""
    chart_periods: int = 1
    """How many periods the chart of the status page shows, the live one included."""
    periods_in_weeks: Callable[[int], int] = field(default=lambda weeks: weeks)
    """How many periods a history of so many weeks has, the newest included."""

    def metric(self, figure: Field) -> str:
        """The gauge of a field in the live period."""
        return f"{PREFIX}{self.name}_{figure.metric}"

    def comparison_metric(self, comparison: Comparison, figure: Field) -> str:
        """The gauge of a field's comparison value, with the same labels."""
        return f"{PREFIX}{comparison.name}_{figure.metric}"

    @property
    def primary_field(self) -> Field | None:
        """The figure shown where there is room for only one; a report may have none."""
        return next((figure for figure in self.fields if figure.is_primary), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """One row of a report: what WeChat published about one period of one app.

    ``values`` are in the order of ``report.fields``; None is a field that WeChat did not send, zero a figure.
    """

    report: Report
    period: Period
    values: tuple[float | None, ...]
    by_dimension: tuple[tuple[str, str, float], ...] = ()
    """Further figures that have a value for each entrance, retention week or the like: field, dimension, value."""

    def value(self, figure: Field) -> float | None:
        """The figure of one field; None where WeChat did not send it."""
        return self.values[self.report.fields.index(figure)]

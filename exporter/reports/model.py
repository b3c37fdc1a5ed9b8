"""The types of the catalogue: a report, its fields, comparisons and alert thresholds, and a reading of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.periods import Period

PREFIX: Final = "wechat_miniprogram_"
LARGEST_FIGURE: Final = 2**63 - 1
"""The largest INTEGER of SQLite, and so of the store."""


class Unit(Enum):
    """The unit of a figure."""

    COUNT = "count"
    SECONDS = "seconds"
    PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Field:
    """One figure of a report."""

    wechat: str
    """WeChat's name on the wire: ``visit_uv``."""
    metric: str
    """The name in metric names, with the unit: ``visitors``, ``visit_depth_pages``."""
    title: str
    """The title in tables and charts: ``Visitors``."""
    meaning: str
    """A noun phrase with the unit, for HELP texts."""
    unit: Unit
    is_primary: bool = False
    """Whether it is the one figure to show where only one of the report fits."""

    @property
    def camel(self) -> str:
        """WeChat's name in a Cloud Call: ``visitUv``."""
        first, *rest = self.wechat.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def short_name(self) -> str:
        """The name without the unit, in labels and options: ``stay_per_visitor``."""
        return self.metric.removesuffix(f"_{self.unit.value}")

    def is_possible(self, value: object) -> bool:
        """Return whether a value is possible for this field: finite, not negative, and an integer if it is a count."""
        return is_figure(value) and (self.unit is not Unit.COUNT or value == int(value))

    # Pages and the JSON show a count as 1000 and not as 1000.0, although a packed history has doubles only.
    def typed(self, value: float) -> float:
        """Return the value with the type of the unit: an ``int`` for a count."""
        return int(value) if self.unit is Unit.COUNT else value


def is_figure(value: object) -> TypeGuard[float]:
    """Return whether a value is possible for any field: a finite number that is not negative."""
    # bool is a subclass of int, but `true` in a response is no figure. NaN and infinity fail the comparison.
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= LARGEST_FIGURE


class StoredFigures(Protocol):
    """The input of comparisons; implemented by ``history.History``."""

    @property
    def live(self) -> Period | None:
        """The newest period that WeChat has published; None if there is none yet."""
        ...

    def value(self, period: Period | None, figure: Field) -> float | None:
        """Return a figure of a period; None if it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """An earlier value of each figure, exposed with the labels of the live one, so that a ratio is one division."""

    name: str
    """The name in metric names and in the JSON: ``previous_week``."""
    description: str
    """A noun phrase for HELP texts, the status page and the documentation: ``the previous week``."""
    value: Callable[[StoredFigures, Field], float | None]
    """Calculates it from stored figures; a pure function. None if it is unknown."""
    counts_only: bool = False
    """Whether only fields that count have it."""

    def applies_to(self, figure: Field) -> bool:
        """Return whether a field has this comparison."""
        return not self.counts_only or figure.unit is Unit.COUNT


@dataclass(frozen=True, slots=True)
class DerivedFigure:
    """A figure that is calculated from several stored periods and has labels of its own."""

    metric: str
    """The metric name without ``PREFIX``; ``{}`` is replaced by the field's: ``recent_{}``."""
    description: str
    """A noun phrase for HELP texts."""
    fields: tuple[str, ...]
    """WeChat's names of the fields that have it."""
    values: Callable[[StoredFigures, Field], Iterable[tuple[Period, tuple[str, ...], float]]]
    """Calculates the samples: the period of the label, the values of ``labels``, and the value."""
    labels: tuple[str, ...] = ()
    """Further labels beside ``appid`` and the period."""


@dataclass(frozen=True, slots=True)
class CalendarFact:
    """A fact of the public holiday calendar about the live period."""

    metric: str
    """The metric name without ``PREFIX``."""
    help: str
    value: Callable[[Period], float | None]
    """None if the schedule of the year is not published."""
    note: str
    """Shown on the status page if the value is not 0; ``{number}`` is the value, ``{s}`` a plural s."""


@dataclass(frozen=True, slots=True)
class AlertThreshold:
    """The alert threshold of a field."""

    field: Field
    min_ratio: float
    """The default: the ratio to the baseline below which the field alerts."""

    @property
    def option(self) -> str:
        """The configuration option for the ratio: ``visitors_min_ratio``."""
        return f"{self.field.short_name}_min_ratio"


@dataclass(frozen=True, slots=True)
class Report:
    """A report of WeChat: one request returns one row for one period."""

    name: str
    """The value of the labels ``report`` and ``endpoint``, and the name in metrics, store and configuration."""
    title: str
    """The title in headings: ``Weeks``."""
    api: str
    """WeChat's name of the API: ``analysis.getWeeklyVisitTrend``."""
    path: str
    """The path of the API below its base URL."""
    period: type[Period]
    fields: tuple[Field, ...]
    comparisons: tuple[Comparison, ...] = ()
    """The first one is the change on the status page."""
    derived: tuple[DerivedFigure, ...] = ()
    calendar: tuple[CalendarFact, ...] = ()
    alert_thresholds: tuple[AlertThreshold, ...] = ()
    """From cause to effect: fewer visitors cause fewer sessions, so an alert about visitors inhibits the later ones."""
    lookback: int = 0
    """Number of earlier periods that comparisons and the chart need."""
    chart_periods: int = 1
    """Number of periods in the chart of the status page, including the live one."""
    periods_in_weeks: Callable[[int], int] = field(default=lambda weeks: weeks)
    """Returns the number of periods in a history of that many weeks, including the newest."""

    def metric(self, figure: Field) -> str:
        """Return the name of the metric of a field in the live period."""
        return f"{PREFIX}{self.name}_{figure.metric}"

    def comparison_metric(self, comparison: Comparison, figure: Field) -> str:
        """Return the name of the metric of a field's comparison."""
        return f"{PREFIX}{comparison.name}_{figure.metric}"

    @property
    def primary_field(self) -> Field | None:
        """The field to show where only one fits; None if the report has none."""
        return next((figure for figure in self.fields if figure.is_primary), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """One row of a report: the figures that WeChat published about one period of one app.

    ``values`` are in the order of ``report.fields``. None is a field that WeChat did not send; it is not the same as 0.
    """

    report: Report
    period: Period
    values: tuple[float | None, ...]
    by_dimension: tuple[tuple[str, str, float], ...] = ()
    """Figures with a value for each entrance, retention week or similar dimension: field, dimension, value."""

    def value(self, figure: Field) -> float | None:
        """Return the figure of a field; None if WeChat did not send it."""
        return self.values[self.report.fields.index(figure)]

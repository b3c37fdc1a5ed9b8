"""The types of the catalogue: a report, its comparisons and alert thresholds, and a reading of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from exporter.periods import newest_wanted
from exporter.reports.figure_types import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.periods import Period
    from exporter.reports.figure_types import Field

    Sample = tuple[Period, tuple[str, ...], float]
    """Of a derived figure: the period of its label, the values of its further labels, the value."""

PREFIX: Final = "wechat_miniprogram_"


class Shape(Enum):
    """The form of a response; docs/wechat-api.md has an example of each."""

    ROW = "row"
    """``list`` with one row, one number for each field."""
    COHORT = "cohort"
    """For each field a list of keys and values: of the cohort itself (key 0) and of later periods (1, 2, ..)."""
    DISTRIBUTION = "distribution"
    """``list`` with a list of keys and values for each field. Keys with the value 0 are left out."""


class StoredFigures(Protocol):
    """The input of comparisons; implemented by ``history.History``."""

    @property
    def live(self) -> Period | None:
        """The newest period that WeChat has published; None if there is none yet."""
        ...

    def value(self, period: Period | None, figure: Field, key: str = "") -> float | None:
        """Return a figure of a period, or its part with a key; None if it is unknown."""
        ...

    def keys(self, figure: Field, last: Period, number: int) -> tuple[str, ...]:
        """Return the keys of the parts that are above 0 in any of ``number`` periods up to ``last``."""
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
    fields: tuple[str, ...] = ()
    """WeChat's names of the fields that have it; empty: all plain ones."""

    def applies_to(self, figure: Field) -> bool:
        """Return whether a field has this comparison."""
        if self.fields and figure.wechat not in self.fields:
            return False
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
    values: Callable[[StoredFigures, Field], Iterable[Sample]]
    """Calculates the samples; a pure function."""
    labels: tuple[str, ...] = ()
    """Further labels beside ``appid`` and the period."""
    period: type[Period] | None = None
    """The kind of period in its label; None: that of the report."""


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
class CrossCheck:
    """How a reading is compared with that of another report about the same period of the same app."""

    report: str
    """The name of the other report."""
    believe: Callable[[Reading, Reading | None], Reading | None] | None = None
    """Returns the reading, possibly completed from the other one; None if it contradicts the other one."""
    totals: tuple[str, str] | None = None
    """WeChat's names of two fields, of the report and of the other one, that should be equal."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report of WeChat: one request returns the figures of one period."""

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
    """The first one is the change on the pages."""
    derived: tuple[DerivedFigure, ...] = ()
    calendar: tuple[CalendarFact, ...] = ()
    """The first one is about the live period itself, and marks holidays in tables and charts."""
    alert_thresholds: tuple[AlertThreshold, ...] = ()
    """From cause to effect: fewer visitors cause fewer sessions, so an alert about visitors inhibits the later ones."""
    lookback: int = 0
    """Number of earlier periods that comparisons and the chart need."""
    chart_periods: int = 1
    """Number of periods in the chart of the status page, including the live one."""
    periods_in_weeks: Callable[[int], int] = field(default=lambda weeks: weeks)
    """Returns the number of periods in a history of that many weeks, including the newest."""
    prefix: str = ""
    """What the names of its metrics begin with; empty: ``name``."""
    shape: Shape = Shape.ROW
    later: int = 0
    """Number of later periods in each of which the report gains a key: 4 for cohorts of weeks; 0 for all others."""
    check: CrossCheck | None = None
    has_end_metric: bool = True
    """Whether a gauge has the end of the live period under its label; one report of each kind of period has it."""

    @property
    def plain_fields(self) -> tuple[Field, ...]:
        """The fields with one value per period."""
        return tuple(figure for figure in self.fields if figure.dimension is None)

    def newest_wanted(self, now: float, ready_after: float) -> Period:
        """Return the newest period that may be requested, ``ready_after`` seconds after its figures are complete.

        A cohort is first requested one period later: until then it has no other figures than the trend report.
        """
        return newest_wanted(self.period, now, ready_after).before(min(self.later, 1))

    def wanted_key(self, period: Period, newest: Period) -> int:
        """Return the key that a period should have when ``newest`` is the newest wanted one; 0 without cohorts."""
        return min(self.later, newest.periods_since(period) + 1)

    def known_from(self, period: Period, newest: Period) -> float:
        """Return when the wanted key of a period became known, Unix seconds: its end, or that of a later period."""
        return period.before(-self.wanted_key(period, newest)).end

    def metric(self, figure: Field) -> str:
        """Return the name of the metric of a field in the live period."""
        return f"{PREFIX}{self.prefix or self.name}_{figure.metric}"

    def comparison_metric(self, comparison: Comparison, figure: Field) -> str:
        """Return the name of the metric of a field's comparison."""
        return f"{PREFIX}{comparison.name}_{figure.metric}"

    @property
    def primary_field(self) -> Field | None:
        """The field to show where only one fits; None if the report has none."""
        return next((figure for figure in self.fields if figure.is_primary), None)


@dataclass(frozen=True, slots=True)
class Reading:
    """The figures that WeChat published in one report about one period of one app.

    ``values`` are in the order of ``report.fields``. None is a field that WeChat did not send; it is not the same as 0.
    """

    report: Report
    period: Period
    values: tuple[float | None, ...]
    by_dimension: tuple[tuple[str, str, float], ...] = ()
    """The parts of figures, sorted: WeChat's name of the field, key, value."""

    @property
    def last_key(self) -> int:
        """The last key that all figures of a cohort have, which is a number of periods; 0 if one of them has none.

        A figure whose cohort is empty will never have one, so it does not count.
        """
        if not self.report.later:
            return 0
        last = {field.wechat: 0 for field, size in zip(self.report.fields, self.values, strict=True) if size}
        for name, key, _ in self.by_dimension:
            last[name] = max(last.get(name, 0), int(key))
        return min(last.values(), default=0)

    @property
    def is_complete(self) -> bool:
        """Whether WeChat will add no more keys to it."""
        return self.last_key >= self.report.later

    def completed_by(self, earlier: Reading) -> Reading:
        """Return a cohort with what an earlier response about it had and this one does not have.

        Later keys only appear, so one that is not there any more was left out, not withdrawn.
        """
        parts = {(name, key): value for name, key, value in (*earlier.by_dimension, *self.by_dimension)}
        values = tuple(
            before if value is None else value for value, before in zip(self.values, earlier.values, strict=True)
        )
        by_dimension = tuple(sorted((name, key, value) for (name, key), value in parts.items()))
        return replace(self, values=values, by_dimension=by_dimension)

    def value(self, figure: Field) -> float | None:
        """Return the figure of a field; None if WeChat did not send it."""
        return self.values[self.report.fields.index(figure)]

    def part(self, figure: Field, key: str) -> float | None:
        """Return the part of a figure with a key; None if it is unknown."""
        place = bisect_left(self.by_dimension, (figure.wechat, key), key=lambda part: part[:2])
        for name, found, value in self.by_dimension[place : place + 1]:
            if (name, found) == (figure.wechat, key):
                return value
        is_zero = figure.dimension is not None and figure.dimension.absent_is_zero and self.value(figure) is not None
        return 0 if is_zero else None

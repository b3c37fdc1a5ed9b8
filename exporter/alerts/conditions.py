"""Conditions of the alerts about figures, each in two forms side by side: on stored figures, and in PromQL.

The status page evaluates the first form and Prometheus the second. tests/test_conditions.py lets promtool evaluate
both on the same apps.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from typing import TYPE_CHECKING, Protocol

from exporter import promql
from exporter.reports import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.reports import Field, History, Report


@dataclass(frozen=True, slots=True)
class Operand:
    """A figure of the live period, or one that it is compared with: the same number as a value and as a metric."""

    report: Report
    metric: str
    """The full name of the metric."""
    calculate: Callable[[History], float | None]
    """The value; None where it is not known, and the metric then has no sample."""
    matchers: str = ""
    description: str = ""
    """For people: ``the typical week``."""

    def value(self, history: History) -> float | None:
        """Return the number; None where it is not known."""
        return self.calculate(history)

    @property
    def labels(self) -> tuple[str, str]:
        """What names its subject: the app and the period."""
        return "appid", self.report.period.NAME

    @property
    def promql(self) -> str:
        """One sample for each app and period, however many exporters and instances there are or were."""
        return promql.per_app_and_period(self.report, promql.selector(self.metric, self.matchers))


def live(report: Report, field: Field) -> Operand:
    """Return the figure of the live period."""
    return Operand(report, report.metric(field), lambda history: history.live_value(field))


def compared(report: Report, name: str, field: Field, description: str = "") -> Operand:
    """Return a comparison figure, by the name of the comparison in the catalogue."""
    comparison = next(each for each in report.comparisons if each.name == name)
    metric = report.comparison_metric(comparison, field)
    return Operand(report, metric, lambda history: comparison.value(history, field), description=description)


def derived(report: Report, pattern: str, field: Field, labels: tuple[str, ...] = (), description: str = "") -> Operand:
    """Return a derived figure, by its name in the catalogue and the values of its further labels."""
    entry = next(each for each in report.derived if each.metric == pattern)

    def calculate(history: History) -> float | None:
        return next((value for _, values, value in entry.values(history, field) if values == labels), None)

    matchers = promql.join_matchers(*(f'{name}="{value}"' for name, value in zip(entry.labels, labels, strict=True)))
    return Operand(report, PREFIX + pattern.format(field.metric), calculate, matchers, description)


@dataclass(frozen=True, slots=True)
class Proportion:
    """One count as a proportion of another: how many of a cohort came back."""

    part: Operand
    whole: Operand
    description: str = ""
    """For people: ``the previous week's``."""

    def value(self, history: History) -> float | None:
        """Return the proportion; None where a count is not known or the whole is 0."""
        part, whole = self.part.value(history), self.whole.value(history)
        return None if part is None or not whole else part / whole

    @property
    def labels(self) -> tuple[str, str]:
        """What names its subject: the app and the period."""
        return self.part.labels

    @property
    def promql(self) -> str:
        """One sample for each app and period; none where the whole is 0."""
        return f"({promql.ratio(self.part.promql, self.whole.promql)})"


class Condition(Protocol):
    """One condition of a drop."""

    def holds(self, history: History) -> bool:
        """Whether it holds for the stored figures of an app."""
        ...

    def clause(self, on: str) -> str:
        """Return it as a PromQL clause that removes the apps for which it does not hold; ``on`` names the labels."""
        ...


@dataclass(frozen=True, slots=True)
class BeyondChance:
    """A count dropped by more than chance: ``(base - now) / sqrt(base + now) > z``, for two Poisson counts.

    What one visitor does several times is not several chances. The noise of sessions and page visits is that of the
    visitors behind them, each worth as many sessions as usual: ``visitors`` is the base of these visitors.
    """

    now: Operand
    base: Operand
    z: float
    visitors: Operand | None = None

    def holds(self, history: History) -> bool:
        """Whether the drop is larger than chance; False where a figure is not known."""
        now, base = self.now.value(history), self.base.value(history)
        visitors = base if self.visitors is None else self.visitors.value(history)
        if now is None or not base or not visitors:
            return False
        return (base - now) / sqrt((base + now) * base / visitors) > self.z

    def clause(self, on: str) -> str:
        """Return ``and ((base - now) / sqrt(..) > z)``."""
        now, base = self.now.promql, self.base.promql
        each = "" if self.visitors is None else f" * {base} / {self.visitors.promql}"
        return f"and on ({on})\n(({base} - {now})\n/\nsqrt(({base} + {now}){each}) > {self.z:g})"


@dataclass(frozen=True, slots=True)
class ProportionBeyondChance:
    """A proportion dropped by more than chance: ``(base - now) / standard error > z``, for two binomial proportions.

    The standard error is that of two samples of one population: ``sqrt(p * (1 - p) * (1 / n + 1 / m))``, where p is the
    proportion in both samples together, and n and m are their sizes.
    """

    now: Proportion
    base: Proportion
    z: float

    def holds(self, history: History) -> bool:
        """Whether the drop is larger than chance; False where a count is not known."""
        counts = [each.value(history) for each in self._counts]
        if None in counts:
            return False
        now, of_now, base, of_base = (value or 0 for value in counts)
        if not of_now or not of_base:
            return False
        pooled = (now + base) / (of_now + of_base)
        variance = pooled * (1 - pooled) * (1 / of_now + 1 / of_base)
        return variance > 0 and (base / of_base - now / of_now) / sqrt(variance) > self.z

    def clause(self, on: str) -> str:
        """Return ``and ((base - now) / sqrt(..) > z)``."""
        now, of_now, base, of_base = (each.promql for each in self._counts)
        pooled = f"({now} + {base}) / ({of_now} + {of_base})"
        return (
            f"and on ({on})\n(({base} / {of_base} - {now} / {of_now})\n/\n"
            f"sqrt({pooled}\n* (1 - {pooled})\n* (1 / {of_now} + 1 / {of_base})) > {self.z:g})"
        )

    @property
    def _counts(self) -> tuple[Operand, Operand, Operand, Operand]:
        return self.now.part, self.now.whole, self.base.part, self.base.whole


@dataclass(frozen=True, slots=True)
class AtLeast:
    """An average or a proportion is one of enough visitors."""

    operand: Operand
    least: int

    def holds(self, history: History) -> bool:
        """Whether there are so many; False where it is not known."""
        value = self.operand.value(history)
        return value is not None and value >= self.least

    def clause(self, on: str) -> str:
        """Return ``and (operand >= least)``."""
        return f"and on ({on})\n({self.operand.promql} >= {self.least})"


@dataclass(frozen=True, slots=True)
class NoHoliday:
    """No public holiday explains the drop; a year without a published schedule counts as one without holidays."""

    report: Report
    fact: str
    """The calendar's metric, without ``PREFIX``."""

    def holds(self, history: History) -> bool:
        """Whether the calendar has none."""
        fact = next(each for each in self.report.calendar if each.metric == self.fact)
        return history.live is None or not fact.value(history.live)

    def clause(self, on: str) -> str:
        """Return ``unless (holidays > 0)``."""
        return f"unless on ({on})\n({promql.per_app_and_period(self.report, PREFIX + self.fact)} > 0)"


@dataclass(frozen=True, slots=True)
class BelowIfKnown:
    """The figure is also below a share of another one, where that is known."""

    now: Operand
    other: Operand
    share: float = 1.0

    def holds(self, history: History) -> bool:
        """Whether it is below, or there is nothing to be below."""
        now, other = self.now.value(history), self.other.value(history)
        return now is None or other is None or now < self.share * other

    def clause(self, on: str) -> str:
        """Return ``unless (now >= share * other)``."""
        share = "" if self.share == 1.0 else f"{self.share:g} * "
        return f"unless on ({on})\n({self.now.promql} >= {share}{self.other.promql})"


@dataclass(frozen=True, slots=True)
class NotKnown:
    """A better base is not known."""

    operand: Operand

    def holds(self, history: History) -> bool:
        """Whether it is not known."""
        return self.operand.value(history) is None

    def clause(self, on: str) -> str:
        """Return ``unless operand``."""
        return f"unless on ({on})\n{self.operand.promql}"


@dataclass(frozen=True, slots=True)
class BeyondNoise:
    """The drop is larger than the app's own variation: ``ln(now / base) < -times * max(least, noise)``."""

    now: Operand | Proportion
    base: Operand | Proportion
    noise: Operand
    times: float
    least: float

    def holds(self, history: History) -> bool:
        """Whether it is larger; True where the variation is not known."""
        now, base = self.now.value(history), self.base.value(history)
        if now is None or not base:
            return False
        noise = self.noise.value(history)
        return noise is None or now / base < exp(-self.times * max(self.least, noise))

    def clause(self, on: str) -> str:
        """Return ``unless (now / base >= exp(..))``."""
        ratio = promql.ratio(self.now.promql, self.base.promql)
        return f"unless on ({on})\n({ratio}\n>= exp(-{self.times:g} * clamp_min({self.noise.promql}, {self.least:g})))"

"""The rules about figures that drop: their baselines, shares of the threshold and conditions.

docs/alerts.md, "Why these rules", has what benchmarks/alerts.py measured about them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from exporter.alerts.conditions import (
    AtLeast,
    BelowIfKnown,
    BeyondChance,
    BeyondNoise,
    NoHoliday,
    NotKnown,
    Proportion,
    ProportionBeyondChance,
    compared,
    derived,
    live,
)
from exporter.reports import Unit
from exporter.reports.catalogue import DAILY, DAILY_SUMMARY, WEEKLY, WEEKLY_RETENTION
from exporter.reports.fields import NEW_VISITORS, SHARERS, VISITORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.conditions import Condition, Operand
    from exporter.alerts.model import Severity
    from exporter.apps import AppStatus
    from exporter.reports import AlertThreshold, Field, History, Report, Thresholds

COLLAPSED = Fraction(4, 10)
"""Of the baseline, where the app has the default threshold; it scales with the app's own threshold."""
CHANCE, CHANCE_OF_DAYS, CHANCE_OF_TWO_DAYS = 3, 3.5, 4
"""Standard deviations of chance by which a count must drop: a week, three days, one or two days."""
ENOUGH_VISITORS = 200
"""Minimum number of visitors behind an average (stay, depth) or a proportion (retention), now and in its baseline."""
BELOW_LOWEST = 0.9
"""Of the lowest ordinary week: a week no lower than that is within the app's own variation."""
NOISE_TIMES, NOISE_LEAST = 2, 0.05
"""A drop of days must exceed so many times the variation of the app, which counts as at least so much."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A figure, what it is compared with, and the conditions under which a low ratio is a drop."""

    now: Operand | Proportion
    base: Operand | Proportion
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class DropRule:
    """One kind of alert about one figure."""

    kind: str
    """What follows the figure in the alert's name: ``Collapsed``."""
    severity: Severity
    report: Report
    threshold: AlertThreshold
    share: Fraction
    """Of the app's threshold."""
    baselines: tuple[Baseline, ...]
    """At most one of them applies to an app at a time."""
    subject: str = ""
    """What the alert is about, if it is not the field itself: ``retention``."""
    subject_title: str = ""
    """The same as a title."""

    @property
    def field(self) -> Field:
        """The field of the figure."""
        return self.threshold.field

    @property
    def figure(self) -> str:
        """The value of the label ``figure``: ``new_visitors``."""
        return self.subject or self.field.short_name

    @property
    def title(self) -> str:
        """The figure in texts: ``New visitors``."""
        return self.subject_title or self.field.title

    @property
    def name(self) -> str:
        """The alert's name without the common prefix: ``NewVisitorsCollapsed``."""
        return "".join(word.capitalize() for word in self.figure.split("_")) + self.kind

    def drop(self, history: History, threshold: float) -> Drop | None:
        """Return the drop that the rule finds in stored figures; None if it finds none."""
        for each in self.baselines:
            now, base = each.now.value(history), each.base.value(history)
            if now is None or not base or now / base >= threshold * self.share.numerator / self.share.denominator:
                continue
            if all(condition.holds(history) for condition in each.conditions):
                return Drop(self, each, now, base)
        return None


@dataclass(frozen=True, slots=True)
class Drop:
    """One figure of the live period that is too low."""

    rule: DropRule
    baseline: Baseline
    now: float
    base: float

    @property
    def ratio(self) -> float:
        """What is left of the baseline."""
        return self.now / self.base


def find_drops(status: AppStatus, report: Report) -> Iterator[Drop]:
    """Return every drop of an app's report, the most severe of each figure first."""
    of = status.of(report)
    return iter(()) if of is None else drops_of(of.history, status.thresholds)


def drops_of(history: History, thresholds: Thresholds) -> Iterator[Drop]:
    """Yield every drop in stored figures, the most severe of each figure first."""
    for rule in RULES:
        if rule.report is history.report:
            drop = rule.drop(history, thresholds.of(history.report, rule.threshold))
            if drop is not None:
                yield drop


def _weekly(threshold: AlertThreshold) -> Iterator[DropRule]:
    field = threshold.field
    now = live(WEEKLY, field)
    typical = compared(WEEKLY, "typical_week", field, "the typical week")
    previous = compared(WEEKLY, "previous_week", field, "the previous week")
    this_week, week_before = (NoHoliday(WEEKLY, fact.metric) for fact in WEEKLY.calendar)
    to_typical = Baseline(now, typical, (*_significant(now, typical, field, "typical_week"), this_week))
    significant = _significant(now, previous, field, "previous_week")
    to_previous = Baseline(now, previous, (*significant, this_week, week_before))
    counts = field.unit is Unit.COUNT
    lowest = (BelowIfKnown(now, compared(WEEKLY, "lowest_week", field, ""), BELOW_LOWEST),) if counts else ()
    share = COLLAPSED / Fraction(str(threshold.min_ratio))
    yield DropRule(
        "Collapsed", "critical", WEEKLY, threshold, share, (to_typical, _with(to_previous, NotKnown(typical)))
    )
    yield DropRule("BelowNormal", "warning", WEEKLY, threshold, Fraction(1), (_with(to_typical, *lowest),))
    # With a typical week, a drop from the previous week alone is chance or the end of a rise: with 15 % variation it
    # raised 1.9 false alerts per app and year, and found 1 % more of the real drops.
    yield DropRule("Dropped", "warning", WEEKLY, threshold, Fraction(1), (_with(to_previous, NotKnown(typical)),))


def _significant(now: Operand, base: Operand, field: Field, comparison: str) -> tuple[Condition, ...]:
    visitors = compared(WEEKLY, comparison, VISITORS, "")
    if field.unit is not Unit.COUNT:
        return AtLeast(live(WEEKLY, VISITORS), ENOUGH_VISITORS), AtLeast(visitors, ENOUGH_VISITORS)
    return (BeyondChance(now, base, CHANCE, _behind(field, visitors)),)


def _with(baseline: Baseline, *conditions: Condition) -> Baseline:
    return Baseline(baseline.now, baseline.base, (*baseline.conditions, *conditions))


def _behind(field: Field, visitors: Operand) -> Operand | None:
    """Return the visitors behind a count; None if each of its units is one visitor."""
    return None if field in (VISITORS, NEW_VISITORS) else visitors


def _daily(threshold: AlertThreshold) -> Iterator[DropRule]:
    noise = derived(DAILY, "daily_{}_noise_ratio", threshold.field)
    three = _days(threshold.field, 3, CHANCE_OF_DAYS)
    beyond = BeyondNoise(three.now, three.base, noise, NOISE_TIMES, NOISE_LEAST)
    share = COLLAPSED / Fraction(str(threshold.min_ratio))
    yield DropRule(
        "DailyCollapsed", "critical", DAILY, threshold, share, (_days(threshold.field, 2, CHANCE_OF_TWO_DAYS),)
    )
    yield DropRule("DailyDropped", "warning", DAILY, threshold, Fraction(1), (_with(three, beyond),))


def _days(field: Field, days: int, z: float) -> Baseline:
    labels = (str(days),)
    now = derived(DAILY, "recent_{}", field, labels)
    base = derived(DAILY, "typical_recent_{}", field, labels, f"what is typical of the last {days} ordinary days")
    visitors = derived(DAILY, "typical_recent_{}", VISITORS, labels)
    return Baseline(now, base, (BeyondChance(now, base, z, _behind(field, visitors)),))


def _shares(threshold: AlertThreshold) -> Iterator[DropRule]:
    # Judged by those who share: one of them may share many times.
    now, typical, sharers = (
        live(DAILY_SUMMARY, threshold.field),
        compared(DAILY_SUMMARY, "typical_weekday", threshold.field, "the typical weekday"),
        compared(DAILY_SUMMARY, "typical_weekday", SHARERS),
    )
    beyond = BeyondChance(now, typical, CHANCE_OF_TWO_DAYS, sharers)
    ordinary = NoHoliday(DAILY_SUMMARY, DAILY_SUMMARY.calendar[0].metric)
    baseline = Baseline(now, typical, (beyond, ordinary))
    yield DropRule("Dropped", "warning", DAILY_SUMMARY, threshold, Fraction(1), (baseline,))


def _retention(threshold: AlertThreshold) -> Iterator[DropRule]:
    def count(pattern: str) -> Operand:
        return derived(WEEKLY_RETENTION, pattern, threshold.field, ("1",))

    now = Proportion(count("weekly_retained_{}"), count("weekly_cohort_{}"))
    base = Proportion(
        count("previous_week_retained_{}"), count("previous_week_cohort_{}"), description="the previous week's"
    )
    conditions: tuple[Condition, ...] = (
        AtLeast(now.whole, ENOUGH_VISITORS),
        AtLeast(base.whole, ENOUGH_VISITORS),
        ProportionBeyondChance(now, base, CHANCE),
        # The weeks in which the cohorts came back: the week after the cohort's own, and its own, which is the week
        # after the previous cohort's. A holiday changes who comes back, in either direction.
        *(NoHoliday(WEEKLY_RETENTION, fact.metric) for fact in WEEKLY_RETENTION.calendar),
    )
    baseline = Baseline(now, base, conditions)
    yield DropRule(
        "Dropped",
        "warning",
        WEEKLY_RETENTION,
        threshold,
        Fraction(1),
        (baseline,),
        subject="retention",
        subject_title="Retention of new visitors",
    )


RULES = tuple(
    rule
    for report, of_figure in (
        (DAILY, _daily),
        (DAILY_SUMMARY, _shares),
        (WEEKLY, _weekly),
        (WEEKLY_RETENTION, _retention),
    )
    for threshold in report.alert_thresholds
    for rule in of_figure(threshold)
)
"""Every rule: days before weeks, then by figure, the most severe of each figure first."""

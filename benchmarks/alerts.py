"""How often the alerts about figures are false, and which falls they find, on synthetic fleets of apps.

    python benchmarks/alerts.py --apps 100

Each app has its own trend, visitors by weekday, holidays of the official calendar, variation of its own (log-normal)
and chance (Poisson). Each line is a fleet: false alerts for each app and year without any fall, and the share of falls
that are found. An office app has 0.45 of its visitors on days off, a leisure app 1.3 on weekends and 1.6 on holidays.

The conditions are those of the exporter (exporter/alerts/drops.py); tests/test_conditions.py evaluates them and the
rules of Prometheus on a sample of these fleets.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from math import exp, sqrt
from random import Random
from statistics import mean, median
from typing import TYPE_CHECKING

from exporter.alerts.conditions import BeyondChance, NoHoliday, Operand, compared, live
from exporter.alerts.drops import CHANCE, RULES, Baseline, DropRule
from exporter.holidays import is_day_off, is_irregular
from exporter.periods import Day, Week
from exporter.reports import DAILY, WEEKLY, History, Reading, StoredReading
from exporter.reports.fields import VISITORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exporter.periods import Period
    from exporter.reports import Report

FIRST = Week(date(2022, 8, 1))
WARM_UP, JUDGED = 22, 122
"""Weeks before anything is judged, and judged weeks (two years and a third: 2023 to April 2025)."""
FALL, COLLAPSE = 0.45, 0.7
"""Shares of the visitors that are lost."""
NORMAL_FROM = 50
"""Expected visitors from which a normal distribution takes the place of Poisson's."""
EACH = 13
"""Weeks from one injected fall to the next, each in a copy of the app."""


@dataclass(frozen=True)
class Fleet:
    """Apps of one kind."""

    kind: str
    """``office`` or ``leisure``."""
    visitors: int
    """In an ordinary week."""
    week_noise: float
    """Variation from week to week, as a standard deviation of the logarithm; chance comes on top."""
    day_noise: float = 0.1
    """Variation from day to day."""


@dataclass
class Tally:
    """What the alerts did in one fleet."""

    years: float = 0.0
    false: int = 0
    falls: int = 0
    found: list[int] = field(default_factory=list)
    """For each fall that was found: after how many periods."""
    collapses: int = 0
    critical: list[int] = field(default_factory=list)


class App:
    """One app: the expected visitors of each day, and rows of figures drawn from them."""

    def __init__(self, fleet: Fleet, seed: object) -> None:
        self.random = Random(f"{fleet} {seed}")  # noqa: S311 (figures, no secrets)
        self._fleet = fleet
        self._growth = self.random.uniform(-0.2, 0.3)
        usual = mean(share(fleet.kind, day) for day in FIRST.days)
        self._of_day = fleet.visitors / 7 / usual
        self._noise_of_week: dict[Week, float] = {}

    def expected(self, day: date) -> float:
        """Return the expected visitors of a day."""
        week = Week.containing_day(day)
        if week not in self._noise_of_week:
            self._noise_of_week[week] = exp(self.random.gauss(0, self._fleet.week_noise))
        growth = (1 + self._growth) ** ((day - FIRST.first).days / 365)
        return self._of_day * share(self._fleet.kind, day) * growth * self._noise_of_week[week]

    def week(self, week: Week, left: float = 1.0) -> int:
        """Return the visitors of a week, of whom a share is left."""
        return chance(self.random, left * sum(self.expected(day) for day in week.days))

    def day(self, day: Day, left: float = 1.0) -> int:
        """Return the visitors of a day, of whom a share is left."""
        noise = exp(self.random.gauss(0, self._fleet.day_noise))
        return chance(self.random, left * noise * self.expected(day.first))


def share(kind: str, day: date) -> float:
    """Return the visitors of a day, relative to an ordinary working day."""
    off = is_day_off(day)
    if kind == "office":
        return 0.45 if off else 1.0
    return (1.6 if is_irregular(Day(day)) else 1.3) if off else 1.0


def chance(random: Random, expected: float) -> int:
    """Return a number drawn from a Poisson distribution; a normal one where that is the same."""
    if expected > NORMAL_FROM:
        return max(0, round(random.gauss(expected, sqrt(expected))))
    limit, product, number = exp(-expected), random.random(), 0
    while product > limit:
        product *= random.random()
        number += 1
    return number


def previous_rules() -> tuple[DropRule, ...]:
    """Return the rules of the first version: the median of the four weeks before, and the previous week."""
    (threshold,) = (each for each in WEEKLY.alert_thresholds if each.field is VISITORS)
    now, previous = live(WEEKLY, VISITORS), compared(WEEKLY, "previous_week", VISITORS, "")
    four = Operand(WEEKLY, "", _median_of_four)
    this_week, week_before = (NoHoliday(WEEKLY, fact.metric) for fact in WEEKLY.calendar)
    to_previous = Baseline(now, previous, (BeyondChance(now, previous, CHANCE), this_week, week_before))
    to_median = Baseline(now, four, (BeyondChance(now, four, CHANCE), this_week))
    return (
        DropRule("Collapsed", "critical", WEEKLY, threshold, Fraction(4, 7), (to_previous,)),
        DropRule("BelowNormal", "warning", WEEKLY, threshold, Fraction(1), (to_median,)),
        DropRule("Dropped", "warning", WEEKLY, threshold, Fraction(1), (to_previous,)),
    )


def _median_of_four(history: History) -> float | None:
    if history.live is None:
        return None
    values = [history.value(history.live.before(number), VISITORS) for number in range(1, 5)]
    known = [value for value in values if value is not None]
    return median(known) if len(known) == len(values) else None


def rules_of(report: Report) -> tuple[DropRule, ...]:
    """Return the exporter's rules about visitors of a report."""
    return tuple(rule for rule in RULES if rule.report is report and rule.field is VISITORS)


def judge(fleet: Fleet, report: Report, rules: Sequence[DropRule], apps: int, seed: int) -> Tally:
    """Return what some rules did to a fleet's visitors, by week or by day.

    A run of alerts in successive days is one false alert; each week is its own. Every thirteen weeks a copy of the app
    falls, for good, from a Monday (weeks) or a Wednesday (days), and is followed for two weeks or five days.
    """
    tally = Tally()
    for number in range(apps):
        app, history = App(fleet, (seed, number)), History(report)
        draw = app.week if report is WEEKLY else app.day
        alerting = False
        for period in periods(report):
            weeks = (period.first - FIRST.first).days // 7
            if weeks >= WARM_UP:
                if begins_fall(report, period, number):
                    follow(tally, history, period, draw, rules)
                tally.years += 1 / (52 if report is WEEKLY else 365)
            history = history.with_reading(reading(report, period, draw(period)))
            kinds = fired(rules, history) if weeks >= WARM_UP else set()
            tally.false += bool(kinds) and (report is WEEKLY or not alerting)
            alerting = bool(kinds)
    return tally


def follow(tally: Tally, history: History, period: Period, draw: Callable[..., int], rules: Sequence[DropRule]) -> None:
    """Let a copy of the app lose visitors from a period on, and count what is found."""
    length = 2 if history.report is WEEKLY else 5
    for lost, found, wanted in ((FALL, tally.found, None), (COLLAPSE, tally.critical, "critical")):
        copy = history
        for after in range(length):
            later = period.before(-after)
            copy = copy.with_reading(reading(history.report, later, draw(later, 1 - lost)))
            severities = fired(rules, copy)
            if severities and wanted in {None, *severities}:
                found.append(after + 1)
                break
    tally.falls += 1


def fired(rules: Sequence[DropRule], history: History) -> set[str]:
    """Return the severities of the rules that find a fall."""
    return {rule.severity for rule in rules if rule.drop(history, rule.threshold.min_ratio) is not None}


def begins_fall(report: Report, period: Period, number: int) -> bool:
    """Whether a copy of an app falls from a period on; the apps take turns."""
    weeks = (period.first - FIRST.first).days // 7
    weekday = 0 if report is WEEKLY else 2
    return (weeks + number) % EACH == 0 and period.first.weekday() == weekday


def periods(report: Report) -> Sequence[Period]:
    """Return the periods of a report that a fleet lives through."""
    if report is WEEKLY:
        return [FIRST.before(-number) for number in range(WARM_UP + JUDGED)]
    return [Day(FIRST.first).before(-number) for number in range(7 * (WARM_UP + JUDGED))]


def reading(report: Report, period: Period, visitors: int) -> StoredReading:
    """Return what is stored of a period: visitors alone."""
    values = tuple(visitors if figure is VISITORS else None for figure in report.fields)
    return StoredReading(Reading(report, period, values), 0.0)


def line(name: str, fleet: Fleet, variation: float, tally: Tally, report: Report) -> str:
    """Return one line of the table."""
    unit = "week" if report is WEEKLY else "day"
    soon, late = (1, 2) if report is WEEKLY else (3, 5)
    found, critical = tally.found, tally.critical
    total = tally.falls

    def by(times: list[int], limit: int) -> str:
        return f"{sum(each <= limit for each in times) / total:.0%}"

    return " | ".join(
        (
            name,
            fleet.kind,
            f"{fleet.visitors:,}",
            f"{variation:.0%}",
            f"{tally.false / tally.years:.2f}",
            f"{by(found, soon)} by {unit} {soon}, {by(found, late)} by {unit} {late}",
            f"{by(critical, 2)} by {unit} 2",
        )
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=100, help="Apps of each fleet judged by weeks.")
    parser.add_argument("--daily-apps", type=int, default=20, help="Apps of each fleet judged by days.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("rules | kind | visitors | variation | false per app and year | 45 % lost: found | 70 % lost: critical")
    for kind in ("office", "leisure"):
        for visitors, variation in ((150, 0.08), (1000, 0.08), (1000, 0.15), (10_000, 0.08), (10_000, 0.15)):
            # The variation is that of the figures: chance is a part of it.
            fleet = Fleet(kind, visitors, sqrt(max(variation**2 - 1 / visitors, 0.05**2)))
            for name, rules in (
                ("weekly, first version", previous_rules()),
                ("weekly, with Dropped always", (*rules_of(WEEKLY), previous_rules()[-1])),
                ("weekly", rules_of(WEEKLY)),
            ):
                tally = judge(fleet, WEEKLY, rules, options.apps, options.seed)
                print(line(name, fleet, variation, tally, WEEKLY), flush=True)
    for kind in ("office", "leisure"):
        for visitors, variation in ((150, 0.1), (1000, 0.1), (1000, 0.2), (10_000, 0.1)):
            fleet = Fleet(kind, visitors, 0.05, variation)
            tally = judge(fleet, DAILY, rules_of(DAILY), options.daily_apps, options.seed)
            print(line("daily", fleet, variation, tally, DAILY), flush=True)


if __name__ == "__main__":
    main()

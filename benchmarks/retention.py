"""How often RetentionDropped is false, and which falls of retention it finds, on synthetic fleets of apps.

    python benchmarks/retention.py --apps 200

Each app has new visitors by week like the visitors of benchmarks/alerts.py (trend, weekdays, holidays, variation,
chance). A quarter of them come back in the following week, with variation from cohort to cohort (log-normal), chance
(binomial), and in proportion to the visits of the following week, which holidays change. Each line is a fleet: false
alerts for each app and year, and the share of falls of retention to a half that are found, which is possible in one
week only: in the next one both cohorts are low.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from math import exp, sqrt
from statistics import mean
from typing import TYPE_CHECKING

from alerts import EACH, FIRST, JUDGED, WARM_UP, App, Fleet, chance, share

from exporter.alerts.conditions import NoHoliday, ProportionBeyondChance
from exporter.alerts.drops import RULES, DropRule
from exporter.reports import WEEKLY_RETENTION, History, Reading, StoredReading

if TYPE_CHECKING:
    from random import Random

    from exporter.alerts.conditions import Condition
    from exporter.periods import Week

COME_BACK = 0.25
FALL = 0.5
NORMAL_FROM = 50
"""Expected number from which a normal distribution is close to a binomial one."""


def rules() -> dict[str, DropRule]:
    """Return the exporter's rule, and others with fewer conditions, by name."""
    (now,) = (rule for rule in RULES if rule.report is WEEKLY_RETENTION)
    conditions = now.baselines[0].conditions
    following = next(each for each in conditions if isinstance(each, NoHoliday) and each.fact.startswith("following"))
    return {
        "now": now,
        "now, threshold 0.6": replace(now, threshold=replace(now.threshold, min_ratio=0.6)),
        "holidays after the cohort only": _with(
            now, *(each for each in conditions if not isinstance(each, NoHoliday)), following
        ),
        "holidays not considered": _with(now, *(each for each in conditions if not isinstance(each, NoHoliday))),
        "chance not considered": _with(
            now, *(each for each in conditions if not isinstance(each, ProportionBeyondChance))
        ),
    }


def _with(rule: DropRule, *conditions: Condition) -> DropRule:
    return replace(rule, baselines=(replace(rule.baselines[0], conditions=conditions),))


def binomial(random: Random, number: int, probability: float) -> int:
    """Return how many of a number come back; approximated by a normal or a Poisson distribution."""
    expected = number * min(1.0, probability)
    if expected < NORMAL_FROM:
        return min(number, chance(random, expected))
    return min(number, max(0, round(random.gauss(expected, sqrt(expected * (1 - min(1.0, probability)))))))


def cohort(app: App, kind: str, week: Week, variation: float, left: float = 1.0) -> StoredReading:
    """Return a cohort and how many of it came back, of whom a share is left."""
    size = app.week(week)
    usual = mean(share(kind, day) for day in FIRST.days)
    activity = mean(share(kind, day) for day in week.before(-1).days) / usual
    rate = COME_BACK * activity * exp(app.random.gauss(0, variation))
    back = binomial(app.random, size, left * rate)
    return StoredReading(Reading(WEEKLY_RETENTION, week, (None, size), (("visit_uv_new", "1", back),)), 0.0)


def judge(fleet: Fleet, variation: float, rule: DropRule, apps: int, seed: int) -> tuple[float, float]:
    """Return the false alerts for each app and year, and the share of falls that are found."""
    false = falls = found = 0
    for number in range(apps):
        app, history = App(fleet, (seed, number)), History(WEEKLY_RETENTION)
        for place in range(WARM_UP + JUDGED):
            week = FIRST.before(-place)
            if place >= WARM_UP and (place + number) % EACH == 0:
                fallen = history.with_reading(cohort(app, fleet.kind, week, variation, 1 - FALL))
                falls += 1
                found += rule.drop(fallen, rule.threshold.min_ratio) is not None
            history = history.with_reading(cohort(app, fleet.kind, week, variation))
            false += place >= WARM_UP and rule.drop(history, rule.threshold.min_ratio) is not None
    return false / (apps * JUDGED / 52), found / falls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=200, help="Apps of each fleet.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("rule | kind | new visitors a week | variation | false per app and year | falls to a half: found")
    for kind in ("office", "leisure"):
        for visitors, variation in ((300, 0.05), (1000, 0.05), (1000, 0.15), (10_000, 0.05), (10_000, 0.15)):
            fleet = Fleet(kind, visitors, 0.1)
            for name, rule in rules().items():
                false, found = judge(fleet, variation, rule, options.apps, options.seed)
                print(f"{name} | {kind} | {visitors:,} | {variation:.0%} | {false:.2f} | {found:.0%}", flush=True)


if __name__ == "__main__":
    main()

"""Drops of figures: the status page and the alerts have the same conditions, as promtool confirms."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from exporter.alerts import figures
from exporter.alerts.conditions import Baseline, Drop, find_drops
from exporter.apps import AppStatus, Counters, ReportStatus, State
from exporter.metrics.families import families
from exporter.periods import Day, Week
from exporter.reports import DAILY, WEEKLY, History, Reading, StoredReading, Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = Path(__file__).parent.parent / "prometheus" / "rules.yml"
QUIET, AFTER_HOLIDAYS, HOLIDAYS = Week(date(2026, 11, 16)), Week(date(2026, 10, 12)), Week(date(2026, 10, 5))
DECEMBER = Week(date(2026, 12, 14))
"""The eight previous weeks are ordinary."""
Figures = tuple[float | None, float | None, float | None, float | None]
UNKNOWN: Figures = (None, None, None, None)
FULL: Figures = (2000, 1000, 90.0, 3.0)
"""Sessions, visitors, stay per visitor, depth."""


def status(history: History, thresholds: Thresholds | None = None) -> AppStatus:
    """Return an app that fetches one report."""
    report = ReportStatus(history.report, State.OK, None, history, 7.0, Counters())
    return AppStatus("wx2", "", (report,), thresholds or Thresholds())


def app(weeks: Sequence[Figures], week: Week = QUIET, thresholds: Thresholds | None = None) -> AppStatus:
    """Return an app with these weeks, the live one first."""
    stored = [
        StoredReading(Reading(WEEKLY, week.before(place), (sessions, None, visitors, None, stay, None, depth)), 1.0)
        for place, (sessions, visitors, stay, depth) in enumerate(weeks)
        if (sessions, visitors, stay, depth) != UNKNOWN
    ]
    return status(History.of(WEEKLY, stored), thresholds)


def same(live: Figures, before: Figures = FULL, week: Week = QUIET, thresholds: Thresholds | None = None) -> AppStatus:
    """Return the same figures in each of the eight previous weeks, other ones in the live week."""
    return app([live, *[before] * 8], week, thresholds)


def ratios(**options: float) -> Thresholds:
    """Return the thresholds with other ratios of the weekly report."""
    return Thresholds().with_ratios({("weekly", option): ratio for option, ratio in options.items()})


DAILY_OFF = Thresholds().with_ratios({("daily", threshold.option): 0.0 for threshold in DAILY.alert_thresholds})
ALL_OFF = ratios(**{threshold.option: 0.0 for threshold in WEEKLY.alert_thresholds})
DAYS = History.of(
    DAILY,
    [
        StoredReading(Reading(DAILY, Day(QUIET.last).before(back), (20 if back < 3 else 2000,) * 7), 1.0)
        for back in range(40)
    ],
)
"""Days of which the last three fell to a hundredth."""

BOTH = {Baseline.PREVIOUS_WEEK, Baseline.TYPICAL_WEEK}
PREVIOUS, TYPICAL = {Baseline.PREVIOUS_WEEK}, {Baseline.TYPICAL_WEEK}
HALF: Figures = (1000, 500, 90.0, 3.0)
UNKNOWN_YEAR = Week(date(2003, 10, 13))
COUNTS_AT_HALF = {"visitors_min_ratio": 0.5, "sessions_min_ratio": 0.4}
CASES: list[tuple[str, AppStatus, dict[str, set[Baseline]]]] = [
    ("nothing known", status(History(WEEKLY)), {}),
    ("one week", app([HALF]), {}),
    ("all the same", same(FULL), {}),
    ("a little less", same((1500, 750, 70.0, 2.2)), {}),
    ("half of it", same(HALF), {"visitors": BOTH, "sessions": BOTH}),
    (
        "less than the previous week only",
        app([HALF, FULL, *[HALF] * 7]),
        {"visitors": PREVIOUS, "sessions": PREVIOUS},
    ),
    (
        "less than the typical week only",
        app([HALF, HALF, *[FULL] * 4], DECEMBER),
        {"visitors": TYPICAL, "sessions": TYPICAL},
    ),
    ("three weeks before are not typical", app([HALF, *[FULL] * 3]), {"visitors": PREVIOUS, "sessions": PREVIOUS}),
    (
        "the previous week is not known",
        app([HALF, UNKNOWN, *[FULL] * 4], DECEMBER),
        {"visitors": TYPICAL, "sessions": TYPICAL},
    ),
    ("neither is a typical one", app([HALF, UNKNOWN, *[FULL] * 3]), {}),
    ("chance", same((20, 10, 90.0, 3.0), (40, 20, 90.0, 3.0)), {}),
    ("hardly chance", same((None, 36, None, None), (None, 72, None, None)), {"visitors": BOTH}),
    ("few who come often", same((400, 100, 9.0, 1.0), (1000, 120, 90.0, 3.0)), {"sessions": BOTH}),
    ("fewer who come often", same((80, 20, 90.0, 3.0), (200, 20, 90.0, 3.0)), {}),
    ("sessions of unknown visitors", same((40, None, None, None), (2000, None, None, None)), {}),
    ("sessions of no visitors", same((40, 0, None, None), (2000, 0, None, None)), {}),
    ("averages of enough", same((2000, 1000, 45.0, 1.0)), {"stay_per_visitor": BOTH, "visit_depth": BOTH}),
    ("averages of few", same((400, 199, 45.0, 1.0), (400, 200, 90.0, 3.0)), {}),
    ("nothing at all", same((0, 0, 0.0, 0.0)), {"visitors": BOTH, "sessions": BOTH}),
    ("from nothing", same(HALF, (0, 0, 0.0, 0.0)), {}),
    ("as much as the app may", same(HALF, thresholds=ratios(**COUNTS_AT_HALF)), {}),
    (
        "more than the app may",
        same(HALF, thresholds=ratios(**COUNTS_AT_HALF | {"visitors_min_ratio": 0.51})),
        {"visitors": BOTH},
    ),
    ("thresholds of another report", same(HALF, thresholds=DAILY_OFF), {"visitors": BOTH, "sessions": BOTH}),
    ("alerts disabled", same((0, 1, 0.0, 0.0), thresholds=ALL_OFF), {}),
    ("a holiday", same(HALF, week=HOLIDAYS), {}),
    ("after a holiday", same(HALF, week=AFTER_HOLIDAYS), {"visitors": TYPICAL, "sessions": TYPICAL}),
    (
        "holiday weeks are not typical",
        app([FULL, FULL, *[HALF] * 2, *[FULL] * 5], AFTER_HOLIDAYS),
        {},
    ),
    (
        "a drop hidden by the holiday weeks",
        app([HALF, *[HALF] * 3, *[FULL] * 5], AFTER_HOLIDAYS),
        {"visitors": TYPICAL, "sessions": TYPICAL},
    ),
    ("after the holidays of an unknown year", same(HALF, week=UNKNOWN_YEAR), {"visitors": BOTH, "sessions": BOTH}),
    ("an app without the weekly report", status(DAYS), {}),
]
APPS = [replace(found, appid=f"wx{number}", name=why) for number, (why, found, _) in enumerate(CASES)]


def test_fall_exceeds_threshold_and_noise_outside_holidays() -> None:
    assert len({why for why, *_ in CASES}) == 30
    for why, app, expected in CASES:
        found: dict[str, set[Baseline]] = {}
        for fall in find_drops(app):
            found.setdefault(fall.field.short_name, set()).add(fall.baseline)
        assert found == expected, why


def test_a_fall_has_its_ratio_to_the_baseline() -> None:
    fields = {field.metric: field for field in WEEKLY.fields}
    assert list(find_drops(same((900, 480, 90.0, 3.0)))) == [
        Drop(WEEKLY, fields[metric], baseline, ratio)
        for baseline in (Baseline.PREVIOUS_WEEK, Baseline.TYPICAL_WEEK)
        for metric, ratio in (("visitors", 0.48), ("sessions", 0.45))
    ]


def test_baselines_are_comparisons_of_the_catalogue() -> None:
    assert {baseline.value: (baseline.comparison.name, baseline.description) for baseline in Baseline} == {
        "previous_week": ("previous_week", "the previous week"),
        "typical_week": ("typical_week", "the typical week"),
    }


def test_the_status_page_and_the_alerts_agree(promtool: str, tmp_path: Path) -> None:
    """The alerts of the same figures fire for the same drops."""
    series = [
        {
            "series": sample.name + "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}",
            "values": f"{float(sample.value)}x9",
        }
        for family in families((WEEKLY, DAILY), APPS)
        for sample in family.samples
    ]
    alerts = {Baseline.PREVIOUS_WEEK: "Dropped", Baseline.TYPICAL_WEEK: "BelowNormal"}
    fallen = [
        {
            "labels": f'{{appid="{app.appid}",alert="{figures.alert_name_prefix(fall.field)}{alerts[fall.baseline]}"}}',
            "value": 1,
        }
        for app in APPS
        for fall in find_drops(app)
    ]
    watched = "|".join(figures.alert_name_prefix(threshold.field) for threshold in WEEKLY.alert_thresholds)
    name = f"WeChatMiniProgram(({watched})({'|'.join(alerts.values())}))"
    fires = (
        f'group by (appid, alert) (label_replace(ALERTS{{alertname=~"{name}"}}, "alert", "$1", "alertname", "{name}"))'
    )
    tested = {
        "interval": "5m",
        "input_series": series,
        "promql_expr_test": [{"expr": fires, "eval_time": "10m", "exp_samples": fallen}],
    }
    test_file = tmp_path / "rules_test.yml"
    test_file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": [tested]}))
    result = subprocess.run([promtool, "test", "rules", test_file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(fallen) > 20

"""What counts as a fall: the same on the status page and in the alerts, as promtool says, too."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from test_metrics import NEW

from exporter.falls import Baseline, falls
from exporter.metrics.families import families
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading, Thresholds
from exporter.rules import figures
from exporter.status import Kept, Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.status import Status

RULES = Path(__file__).parent.parent / "prometheus" / "rules.yml"
QUIET, AFTER_HOLIDAYS, HOLIDAYS = Week(date(2026, 11, 16)), Week(date(2026, 10, 12)), Week(date(2026, 10, 5))
Figures = tuple[float | None, float | None, float | None, float | None]
FULL: Figures = (2000, 1000, 90.0, 3.0)
"""Sessions, visitors, stay per visitor, depth."""


def app(weeks: Sequence[Figures], week: Week = QUIET, thresholds: Thresholds | None = None) -> Status:
    """An app with these weeks, the live one first."""
    kept = tuple(
        Kept(Reading(WEEKLY, week.before(place), (sessions, None, visitors, None, stay, None, depth)), 1.0)
        for place, (sessions, visitors, stay, depth) in enumerate(weeks)
    )
    return replace(NEW, recent=Recent(kept), thresholds=thresholds or Thresholds())


def same(live: Figures, before: Figures = FULL, week: Week = QUIET, thresholds: Thresholds | None = None) -> Status:
    """The same as in each of the four weeks before, but for the live one."""
    return app([live, *[before] * 4], week, thresholds)


BOTH = {Baseline.PREVIOUS_WEEK, Baseline.MEDIAN_WEEK}
WEEK_BEFORE, MEDIAN = {Baseline.PREVIOUS_WEEK}, {Baseline.MEDIAN_WEEK}
HALF: Figures = (1000, 500, 90.0, 3.0)
CASES: list[tuple[str, Status, dict[str, set[Baseline]]]] = [
    ("nothing known", NEW, {}),
    ("one week", app([HALF]), {}),
    ("all the same", same(FULL), {}),
    ("a little less", same((1500, 750, 70.0, 2.2)), {}),
    ("half of it", same(HALF), {"visitors": BOTH, "sessions": BOTH}),
    (
        "less than the week before only",
        app([HALF, FULL, *[HALF] * 3]),
        {"visitors": WEEK_BEFORE, "sessions": WEEK_BEFORE},
    ),
    ("less than the median only", app([HALF, HALF, *[FULL] * 3]), {"visitors": MEDIAN, "sessions": MEDIAN}),
    ("three weeks before are no median", app([HALF, *[FULL] * 3]), {"visitors": WEEK_BEFORE, "sessions": WEEK_BEFORE}),
    ("the week before is not known", app([HALF, (None, None, None, None), *[FULL] * 3]), {}),
    ("chance", same((20, 10, 90.0, 3.0), (40, 20, 90.0, 3.0)), {}),
    ("hardly chance", same((None, 36, None, None), (None, 72, None, None)), {"visitors": BOTH}),
    ("few who come often", same((400, 100, 9.0, 1.0), (1000, 120, 90.0, 3.0)), {"sessions": BOTH}),
    ("fewer who come often", same((80, 20, 90.0, 3.0), (200, 20, 90.0, 3.0)), {}),
    ("sessions of nobody knows whom", same((40, None, None, None), (2000, None, None, None)), {}),
    ("sessions of nobody", same((40, 0, None, None), (2000, 0, None, None)), {}),
    ("averages of enough", same((2000, 1000, 45.0, 1.0)), {"stay_per_visitor": BOTH, "visit_depth": BOTH}),
    ("averages of few", same((400, 199, 45.0, 1.0), (400, 200, 90.0, 3.0)), {}),
    ("nothing at all", same((0, 0, 0.0, 0.0)), {"visitors": BOTH, "sessions": BOTH}),
    ("from nothing", same(HALF, (0, 0, 0.0, 0.0)), {}),
    ("as much as the app may", same(HALF, thresholds=Thresholds(0.5, 0.4, 0, 0)), {}),
    ("more than the app may", same(HALF, thresholds=Thresholds(0.51, 0.4, 0, 0)), {"visitors": BOTH}),
    ("a holiday", same(HALF, week=HOLIDAYS), {}),
    ("after a holiday", same(HALF, week=AFTER_HOLIDAYS), {"visitors": MEDIAN, "sessions": MEDIAN}),
    (
        "after the holidays of an unknown year",
        same(HALF, week=Week(date(2003, 10, 13))),
        {"visitors": BOTH, "sessions": BOTH},
    ),
]
APPS = [replace(status, appid=f"wx{number}", name=why) for number, (why, status, _) in enumerate(CASES)]


def test_a_fall_is_beyond_the_threshold_and_beyond_chance_and_not_explained_by_a_holiday() -> None:
    assert len(CASES) == 24
    for why, status, expected in CASES:
        found: dict[str, set[Baseline]] = {}
        for fall in falls(status):
            found.setdefault(figures.figure_label(fall.field), set()).add(fall.baseline)
        assert found == expected, why


def test_a_fall_knows_what_is_left_of_the_baseline() -> None:
    ratios = [(fall.field.metric, fall.baseline, fall.ratio) for fall in falls(same((900, 480, 90.0, 3.0)))]
    assert ratios == [
        (metric, base, left) for base in Baseline for metric, left in (("visitors", 0.48), ("sessions", 0.45))
    ]


def test_the_alerts_of_the_same_figures_fire_for_the_same_falls(promtool: str, tmp_path: Path) -> None:
    series = [
        {
            "series": sample.name + "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}",
            "values": f"{sample.value}x9",
        }
        for family in families(WEEKLY, APPS)
        for sample in family.samples
    ]
    alerts = {Baseline.PREVIOUS_WEEK: "Dropped", Baseline.MEDIAN_WEEK: "BelowNormal"}
    fallen = [
        {"labels": f'{{appid="{status.appid}",alert="{figures.stem(fall.field)}{alerts[fall.baseline]}"}}', "value": 1}
        for status in APPS
        for fall in falls(status)
    ]
    name = f"WeChatMiniProgram(.*({'|'.join(alerts.values())}))"
    fires = (
        f'group by (appid, alert) (label_replace(ALERTS{{alertname=~"{name}"}}, "alert", "$1", "alertname", "{name}"))'
    )
    said = {
        "interval": "5m",
        "input_series": series,
        "promql_expr_test": [{"expr": fires, "eval_time": "10m", "exp_samples": fallen}],
    }
    test_file = tmp_path / "rules_test.yml"
    test_file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": [said]}))
    result = subprocess.run([promtool, "test", "rules", test_file], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(fallen) > 20

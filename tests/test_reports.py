"""End-to-end tests of apps with one, two and three reports; days and months end on a controlled clock."""

from __future__ import annotations

import json
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

import chinese_calendar
import pytest
from harness import PREFIX, FakeClock, Samples, exposed, machine_time_zone, running, served, wired

from exporter.periods import BEIJING, Day, Month, Period, Week, newest_wanted
from exporter.reports import DAILY, MONTHLY, WEEKLY
from exporter.wechat.simulator import Audience, SimulatedApp, Simulator

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.reports import Report

HOUR = 3600.0
NAMES = {"wx000000000000000a": ["weekly"], "wx000000000000000b": ["weekly", "daily"]}
NAMES["wx000000000000000c"] = ["weekly", "daily", "monthly"]
APPS = tuple(SimulatedApp(appid, f"secret-of-{appid}", Audience(4000 + n)) for n, appid in enumerate(NAMES))
PERIODS = {"weekly": 9, "daily": 63, "monthly": 3}
REPORTS = {"weekly": WEEKLY, "daily": DAILY, "monthly": MONTHLY}


def is_ordinary(day: Day) -> bool:
    """Expected values, independent of the catalogue."""
    is_named = day.first in chinese_calendar.holidays or day.first in chinese_calendar.workdays
    return not is_named or day.first.year not in range(2004, 2027)


def has_no_holiday(week: Week) -> bool:
    return not any(day in chinese_calendar.holidays for day in week.days[:5])


def typical(values: list[float]) -> float | None:
    return median(values[:4]) if len(values) >= 4 else None


def expected(wechat: Simulator, appid: str, report: Report, now: float) -> Samples:
    """Return every figure and comparison figure of one report, computed from the simulator's rows alone."""
    live = newest_wanted(report.period, now, 10 * HOUR)
    known = [live.before(number) for number in range(PERIODS[report.name])]
    found: dict[tuple[str, ...], float] = {}
    for field in report.fields:

        def value(period: Period, name: str = field.wechat) -> float | None:
            return float(wechat.row(appid, period)[name]) if period in known else None  # type: ignore[arg-type]

        figures: dict[str, float | None] = {report.name: value(live)}
        if isinstance(live, Week):
            ordinary = [value(week) for week in known[1:9] if has_no_holiday(week)]  # type: ignore[arg-type]
            figures |= {"previous_week": value(live.before()), "typical_week": typical(ordinary)}  # type: ignore[arg-type]
            if field.unit.value == "count" and len(ordinary) >= 6:
                figures["lowest_week"] = min(ordinary)  # type: ignore[type-var]
        elif isinstance(live, Day):
            same = [live.before(7 * weeks) for weeks in range(1, 9)]
            values = [value(day) for day in same if is_ordinary(day)]
            figures |= {"previous_day": value(live.before()), "same_weekday": value(live.before(7))}
            figures["typical_weekday"] = typical(values)  # type: ignore[arg-type]
        else:
            figures |= {"previous_month": value(live.before()), "year_ago_month": value(live.before(12))}
        found |= {
            (f"{name}_{field.metric}", appid, live.label): number
            for name, number in figures.items()
            if number is not None
        }
    return found


def figures_of(samples: Samples, report: Report) -> Samples:
    names = {report.metric(field) for field in report.fields}
    names |= {report.comparison_metric(each, field) for each in report.comparisons for field in report.fields}
    return {key: value for key, value in samples.items() if PREFIX + key[0] in names}


def fetched(samples: Samples) -> dict[tuple[str, str], float]:
    return {(key[1], key[2]): value for key, value in samples.items() if key[0] == "fetches_total"}


def test_one_two_and_three_reports_are_exposed_exactly(tmp_path: Path) -> None:
    """Every figure and comparison figure, with no more calls than needed: per app one token and each period once."""
    wanted = {(appid, name): PERIODS[name] for appid, names in NAMES.items() for name in names}
    with served(APPS) as (wechat, base_url):
        apps = [{"appid": app.appid, "secret": app.secret, "reports": NAMES[app.appid]} for app in APPS]
        (tmp_path / "config.yaml").write_text(json.dumps({"api": {"base_url": base_url}, "apps": apps}))
        (tmp_path / "config.yaml").chmod(0o600)
        with running(tmp_path) as exporter:
            samples = exporter.scrape_until(lambda samples: fetched(samples) == wanted)
            now = wechat.now()
            exporter.stop()
        for name, report in REPORTS.items():
            right = [expected(wechat, appid, report, now) for appid in NAMES if name in NAMES[appid]]
            assert figures_of(samples, report) == {key: value for each in right for key, value in each.items()}
        for appid, names in NAMES.items():
            calls = [call for call in wechat.calls if call.appid == appid]
            assert [call.endpoint for call in calls].count("stable_token") == 1
            assert len({call.period for call in calls if call.period}) == sum(PERIODS[name] for name in names)
            assert len(calls) == 1 + sum(PERIODS[name] for name in names)
            of_app = {key[2] for key in samples if key[0] == "up" and key[1] == appid}
            assert of_app == set(names)
        calls = len(wechat.calls)
        with running(tmp_path) as again:
            after = again.scrape()
            again.stop()
        assert len(wechat.calls) == calls, "nothing is requested after a restart"
        for report in REPORTS.values():
            assert figures_of(after, report) == figures_of(samples, report)


def beijing(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING).timestamp()


TURNS = [
    (DAILY, "2026-02-28", "20260228", "2026-03-01"),
    (DAILY, "2028-02-28", "20280228", "2028-02-29"),
    (DAILY, "2028-02-29", "20280229", "2028-03-01"),
    (DAILY, "2026-12-31", "20261231", "2027-01-01"),
    (MONTHLY, "2026-02-28", "202602", "2026-03-01"),
    (MONTHLY, "2028-02-29", "202802", "2028-03-01"),
    (MONTHLY, "2026-12-31", "202612", "2027-01-01"),
    (WEEKLY, "2027-01-03", "20261228-20270103", "2027-01-04"),
]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Auckland"])
@pytest.mark.parametrize(("report", "last", "label", "next_day"), TURNS)
def test_period_published_late_replaces_the_older_one(
    report: Report, last: str, label: str, next_day: str, zone: str
) -> None:
    """It is requested at 10:00 on the next day, then every half hour until it is published; the older one stays."""
    clock = FakeClock(beijing(f"{last}T22:00"))
    app = SimulatedApp("wx1", "secret-of-the-app", published_after=14 * HOUR)
    with machine_time_zone(zone), served([app], clock) as (wechat, base_url):
        rooms_of = wired([app], base_url, clock, reports=(report,), history_weeks=2)
        with rooms_of as engine:
            engine.poller.drain()
            (older,) = live_labels(exposed(engine), report)
            assert older == report.period.from_ref_date(label).before().label
            clock.now = beijing(f"{next_day}T09:59")
            engine.poller.drain()
            assert label not in [call.period for call in wechat.calls]
            clock.now = beijing(f"{next_day}T10:03:30")
            engine.poller.drain()
            waiting = exposed(engine)
            assert live_labels(waiting, report) == {older}
            assert waiting["fetch_state", "wx1", report.name, "not_ready"] == 1
            for _ in range(8):
                clock.now += 34 * 60
                engine.poller.drain()
            found = exposed(engine)
    assert live_labels(found, report) == {label}
    assert found["fetch_state", "wx1", report.name, "ok"] == 1
    assert 6 <= [call.period for call in wechat.calls].count(label) <= 9


def live_labels(samples: Samples, report: Report) -> set[str]:
    return {key[2] for key in samples if PREFIX + key[0] == report.metric(report.fields[2])}


def test_days_of_a_week_add_up_and_visitors_do_not() -> None:
    wechat = Simulator(APPS, lambda: beijing("2026-11-24T10:00"))
    for period in (Week.from_ref_date("20261116-20261122"), Month.from_ref_date("202610")):
        days = [wechat.row(APPS[0].appid, Day.of(day)) for day in period.days]
        row = wechat.row(APPS[0].appid, period)
        for name in ("session_cnt", "visit_pv"):
            assert row[name] == sum(int(day[name]) for day in days)  # type: ignore[call-overload]
        people = [int(day["visit_uv"]) for day in days]  # type: ignore[call-overload]
        assert max(people) < int(row["visit_uv"]) < sum(people)  # type: ignore[call-overload]


def test_drop_is_detected_on_its_first_day() -> None:
    began = Day.from_ref_date("20261118")
    app = SimulatedApp("wx1", "secret-of-the-app", Audience(4000, drops_from=began))
    wechat = Simulator([app], lambda: beijing("2026-11-24T10:00"))
    before, after = (int(wechat.row("wx1", day)["visit_uv"]) for day in (began.before(), began))  # type: ignore[call-overload]
    week = Week.containing_day(began.first)
    weeks = [int(wechat.row("wx1", each)["visit_uv"]) for each in (week.before(), week)]  # type: ignore[call-overload]
    assert after < 0.6 * before
    assert weeks[1] < 0.8 * weeks[0]

"""The metrics of apps and their reports, and of the exporter itself."""

from __future__ import annotations

import gzip
import math
import subprocess
import zlib
from dataclasses import replace
from datetime import date
from statistics import median
from typing import TYPE_CHECKING

import chinese_calendar
import pytest
import requests
from browser import served
from harness import exposed, fetched_demo, samples_of, wired
from harness import served as served_simulator
from prometheus_client.exposition import generate_latest as text_exposition
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from statuses import (
    ALL,
    DAY,
    EVERY,
    FULL,
    GONE_SOURCE,
    HOSTILE,
    LABEL,
    LIVE,
    MONTH,
    NEW,
    UNKNOWN_SOURCE,
    W1,
    W2,
    cohort,
    distribution,
    figures,
    history,
    samples,
    sharing,
    stored,
    whole_history,
    with_report,
)

from exporter.apps import AppStatus, State
from exporter.holidays import public_holidays
from exporter.metrics import Format, Meters, Renderer, catalogue, compose
from exporter.metrics.catalogue import of_report
from exporter.metrics.families import families
from exporter.periods import Day, Week
from exporter.reports import (
    DAILY,
    MONTHLY,
    PREFIX,
    REPORTS,
    WEEKLY,
    AlertThreshold,
    Comparison,
    Field,
    Report,
    Unit,
    register,
)
from exporter.reports import catalogue as reports_catalogue
from exporter.reports.comparisons import earlier
from exporter.wechat.simulator import SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from exporter.periods import Period


def meters(*, up: bool = True, process: bool = True) -> Meters:
    made = Meters(lambda: up, process=process)
    made.config_loaded(12.0, ["stable_token", "weekly"], ())
    return made


def test_comparison_figures_have_the_labels_of_the_live_week() -> None:
    found = {key: value for key, value in samples(FULL).items() if "week" in key[0] and len(key) == 3}
    assert found == {
        ("weekly_sessions", "wx1", LABEL): 2470,
        ("weekly_visits", "wx1", LABEL): 8913,
        ("weekly_visitors", "wx1", LABEL): 754,
        ("weekly_new_visitors", "wx1", LABEL): 248,
        ("weekly_stay_per_visitor_seconds", "wx1", LABEL): 226.4748,
        ("weekly_stay_per_session_seconds", "wx1", LABEL): 69.1344,
        ("weekly_visit_depth_pages", "wx1", LABEL): 1.9798,
        ("previous_week_sessions", "wx1", LABEL): 0,
        ("previous_week_visits", "wx1", LABEL): 1,
        ("previous_week_visitors", "wx1", LABEL): 2,
        ("previous_week_new_visitors", "wx1", LABEL): 3,
        ("previous_week_stay_per_visitor_seconds", "wx1", LABEL): 4.5,
        ("previous_week_visit_depth_pages", "wx1", LABEL): 0,
        ("week_end_timestamp_seconds", "wx1", LABEL): W2.end,
        ("week_public_holidays", "wx1", LABEL): 0,
        ("previous_week_public_holidays", "wx1", LABEL): 0,
    }


def test_typical_week_exists_where_four_weeks_are_known() -> None:
    """One figure is missing in one of exactly four weeks: it has no typical week, the others have."""
    weeks = (stored(W2, *(1,) * 7), *(stored(W2.before(n), *(n,) * 6, None if n == 3 else n) for n in range(1, 5)))
    found = samples(with_report(FULL, history=history(*weeks)))
    typical = {key: value for key, value in found.items() if key[0].startswith("typical_week_")}
    assert typical == {(f"typical_week_{field.metric}", "wx1", LABEL): 2.5 for field in WEEKLY.fields[:-1]}


@pytest.mark.parametrize(("known", "expected"), [(5, False), (6, True), (8, True)])
def test_lowest_week_needs_six_weeks_and_is_of_counts_only(known: int, expected: bool) -> None:
    """The weeks are chosen so that none of them has a public holiday."""
    live = Week.of(date(2026, 8, 31))
    weeks = (stored(live, *(1,) * 7), *(stored(live.before(n), *(10 - n,) * 7) for n in range(1, known + 1)))
    found = samples(with_report(FULL, history=history(*weeks)))
    lowest = {key[0]: value for key, value in found.items() if key[0].startswith("lowest_week_")}
    counts = ("sessions", "visits", "visitors", "new_visitors")
    assert lowest == ({f"lowest_week_{name}": 10 - known for name in counts} if expected else {})


def expected_days() -> dict[tuple[str, ...], float]:
    """Return the samples of the days of ``EVERY``, calculated from the contract."""
    of = {(n, place): value for n in range(112) for place, value in enumerate(figures(DAY.before(n)))}
    day, expected = DAY.label, {}

    def typical(back: int, place: int) -> float:
        """Return the median of the last four ordinary same weekdays."""
        same = [back + 7 * n for n in range(1, 9)]
        return median([of[n, place] for n in same if not irregular(n)][:4])

    def irregular(back: int) -> bool:
        return is_irregular(DAY.before(back))

    ordinary = [n for n in range(60) if not irregular(n)]
    for place, field in enumerate(DAILY.fields):
        name = field.metric
        expected |= {
            (f"daily_{name}", "wx3", day): of[0, place],
            (f"previous_day_{name}", "wx3", day): of[1, place],
            (f"same_weekday_{name}", "wx3", day): of[7, place],
            (f"typical_weekday_{name}", "wx3", day): typical(0, place),
        }
        if place < 4:  # counts
            logs = [math.log(of[n, place] / typical(n, place)) for n in ordinary[3:31]]
            middle = median(logs)
            expected[f"daily_{name}_noise_ratio", "wx3", day] = 1.4826 * median(abs(x - middle) for x in logs)
            for days in (2, 3):
                labels = ("wx3", day, str(days))
                expected[f"recent_{name}", *labels] = sum(of[n, place] for n in ordinary[:days])
                expected[f"typical_recent_{name}", *labels] = sum(typical(n, place) for n in ordinary[:days])
    return expected | {
        ("day_end_timestamp_seconds", "wx3", day): DAY.end,
        ("day_irregular", "wx3", day): 0,
        ("same_weekday_irregular", "wx3", day): 0,
    }


def expected_months() -> dict[tuple[str, ...], float]:
    expected: dict[tuple[str, ...], float] = {("month_end_timestamp_seconds", "wx3", "202610"): MONTH.end}
    for place, field in enumerate(MONTHLY.fields):
        expected |= {
            (f"{prefix}_{field.metric}", "wx3", "202610"): figures(MONTH.before(back))[place]
            for prefix, back in (("monthly", 0), ("previous_month", 1), ("year_ago_month", 12))
        }
    return expected


def expected_cohorts() -> dict[tuple[str, ...], float]:
    """Return the samples of retention: the newest cohort of each number of weeks later, and the one before it."""
    expected: dict[tuple[str, ...], float] = {
        ("week_public_holidays", "wx3", W2.before().label): 0,
        ("following_week_public_holidays", "wx3", W2.before().label): 0,
    }
    for later in (1, 2, 3, 4):
        newest = W2.before(later)
        labels = ("wx3", newest.label, str(later))
        for prefix, week in (("weekly", newest), ("previous_week", newest.before())):
            for name, field, place in (("visitors", "visit_uv", 2), ("new_visitors", "visit_uv_new", 3)):
                expected[f"{prefix}_retained_{name}", *labels] = cohort(week)[field][later]
                expected[f"{prefix}_cohort_{name}", *labels] = figures(week)[place]
    return expected


SOURCES = {2: "search", 10: "other", 18: "official_account_article", UNKNOWN_SOURCE: "key_63"}
"""The entrances that the app had in the 28 days to the live day."""
SOURCES_OF_WEEK = SOURCES | {GONE_SOURCE: "nearby"}
"""Those of the 28 days to the end of the newest week."""
STAYS = dict(enumerate(("0-2s", "3-5s", "6-10s", "11-20s", "21-30s", "31-50s", "51-100s", ">100s"), 1))
DEPTHS = dict(enumerate(("1", "2", "3", "4", "5", "6-10", ">10"), 1))


def expected_parts() -> dict[tuple[str, ...], float]:
    """Return the samples of entrances, stay and depth. A known part that WeChat left out is 0."""

    def of(day: Period, field: str, key: int) -> float:
        return distribution(day)[field].get(key, 0)

    parts = (
        ("daily_source_sessions", "access_source_session_cnt", SOURCES),
        ("daily_source_visitors", "access_source_visit_uv", SOURCES),
        ("daily_stay_sessions", "access_staytime_info", STAYS),
        ("daily_depth_sessions", "access_depth_info", DEPTHS),
    )
    expected: dict[tuple[str, ...], float] = {
        (metric, "wx3", DAY.label, name): of(DAY, field, key)
        for metric, field, names in parts
        for key, name in names.items()
    }
    field = "access_source_session_cnt"
    ordinary = [DAY.before(n) for n in range(3)]
    for prefix, week in (("weekly", W2), ("previous_week", W1)):
        for key, name in SOURCES_OF_WEEK.items():
            days = [Day.of(day) for day in week.days]
            expected[f"{prefix}_source_sessions", "wx3", W2.label, name] = sum(of(day, field, key) for day in days)
    for key, name in SOURCES.items():
        recent, typical = 0.0, 0.0
        for day in ordinary:
            same = [day.before(7 * n) for n in range(1, 9)]
            known = [of(each, field, key) for each in same if not is_irregular(each)]
            recent, typical = recent + of(day, field, key), typical + median(known[:4])
        expected["recent_source_sessions", "wx3", DAY.label, "3", name] = recent
        expected["typical_recent_source_sessions", "wx3", DAY.label, "3", name] = typical
    return expected


def expected_shares() -> dict[tuple[str, ...], float]:
    day = ("wx3", DAY.label)
    expected: dict[tuple[str, ...], float] = {("daily_total_visitors", *day): sharing(DAY)[2]}
    same = [DAY.before(7 * n) for n in range(1, 9) if not is_irregular(DAY.before(7 * n))]
    for place, name in enumerate(("shares", "sharers")):
        expected[f"daily_{name}", *day] = sharing(DAY)[place]
        expected[f"same_weekday_{name}", *day] = sharing(DAY.before(7))[place]
        expected[f"typical_weekday_{name}", *day] = median(sharing(each)[place] for each in same[:4])
    return expected


def is_irregular(day: Period) -> bool:
    """Return whether a day is a public holiday or a make-up working day, by the schedule itself."""
    return day.first in chinese_calendar.holidays or day.first in chinese_calendar.workdays


def expected_weeks() -> dict[tuple[str, ...], float]:
    """The weeks of National Day (28 September and 5 October 2026) and of Mid-Autumn (21 September) are not ordinary."""
    ordinary = [W2.before(n) for n in range(1, 9) if W2.before(n).first not in HOLIDAY_WEEKS]
    expected: dict[tuple[str, ...], float] = {
        ("week_end_timestamp_seconds", "wx3", LABEL): W2.end,
        ("week_public_holidays", "wx3", LABEL): 0,
        ("previous_week_public_holidays", "wx3", LABEL): 0,
    }
    for place, field in enumerate(WEEKLY.fields):
        known = [figures(week)[place] for week in ordinary]
        expected |= {
            (f"weekly_{field.metric}", "wx3", LABEL): figures(W2)[place],
            (f"previous_week_{field.metric}", "wx3", LABEL): figures(W1)[place],
            (f"typical_week_{field.metric}", "wx3", LABEL): median(known[:4]),
        }
        if len(known) >= 6 and place < 4:
            expected[f"lowest_week_{field.metric}", "wx3", LABEL] = min(known)
    return expected


HOLIDAY_WEEKS = {date(2026, 9, 21), date(2026, 9, 28), date(2026, 10, 5)}

STATES = {
    "period_end_timestamp_seconds": (W2.end, DAY.end, MONTH.end, W1.end, DAY.end, DAY.end),
    "period_first_seen_timestamp_seconds": (100.5,) * 6,
    "up": (1,) * 6,
    "last_success_timestamp_seconds": (4.0,) * 6,
    "next_fetch_timestamp_seconds": (9.0,) * 6,
    "fetches_total": (1, 2, 3, 4, 5, 6),
    "fetch_failures_total": (0,) * 6,
    "revisions_total": (0,) * 6,
    "alert_visitors_min_ratio": (0.7, 0.65, None, None, None, None),
    "alert_new_visitors_min_ratio": (0.7, 0.65, None, 0.7, None, None),
    "alert_sessions_min_ratio": (0.7, 0.25, None, None, None, None),
    "alert_visits_min_ratio": (0.7, 0.65, None, None, None, None),
    "alert_stay_per_visitor_min_ratio": (0.7, None, None, None, None, None),
    "alert_visit_depth_min_ratio": (0.7, None, None, None, None, None),
    "alert_shares_min_ratio": (None, None, None, None, None, 0.0),
}
"""Of each report, in the order of the catalogue."""


def test_all_reports_are_exposed_exactly() -> None:
    found = samples(EVERY, reports=ALL)
    expected = expected_weeks() | expected_days() | expected_months()
    expected |= expected_cohorts() | expected_parts() | expected_shares()
    expected["app_info", "wx3", "Everything"] = 1
    for name, values in STATES.items():
        expected |= {
            (name, "wx3", report): value for report, value in zip(REPORTS, values, strict=True) if value is not None
        }
    expected |= {("fetch_state", "wx3", report, "ok"): 1 for report in REPORTS}
    assert found.keys() == expected.keys()
    assert {key: (value, expected[key]) for key, value in found.items() if value != pytest.approx(expected[key])} == {}
    assert len(found) > 240


def test_labels_of_each_report() -> None:
    labels = {
        family.name.removeprefix("wechat_miniprogram_"): tuple(family.samples[0].labels)
        for family in families(ALL, [EVERY])
        if family.samples
    }
    assert labels["weekly_visitors"] == ("appid", "week")
    assert labels["typical_weekday_visitors"] == ("appid", "day")
    assert labels["recent_visits"] == labels["typical_recent_visits"] == ("appid", "day", "days")
    assert labels["daily_visits_noise_ratio"] == ("appid", "day")
    assert labels["year_ago_month_sessions"] == ("appid", "month")
    assert labels["weekly_retained_visitors"] == labels["previous_week_cohort_visitors"]
    assert labels["weekly_retained_visitors"] == ("appid", "week", "weeks_later")
    assert labels["weekly_source_sessions"] == labels["previous_week_source_sessions"] == ("appid", "week", "source")
    assert labels["recent_source_sessions"] == ("appid", "day", "days", "source")
    assert labels["daily_stay_sessions"] == ("appid", "day", "stay")
    assert labels["daily_depth_sessions"] == ("appid", "day", "pages")
    assert labels["daily_sharers"] == ("appid", "day")
    assert labels["period_end_timestamp_seconds"] == ("appid", "report")


def test_families_of_reports_that_no_app_fetches_are_absent() -> None:
    """Not even HELP lines: without the daily report the page has nothing about days."""
    names = {family.name for family in exposed_families(FULL)}
    others = {info.name for report in (DAILY, MONTHLY) for info in of_report(report)}
    others |= {info.name for info in catalogue.thresholds((DAILY,)).values()}
    others -= {info.name for info in catalogue.thresholds((WEEKLY,)).values()}
    assert len(others) == 28 + 12 + 1 + 21 + 1 + 2
    assert names & others == set()
    assert {info.name for info in of_report(WEEKLY)} <= names
    assert others <= {family.name for family in exposed_families(FULL, EVERY)}


def exposed_families(*statuses: AppStatus) -> list[Metric]:
    plain = Renderer().render(statuses).parts[Format.TEXT].plain
    return list(parse_text(plain.decode()))


def test_families_follow_the_reports_that_are_fetched() -> None:
    renderer = Renderer()
    without = renderer.render([FULL]).parts[Format.TEXT].plain
    assert b"monthly" not in without
    assert b"monthly_visitors{" in renderer.render([FULL, EVERY]).parts[Format.TEXT].plain
    assert renderer.render([FULL]).parts[Format.TEXT].plain == without


def test_reports_of_one_kind_of_period_share_its_end() -> None:
    """A second report of days must not expose the end of a day twice: Prometheus refuses such a scrape."""
    second = replace(DAILY, name="second", comparisons=(), derived=(), calendar=(), alert_thresholds=())
    older = replace(
        EVERY.reports[1], report=second, history=history(stored(DAY.before(), *figures(DAY)), report=second)
    )
    for extra, days in ((replace(older, history=replace(whole_history(DAILY), report=second)), 1), (older, 2)):
        status = replace(EVERY, reports=(EVERY.reports[1], extra))
        found = [
            family
            for family in families((DAILY, second), [status])
            if family.name.endswith("_day_end_timestamp_seconds")
        ]
        assert len(found) == 1
        assert [sample.value for sample in found[0].samples] == [DAY.end, DAY.before().end][:days]


HOLIDAYS = {
    date(2026, 10, 5): (3, 2),  # National Day, 1 to 7 October 2026
    date(2026, 10, 12): (0, 3),
    date(2026, 12, 28): (None, 0),  # the schedule of 2027 is not published
    date(2003, 12, 29): (None, None),  # before the package's first year
}


@pytest.mark.parametrize(("monday", "expected"), HOLIDAYS.items())
def test_holidays_are_exposed_where_the_schedule_is_known(
    monday: date, expected: tuple[int | None, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {day: name for day, name in chinese_calendar.holidays.items() if day.year <= 2026}
    monkeypatch.setattr("chinese_calendar.utils.holidays", known)
    public_holidays.cache_clear()
    week = Week.of(monday)
    found = samples(with_report(FULL, history=history(stored(week, *(1,) * 7))))
    names = ("week_public_holidays", "previous_week_public_holidays")
    assert tuple(found.get((name, "wx1", week.label)) for name in names) == expected
    public_holidays.cache_clear()


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 10, 1), (1, 0)),  # National Day
        (date(2026, 10, 8), (0, 1)),
        (date(2026, 10, 10), (1, 1)),  # a Saturday on which people work, after one of the holiday
        (date(2026, 11, 24), (0, 0)),
        (date(2003, 5, 1), (None, None)),
    ],
)
def test_irregular_days_are_exposed_where_the_schedule_is_known(day: date, expected: tuple[int | None, ...]) -> None:
    live = Day.of(day)
    daily = replace(EVERY.reports[1], history=history(stored(live, *(1,) * 7, report=DAILY), report=DAILY))
    found = samples(replace(EVERY, reports=(daily,)), reports=ALL)
    names = ("day_irregular", "same_weekday_irregular")
    assert tuple(found.get((name, "wx3", live.label)) for name in names) == expected


def test_an_app_never_fetched_has_its_state_and_zero_counters() -> None:
    assert samples(NEW) == {
        ("app_info", "wx2", ""): 1,
        ("fetch_state", "wx2", "weekly", "pending"): 1,
        ("next_fetch_timestamp_seconds", "wx2", "weekly"): 7.0,
        ("fetches_total", "wx2", "weekly"): 0,
        ("fetch_failures_total", "wx2", "weekly"): 0,
        ("revisions_total", "wx2", "weekly"): 0,
        ("alert_visitors_min_ratio", "wx2", "weekly"): 0.5,
        ("alert_new_visitors_min_ratio", "wx2", "weekly"): 0.7,
        ("alert_sessions_min_ratio", "wx2", "weekly"): 0.7,
        ("alert_visits_min_ratio", "wx2", "weekly"): 0.7,
        ("alert_stay_per_visitor_min_ratio", "wx2", "weekly"): 0.7,
        ("alert_visit_depth_min_ratio", "wx2", "weekly"): 0.7,
    }


UP = {
    State.PENDING: None,
    State.OK: 1,
    State.NOT_READY: 1,
    State.QUOTA_SPENT: 0,
    State.REFUSED: 0,
    State.FAILED: 0,
}


@pytest.mark.parametrize(("state", "up"), UP.items())
def test_up_follows_from_the_state(state: State, up: int | None) -> None:
    found = samples(with_report(FULL, state=state))
    assert found.get(("up", "wx1", "weekly")) == up
    states = {key: value for key, value in found.items() if key[0] == "fetch_state"}
    assert states == {("fetch_state", "wx1", "weekly", state.value): 1}


def test_every_state_is_in_the_table_of_up() -> None:
    assert set(UP) == set(State)


def test_errors_are_counted_by_code() -> None:
    found = samples(FULL)
    assert found["api_errors_total", "wx1", "weekly", "45009"] == 1
    assert found["api_errors_total", "wx1", "weekly", "timeout"] == 2
    assert found["last_success_timestamp_seconds", "wx1", "weekly"] == 4.0


def parsed(body: bytes, format_: Format) -> list[Metric]:
    parse = parse_text if format_ is Format.TEXT else parse_openmetrics
    return list(parse(body.decode()))


@pytest.mark.parametrize("format_", Format)
def test_both_parsers_read_every_family_of_the_catalogue(format_: Format) -> None:
    page = Renderer().render([FULL, NEW, HOSTILE, EVERY])
    found = parsed(compose(page, meters().registry, format_, gzip=False), format_)
    names = {family.name for family in found if family.name.startswith("wechat_miniprogram_")}
    infos = {*(info for report in ALL for info in of_report(report)), *catalogue.OF_APPS, *catalogue.OF_EXPORTER}
    assert names == {info.name.removesuffix("_total") for info in infos}
    assert {(family.name, family.type, family.documentation) for family in found} >= {
        (info.name.removesuffix("_total"), info.kind, info.help) for info in infos
    }
    all_samples = [sample for family in found for sample in family.samples]
    assert not [sample for sample in all_samples if sample.name.endswith("_created") or sample.timestamp]
    names_of_apps = {sample.labels["name"] for sample in all_samples if "name" in sample.labels}
    assert names_of_apps == {"Shop", "", HOSTILE.name, "Everything"}


@pytest.mark.parametrize("format_", Format)
def test_gzip_is_one_member_with_the_same_bytes(format_: Format) -> None:
    live = meters(process=False).registry
    for statuses in ([], [FULL, NEW]):
        page = Renderer().render(statuses)
        plain = compose(page, live, format_, gzip=False)
        zipped = compose(page, live, format_, gzip=True)
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert stream.decompress(zipped) == plain
        assert stream.eof
        assert stream.unused_data == b""
        assert gzip.decompress(zipped) == plain


class Everything:
    """Return the rendering of prometheus_client alone."""

    def __init__(self, statuses: list[AppStatus]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        reports = [report for report in ALL if any(status.of(report) for status in self._statuses)]
        return families(reports, self._statuses)


def test_shards_give_the_bytes_of_prometheus_client() -> None:
    renderer = Renderer()
    fleet = [replace(status, appid=f"{status.appid}{n}") for n in range(130) for status in (FULL, NEW, HOSTILE)]
    revised = [*fleet[:250], replace(FULL, appid="wx-revised", name="Other"), *fleet[251:]]
    for statuses in (fleet, revised, revised[:-150], [*revised[:50], EVERY], [], fleet):
        page = renderer.render(statuses)
        assert page.parts[Format.TEXT].plain == text_exposition(Everything(statuses))  # type: ignore[arg-type]
        assert page.parts[Format.OPENMETRICS].plain + b"# EOF\n" == openmetrics_exposition(Everything(statuses))


def test_only_the_shard_of_a_changed_app_is_rendered_again() -> None:
    renderer = Renderer()
    fleet = [replace(FULL, appid=f"wx{n}") for n in range(300)]
    renderer.render(fleet)
    before = list(renderer._blocks)
    fleet[150] = replace(FULL, appid="wx150", name="Other")
    renderer.render(fleet)
    rendered = [number for number, block in enumerate(renderer._blocks) if block is not before[number]]
    assert len(before) > 2
    assert [150 in range(number * 20, number * 20 + 20) for number in rendered] == [True]


def test_families_without_an_appid_are_not_cached() -> None:
    infos = [info for report in ALL for info in of_report(report)]
    assert all("appid" in info.labels for info in (*infos, *catalogue.OF_APPS))
    assert not any("appid" in info.labels for info in catalogue.OF_EXPORTER)
    cached = Renderer().render([FULL]).parts[Format.TEXT].plain
    assert b"exporter_" not in cached
    assert b'appid="wx1"' in cached


def test_exporter_metrics_are_current_at_each_scrape() -> None:
    measured = meters(process=False)
    page = Renderer().render([])

    def value(name: str, **labels: str) -> float:
        body = compose(page, measured.registry, Format.TEXT, gzip=False)
        found = [
            sample.value
            for family in parsed(body, Format.TEXT)
            for sample in family.samples
            if sample.name == f"wechat_miniprogram_exporter_{name}" and sample.labels == labels
        ]
        assert len(found) == 1, name
        return found[0]

    assert value("api_request_duration_seconds_count", endpoint="weekly") == 0
    measured.observe("weekly", 0.3, failed=True)
    measured.tick(123.0)
    measured.internal_error("pages")
    measured.config_loaded(45.0, (), ["apps.d/a.yaml"])
    assert value("api_request_duration_seconds_count", endpoint="weekly") == 1
    assert value("poller_last_run_timestamp_seconds") == 123.0
    assert value("internal_errors_total", component="pages") == 1
    assert value("internal_errors_total", component="poller") == 0
    assert value("config_last_reload_successful") == 1
    assert value("config_last_reload_success_timestamp_seconds") == 45.0
    assert value("config_file_errors", file="apps.d/a.yaml") == 1
    assert value("store_up") == 1


def test_unavailable_store_is_exposed() -> None:
    page = Renderer().render([])
    body = compose(page, meters(up=False, process=False).registry, Format.TEXT, gzip=False)
    assert b"\nwechat_miniprogram_exporter_store_up 0.0\n" in body


def test_promtool_accepts_the_exposition(promtool: str) -> None:
    page = Renderer().render([FULL, NEW, HOSTILE, EVERY])
    body = compose(page, meters().registry, Format.TEXT, gzip=False)
    check_metrics(promtool, body)


@pytest.mark.parametrize("report", ALL, ids=REPORTS)
def test_help_names_the_field_of_wechat_and_is_a_sentence(report: Report) -> None:
    infos = {info.name: info for info in of_report(report)}
    kinds = {derived.period.NAME for derived in report.derived if derived.period}
    for field in report.plain_fields:
        names = [report.metric(field)]
        names += [report.comparison_metric(each, field) for each in report.comparisons if each.applies_to(field)]
        assert [name for name in names if f"({field.wechat})." not in infos[name].help] == []
    for derived in report.derived:
        names = [(f"{PREFIX}{derived.metric.format(field.metric)}", field) for field in report.fields]
        assert [name for name, field in names if name in infos and f"({field.wechat})." not in infos[name].help] == []
    for info in infos.values():
        assert info.help[0].isupper()
        assert info.help.endswith(".")
        assert info.labels[:2] in {("appid", report.period.NAME), *(("appid", kind) for kind in kinds)}


# --- a report that is registered at run time ---------------------------------------------------------

GIFTS = Field("gift_pv", "gifts", "Gifts", "Gifts", Unit.COUNT)
GIVERS = Field("gift_uv", "givers", "Givers", "Givers, deduplicated", Unit.COUNT)
RESPONSE = Field("gift_seconds", "response_seconds", "Response", "Average time until a gift is opened", Unit.SECONDS)
NOON = DAY.after().start + 12 * 3600


@pytest.fixture
def made_up() -> Iterator[Report]:
    """Yield a report that the exporter does not have: three fields, none of them primary, and one comparison."""
    report = Report(
        name="made_up",
        title="Gifts",
        api="analysis.getMadeUp",
        path="/datacube/getmadeup",
        period=Day,
        fields=(GIFTS, GIVERS, RESPONSE),
        comparisons=(Comparison("day_before", "one day earlier", earlier(1)),),
        alert_thresholds=(AlertThreshold(GIVERS, 0.4),),
        lookback=1,
    )
    register(report)
    yield REPORTS["made_up"]
    del reports_catalogue._reports["made_up"]


def test_a_registered_report_is_exposed_from_fetch_to_page(made_up: Report, promtool: str) -> None:
    """It works in the simulator, the store, a scrape, the JSON and the status page, beside the daily report."""
    simulated = SimulatedApp("wx1", "secret-of-the-made-up-app")
    with served_simulator([simulated], lambda: NOON) as (wechat, url):
        for day, row in ((DAY, (30, 20, 1.5)), (DAY.before(), (60, 0, 0.5))):
            fields = dict(zip(("gift_pv", "gift_uv", "gift_seconds"), row, strict=True))
            wechat.publish("wx1", {**wechat.row("wx1", day), **fields})
        with wired([simulated], url, lambda: NOON, reports=(DAILY, made_up), history_weeks=2) as engine:
            engine.poller.drain()
            found, statuses = exposed(engine), engine.poller.statuses()
    labels = ("wx1", DAY.label)
    assert {
        key: value for key, value in found.items() if key[0].startswith(("made_up_", "day_before_", "day_end"))
    } == {
        ("made_up_gifts", *labels): 30,
        ("made_up_givers", *labels): 20,
        ("made_up_response_seconds", *labels): 1.5,
        ("day_before_gifts", *labels): 60,
        ("day_before_givers", *labels): 0,
        ("day_before_response_seconds", *labels): 0.5,
        ("day_end_timestamp_seconds", *labels): DAY.end,
    }
    assert found["up", "wx1", "made_up"] == found["fetch_state", "wx1", "made_up", "ok"] == 1
    assert found["period_end_timestamp_seconds", "wx1", "made_up"] == DAY.end
    assert found["alert_givers_min_ratio", "wx1", "made_up"] == 0.4
    assert found["fetches_total", "wx1", "made_up"] == 2
    with served(statuses, clock=lambda: NOON) as address:
        scraped = requests.get(f"{address}/metrics", timeout=5).text
        facts = requests.get(f"{address}/api/v1/apps", timeout=5).json()["data"]["apps"][0]["reports"]["made_up"]
        page = requests.get(f"{address}/?report=made_up", timeout=5).text
        first = requests.get(f"{address}/", timeout=5).text
    assert found.items() >= samples_of(scraped).items()
    check_metrics(promtool, scraped.encode())
    assert facts["day"] == DAY.label
    assert facts["figures"] == {"gifts": 30, "givers": 20, "response_seconds": 1.5}
    assert facts["comparison"] == {"day_before": {"gifts": 60, "givers": 0, "response_seconds": 0.5}}
    assert (facts["derived"], facts["calendar"], facts["history"]) == ({}, {}, {})
    assert '<a href="?report=made_up" aria-current="page">Gifts</a>' in page
    assert "each with its change against one day earlier." in page
    assert "<td>30<small>−50.0%</small></td>" in page
    assert "<td>1.5 s" in page
    assert "<svg" not in page
    assert '<a href="?report=daily" aria-current="page">Days</a>' in first


def test_unregistered_report_is_not_exposed() -> None:
    assert list(REPORTS) == list(LIVE)
    assert "made_up" not in compose(Renderer().render([EVERY]), meters().registry, Format.TEXT, gzip=False).decode()


def check_metrics(promtool: str, exposition: bytes) -> None:
    result = subprocess.run([promtool, "check", "metrics"], input=exposition, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_promtool_accepts_the_exposition_of_the_demo(promtool: str) -> None:
    with fetched_demo(NOON) as engine:
        apps = engine.poller.statuses()
        body = compose(Renderer().render(apps), engine.meters.registry, Format.TEXT, gzip=False)
    check_metrics(promtool, body)
    found = samples_of(body.decode())
    every = {app.appid for app in apps if len(app.reports) == len(REPORTS)}
    assert len(every) == 3
    for name in ("monthly_visitors", "recent_visitors", "typical_weekday_visitors", "daily_shares"):
        assert {key[1] for key in found if key[0] == name} == every
    for name in ("previous_week_retained_new_visitors", "previous_week_source_sessions", "daily_depth_sessions"):
        assert {key[1] for key in found if key[0] == name} == every
    assert {key[1] for key in found if key[0] == "weekly_visitors"} > every
    assert {key[3] for key in found if key[0] == "fetch_state"} == set(State) - {State.PENDING}

"""The file of a backfill parses, is sorted, and shows what scrapes would have, whatever periods are missing."""

from __future__ import annotations

import io
from collections import defaultdict
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from harness import PREFIX
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from scale import scaled

from exporter.backfill import Grid, HistoryFile, Selection, Timelines
from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.metrics import SeriesRenderer
from exporter.periods import DAY, Week
from exporter.reports import REPORTS, Reading, StoredReading
from exporter.store import Change, Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.backfill import PeriodRange
    from exporter.periods import Period
    from exporter.reports import Report

NOW = 1_795_600_000.0
READY_AFTER = 36_000.0
ALL = tuple(REPORTS.values())
NAMES = ("Shop", 'a "quoted" \\ name', "店铺\n\u2028")
LABELS = {"job": "j", "instance": 'i"\\'}
WEEKS = 5

Missing = set[tuple[str, str, int]]
"""Appid, name of the report, and how many periods before the newest wanted one."""

RETURNING: Missing = {("wx2", "weekly_retention", 2)}
"""The cohort before has no figures of its first later week: its week is exposed, then not, then again."""


def app(number: int) -> App:
    return App(f"wx{number}", Datacube(AppSecret(LiteralSecret("x" * 20))), NAMES[number], reports=ALL)


APPS = tuple(map(app, range(len(NAMES))))


def values(report: Report, period: Period, number: int) -> tuple[float | None, ...]:
    """Return figures that no two periods of an app share; some fields are missing."""
    base = period.first.toordinal() * 10 + number
    return tuple(None if (base + place) % 11 == 0 else float(base + place) for place in range(len(report.fields)))


def reading(report: Report, period: Period, number: int) -> Reading:
    """Return a reading of which some parts are missing: entrances come and go, cohorts lack a week."""
    base = period.first.toordinal() + number
    parts = [
        (field.wechat, key, float(base + int(key)))
        for field in report.fields
        if field.dimension is not None
        for key in list(field.dimension.names)[:6]
        if (base + int(key)) % 3
    ]
    return Reading(report, period, values(report, period, number), tuple(sorted(parts)))


def filled(missing: Missing) -> tuple[Store, dict[tuple[str, str], list[Period]]]:
    """Return a store with all periods but these, and the known periods of each app and report, the oldest first."""
    store = Store(":memory:", "host", lambda: NOW)
    known: dict[tuple[str, str], list[Period]] = defaultdict(list)
    changes = []
    for number, each in enumerate(APPS):
        for report in ALL:
            periods = selected()[report.name]
            for back, period in enumerate(reversed(list(periods))):
                if (each.appid, report.name, back) not in missing:
                    changes.append(Change(each.appid, report, StoredReading(reading(report, period, number), 1.0)))
                    known[each.appid, report.name].insert(0, period)
    store.save(changes)
    return store, known


def selected(selection: Selection | None = None) -> Mapping[str, PeriodRange]:
    found = {report.name: (selection or Selection(WEEKS)).periods(report, NOW, READY_AFTER) for report in ALL}
    return {name: periods for name, periods in found.items() if periods is not None}


def written(store: Store, until: float, interval: int, reports: Sequence[Report] = ALL) -> str:
    output = io.BytesIO()
    with closing(HistoryFile(SeriesRenderer(reports, LABELS), Grid(interval, until), None)) as history:
        for each in APPS:
            history.add(Timelines(store, READY_AFTER, until).of(each, selected()))
        history.write(output)
    return output.getvalue().decode()


def missing_periods() -> st.SearchStrategy[Missing]:
    places = [
        (each.appid, name, back)
        for each in APPS
        for name, periods in selected().items()
        for back in range(len(periods))
    ]
    return st.sets(st.sampled_from(places), max_size=len(places)) | st.just(set(places))


@pytest.mark.soak
@pytest.mark.timeout(scaled(300, 1200))
@settings(max_examples=scaled(3, 300))
@example(RETURNING, 0, 3 * 3600.0)
@given(missing_periods(), st.sampled_from([0, 3600 * 5, 86_400]), st.floats(0, WEEKS * 7 * DAY))
def test_file_parses_and_is_sorted_whatever_is_missing(missing: Missing, interval: int, before: float) -> None:
    """The parser refuses series that interleave and times that do not increase; each figure is live when it should."""
    until = NOW - before
    store, known = filled(missing)
    text = written(store, until, interval)
    assert text.endswith("# EOF\n")
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        times: dict[tuple[str, ...], list[float]] = defaultdict(list)
        for sample in family.samples:
            assert sample.labels.items() >= LABELS.items()
            assert float(sample.timestamp) == int(float(sample.timestamp)) < until
            times[tuple(sample.labels.values())].append(float(sample.timestamp))
        for each in times.values():
            assert all(earlier < later for earlier, later in pairwise(each))
    shown = {
        (family.name.removeprefix(PREFIX), sample.labels["appid"], float(sample.timestamp), sample.labels["day"])
        for family in families
        if family.name == f"{PREFIX}day_end_timestamp_seconds"
        for sample in family.samples
    }
    for name, appid, at, label in shown:
        live = [day for day in known[appid, "daily"] if day.end + READY_AFTER <= at]
        assert (name, label) == ("day_end_timestamp_seconds", live[-1].label)
    for family in families:
        for sample in family.samples:
            if later := sample.labels.get("weeks_later"):
                week = Week.from_ref_date(sample.labels["week"])
                assert float(sample.timestamp) >= week.before(-int(later)).end + READY_AFTER


@pytest.mark.soak
@settings(max_examples=scaled(2, 50))
@given(missing_periods())
@example(RETURNING)
def test_every_period_before_the_seam_has_its_figures(missing: Missing) -> None:
    until = NOW - 3 * 3600
    store, known = filled(missing)
    families = {family.name: family for family in text_string_to_metric_families(written(store, until, 0))}
    for report in ALL:
        kind = report.period.NAME
        for place, field in enumerate(report.plain_fields):
            family = families.get(report.metric(field))
            found = (
                []
                if family is None
                else [(s.labels["appid"], s.labels[kind], float(s.timestamp), s.value) for s in family.samples]
            )
            expected = []
            for number, each in enumerate(APPS):
                for period in known[each.appid, report.name]:
                    value = values(report, period, number)[place]
                    if value is not None and period.end + READY_AFTER < until:
                        expected.append((each.appid, period.label, period.end + READY_AFTER, value))
            assert found == expected, "one sample for each period, and nothing else"


def test_long_series_have_a_sample_at_each_moment() -> None:
    """An alert needs its threshold at the same instant as the figure, also with one sample per period."""
    store, _ = filled(set())
    families = {family.name: family for family in text_string_to_metric_families(written(store, NOW, 0))}
    days = {float(s.timestamp) for s in families[f"{PREFIX}daily_visitors"].samples if s.labels["appid"] == "wx0"}
    for name in ("app_info", "alert_visitors_min_ratio"):
        assert {float(s.timestamp) for s in families[PREFIX + name].samples if s.labels["appid"] == "wx0"} >= days


GRIDS = [
    (Grid(3600, 9e9), (36_000.0, 43_200.0), (36_000, 39_600)),
    (Grid(3600, 43_200.0), (36_000.0, 43_200.0), (36_000, 39_600, 43_199)),
    (Grid(3600, 43_199.5), (36_000.5, 43_199.5), (36_001, 39_601, 43_199)),
    (Grid(3600, 39_601.0), (36_000.0, 39_601.0), (36_000, 39_600)),
    (Grid(3600, 36_000.5), (36_000.2, 36_000.5), ()),
    (Grid(0, 43_200.0), (36_000.0, 43_200.0), (36_000,)),
]


@pytest.mark.parametrize(("grid", "moment", "times"), GRIDS)
def test_samples_end_right_before_the_seam(grid: Grid, moment: tuple[float, float], times: tuple[int, ...]) -> None:
    assert grid.times(*moment) == times


def test_periods_are_those_that_contain_the_days() -> None:
    newest = {report.name: periods.last for report in ALL if (periods := selected()[report.name])}
    assert {name: len(periods) for name, periods in selected().items()} == {
        report.name: report.periods_in_weeks(WEEKS) for report in ALL
    }
    assert all(periods.is_open for periods in selected().values())
    day = newest["weekly"].before(3).days[4]
    chosen = selected(Selection(begin=day, end=day))
    assert {name: (periods.first, periods.last) for name, periods in chosen.items()} == {
        report.name: (report.period.containing_day(day),) * 2 for report in ALL if report.name in chosen
    }
    assert not chosen["weekly"].is_open
    oldest = selected(Selection(1040))
    assert min(periods.first.first for periods in oldest.values()).year == 2017


def test_nothing_is_exposed_after_the_chosen_periods() -> None:
    """Also no later week of a cohort, which is known after the next cohort has become the live one."""
    store, _ = filled(set())
    newest = selected()["daily"].last
    day = newest.before(34).first
    chosen = selected(Selection(begin=day, end=day))
    assert chosen.keys() == REPORTS.keys()
    timelines = Timelines(store, READY_AFTER, NOW)
    exposed: dict[Report, list[tuple[float, float]]] = defaultdict(list)
    for moment in timelines.of(APPS[0], chosen):
        for of in moment.status.reports:
            assert of.history.live == chosen[of.report.name].last
            exposed[of.report].append((moment.start, moment.end))
    for name, report in REPORTS.items():
        starts, ends = zip(*exposed[report], strict=True)
        assert (min(starts), max(ends)) == timelines.bounds(report, chosen[name])
        assert max(starts) < max(ends)


def test_families_have_their_help_and_type_once() -> None:
    lines = [family.lines for family in SeriesRenderer(ALL, {}).families]
    assert len({*lines}) == len(lines) > 50
    assert all(line.count(b"\n") == 2 and line.startswith(b"# HELP ") and line.endswith(b" gauge\n") for line in lines)

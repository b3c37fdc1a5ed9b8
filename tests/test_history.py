from __future__ import annotations

from datetime import date
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.periods import Day, Month, Week
from exporter.poller.tracker import ReportTracker, apply_history, apply_newest, from_store
from exporter.reports import DAILY, DAILY_SOURCES, MONTHLY, REPORTS, WEEKLY, History, Reading, StoredReading
from exporter.store import Store
from exporter.wechat.client import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.periods import Period
    from exporter.reports import Report

APP = App(appid="wx0123456789abcdef", access=Datacube(AppSecret(LiteralSecret("s"))))
LIVE = Week(date(2026, 11, 16))
NOW = LIVE.end
TRENDS = (WEEKLY, DAILY, MONTHLY)
ROW_BYTES = 8 * len(WEEKLY.fields)
REACH = WEEKLY.lookback
(VISITORS,) = (field for field in WEEKLY.fields if field.metric == "visitors")
LIVE_PERIODS = {"weekly": LIVE, "daily": Day(date(2026, 3, 1)), "monthly": Month(date(2026, 3, 1))}


def reading(period: Period, visitors: int | None, report: Report = WEEKLY) -> Reading:
    return Reading(report, period, (1, 2, visitors, 4, 5.5, 6.5, 7.5))


def stored(period: Period, visitors: int | None, first_seen: float = 1.0, report: Report = WEEKLY) -> StoredReading:
    return StoredReading(reading(period, visitors, report), first_seen)


def history(figures: dict[int, int | None], report: Report = WEEKLY) -> History:
    """Return a history with these visitors, by the number of periods before the live one."""
    live = LIVE_PERIODS[report.name]
    return History.of(report, [stored(live.before(number), figures[number], report=report) for number in figures])


def course(history: History, length: int = REACH + 1) -> list[float | None]:
    return history.recent_values(VISITORS, length)


def visitors(history: History) -> dict[Period, float | None]:
    """Return the visitors of every period, the oldest first."""
    return {period: history.value(period, VISITORS) for period in reversed(history.periods)}


def test_history_returns_the_readings_it_was_made_of() -> None:
    found = history({0: 3, 3: 0, 1: 2})
    assert visitors(found) == {LIVE.before(3): 0, LIVE.before(2): None, LIVE.before(): 2, LIVE: 3}
    assert list(visitors(found)) == sorted(visitors(found))
    assert course(found) == [0, None, 2, 3]
    for number, figure in ((0, 3), (1, 2), (3, 0)):
        assert found.reading(LIVE.before(number)) == reading(LIVE.before(number), figure)
    assert found.reading(LIVE.before(2)) is None
    assert (found.live, found.live_value(VISITORS)) == (LIVE, 3)


def test_empty_history_has_no_values() -> None:
    empty = History.of(WEEKLY, [])
    assert empty == History(WEEKLY)
    assert (empty.live, empty.first_seen, empty.periods, course(empty)) == (None, 0.0, [], [])
    assert empty.reading(LIVE) is empty.value(LIVE, VISITORS) is empty.live_value(VISITORS) is None


def test_periods_outside_the_history_are_unknown() -> None:
    found = history({0: 3, 1: 2})
    for period in (LIVE.after(), LIVE.before(2), LIVE.before(REACH + 1), LIVE.before(5000), LIVE.before(-5000)):
        assert found.reading(period) is found.value(period, VISITORS) is None
    assert found.value(None, VISITORS) is None


def test_a_history_ends_with_the_live_period_of_unknown_figure() -> None:
    assert course(history({0: None, 1: 2})) == [2, None]
    alone = history({0: None})
    assert (course(alone), alone.live) == ([None], LIVE)
    assert course(alone.with_reading(stored(LIVE.before(), 2))) == [2, None]


def test_every_field_keeps_its_type_zero_and_gap() -> None:
    values = (0, None, 2**53, 1, 0.0, 69.1344, None)
    found = History.of(WEEKLY, [StoredReading(Reading(WEEKLY, LIVE, values), 1.0)]).reading(LIVE)
    assert found is not None
    assert found.values == values
    assert list(map(type, found.values)) == list(map(type, values))


def test_a_row_is_seven_doubles() -> None:
    assert len(history({0: 3}).packed) == ROW_BYTES == 56
    assert len(history({0: 3, 4: 2}).packed) == 5 * ROW_BYTES


@pytest.mark.parametrize("report", TRENDS, ids=lambda report: report.name)
def test_a_history_keeps_its_reach_and_drops_older(report: Report) -> None:
    live = LIVE_PERIODS[report.name]
    full = History(report)
    for number in range(report.lookback + 20):
        full = full.with_reading(stored(live.before(number), number, report=report))
    assert course(full, 1000) == list(reversed(range(report.lookback + 1)))
    assert len(full.packed) == (report.lookback + 1) * ROW_BYTES
    later = full.with_reading(stored(live.after(), 999, report=report))
    assert course(later, 1000) == [*reversed(range(report.lookback)), 999]
    assert later.with_reading(stored(live.before(report.lookback), 5, report=report)) == later
    assert len(later.packed) == len(full.packed)


def test_half_a_year_of_weeks_and_thirteen_months_are_kept() -> None:
    assert (WEEKLY.lookback, DAILY.lookback, MONTHLY.lookback) == (25, 111, 12)


def test_a_newer_period_after_a_gap_leaves_unknown_ones() -> None:
    later = history({0: 3, 1: 2}).with_reading(stored(LIVE.before(-4), 9, 77.0))
    assert course(later) == [2, 3, None, None, None, 9]
    assert (later.live, later.first_seen) == (LIVE.before(-4), 77.0)


@pytest.mark.parametrize("gap", [REACH, REACH + 1, 5000])
def test_gap_longer_than_the_reach_drops_older_periods(gap: int) -> None:
    later = history({0: 3, 1: 2}).with_reading(stored(LIVE.before(-gap), 9))
    assert course(later) == ([3, *[None] * (REACH - 1), 9] if gap == REACH else [9])
    assert len(later.packed) == (REACH + 1 if gap == REACH else 1) * ROW_BYTES


def test_an_older_period_fills_a_gap_or_extends_the_end() -> None:
    found = history({0: 3, 3: 1})
    assert course(found.with_reading(stored(LIVE.before(), 7))) == [1, None, 7, 3]
    assert course(found.with_reading(stored(LIVE.before(5), 7))) == [7, None, 1, None, None, 3]
    assert found.with_reading(stored(LIVE.before(5), 7, 99.0)).first_seen == 1.0


def test_a_revision_replaces_the_whole_row() -> None:
    found = history({0: 3, 1: 2})
    assert course(found.with_reading(stored(LIVE.before(), 4))) == [4, 3]
    assert course(found.with_reading(stored(LIVE, None))) == [2, None]
    fewer = found.with_reading(StoredReading(Reading(WEEKLY, LIVE, (None, None, 5, None, None, None, None)), 9.0))
    assert fewer.value(LIVE, WEEKLY.fields[0]) is None
    assert (course(fewer), fewer.first_seen) == ([2, 5], 9.0)


def test_a_nan_is_unknown() -> None:
    """The store and the protocol reject it earlier; in a packed history NaN marks a gap."""
    strange = Reading(WEEKLY, LIVE, (1, 2, float("nan"), 4, 5.5, float("nan"), 7.5))
    found = History.of(WEEKLY, [StoredReading(strange, 1.0)]).reading(LIVE)
    assert found is not None
    assert found.values == (1, 2, None, 4, 5.5, None, 7.5)


def test_histories_are_equal_whatever_the_order() -> None:
    readings = [stored(LIVE.before(number), number) for number in (0, 1, 4, 6)]
    expected = History.of(WEEKLY, readings)
    for order in permutations(readings):
        found = History(WEEKLY)
        for each in order:
            found = found.with_reading(each)
        assert found == expected == History.of(WEEKLY, order)
        assert hash(found) == hash(expected)


def test_histories_differ_in_figures_and_first_seen() -> None:
    found = history({0: 3, 1: 2})
    others = [
        history({0: 3, 1: 4}),
        history({0: 3}),
        history({0: 3, 2: 2}),
        found.with_reading(stored(LIVE, 3, first_seen=2.0)),
        History(WEEKLY),
    ]
    assert found not in others
    assert found == found.with_reading(stored(LIVE, 3)) == found.with_reading(stored(LIVE.before(), 2))


def test_course_starts_with_a_known_value_and_has_the_newest() -> None:
    found = history({0: 3, 1: None, 2: 5, 3: None, 4: 6, 5: None})
    assert found.recent_values(VISITORS, 26) == [6, None, 5, None, 3]
    assert found.recent_values(VISITORS, 4) == [5, None, 3]
    assert found.recent_values(VISITORS, 1) == [3]
    assert found.recent_values(WEEKLY.fields[0], 26) == [1] * 6


@given(
    st.sampled_from(TRENDS),
    st.lists(st.tuples(st.integers(-40, 140), st.none() | st.integers(0, 2**53)), max_size=30),
)
def test_any_readings_in_any_order(report: Report, rows: list[tuple[int, int | None]]) -> None:
    """A history has the readings within the lookback of the newest one; of two of one period it has the later."""
    live = LIVE_PERIODS[report.name]
    found, expected = History(report), {}
    for number, figure in rows:
        each = stored(live.before(number), figure, report=report)
        found = found.with_reading(each)
        expected[each.period] = each.reading
        newest = max(expected)
        expected = {
            period: known for period, known in expected.items() if newest.periods_since(period) <= report.lookback
        }
    assert found.live == max(expected, default=None)
    assert {period: known for period in found.periods if (known := found.reading(period))} == expected
    assert History.of(report, [StoredReading(each, 1.0) for each in expected.values()]) == found
    assert len(found.packed) <= (report.lookback + 1) * ROW_BYTES


PART = st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 70).map(str))


@given(
    st.lists(st.tuples(st.integers(-40, 100), st.dictionaries(PART, st.integers(1, 2**40), max_size=6)), max_size=20)
)
def test_any_parts_in_any_order(rows: list[tuple[int, dict[tuple[str, str], int]]]) -> None:
    """A part that WeChat left out of a known figure is 0; of a figure or day that is not known, it is unknown."""
    first, second = DAILY_SOURCES.fields[0], DAILY_SOURCES.fields[2]
    live = LIVE_PERIODS["daily"]
    found, expected = History(DAILY_SOURCES), {}
    for number, chosen in rows:
        parts = {(first.wechat if name == "a" else second.wechat, key): value for (name, key), value in chosen.items()}
        totals = [sum(value for (name, _), value in parts.items() if name == f.wechat) or None for f in (first, second)]
        values = (totals[0], None, totals[1], 7)
        flat = tuple(sorted((name, key, value) for (name, key), value in parts.items()))
        each = Reading(DAILY_SOURCES, live.before(number), values, flat)
        found = found.with_reading(StoredReading(each, 1.0))
        expected[each.period] = each
        reach = max(expected).before(DAILY_SOURCES.lookback)
        expected = {period: known for period, known in expected.items() if period >= reach}
    assert {period: known for period in found.periods if (known := found.reading(period))} == expected
    keys = {key for each in expected.values() for name, key, _ in each.by_dimension if name == first.wechat}
    for period, each in expected.items():
        for key in keys | {"71"}:
            sent = {part: value for name, part, value in each.by_dimension if name == first.wechat}
            assert found.value(period, first, key) == (None if each.value(first) is None else sent.get(key, 0))
    if expected:
        assert set(found.keys(first, max(expected), 1000)) == keys
        assert (
            History.of(DAILY_SOURCES, [StoredReading(each, 1.0) for each in expected.values()]).periods == found.periods
        )


def test_entrance_of_dropped_days_leaves_no_column() -> None:
    """An app may have new entrances for years; only those within the lookback need memory."""
    first = DAILY_SOURCES.fields[0]
    found = History(DAILY_SOURCES)
    for number in range(300):
        parts = ((first.wechat, str(number), 7),)
        each = Reading(DAILY_SOURCES, LIVE_PERIODS["daily"].before(-number), (7, None, None, None), parts)
        found = found.with_reading(StoredReading(each, 1.0))
    # When the last one was added, the oldest day was still there.
    assert {key for _, key in found.columns} == {str(number) for number in range(298 - DAILY_SOURCES.lookback, 300)}
    assert found.value(found.live, first, "299") == 7


def test_newest_history_and_revisions_reach_the_history() -> None:
    tracker = apply_newest(ReportTracker(APP, WEEKLY, History(WEEKLY)), LIVE, Outcome(reading(LIVE, 30), ()), NOW)[0]
    for number in (1, 9):
        week = LIVE.before(number)
        tracker = apply_history(tracker, week, Outcome(reading(week, number)), NOW)[0]
    tracker = apply_newest(tracker, LIVE, Outcome(reading(LIVE, 33), ()), NOW)[0]
    assert course(tracker.status(NOW).history) == [9, *[None] * 7, 1, 33]


@pytest.mark.parametrize("wanted", [2, 9, 100])
def test_the_history_survives_a_restart(tmp_path: Path, wanted: int) -> None:
    """All periods within the lookback are read, even if fewer are wanted."""
    store = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    tracker = ReportTracker(APP, WEEKLY, History(WEEKLY))
    for weeks in (*range(40), 2):
        if weeks == 5:
            continue
        week = LIVE.before(weeks)
        outcome = Outcome(reading(week, None if weeks == 7 else 100 + weeks), ())
        tracker, changes = apply_newest(tracker, week, outcome, NOW)
        store.save(changes)
    store.close()
    again = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    found = from_store(APP, WEEKLY, again.read(APP.appid, WEEKLY, wanted), retry=True).history
    again.close()
    assert found == tracker.history
    assert found.value(LIVE.before(5), VISITORS) is found.value(LIVE.before(7), VISITORS) is None
    assert [figure for figure in course(found) if figure] == [100 + n for n in reversed(range(26)) if n not in (5, 7)]


def test_a_store_without_figures_gives_an_empty_history(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    for report in REPORTS.values():
        assert store.read(APP.appid, report, 8).history == History(report)
    store.close()


def test_one_figure_leads_each_report() -> None:
    leading = {name: [field.metric for field in report.fields if field.is_primary] for name, report in REPORTS.items()}
    trends = {report.name: ["visitors"] for report in TRENDS}
    assert leading == {
        **trends,
        "weekly_retention": [],
        "daily_sources": ["source_sessions"],
        "daily_summary": ["shares"],
    }

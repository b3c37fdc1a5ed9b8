"""Weekly retention: the responses, the cohorts that are requested, and the figures of each number of weeks later."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, exposed, served, wired

from exporter.apps import State
from exporter.config import App, AppSecret, Datacube, Fetch, LiteralSecret
from exporter.periods import BEIJING, DAY, Week
from exporter.poller.cross_checks import believed
from exporter.poller.plan import jitter, next_fetch, plan
from exporter.poller.tracker import ReportTracker, apply_history, apply_newest
from exporter.reports import WEEKLY, WEEKLY_RETENTION, History, Reading, StoredReading
from exporter.reports.retention import believe
from exporter.store import UnavailablePeriod
from exporter.wechat.client import Outcome
from exporter.wechat.codes import Failed, NotReady
from exporter.wechat.messages import ApiResponse
from exporter.wechat.protocol import parse_report
from exporter.wechat.simulator import Audience, InjectedFault, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.runtime.engine import Engine
    from exporter.wechat.simulator import Simulator

NOW = 1_795_320_000.0
VISITORS, NEW_VISITORS = WEEKLY_RETENTION.fields
APPID = "wx0123456789abcdef"
APP = App(appid=APPID, access=Datacube(AppSecret(LiteralSecret("s"))))


def beijing(text: str) -> float:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=BEIJING).timestamp()


def parsed(content: object, week: Week) -> Reading:
    return parse_report(ApiResponse(200, json.dumps(content).encode(), ""), WEEKLY_RETENTION, week, NOW)


def week(text: str) -> Week:
    return Week.from_ref_date(text)


# -- Responses

RECORDED = '{"ref_date":"20200323-20200329","visit_uv_new":[{"key":0,"value":67}],"visit_uv":[{"key":0,"value":75}]}'
DOCUMENTED = (
    '{"ref_date":"20170306-20170312","visit_uv_new":[{"key":0,"value":0},{"key":1,"value":16853}],'
    '"visit_uv":[{"key":0,"value":0},{"key":1,"value":99310}]}'
)
CONSTRUCTED = (
    '{"ref_date":"20181119-20181125","visit_uv_new":[{"key":0,"value":248},{"key":1,"value":61},{"key":2,"value":48},'
    '{"key":3,"value":41},{"key":4,"value":37}],"visit_uv":[{"key":0,"value":754},{"key":1,"value":402},'
    '{"key":2,"value":371},{"key":3,"value":350},{"key":4,"value":333}]}'
)
"""No complete response of a real app has been published; the sizes are those of a real week."""

RESPONSES = [
    ("recorded: asked a week later", RECORDED, (75, 67), ()),
    ("WeChat's example", DOCUMENTED, (0, 0), (("visit_uv", "1", 99310), ("visit_uv_new", "1", 16853))),
    (
        "constructed: after four weeks",
        CONSTRUCTED,
        (754, 248),
        (
            *(("visit_uv", str(key), value) for key, value in enumerate((402, 371, 350, 333), 1)),
            *(("visit_uv_new", str(key), value) for key, value in enumerate((61, 48, 41, 37), 1)),
        ),
    ),
]


@pytest.mark.parametrize(("which", "text", "sizes", "parts"), RESPONSES, ids=[row[0] for row in RESPONSES])
def test_response_gives_exactly_its_figures(
    which: str, text: str, sizes: tuple[int, int], parts: tuple[tuple[str, str, int], ...]
) -> None:
    assert which
    content = json.loads(text)
    reading = parsed(content, week(content["ref_date"]))
    assert (reading.values, reading.by_dimension) == (sizes, parts)
    camel = {"refDate": content["ref_date"], "visitUv": content["visit_uv"], "visitUvNew": content["visit_uv_new"]}
    assert parsed(camel | {"errMsg": "openapi.analysis.getWeeklyRetain:ok"}, reading.period) == reading


def test_digits_are_numbers_and_keys_after_the_last_are_ignored() -> None:
    content = json.loads(CONSTRUCTED)
    content["visit_uv"] = [{"key": str(each["key"]), "value": str(each["value"])} for each in content["visit_uv"]]
    content["visit_uv_new"].append({"key": 5, "value": 1})
    period = week(content["ref_date"])
    assert parsed(content, period) == parsed(json.loads(CONSTRUCTED), period)


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("another week", {"ref_date": "20181112-20181118"}, "ref_date is not 20181119-20181125"),
    ("no list", {"visit_uv": {"key": 0, "value": 1}}, "visit_uv is not a list of keys and values"),
    ("a repeated key", {"visit_uv": [{"key": 1, "value": 1}] * 2}, "visit_uv has an invalid or repeated key"),
    ("the same key twice", {"visit_uv": [{"key": 1, "value": 1}, {"key": "1", "value": 1}]}, "repeated key"),
    ("a key that is no number", {"visit_uv": [{"key": "a", "value": 1}]}, "visit_uv has an invalid or repeated key"),
    ("a negative key", {"visit_uv": [{"key": -1, "value": 1}]}, "visit_uv has an invalid or repeated key"),
    ("a truth value as key", {"visit_uv": [{"key": True, "value": 1}]}, "visit_uv has an invalid or repeated key"),
    ("a key without a value", {"visit_uv": [{"key": 1}]}, "or a key without a value"),
    ("no pairs", {"visit_uv": [7]}, "or a key without a value"),
    ("a fraction", {"visit_uv": [{"key": 1, "value": 0.5}]}, "visit_uv is not a whole number"),
    ("a negative number", {"visit_uv": [{"key": 1, "value": -1}]}, "visit_uv is not a valid number"),
    ("thousands of keys", {"visit_uv": [{"key": key, "value": 1} for key in range(2000)]}, "visit_uv has an invalid"),
]


@pytest.mark.parametrize(("what", "changes", "reason"), INVALID, ids=[row[0] for row in INVALID])
def test_invalid_response_is_malformed_with_the_reason(what: str, changes: dict[str, Any], reason: str) -> None:
    assert what
    with pytest.raises(Failed, match=reason) as caught:
        parsed(json.loads(CONSTRUCTED) | changes, week("20181119-20181125"))
    assert caught.value.errcode == "malformed"


def test_an_answer_without_cohorts_is_malformed() -> None:
    with pytest.raises(Failed, match="no cohort"):
        parsed({"ref_date": "20181119-20181125"}, week("20181119-20181125"))


@pytest.mark.parametrize("content", [{"list": []}, {"ref_date": "x", "visit_uv": [], "visit_uv_new": []}])
def test_empty_lists_are_not_ready(content: dict[str, Any]) -> None:
    with pytest.raises(NotReady) as caught:
        parsed(content, week("20181119-20181125"))
    assert caught.value.no_data


# -- Belief

TREND = Reading(WEEKLY, week("20170306-20170312"), (1, 2, 189405, 45592, 5.0, 6.0, 7.0))
W = TREND.period


def cohort(visitors: list[int | None], new: list[int | None], of: Week = W) -> Reading:
    """Return a cohort: its sizes, then who came back in each later week; None is unknown."""
    parts = [("visit_uv", str(key), value) for key, value in enumerate(visitors) if key and value is not None]
    parts += [("visit_uv_new", str(key), value) for key, value in enumerate(new) if key and value is not None]
    return Reading(WEEKLY_RETENTION, of, (visitors[0], new[0]), tuple(parts))


BELIEVED = [
    ("a size of 0 is taken from the weekly report", cohort([0, 99310], [0, 16853]), TREND, (189405, 45592)),
    ("without a weekly report it is unknown", cohort([0, 99310], [0, 16853]), None, (None, None)),
    ("a size that was not sent, too", cohort([None, 99310], [None, 16853]), TREND, (189405, 45592)),
    ("sizes are kept", cohort([9, 5], [4, 2]), TREND, (9, 4)),
    ("nobody came back", cohort([9, 0], [4, 0]), TREND, (9, 4)),
    ("zeros without a weekly report", cohort([0, 0], [0, 0]), None, (0, 0)),
    ("a week without visitors", cohort([0, 0], [0, 0]), replace(TREND, values=(0,) * 7), (0, 0)),
    ("zeros beside visitors", cohort([0, 0], [0, 0]), TREND, None),
    ("a size of 0 alone beside visitors", cohort([0], [0]), TREND, None),
    ("zeros of one figure", cohort([9, 5], [0, 0]), TREND, None),
]


@pytest.mark.parametrize(("why", "reading", "trend", "sizes"), BELIEVED, ids=[row[0] for row in BELIEVED])
def test_what_is_believed(why: str, reading: Reading, trend: Reading | None, sizes: tuple[int, int] | None) -> None:
    assert why
    found = believe(reading, trend)
    assert (None if found is None else found.values) == sizes
    assert found is None or found.by_dimension == reading.by_dimension


def test_zeros_wait_for_the_weekly_report() -> None:
    """With the weekly report, zeros are believed only after it; an app without it has nothing to compare with."""
    weekly = ReportTracker(APP, WEEKLY, History(WEEKLY))
    own = ReportTracker(APP, WEEKLY_RETENTION, History(WEEKLY_RETENTION))
    zeros = Outcome(cohort([0, 0], [0, 0]))
    assert believed({own.key: own}, APPID, zeros) == zeros
    waiting = believed({own.key: own, weekly.key: weekly}, APPID, zeros)
    assert isinstance(waiting.result, NotReady)
    assert "only zeros for week 20170306-20170312, which no other response confirms (yet)" in str(waiting.result)
    empty = replace(weekly, history=History.of(WEEKLY, [StoredReading(replace(TREND, values=(0,) * 7), 1.0)]))
    assert believed({own.key: own, empty.key: empty}, APPID, zeros) == zeros


def test_without_a_weekly_report_the_earlier_response_counts() -> None:
    """The size once known, from WeChat or from the weekly report, is not lost when that report is removed."""
    known = History.of(WEEKLY_RETENTION, [StoredReading(cohort([100, 50], [20, 5]), 1.0)])
    own = ReportTracker(APP, WEEKLY_RETENTION, known)
    assert isinstance(believed({own.key: own}, APPID, Outcome(cohort([0, 0], [0, 0]))).result, NotReady)
    assert believed({own.key: own}, APPID, Outcome(cohort([0, 51], [0, 6]))) == Outcome(cohort([100, 51], [20, 6]))


# -- Which cohorts are requested

N = Week.containing(beijing("11-22T12:00"))
"""The newest finished week on Monday 23 November 2026."""
MONDAY = beijing("11-23T12:00")
FETCH = Fetch(history_weeks=4)


def fresh() -> ReportTracker:
    return ReportTracker(APP, WEEKLY_RETENTION, History(WEEKLY_RETENTION))


def full(of: Week, last: int) -> Reading:
    return cohort([100, *[50] * last], [20, *[5] * last], of)


def fetched(tracker: ReportTracker, reading: Reading, now: float) -> ReportTracker:
    """Return the tracker after what the plan asks for was fetched."""
    planned = plan(tracker, FETCH, now)
    assert planned.period == reading.period
    apply = apply_history if planned.history else apply_newest
    return apply(tracker, reading.period, Outcome(reading), now)[0]


def test_four_cohorts_are_requested_each_monday() -> None:
    tracker = fresh()
    for weeks_ago in range(1, 5):
        tracker = fetched(tracker, full(N.before(weeks_ago), weeks_ago), MONDAY)
    assert tracker.stored == {N.before(4)}
    assert plan(tracker, FETCH, MONDAY).at > MONDAY, "nothing else is due"
    later = MONDAY + 7 * DAY
    for weeks_ago in range(1, 5):
        tracker = fetched(tracker, full(N.before(weeks_ago - 1), weeks_ago), later)
    assert plan(tracker, FETCH, later).at > later
    assert tracker.stored == {N.before(3), N.before(4)}
    assert tracker.counters.revisions == 0, "a further week is no revision"


def test_cohort_is_first_requested_a_week_after_a_trend() -> None:
    turn = N.end + FETCH.ready_after
    known = fetched(fresh(), full(N.before(2), 1), turn - 60)
    assert plan(known, FETCH, turn - 60).period == N.before(3)
    for weeks_ago in (3, 4, 5):
        known = fetched(known, full(N.before(weeks_ago), weeks_ago - 1), turn - 60)
    due = plan(known, FETCH, turn - 60)
    assert (due.period, due.at) == (N.before(2), pytest.approx(turn + 1800 * jitter(APPID), abs=1e-3))
    assert plan(known, FETCH, due.at).period == N.before(1)


def test_response_with_the_size_alone_is_not_ready() -> None:
    reading = cohort([75], [67], N.before(1))
    tracker, changes = apply_newest(fresh(), N.before(1), Outcome(reading), MONDAY)
    assert (tracker.state, tracker.history.live) == (State.NOT_READY, None)
    assert tracker.last_result is not None
    assert "visitors of week 20261109-20261115 came back 1 week later" in tracker.last_result.message
    assert [type(change.value).__name__ for change in changes] == ["LastResult"]
    assert next_fetch(tracker, FETCH, MONDAY) == pytest.approx(MONDAY + 1800 * (1 + jitter(APPID)), abs=1e-3)


def test_lag_that_is_not_ready_keeps_the_earlier_ones() -> None:
    """The cohort N-2 has its first week only: it is kept, and requested again after the next fetch of the newest."""
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    tracker = fetched(tracker, full(N.before(2), 1), MONDAY)
    assert tracker.history.value(N.before(2), VISITORS, "1") == 50
    assert tracker.unavailable[N.before(2)] == UnavailablePeriod(N.before(2), MONDAY, final=False)
    assert plan(tracker, FETCH, MONDAY).period == N.before(3)
    assert tracker.state is State.OK
    for weeks_ago in (3, 4):
        tracker = fetched(tracker, full(N.before(weeks_ago), weeks_ago), MONDAY)
    later = plan(tracker, FETCH, MONDAY)
    assert (later.period, later.history) == (N.before(1), False)
    tracker = fetched(tracker, full(N.before(1), 1), later.at)
    assert plan(tracker, FETCH, later.at).period == N.before(2)


def test_response_with_fewer_weeks_loses_nothing() -> None:
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    tracker = fetched(tracker, full(N.before(2), 2), MONDAY)
    later = MONDAY + 7 * DAY
    tracker = fetched(tracker, full(N, 1), later)
    tracker = fetched(tracker, full(N.before(1), 2), later)
    found, changes = apply_history(tracker, N.before(2), Outcome(full(N.before(2), 1)), later)
    assert found.history.value(N.before(2), VISITORS, "2") == 50
    assert [type(change.value).__name__ for change in changes] == ["UnavailablePeriod"]


def test_cohort_waits_for_the_last_week_of_both_figures() -> None:
    """The returned visitors may be published before the returned new visitors: neither is lost."""
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    half = cohort([100, 50, 40, 30, 20], [20, 5, 4, 3], N.before(4))
    tracker, changes = apply_history(tracker, half.period, Outcome(half), MONDAY)
    assert [type(change.value).__name__ for change in changes] == ["StoredReading", "UnavailablePeriod"]
    assert tracker.history.reading(half.period) == half
    assert not tracker.has(half.period, N.before(1))
    whole = cohort([100, 50, 40, 30, 20], [20, 5, 4, 3, 2], N.before(4))
    tracker = apply_history(tracker, whole.period, Outcome(whole), MONDAY + DAY)[0]
    assert tracker.stored == {whole.period}
    assert tracker.counters.revisions == 0


@pytest.mark.parametrize("new", [[0], [None]], ids=["no new visitors", "not sent"])
def test_figure_without_a_cohort_has_nothing_to_wait_for(new: list[int | None]) -> None:
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    reading = cohort([100, 50, 40, 30, 20], new, N.before(4))
    assert apply_history(tracker, reading.period, Outcome(reading), MONDAY)[0].stored == {reading.period}


def test_response_without_an_earlier_week_or_figure_loses_nothing() -> None:
    """Later weeks only appear, so one that is not there any more was left out, not withdrawn."""
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    tracker = apply_history(tracker, N.before(3), Outcome(full(N.before(3), 2)), MONDAY)[0]
    gap = cohort([100, None, None, 30], [None], N.before(3))
    tracker = apply_history(tracker, gap.period, Outcome(gap), MONDAY)[0]
    assert tracker.history.reading(gap.period) == cohort([100, 50, 50, 30], [20, 5, 5], N.before(3))


def test_a_lag_missing_for_two_weeks_is_tried_after_a_month() -> None:
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    found = apply_history(tracker, N.before(7), Outcome(full(N.before(7), 3)), MONDAY)[0]
    assert found.unavailable[N.before(7)].final
    recent = apply_history(tracker, N.before(5), Outcome(full(N.before(5), 3)), MONDAY)[0]
    assert not recent.unavailable[N.before(5)].final


def test_changed_figure_of_a_cohort_is_a_revision() -> None:
    tracker = fetched(fresh(), full(N.before(1), 1), MONDAY)
    again = apply_newest(tracker, N.before(1), Outcome(cohort([100, 51], [20, 5], N.before(1))), MONDAY + 60)[0]
    assert again.counters.revisions == 1


# -- Figures

LAGS = range(1, 5)


@pytest.fixture
def mondays() -> Iterator[tuple[Simulator, Engine, FakeClock]]:
    clock = FakeClock(MONDAY)
    apps = [SimulatedApp(APPID, "secret-of-the-app", Audience(3000))]
    with (
        served(apps, clock) as (wechat, base_url),
        wired(apps, base_url, clock, reports=(WEEKLY, WEEKLY_RETENTION), history_weeks=9, interval=3 * DAY) as engine,
    ):
        yield wechat, engine, clock


def expected(wechat: Simulator, newest: Week) -> dict[tuple[str, ...], float]:
    """Return the samples that the simulated WeChat's cohorts lead to, when ``newest`` is the newest finished week."""
    samples = {}
    for lag in LAGS:
        live = newest.before(lag)
        for twin, of in (("weekly", live), ("previous_week", live.before())):
            content = wechat.content(APPID, WEEKLY_RETENTION, of)
            for field in (VISITORS, NEW_VISITORS):
                by_key = {each["key"]: each["value"] for each in content[field.wechat]}  # type: ignore[attr-defined]
                labels = (APPID, live.label, str(lag))
                samples[f"{twin}_retained_{field.metric}", *labels] = by_key[lag]
                samples[f"{twin}_cohort_{field.metric}", *labels] = by_key[0]
    return samples


def retention(samples: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    return {key: value for key, value in samples.items() if "_retained_" in key[0] or "_cohort_" in key[0]}


def test_each_lag_shows_its_newest_cohort_and_the_one_before(mondays: tuple[Simulator, Engine, FakeClock]) -> None:
    wechat, engine, clock = mondays
    engine.poller.drain()
    assert retention(exposed(engine)) == expected(wechat, N)
    assert len(expected(wechat, N)) == 4 * 8
    clock.now += 7 * DAY
    engine.poller.drain()
    assert retention(exposed(engine)) == expected(wechat, N.before(-1))
    made = Counter(call.period for call in wechat.calls if call.endpoint == "weekly_retention")
    # Nine cohorts at first, then four: three of them were requested before, with fewer weeks.
    assert made == Counter(N.before(each).label for each in (*range(10), 1, 2, 3))


def test_late_monday_requests_older_cohorts_once_per_interval(
    mondays: tuple[Simulator, Engine, FakeClock],
) -> None:
    """The newest cohort is requested every half hour; the older ones lack the same week, and are complete after it."""
    wechat, engine, clock = mondays
    engine.poller.drain()
    first = len(wechat.calls)
    wechat.put(replace(wechat.apps[APPID], faults=(InjectedFault("no_later_keys", "weekly_retention"),)))
    clock.now += 7 * DAY
    for _ in range(20):
        engine.poller.drain()
        clock.now += 2000
    late = Counter(call.period for call in wechat.calls[first:] if call.endpoint == "weekly_retention")
    assert late == {N.label: 20, **{N.before(each).label: 1 for each in (1, 2, 3)}}
    wechat.put(replace(wechat.apps[APPID], faults=()))
    engine.poller.drain()
    assert retention(exposed(engine)) == expected(wechat, N.before(-1))


def test_faults_leave_the_last_cohorts_in_place(mondays: tuple[Simulator, Engine, FakeClock]) -> None:
    """On the second Monday WeChat sends zeros, sizes alone, or no size: none of them replaces what is known."""
    wechat, engine, clock = mondays
    engine.poller.drain()
    before = retention(exposed(engine))
    clock.now += 7 * DAY
    for kind in ("zeros", "no_later_keys", "61503"):
        wechat.put(replace(wechat.apps[APPID], faults=(InjectedFault(kind, "weekly_retention"),)))
        engine.poller.drain()
        samples = exposed(engine)
        assert retention(samples) == before
        assert samples["fetch_state", APPID, "weekly_retention", "not_ready"] == 1
        assert samples["fetch_state", APPID, "weekly", "ok"] == 1
        clock.now += 3600
    wechat.put(replace(wechat.apps[APPID], faults=(InjectedFault("no_size", "weekly_retention"),)))
    engine.poller.drain()
    assert retention(exposed(engine)) == expected(wechat, N.before(-1)), "the sizes are those of the weekly report"

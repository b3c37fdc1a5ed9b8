from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.periods import DAY, Week
from exporter.poller.ledger import STATES, Ledger, absorb_history, absorb_newest, opened
from exporter.reports import WEEKLY, Reading
from exporter.status import Answer, Counters, Kept, State
from exporter.store import Change, Known, Miss
from exporter.wechat.client import Outcome
from exporter.wechat.codes import Busy, Failed, NotReady, QuotaSpent, Refused, Unanswered

APP = App(appid="wx0123456789abcdef", way=Datacube(AppSecret(LiteralSecret("s"))))
W3 = Week(date(2026, 11, 16))
W2, W1 = W3.before(), W3.before(2)
NOW = W3.end + DAY


def reading(week: Week, visitors: int = 100) -> Reading:
    return Reading(WEEKLY, week, (None, None, visitors, None, None, None, None))


def newest(ledger: Ledger, result: Reading | Unanswered, now: float = NOW, *errors: str, week: Week = W3) -> Ledger:
    return absorb_newest(ledger, WEEKLY, week, Outcome(result, errors), now)[0]


def history(ledger: Ledger, result: Reading | Unanswered, week: Week, now: float = NOW) -> Ledger:
    return absorb_history(ledger, WEEKLY, week, Outcome(result), now)[0]


def weeks_of(ledger: Ledger) -> tuple[Week | None, Week | None]:
    return ledger.recent.current and ledger.recent.current.week, ledger.recent.previous and ledger.recent.previous.week


def test_a_fresh_ledger_is_pending() -> None:
    assert Ledger(APP).state is State.PENDING


REASONS = [
    (NotReady("x", "61503", about_week=True), State.NOT_READY, 0, False),
    (Busy("x", "-1", about_week=True), State.NOT_READY, 0, True),
    (QuotaSpent("x", "45009", about_week=True), State.QUOTA_SPENT, 1, True),
    (Refused("x", "40164"), State.REFUSED, 1, True),
    (Failed("x", "timeout"), State.FAILED, 1, True),
    (Failed("x", "malformed", about_week=True), State.FAILED, 1, False),
]


@pytest.mark.parametrize(("reason", "state", "failures", "stopped"), REASONS, ids=range(len(REASONS)))
def test_a_reason_leads_to_its_state_and_says_whether_older_weeks_may_be_asked_for(
    reason: Unanswered, state: State, failures: int, stopped: bool
) -> None:
    ledger = newest(Ledger(APP), reason, NOW, "label")
    assert ledger.state is state
    assert ledger.counters == Counters(1, failures, 0, (("label", 1),))
    assert ledger.answer is not None
    assert ledger.answer.history_stopped is stopped
    assert ledger.answer.errcode == reason.errcode


def test_every_decision_has_its_state() -> None:
    assert len(REASONS) == 6
    assert set(STATES) == {*Unanswered.__subclasses__(), *NotReady.__subclasses__()}


def test_the_week_after_becomes_live_and_the_live_one_its_twin() -> None:
    ledger = newest(newest(Ledger(APP), reading(W2), week=W2), reading(W3))
    assert weeks_of(ledger) == (W3, W2)


def test_a_week_in_between_that_is_not_known_leaves_no_twin_until_history_brings_it() -> None:
    ledger = newest(newest(Ledger(APP), reading(W1), week=W1), reading(W3))
    assert weeks_of(ledger) == (W3, None)
    assert weeks_of(history(ledger, reading(W2), W2)) == (W3, W2)


def test_while_the_newest_is_not_ready_the_older_week_is_live() -> None:
    ledger = newest(Ledger(APP), NotReady("x", "61503", about_week=True))
    ledger = history(history(ledger, reading(W2), W2), reading(W1), W1)
    assert weeks_of(ledger) == (W2, W1)
    assert ledger.state is State.NOT_READY


def test_older_history_does_not_displace_what_is_live() -> None:
    ledger = newest(newest(Ledger(APP), reading(W2), week=W2), reading(W3))
    ledger = history(ledger, reading(W1), W1)
    assert weeks_of(ledger) == (W3, W2)
    assert ledger.held == {W1, W2, W3}


def test_a_baseline_is_the_median_of_exactly_the_four_weeks_before() -> None:
    (visitors,) = [field for field in WEEKLY.fields if field.metric == "visitors"]
    figures = {week: 100 + number for number, week in enumerate(W3.before(n) for n in range(7))}
    ledger = newest(Ledger(APP), reading(W3, 7))
    for week in sorted(figures)[:-1]:
        assert ledger.recent.median(visitors) is None
        ledger = history(ledger, reading(week, figures[week]), week)
    assert [kept.week for kept in ledger.recent.weeks] == [W3.before(n) for n in range(5)]
    assert ledger.recent.median(visitors) == 102.5
    (unknown,) = [field for field in WEEKLY.fields if field.metric == "visits"]
    assert ledger.recent.median(unknown) is None
    later = newest(ledger, reading(W3.after(), 9), week=W3.after())
    assert [kept.week for kept in later.recent.weeks] == [W3.after(), *(W3.before(n) for n in range(4))]


def test_not_ready_about_a_week_that_is_in_changes_neither_its_figures_nor_ok() -> None:
    known = newest(Ledger(APP), reading(W3))
    ledger = newest(known, NotReady("x", "61503", about_week=True), NOW + 60)
    assert ledger.state is State.OK
    assert ledger.recent.current == known.recent.current
    assert ledger.answer is not None
    assert (ledger.answer.succeeded, ledger.answer.at, ledger.answer.since) == (NOW, NOW + 60, NOW)


def test_a_revision_replaces_the_row_is_counted_and_keeps_when_the_week_was_first_seen() -> None:
    known = newest(Ledger(APP), reading(W3, 100))
    ledger, changes = absorb_newest(known, WEEKLY, W3, Outcome(reading(W3, 120)), NOW + 60)
    assert ledger.counters.revisions == 1
    assert ledger.recent.current == Kept(reading(W3, 120), NOW)
    assert Change(APP.appid, WEEKLY, Kept(reading(W3, 120), NOW)) in changes
    assert newest(ledger, reading(W3, 120), NOW + 120).counters.revisions == 1


def test_a_field_that_a_revision_lacks_is_gone() -> None:
    known = newest(Ledger(APP), Reading(WEEKLY, W3, (1, 2, 3, 4, 5, 6, 7)))
    assert newest(known, reading(W3, 3)).recent.current == Kept(reading(W3, 3), NOW)


def test_failures_in_a_row_are_counted_and_a_success_forgets_them() -> None:
    ledger = Ledger(APP)
    for number in (1, 2, 3):
        ledger = newest(ledger, Failed("x", "timeout"), NOW + number)
        assert ledger.answer is not None
        assert (ledger.answer.failures, ledger.answer.since) == (number, NOW + 1)
    ledger = newest(ledger, reading(W3), NOW + 4)
    assert ledger.answer is not None
    assert (ledger.answer.failures, ledger.answer.since, ledger.answer.succeeded) == (0, NOW + 4, NOW + 4)


def test_a_week_that_comes_after_a_wait_is_in_since_it_came() -> None:
    waiting = newest(Ledger(APP), NotReady("x", "61503", about_week=True), NOW)
    answer = newest(waiting, reading(W3), NOW + 60).answer
    assert answer is not None
    assert answer.since == NOW + 60


def test_a_failure_remembers_when_the_row_last_came_and_keeps_the_figures() -> None:
    ledger = newest(newest(Ledger(APP), reading(W3)), Refused("x", "40164"), NOW + 60)
    assert ledger.answer is not None
    assert ledger.answer.succeeded == NOW
    assert weeks_of(ledger) == (W3, None)


MISSES = [
    ("an empty list about an old week is final", NotReady("x", no_data=True), W1, True),
    ("61501 about an old week is final", Failed("x", "61501", no_data=True), W1, True),
    ("61502 about an old week is final", Refused("x", "61502", no_data=True), W1, True),
    ("an empty list about a young week is not", NotReady("x", no_data=True), W2, False),
    ("61503 about an old week is not", NotReady("x", "61503"), W1, False),
    ("a timeout about an old week is not", Failed("x", "timeout"), W1, False),
]


@pytest.mark.parametrize(("why", "reason", "week", "final"), MISSES, ids=[row[0] for row in MISSES])
def test_a_week_without_data_is_remembered(why: str, reason: Unanswered, week: Week, final: bool) -> None:
    assert why
    known = newest(Ledger(APP), reading(W3))
    ledger, changes = absorb_history(known, WEEKLY, week, Outcome(reason), NOW)
    assert ledger.misses[week] == Miss(week, NOW, final)
    assert changes == (Change(APP.appid, WEEKLY, Miss(week, NOW, final)),)
    assert (ledger.state, ledger.answer) == (known.state, known.answer)


@pytest.mark.parametrize(("server_time", "final"), [(None, True), (NOW, True), (NOW - 14 * DAY, False)])
def test_a_clock_ahead_of_the_servers_concludes_nothing(server_time: float | None, final: bool) -> None:
    """WeChat refuses a week that is not over with 61501, too: its own clock has to agree that the week is old."""
    outcome = Outcome(Failed("x", "61501", no_data=True), server_time=server_time)
    ledger, _ = absorb_history(newest(Ledger(APP), reading(W3)), WEEKLY, W1, outcome, NOW)
    assert ledger.misses[W1].final is final


def test_a_first_sight_in_the_future_is_corrected() -> None:
    ahead = newest(Ledger(APP), reading(W3), NOW + 30 * DAY)
    later = newest(ahead, reading(W3), NOW)
    assert later.recent.current == Kept(reading(W3), NOW)


def test_the_table_of_misses_is_whole() -> None:
    assert len({row[0] for row in MISSES}) == 6


def test_exactly_fourteen_days_make_a_miss_final() -> None:
    known = newest(Ledger(APP), reading(W3))
    gone = NotReady("x", no_data=True)
    assert not history(known, gone, W2, W2.end + 14 * DAY - 1).misses[W2].final
    assert history(known, gone, W2, W2.end + 14 * DAY).misses[W2].final


@pytest.mark.parametrize("reason", [QuotaSpent("x", "45009"), QuotaSpent("x", "45011"), Refused("x", "48001")])
def test_a_spent_quota_or_a_refusal_stops_the_history_and_changes_no_state(reason: Unanswered) -> None:
    known = newest(Ledger(APP), reading(W3))
    ledger, changes = absorb_history(known, WEEKLY, W2, Outcome(reason), NOW)
    assert ledger.state is State.OK
    assert ledger.answer is not None
    assert ledger.answer.history_stopped
    assert Change(APP.appid, WEEKLY, ledger.answer) in changes


def test_a_row_that_comes_after_all_ends_its_miss() -> None:
    ledger = history(newest(Ledger(APP), reading(W3)), Failed("x", "timeout"), W2)
    assert W2 not in history(ledger, reading(W2), W2).misses


@pytest.mark.parametrize("state", list(State)[1:])
def test_at_a_start_refused_and_failed_apps_are_asked_at_once_and_the_others_wait_on(state: State) -> None:
    answer = Answer(W3, state, NOW, NOW)
    known = Known(answer=answer, held=frozenset({W3}))
    assert not opened(APP, known, retry=False).ask_at_once
    ledger = opened(APP, known, retry=True)
    assert ledger.ask_at_once is (state in {State.REFUSED, State.FAILED})
    assert not newest(ledger, reading(W3)).ask_at_once


def test_a_status_is_what_the_ledger_knows() -> None:
    ledger = newest(Ledger(replace(APP, name="Shop")), reading(W3))
    status = ledger.status(next_fetch=NOW + 60)
    assert (status.appid, status.name, status.state) == (APP.appid, "Shop", State.OK)
    assert (status.recent, status.next_fetch, status.thresholds) == (ledger.recent, NOW + 60, APP.alerts)

"""The log messages when a report of an app fails and recovers; without threads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from exporter.apps import LastResult, State
from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.periods import Week
from exporter.poller.tracker import ReportTracker
from exporter.poller.transitions import TransitionLog
from exporter.reports import DAILY, WEEKLY, History, Reading, StoredReading

APP = App("wx1", Datacube(AppSecret(LiteralSecret("s" * 20))), reports=(WEEKLY, DAILY))
W47 = Week.from_ref_date("20261116-20261122")
NOW = 1_795_485_600.0
NEW = ReportTracker(APP, WEEKLY, History(WEEKLY))


def after(state: State, at: float = NOW, tracker: ReportTracker = NEW) -> ReportTracker:
    return replace(tracker, last_result=LastResult(W47, state, at, at, "40164", "what is wrong"))


def logged(*steps: ReportTracker, quiet: bool = False, start: ReportTracker = NEW) -> list[tuple[str, str]]:
    """Return the messages and states that are logged for a sequence of trackers, a minute apart."""
    transitions = TransitionLog()
    transitions.restart([start])
    with capture_logs() as lines:
        for number, (before, step) in enumerate(zip((start, *steps), steps, strict=False)):
            transitions.observe(before, step, NOW + 60 * number, quiet=quiet)
    return [(line["event"], line.get("state", line.get("period", ""))) for line in lines]


OK, REFUSED, FAILED, SPENT = map(after, (State.OK, State.REFUSED, State.FAILED, State.QUOTA_SPENT))
WAITING = after(State.NOT_READY)
COURSES = [
    ("all is well", (OK, WAITING, OK), []),
    ("once when it breaks, once when it recovers", (OK, FAILED, FAILED, OK), ["app failing", "app recovered"]),
    ("another kind is logged, too", (FAILED, REFUSED, OK), ["app failing", "app failing", "app recovered"]),
    ("waiting for publication ends a failure", (FAILED, WAITING), ["app failing", "app recovered"]),
    ("twice", (SPENT, OK, SPENT, OK), ["app failing", "app recovered"] * 2),
]


@pytest.mark.parametrize(("course", "steps", "events"), COURSES, ids=[row[0] for row in COURSES])
def test_failure_is_logged_when_it_starts_and_ends(
    course: str, steps: tuple[ReportTracker, ...], events: list[str]
) -> None:
    assert course
    assert [event for event, _ in logged(*steps)] == events


def test_failure_logged_for_another_report_is_not_repeated() -> None:
    assert logged(REFUSED, OK, quiet=True) == []


def test_a_stored_failure_logs_only_its_recovery() -> None:
    assert logged(OK, start=after(State.FAILED, NOW - 3600)) == [("app recovered", "ok")]


def test_duration_counts_from_the_first_failure() -> None:
    transitions = TransitionLog()
    transitions.restart([NEW])
    with capture_logs() as lines:
        transitions.observe(NEW, FAILED, NOW)
        transitions.observe(FAILED, REFUSED, NOW + 60)
        transitions.observe(REFUSED, OK, NOW + 90)
    assert lines[-1]["duration_seconds"] == 90


def test_a_new_period_is_logged_once() -> None:
    values = (1, 2, 3, 4, 5.0, 6.0, 7.0)
    published = replace(OK, history=History.of(WEEKLY, [StoredReading(Reading(WEEKLY, W47, values), NOW)]))
    assert logged(published, published) == [("period published", "20261116-20261122")]


def test_removed_report_is_forgotten() -> None:
    transitions = TransitionLog()
    transitions.restart([NEW])
    with capture_logs():
        transitions.observe(NEW, FAILED, NOW)
    transitions.restart([])
    transitions.restart([NEW])
    with capture_logs() as lines:
        transitions.observe(NEW, OK, NOW + 60)
    assert lines == []

from __future__ import annotations

from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

import pytest

from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.periods import Week
from exporter.poller.ledger import Ledger, absorb_history, absorb_newest, opened
from exporter.reports import WEEKLY, Reading
from exporter.status import TRAIL_WEEKS, Kept, Recent, Trail
from exporter.store import Store
from exporter.wechat.client import Outcome

if TYPE_CHECKING:
    from pathlib import Path

APP = App(appid="wx0123456789abcdef", way=Datacube(AppSecret(LiteralSecret("s"))))
LIVE = Week(date(2026, 11, 16))
NOW = LIVE.end


def reading(week: Week, visitors: int | None) -> Reading:
    return Reading(WEEKLY, week, (1, 2, visitors, 4, 5.5, 6.5, 7.5))


def figures(trail: Trail) -> list[float | None]:
    return list(trail.figures.values())


def test_a_trail_gives_back_what_it_was_made_of_oldest_first() -> None:
    trail = Trail.of({LIVE: 3, LIVE.before(3): 0, LIVE.before(): 2})
    assert trail.figures == {LIVE.before(3): 0, LIVE.before(2): None, LIVE.before(): 2, LIVE: 3}
    assert list(trail.figures) == sorted(trail.figures)


def test_a_trail_of_nothing_is_empty() -> None:
    assert Trail.of({}) == Trail()
    assert Trail().figures == {}


def test_a_trail_ends_with_the_live_week_even_where_its_figure_is_not_known() -> None:
    assert figures(Trail.of({LIVE: None, LIVE.before(): 2})) == [2, None]
    lone = Trail.of({LIVE: None})
    assert (figures(lone), lone.newest) == ([], LIVE)
    assert figures(lone.with_figure(LIVE.before(), 2)) == [2, None]


def test_half_a_year_is_kept_and_what_is_older_is_let_go() -> None:
    trail = reduce(lambda trail, n: trail.with_figure(LIVE.before(n), n), range(40), Trail())
    assert figures(trail) == list(reversed(range(TRAIL_WEEKS)))
    later = trail.with_figure(LIVE.after(), 99)
    assert figures(later) == [*reversed(range(TRAIL_WEEKS - 1)), 99]
    assert later.with_figure(LIVE.before(TRAIL_WEEKS), 5) == later


def test_a_revision_replaces_the_figure_and_may_take_it_away() -> None:
    trail = Trail.of({LIVE: 3, LIVE.before(): 2})
    assert figures(trail.with_figure(LIVE.before(), 4)) == [4, 3]
    assert figures(trail.with_figure(LIVE, None)) == [2, None]


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_known(strange: float) -> None:
    assert figures(Trail.of({LIVE.before(): 1, LIVE: strange})) == [1, None]


def test_a_week_that_comes_in_goes_on_the_trail_and_so_do_history_and_revisions() -> None:
    ledger = absorb_newest(Ledger(APP), WEEKLY, LIVE, Outcome(reading(LIVE, 30), ()), NOW)[0]
    for weeks in (1, 9):
        week = LIVE.before(weeks)
        ledger = absorb_history(ledger, WEEKLY, week, Outcome(reading(week, weeks)), NOW)[0]
    ledger = absorb_newest(ledger, WEEKLY, LIVE, Outcome(reading(LIVE, 33), ()), NOW)[0]
    assert figures(ledger.status(NOW).recent.trail) == [9, *[None] * 7, 1, 33]


def test_the_trail_survives_a_restart_however_few_weeks_are_asked_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    ledger = Ledger(APP)
    for weeks in (*range(40), 2):
        if weeks == 5:
            continue
        week = LIVE.before(weeks)
        outcome = Outcome(reading(week, None if weeks == 7 else 100 + weeks), ())
        ledger, changes = absorb_newest(ledger, WEEKLY, week, outcome, NOW)
        store.save(changes)
    store.close()
    again = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    trail = opened(APP, again.read(APP.appid, WEEKLY, 2), retry=True).recent.trail
    again.close()
    assert trail == ledger.recent.trail
    assert trail.figures[LIVE.before(5)] is trail.figures[LIVE.before(7)] is None
    assert [figure for figure in figures(trail) if figure] == [100 + n for n in reversed(range(26)) if n not in (5, 7)]


def test_a_store_without_figures_gives_an_empty_trail(tmp_path: Path) -> None:
    store = Store(str(tmp_path), "api.weixin.qq.com", lambda: NOW)
    assert store.read(APP.appid, WEEKLY, 8).recent == Recent()
    store.close()


def test_one_figure_leads_the_report() -> None:
    assert [field.metric for field in WEEKLY.fields if field.leads] == ["visitors"]
    assert Recent().with_week(Kept(reading(LIVE, 7), 1.0)).trail == Trail.of({LIVE: 7})

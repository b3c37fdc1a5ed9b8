"""How a backfill fetches: retries, what stops a report or an app, and the rate of requests."""

from __future__ import annotations

import io
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from harness import NEWEST_DAY, NEWEST_WEEK, NOW, FakeClock, served

from exporter.backfill import (
    AppTask,
    FetchSummary,
    HistoryFetcher,
    PacedSender,
    PeriodRange,
    Progress,
    ReportTask,
    missing_periods,
)
from exporter.config import App, AppSecret, Datacube, LiteralSecret
from exporter.guard import Guard
from exporter.reports import DAILY, WEEKLY, WEEKLY_RETENTION, Reading, StoredReading
from exporter.store import Change, Store
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.client import Client
from exporter.wechat.messages import ApiRequest, ApiResponse, TransportError
from exporter.wechat.simulator import InjectedFault, SimulatedApp, Simulator
from exporter.wechat.transport import Transport

SHOP = SimulatedApp("wx00000000000000e1", "secret-of-the-shop-of-fetching")
WEEKS = tuple(NEWEST_WEEK.before(back) for back in range(5))
DAYS = tuple(NEWEST_DAY.before(back) for back in range(3))
REPORTS = (ReportTask(WEEKLY, WEEKS[0], WEEKS), ReportTask(DAILY, DAYS[0], DAYS))
ALL = len(WEEKS) + len(DAYS)
RETRIES = 3


def fetched(*faults: InjectedFault) -> tuple[FetchSummary, Simulator, int]:
    """Fetch five weeks and three days of an app with these faults; return also how many readings are stored."""
    app = replace(SHOP, faults=faults)
    clock = FakeClock(NOW)
    with served([app], clock) as (wechat, base_url):
        configured = App(app.appid, Datacube(AppSecret(LiteralSecret(app.secret))), reports=(WEEKLY, DAILY))
        transport = Transport(timeout=1, concurrency=2)
        sender = PacedSender(transport, 1000)
        client = Client([configured], base_url, sender=sender, clock=clock)
        guard = Guard(pytest.fail)
        with closing(Store(":memory:", "host", clock)) as store, closing(transport):
            fetcher = HistoryFetcher(client, sender, store, clock, guard=guard, retry_waits=[0.0] * RETRIES)
            with Progress("fetching", ALL, "periods", io.StringIO()) as progress:
                summary = fetcher.run([AppTask(configured, REPORTS)], 2, progress)
            stored = sum(len(store.periods(app.appid, task.report)) for task in REPORTS)
        return summary, wechat, stored


def calls(wechat: Simulator, report: str) -> int:
    return [call.endpoint for call in wechat.calls].count(report)


def test_everything_is_fetched_the_newest_first() -> None:
    summary, wechat, stored = fetched()
    assert (summary.fetched, stored, summary.stops) == (ALL, ALL, [])
    assert [call.period for call in wechat.calls[1:]] == [each.label for each in (*WEEKS, *DAYS)]


STOPS = {
    "45009": ("weekly", len(WEEKS), 1, len(DAYS), "45009 "),
    "48001": ("weekly", len(WEEKS), 1, len(DAYS), "48001 "),
    "-1": ("weekly", len(WEEKS), 1 + RETRIES, len(DAYS), "-1 system error"),
    "two_rows": ("weekly", len(WEEKS), 2 * (1 + RETRIES), len(DAYS), "invalid response"),
    "http_502": ("", ALL, 1 + RETRIES, 0, "unexpected HTTP status 502"),
    "reset": ("", ALL, 1 + RETRIES, 0, "the connection was closed"),
    "http_429": ("", ALL, 1, 0, "unexpected HTTP status 429"),
}


@pytest.mark.parametrize(("kind", "expected"), STOPS.items(), ids=STOPS)
def test_error_stops_what_it_concerns(kind: str, expected: tuple[str, int, int, int, str]) -> None:
    """Name of the report that stops (empty: all), periods that are missing, requests, days that are fetched."""
    report, missing, weekly, days, reason = expected
    summary, wechat, stored = fetched(InjectedFault(kind))
    (stop,) = summary.stops
    assert (stop.appid, stop.report, stop.periods) == (SHOP.appid, report, missing)
    assert stop.reason.startswith(reason)
    assert stop.until_tomorrow == (kind == "45009")
    assert calls(wechat, "weekly") == weekly
    assert calls(wechat, "daily") == stored == summary.fetched == days


def test_refused_token_stops_the_app_after_one_request() -> None:
    summary, wechat, stored = fetched(InjectedFault("40164", STABLE_TOKEN))
    assert [(stop.report, stop.periods) for stop in summary.stops] == [("", ALL)]
    assert [call.endpoint for call in wechat.calls] == [STABLE_TOKEN]
    assert stored == 0


def test_single_malformed_period_does_not_stop_the_others() -> None:
    summary, wechat, stored = fetched(InjectedFault("two_rows", periods=frozenset({WEEKS[2]})))
    assert stored == summary.fetched == ALL - 1
    assert [(stop.report, stop.periods) for stop in summary.stops] == [("weekly", 1)]
    assert calls(wechat, "weekly") == len(WEEKS) + RETRIES


def test_old_period_without_data_is_no_error() -> None:
    summary, _, stored = fetched(InjectedFault("no_rows", periods=frozenset({WEEKS[0], WEEKS[4]})))
    assert (summary.without_data, summary.unpublished, stored, summary.stops) == (1, 1, ALL - 2, [])


@pytest.mark.parametrize(
    ("weeks_ago", "later", "is_requested"),
    [(0, 1, False), (1, 1, True), (1, 2, False), (3, 3, True), (9, 3, True), (9, 4, False)],
)
def test_cohort_is_requested_until_it_has_all_weeks(weeks_ago: int, later: int, *, is_requested: bool) -> None:
    """A cohort of ``weeks_ago`` weeks before the newest one, stored with the figures of ``later`` later weeks."""
    newest = WEEKS[1]
    cohort = newest.before(weeks_ago)
    app = App(SHOP.appid, Datacube(AppSecret(LiteralSecret(SHOP.secret))), reports=(WEEKLY_RETENTION,))
    parts = tuple((name, str(week), 5.0) for name in ("visit_uv", "visit_uv_new") for week in range(1, later + 1))
    reading = StoredReading(Reading(WEEKLY_RETENTION, cohort, (10.0, 5.0), parts), 1.0)
    with closing(Store(":memory:", "host", FakeClock(NOW))) as store:
        store.save([Change(app.appid, WEEKLY_RETENTION, reading)])
        chosen = PeriodRange(cohort, cohort, newest)
        found = missing_periods(store, app, WEEKLY_RETENTION, chosen, NOW)
    assert found == ((cohort,) if is_requested else ())


def test_all_threads_share_one_rate_until_it_is_stopped() -> None:
    """At one request in 1,000 seconds, the second thread waits, and a stop ends its wait without a request."""
    sent: list[str] = []
    refused: list[str] = []

    class Network:
        def send(self, _request: ApiRequest, owner: str = "") -> ApiResponse:
            sent.append(owner)
            return ApiResponse(200, b"")

    sender = PacedSender(Network(), 0.001)
    request = ApiRequest("weekly", "GET", "http://127.0.0.1/")

    def send(owner: str) -> None:
        try:
            sender.send(request, owner)
        except TransportError as error:
            refused.append(f"{owner}: {error}")

    send("first")
    others = [threading.Thread(target=send, args=(f"other {number}",)) for number in range(2)]
    for thread in others:
        thread.start()
    sender.stop()
    for thread in others:
        thread.join(10)
    assert sent == ["first"]
    assert sorted(refused) == [f"other {number}: the backfill was interrupted" for number in range(2)]

"""Exporter, Prometheus and Alertmanager together: who is notified of what, and how often."""

from __future__ import annotations

import re
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_fixture import Exporter, Prometheus, free_address
from harness import FakeClock
from notifications import PROMETHEUS_FILES, Receiver, alertmanager_with, receiving
from scale import only_in_soak

from exporter import demo
from exporter.alerts.drops import RULES
from exporter.cli.run import Settings, run
from exporter.config import Fetch
from exporter.periods import Day, Week, newest_wanted
from exporter.reports import DAILY, DAILY_SOURCES, WEEKLY, WEEKLY_RETENTION, Thresholds
from exporter.runtime.reload import Source
from exporter.store import MEMORY
from exporter.wechat.simulator import Audience, SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from exporter.reports import Report
    from exporter.wechat.simulator import Simulator

HOUR = 3600.0
HURRIED = Fetch(interval=3.0, retry_interval=1.0, timeout=2.0)
FIGURES = re.compile("|".join(rule.name for rule in RULES))
SCALE = 0.001
"""Alertmanager's half hour takes two seconds."""


@contextmanager
def exporter_of(apps: tuple[demo.DemoApp, ...], base_url: str) -> Iterator[str]:
    """Run the whole exporter in this process, fetching every few seconds; gives its address."""
    config = replace(demo.configuration(apps, base_url), fetch=HURRIED)
    stop, listening, addresses = threading.Event(), threading.Event(), list[str]()

    def ready(where: tuple[str, ...]) -> None:
        addresses.extend(where)
        listening.set()

    settings = Settings(("127.0.0.1:0",), "/metrics", MEMORY)
    source = Source(lambda _last: config, lambda _config: None)
    thread = threading.Thread(target=run, args=(source, settings, time.time, lambda _reload: stop.wait(), ready))
    thread.start()
    try:
        assert listening.wait(60)
        yield addresses[0]
    finally:
        stop.set()
        thread.join()


def hurried(folder: Path, wait: str, interval: str = "1s") -> None:
    """Write the rules with their waits shortened; a daily alert keeps firing, since days pass in seconds."""
    rules: dict[str, Any] = yaml.safe_load((PROMETHEUS_FILES / "rules.yml").read_text())
    for group in rules["groups"]:
        group["interval"] = interval
        for rule in group["rules"]:
            if "alert" in rule:
                rule |= {"for": wait, "keep_firing_for": wait}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))


@contextmanager
def watching(
    folder: Path, programs: tuple[str, str], targets: Sequence[str], scale: float
) -> Iterator[tuple[Receiver, Prometheus]]:
    """Run Prometheus with the rules in the folder, and Alertmanager, which notifies the receiver."""
    prometheus, alertmanager = programs
    with ExitStack() as undo:
        receiver = undo.enter_context(receiving())
        address = undo.enter_context(alertmanager_with(alertmanager, folder, receiver, scale))
        alerting = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
        server = Prometheus(prometheus, folder, targets, {"rule_files": ["rules.yml"], "alerting": alerting})
        undo.callback(server.stop)
        server.start()
        yield receiver, server


@pytest.fixture
def _no_holidays(monkeypatch: pytest.MonkeyPatch) -> None:
    """No public holiday, whatever the date of the test: neither in the exporter nor in the simulator."""
    for module in ("exporter.reports.catalogue", "exporter.reports.comparisons"):
        monkeypatch.setattr(f"{module}.public_holidays", lambda _week: 0)
        monkeypatch.setattr(f"{module}.is_irregular", lambda _day: False)
    monkeypatch.setattr("exporter.wechat.simulator.figures.is_day_off", lambda day: day.weekday() > 4)


def publish(wechat: Simulator, appid: str, visitors: dict[Week, int]) -> None:
    """Publish weeks in which everything but the number of people is the same."""
    for week, number in visitors.items():
        row = {"session_cnt": 2.5 * number, "visit_pv": 8 * number, "visit_uv": number, "visit_uv_new": number // 4}
        wechat.publish(appid, {"ref_date": week.label, "stay_time_uv": 150.5, "visit_depth": 2.5, **row})


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_no_holidays")
def test_drop_is_sent_once_and_noise_is_not(tmp_path: Path, prometheus: str, alertmanager: str) -> None:
    apps = demo.demo_apps(time.time())
    appids = {app.name: app.app.appid for app in apps}
    dropping, noisy = appids["Travel Buddy"], appids["Second-hand Books"]
    newest, *before = (newest_wanted(Week, time.time(), HURRIED.ready_after).before(weeks) for weeks in range(5))
    apps = tuple(replace(app, reports=(WEEKLY,)) for app in apps)
    hurried(tmp_path, "3s")
    with ExitStack() as undo:
        wechat = demo.simulator(apps, time.time)
        publish(wechat, dropping, {newest: 900, **dict.fromkeys(before, 2000)})
        publish(wechat, noisy, {newest: 12, **dict.fromkeys(before, 28)})
        served = demo.serve(wechat, "127.0.0.1:0")
        undo.callback(served.stop)
        target = undo.enter_context(exporter_of(apps, f"http://{served.addresses[0]}"))
        receiver, _ = undo.enter_context(watching(tmp_path, (prometheus, alertmanager), (target,), SCALE))
        drop = ("VisitorsBelowNormal", dropping)
        trouble = {
            ("Refused", appids["City Library"]),
            ("Failed", appids["Bike Share"]),
            ("QuotaSpent", appids["Gym Pass"]),
        }
        receiver.wait_for(lambda received: {(name, appid) for _, name, appid in received.sent} >= {drop, *trouble}, 120)
        time.sleep(8)  # several evaluations, and several chances to notify again
        late = ("firing", "PeriodLate", appids["Night Market"])  # from Tuesday noon on
        assert sorted(set(receiver.sent) - {late}) == sorted(("firing", *what) for what in {drop, *trouble})
        assert len(receiver.sent) == len(set(receiver.sent))
        (text,) = [text for text in receiver.texts if "below normal" in text]
        assert text.startswith("1 of 8 apps below normal")
        assert "\nTravel Buddy: Visitors at 45% of the typical week, 900 against 2,000\n" in text

        publish(wechat, dropping, {newest: 1900})
        time.sleep(8)
        assert [what for what in receiver.sent if what[1:] == drop] == [("firing", *drop)], "no news that it has ended"
        assert {appid for _, _, appid in receiver.sent} <= set(appids.values()) - {noisy}


@dataclass(frozen=True)
class Passing:
    """Days that pass in seconds: exporters on a fake clock, Prometheus on the real one."""

    week: Week
    """The week in which figures fall; it ended at least eleven hours before now."""

    @classmethod
    def until_now(cls) -> Passing:
        """The newest week that has ended so long ago."""
        return cls(newest_wanted(Week, time.time() - HOUR, 10 * HOUR))

    def day(self, weekday: int) -> Day:
        """A day of the week; 0 is Monday."""
        return Day(self.week.first + timedelta(days=weekday))

    def after(self, day: date) -> float:
        """Eleven o'clock in Beijing on the day after a day: its figures are published."""
        return Day(day).end + 11 * HOUR


def app(number: int, name: str, audience: Audience, *reports: Report) -> demo.DemoApp:
    """Return an app of the simulator."""
    simulated = SimulatedApp(f"wx{number:016x}", f"demo-secret-of-{number:016x}", audience)
    return demo.DemoApp(name, simulated, reports or (WEEKLY,))


def figures_of(receiver: Receiver) -> list[tuple[str, str]]:
    """What was sent about figures: alert name, last digit of the appid.

    Alerts about fetching fire too, because the exporter's clock is not that of Prometheus.
    """
    return [(name, appid[-1]) for _, name, appid in receiver.sent if FIGURES.match(name)]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_no_holidays")
def test_drop_from_a_wednesday_is_sent_on_saturday_only(tmp_path: Path, prometheus: str, alertmanager: str) -> None:
    """The weekly figures of Monday repeat nothing; an app without the daily report gets the weekly alert."""
    passing = Passing.until_now()
    audience = Audience(20_011, drops_from=passing.day(2))
    apps = (
        app(1, "Daily", audience, WEEKLY, DAILY),
        app(2, "Weekly", audience, WEEKLY),
        app(3, "Steady", Audience(20_011), WEEKLY, DAILY),
    )
    clock = FakeClock(passing.after(passing.day(1).first))
    hurried(tmp_path, "2s")
    with ExitStack() as undo:
        served = demo.serve(demo.simulator(apps, clock), "127.0.0.1:0")
        undo.callback(served.stop)
        config = demo.configuration(apps, f"http://{served.addresses[0]}")
        # The simulator's drop is to 45 %, which two of three days already bring below the default of 0.65.
        ratios = Thresholds().with_ratios({("daily", each.option): 0.6 for each in DAILY.alert_thresholds})
        watched = tuple(replace(each, alerts=ratios) for each in config.apps)
        address = free_address()
        exporter = Exporter(replace(config, apps=watched, fetch=Fetch(history_weeks=9)), clock, address)
        undo.callback(exporter.close)
        receiver, server = undo.enter_context(watching(tmp_path, (prometheus, alertmanager), (address,), SCALE))
        sent_by_day = {}
        for weekday in range(1, 7):
            clock.now = passing.after(passing.day(weekday).first)
            exporter.fetch()
            server.wait_for_scrapes()
            time.sleep(8)  # the rules wait two seconds, Alertmanager two more
            sent_by_day[weekday] = figures_of(receiver)
    friday, sunday = 4, 6
    assert sent_by_day[friday - 1] == []
    assert sent_by_day[friday] == [("VisitorsDailyDropped", "1")], "on Saturday, when Friday is published"
    assert sent_by_day[sunday - 1] == sent_by_day[friday]
    assert sent_by_day[sunday] == [*sent_by_day[friday], ("VisitorsBelowNormal", "2")], "on Monday"
    daily, weekly = (text for text in receiver.texts if "below normal" in text)
    assert daily.startswith("1 of 3 apps below normal")
    assert "Daily: Visitors at " in daily
    assert "Weekly: Visitors at " in weekly


Entrances = dict[str, float]
"""Sessions by WeChat's key of the entrance."""


def entrances(wechat: Simulator, appid: str, day: date) -> Entrances:
    """The sessions of a day by entrance, as the simulator answers."""
    indexes: Any = wechat.content(appid, DAILY_SOURCES, Day(day))["list"]
    (items,) = (each["item_list"] for each in indexes if each["index"] == "access_source_session_cnt")
    return {str(item["key"]): item["value"] for item in items}


def added(days: Sequence[Entrances]) -> Entrances:
    """The sum of some days."""
    return {key: sum(day.get(key, 0) for day in days) for key in {key for day in days for key in day}}


def typical(wechat: Simulator, appid: str, day: date) -> Entrances:
    """The medians of the same weekday in the four weeks before."""
    same = [entrances(wechat, appid, day - timedelta(weeks=weeks)) for weeks in range(1, 5)]
    return {key: median(each.get(key, 0) for each in same) for key in added(same)}


def largest_loss(now: Entrances, before: Entrances) -> tuple[str, str]:
    """The entrance that lost most, and what an alert must say of it after its name."""
    lost = {key: value - now.get(key, 0) for key, value in before.items()}
    most = max(lost, key=lambda key: lost[key])
    share = lost[most] / sum(value for value in lost.values() if value > 0)
    return most, f"{-100 * lost[most] / before[most]:.0f}%, {100 * share:.0f}% of the loss"


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_no_holidays")
def test_notification_names_the_entrance_that_lost_most(tmp_path: Path, prometheus: str, alertmanager: str) -> None:
    """From the simulator's figures to the webhook and the text: a fall of a week and one of days, and retention."""
    passing = Passing.until_now()
    week, cohort = passing.week, passing.week.before()
    through_search = Audience(20_011, drops_in=week, drops_through=demo.SEARCH, retention_drops_in=cohort)
    through_articles = Audience(20_011, drops_from=passing.day(3), drops_through=demo.ARTICLES)
    apps = (
        app(1, "Weekly", through_search, WEEKLY, DAILY_SOURCES, WEEKLY_RETENTION),
        app(2, "Daily", through_articles, DAILY, DAILY_SOURCES),
        app(3, "Alone", Audience(20_011, drops_in=week), WEEKLY),
    )
    weekly, daily, alone = (each.app.appid for each in apps)
    clock = FakeClock(passing.after(week.last))
    hurried(tmp_path, "2s")
    with ExitStack() as undo:
        wechat = demo.simulator(apps, clock)
        served = demo.serve(wechat, "127.0.0.1:0")
        undo.callback(served.stop)
        config = demo.configuration(apps, f"http://{served.addresses[0]}")
        address = free_address()
        undo.callback(Exporter(replace(config, fetch=Fetch(history_weeks=9)), clock, address).close)
        receiver, _ = undo.enter_context(watching(tmp_path, (prometheus, alertmanager), (address,), SCALE))
        below, dropped = "VisitorsBelowNormal", "VisitorsDailyDropped"
        expected = {(below, "1"), (dropped, "2"), (below, "3"), ("RetentionDropped", "1")}
        receiver.wait_for(lambda received: {*figures_of(received)} >= expected and len(received.texts) >= 3, 120)
    assert {*figures_of(receiver)} == expected
    week_before = [entrances(wechat, weekly, day) for day in cohort.days]
    search, of_week = largest_loss(added([entrances(wechat, weekly, day) for day in week.days]), added(week_before))
    days = week.days[-3:]
    articles, of_days = largest_loss(
        added([entrances(wechat, daily, day) for day in days]), added([typical(wechat, daily, day) for day in days])
    )
    assert (search, articles) == (demo.SEARCH, demo.ARTICLES)
    back = []
    for each in (cohort, cohort.before()):
        entries: Any = wechat.content(weekly, WEEKLY_RETENTION, each)["visit_uv_new"]
        size, returned = (next(entry["value"] for entry in entries if entry["key"] == key) for key in (0, 1))
        back.append(f"{100 * returned / size:.1f}%")
    cause = receiver.causes[below, weekly]
    assert cause.startswith(f"search {of_week}: ")
    assert cause.endswith(f", {back[0]} came back after a week; of those of the previous week, {back[1]}.")
    assert receiver.causes[dropped, daily].startswith(f"official account article {of_days}: ")
    assert receiver.causes[below, alone] == ""
    text = "\n".join(receiver.texts)
    assert re.search(
        rf"(?m)^Weekly: Visitors at \d+% of the typical week, [\d,]+ against [\d,]+; search {of_week}$", text
    )
    assert re.search(
        rf"(?m)^Daily: Visitors at \d+% of what .* against [\d,]+; official account article {of_days}$", text
    )
    assert re.search(r"(?m)^Alone: Visitors at \d+% of the typical week, [\d,]+ against [\d,]+$", text)
    assert f"% of the previous week's, {back[0]} against {back[1]}\n" in text


@only_in_soak
@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("_no_holidays")
def test_monday_with_500_apps_is_three_notifications(tmp_path: Path, prometheus: str, alertmanager: str) -> None:
    """WeChat publishes over four hours, in which fifty apps turn out to have fallen; a minute takes 0.1 seconds."""
    passing = Passing.until_now()
    apps = []
    for number in range(500):
        fell = passing.week if number % 10 == 0 else None
        entry = app(number + 1, f"Shop {number}", Audience(20_017 + number, drops_in=fell))
        published = 10 * HOUR + (number % 97) / 97 * 4 * HOUR
        apps.append(replace(entry, app=replace(entry.app, published_after=published)))
    scale = 1 / 600
    hurried(tmp_path, "3s")
    clock = FakeClock(passing.week.end + 9 * HOUR)
    with ExitStack() as undo:
        served = demo.serve(demo.simulator(tuple(apps), clock), "127.0.0.1:0")
        undo.callback(served.stop)
        config = replace(demo.configuration(tuple(apps), f"http://{served.addresses[0]}"), fetch=Fetch(history_weeks=9))
        address = free_address()
        exporter = Exporter(config, clock, address)
        undo.callback(exporter.close)
        receiver, server = undo.enter_context(watching(tmp_path, (prometheus, alertmanager), (address,), scale))
        server.wait_for_scrapes()
        began = time.monotonic()
        while clock.now < passing.week.end + 17 * HOUR:
            clock.now = passing.week.end + 9.9 * HOUR + (time.monotonic() - began) / scale
            exporter.fetch()
            time.sleep(0.5)
        receiver.wait_for(lambda received: any(text.startswith("50 of 500") for text in received.texts), 60)
    texts = [text for text in receiver.texts if "below normal" in text]
    assert 1 <= len(texts) <= 3, texts
    assert all(len(text.encode()) < 2000 for text in texts)
    assert texts[-1].startswith("50 of 500 apps below normal")
    assert len({appid for _, name, appid in receiver.sent if name.startswith("Visitors")}) == 50

"""The routes and inhibitions: one notification for one cause, short, and few of them."""

from __future__ import annotations

import random
import re
import subprocess
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import requests
import yaml
from notifications import PREFIX, PROMETHEUS_FILES, Labels, alertmanager_with, post, receiving, seconds

from exporter.alerts.drops import RULES
from exporter.periods import Week
from exporter.reports import DAILY, WEEKLY, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.alerts.drops import DropRule

WEEK = "20261116-20261122"
COUNTS = ("visitors", "new_visitors", "sessions", "visits")
"""Each explains those after it."""
AVERAGES = ("stay_per_visitor", "visit_depth")
QUARTER_OF_AN_HOUR = 0.5
"""Seconds that fifteen minutes take in a scaled test."""
SCALE = QUARTER_OF_AN_HOUR / 900


def labels_of(rule: DropRule, appid: str, **others: str) -> Labels:
    """Return the labels of an alert about a figure."""
    week = {"week": WEEK} if rule.report.period is Week else {}
    figure = {"figure": rule.figure, "report": rule.report.name, "severity": rule.severity}
    return {"alertname": PREFIX + rule.name, "appid": appid, **figure, **week, **others}


def of_app(name: str, appid: str, severity: str = "warning", **others: str) -> Labels:
    """Return the labels of an alert about fetching."""
    return {"alertname": PREFIX + name, "appid": appid, "severity": severity, **others}


def explains(stronger: DropRule, weaker: DropRule) -> bool:
    """Return whether one alert makes another one of the same app and report superfluous."""
    if stronger is weaker or stronger.report is not weaker.report:
        return False
    order = [rule.kind.removeprefix("Daily") for rule in (stronger, weaker)]
    figures = [rule.figure for rule in (stronger, weaker)]
    if figures[0] == figures[1]:  # BelowNormal and Dropped exclude each other
        return order[0] == "Collapsed" != order[1]
    for chain in (COUNTS, AVERAGES):
        if set(figures) <= set(chain) and chain.index(figures[0]) < chain.index(figures[1]):
            return order[0] == "Collapsed" or order[1] != "Collapsed"
    return False


def check_suppressed(address: str, alerts: list[Labels], expected: set[tuple[str, ...]]) -> None:
    """Post alerts, and check which of them Alertmanager does not send; it decides soon after it has received them."""
    post(address, [{"labels": labels} for labels in alerts])
    deadline = time.monotonic() + 20
    found = None
    while found != expected and time.monotonic() < deadline:
        answer = requests.get(f"http://{address}/api/v2/alerts", timeout=10).json()
        silent = [each["labels"] for each in answer if each["status"]["state"] == "suppressed"]
        found = {key(labels) for labels in silent if labels in alerts}
    assert found == expected


def key(labels: Labels) -> tuple[str, ...]:
    """Return what a test names an alert by."""
    cluster = (labels["cluster"],) if "cluster" in labels else ()
    return labels["alertname"].removeprefix(PREFIX), labels.get("appid", ""), *cluster


@pytest.fixture
def address(tmp_path: Path, alertmanager: str) -> Iterator[str]:
    """Alertmanager with our file."""
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver, SCALE) as address:
        yield address


def test_alertmanager_retains_alerts_longer_than_it_repeats_them(amtool: str) -> None:
    file = PROMETHEUS_FILES / "alertmanager.yml"
    subprocess.run([amtool, "check-config", file], check=True, capture_output=True)
    figures = yaml.safe_load(file.read_text())["route"]["routes"][0]
    (retention,) = re.findall(r"--data\.retention=(\d+)h", file.read_text())
    assert seconds(figures["repeat_interval"]) < int(retention) * 3600
    assert f"--data.retention={retention}h" in (PROMETHEUS_FILES.parent / "compose.yaml").read_text()


def test_every_grouping_and_inhibition_keeps_clusters_apart() -> None:
    config = yaml.safe_load((PROMETHEUS_FILES / "alertmanager.yml").read_text())
    routes = (config["route"], *config["route"]["routes"])
    assert all("cluster" in route["group_by"] for route in routes)
    assert all("cluster" in rule["equal"] for rule in config["inhibit_rules"])


def test_only_the_strongest_alert_of_one_cause_is_sent(address: str) -> None:
    """Every pair of alerts about figures of one app, and both in two clusters."""
    pairs = [(first, second) for first in RULES for second in RULES if first is not second]
    alerts, expected = [], set()
    for number, (first, second) in enumerate(pairs):
        appid = f"app-{number}"
        alerts += [labels_of(first, appid), labels_of(second, appid)]
        for stronger, weaker in ((first, second), (second, first)):
            if explains(stronger, weaker):
                expected.add((weaker.name, appid))
    check_suppressed(address, alerts, expected)
    collapse = next(rule for rule in RULES if rule.name == "VisitorsCollapsed")
    fall = next(rule for rule in RULES if rule.name == "SessionsBelowNormal")
    clusters = [labels_of(collapse, "shop", cluster="east"), labels_of(fall, "shop", cluster="west")]
    check_suppressed(address, clusters, set())
    check_suppressed(address, [labels_of(fall, "shop", cluster="east")], {(fall.name, "shop", "east")})


def test_another_week_is_another_cause(address: str) -> None:
    collapse = next(rule for rule in RULES if rule.name == "VisitorsCollapsed")
    check_suppressed(address, [labels_of(collapse, "a"), labels_of(collapse, "a", week="20261109-20261115")], set())


def test_outage_explains_failures_and_late_periods_only(address: str) -> None:
    trouble = [of_app("Refused", "a"), of_app("Failed", "b"), of_app("QuotaSpent", "c", "info")]
    late = [of_app("PeriodLate", appid, report="weekly") for appid in "abcd"]
    check_suppressed(address, [*trouble, *late], {("PeriodLate", "a"), ("PeriodLate", "b")})
    outage = {"alertname": f"{PREFIX}WeChatUnreachable", "severity": "warning"}
    silent = {("Failed", "b"), *(("PeriodLate", appid) for appid in "abcd")}
    check_suppressed(address, [*trouble, *late, outage], silent)
    refused = [of_app("Refused", "e", cluster="west"), of_app("Failed", "f", cluster="west")]
    check_suppressed(address, refused, set())  # the outage is in no cluster


LONG_CAUSE = "mini program service message -100%, 100% of the loss: 0 sessions against 1,234 in the previous week."
LONG_BASE = "what is typical of the last 3 ordinary days, 12,345,678 against 23,456,789"


def fallen(number: int, ratio: float, apps: int, name: str = "", **others: str) -> dict[str, Labels]:
    """Return an app's alert as Prometheus sends it; ``others`` are annotations."""
    kind = "Collapsed" if ratio < 0.4 else "BelowNormal"
    rule = next(rule for rule in RULES if rule.name == f"Visitors{kind}")
    name = name or f"Shop {number}"
    summary = f"{name}: Visitors at {int(100 * ratio)}% of the typical week, {int(ratio * 1000)} against 1,000"
    dashboard = f"http://grafana.example.com/d/wechat-miniprogram?var-appid=wx{number}"
    annotations = {
        "summary": summary,
        "rank": f"{int(100 * ratio):02}",
        "apps": f"{apps:,}",
        "dashboard_url": dashboard,
        "cause": "",
        **others,
    }
    return {"labels": labels_of(rule, f"wx{number:016x}"), "annotations": annotations}


@pytest.mark.timeout(180)
def test_a_monday_is_at_most_three_short_notifications(tmp_path: Path, alertmanager: str) -> None:
    """Fifty of 500 apps fall; WeChat publishes over four hours, in which Prometheus sends what fires every minute."""
    chance = random.Random(1)  # noqa: S311 (figures, no secrets)
    alerts = [fallen(number, chance.uniform(0.1, 0.7), 500) for number in range(50)]
    hours = 4
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver, SCALE) as address:
        for quarter in range(4 * hours):
            post(address, alerts[: round(len(alerts) * (quarter + 1) / (4 * hours))])
            time.sleep(QUARTER_OF_AN_HOUR)
        for _ in range(12):  # three more hours
            post(address, alerts)
            time.sleep(QUARTER_OF_AN_HOUR)
    assert 1 <= len(receiver.texts) <= 3
    assert all(len(text.encode()) < 2000 for text in receiver.texts)
    collapsed = sum(each["labels"]["severity"] == "critical" for each in alerts)
    head, *lines, more, link = receiver.texts[-1].splitlines()
    assert head == f"50 of 500 apps below normal, {collapsed} collapsed (2026-11-16 to 2026-11-22)"
    assert (len(lines), more) == (10, "... 50 alerts in all")
    assert link == "http://grafana.example.com/d/wechat-miniprogram"
    depths = [int(percent) for percent in re.findall(r"at (\d+)%", "\n".join(lines))]
    assert all(first <= second for first, second in pairwise(depths))
    assert depths == sorted(int(each["annotations"]["rank"]) for each in alerts)[:10]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_long", [False, True])
def test_five_hundred_falls_with_long_names_fit_into_one_message(
    is_long: bool, tmp_path: Path, alertmanager: str
) -> None:
    """WeCom takes 2,048 bytes; a Chinese character takes three of them. Causes are left out where there is no room."""
    name = "一个名字特别特别特别特别长的小程序用来测试消息的长度限制"
    alerts = []
    for number in range(504):
        ratio = 0.1 + number / 1000
        longest = {"summary": f"{name}: New visitors at {int(100 * ratio)}% of {LONG_BASE}"} if is_long else {}
        alerts.append(fallen(number, ratio, 12_345, name, cause=LONG_CAUSE, **longest))
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver, SCALE) as address:
        post(address, alerts)
        receiver.wait_for(lambda received: received.texts, 30)
    (text,) = receiver.texts
    assert len(text.encode()) < 2000
    assert text.startswith("504 of 12,345 apps below normal, 300 collapsed")
    assert text.count(name[:24]) == 10
    assert name not in text
    explained = ["; mini program service message -100%, 100% of the loss" in line for line in text.splitlines()[1:11]]
    assert explained.count(True) == (1 if is_long else 9)
    assert explained[0] is not is_long


def test_notification_names_the_cause_of_each_fall(tmp_path: Path, alertmanager: str) -> None:
    """Up to the colon, where an entrance is known; otherwise nothing."""
    entrance = "search -61%, 70% of the loss: 1,300 sessions against 3,333 in the previous week."
    retention = "Of the new visitors of 2026-11-09 to 2026-11-15, 21.5% came back after a week; of those .., 26.0%."
    causes = (f"{entrance} {retention}", retention, "")
    alerts = [fallen(number, 0.5 + number / 100, 3, cause=cause) for number, cause in enumerate(causes)]
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver, SCALE) as address:
        post(address, alerts)
        receiver.wait_for(lambda received: received.texts, 30)
    assert receiver.texts[0].splitlines()[1:4] == [
        "Shop 0: Visitors at 50% of the typical week, 500 against 1,000; search -61%, 70% of the loss",
        "Shop 1: Visitors at 51% of the typical week, 510 against 1,000",
        "Shop 2: Visitors at 52% of the typical week, 520 against 1,000",
    ]


def test_operations_have_a_text_of_their_own(tmp_path: Path, alertmanager: str) -> None:
    links = {"runbook_url": "http://exporter/docs/alerts#wechatminiprogramrefused"}
    alerts = [
        {
            "labels": of_app("Refused", f"wx{number}"),
            "annotations": {"summary": f"Shop {number}: WeChat refuses requests, action required", **links},
        }
        for number in range(12)
    ]
    with receiving() as receiver, alertmanager_with(alertmanager, tmp_path, receiver, SCALE) as address:
        post(address, alerts)
        receiver.wait_for(lambda received: received.texts, 30)
    head, *lines, more, link = receiver.texts[0].splitlines()
    assert head == "12 firing: WeChatMiniProgramRefused"
    assert (len(lines), more, link) == (10, "... 12 alerts in all", links["runbook_url"])


def test_figures_are_those_of_the_rules() -> None:
    """The order of explanation names every figure that alerts."""
    weekly = {rule.field for rule in RULES if rule.report is WEEKLY}
    daily = {rule.field for rule in RULES if rule.report is DAILY}
    counts = {field.short_name for field in weekly if field.unit is Unit.COUNT}
    assert counts == {field.short_name for field in daily} == set(COUNTS)
    assert {field.short_name for field in weekly} - counts == set(AVERAGES)

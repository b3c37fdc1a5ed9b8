"""The HTML pages under axe-core's rules of WCAG 2.2, levels A and AA, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import opened, served
from harness import fetched_demo

from exporter.web import Issue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

NOW = 1_795_500_000.0
AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "light, 360 px": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
    "dark, 360 px": {"color_scheme": "dark", "viewport": {"width": 360, "height": 740}},
}
APP = "/apps/wx0000000000000003"
VIEWS_OF_REPORTS = tuple(f"/?report={name}" for name in ("daily", "weekly_retention", "daily_sources"))
DEMO = ("/", *VIEWS_OF_REPORTS, APP, "/docs/", "/docs/alerts")
PAGES = (*DEMO, "a broken configuration")


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not here; see tests/get-node-packages")
    return AXE.read_text()


@pytest.fixture(scope="module")
def addresses(axe: str) -> Iterator[dict[str, str]]:  # noqa: ARG001 (skips)
    """Each page's URL: those of the demo, whose apps have every state, and one without apps that reports an issue.

    Six weeks are enough: axe-core checks each cell, and half a year repeats the same cells 200 times.
    """
    issue = Issue("App files are invalid.", ("apps.d/a.yaml:2: no such key",))
    with fetched_demo(NOW, weeks=6) as engine, served((), issue) as broken:
        statuses = engine.poller.statuses()
        with served(
            statuses, clock=lambda: NOW, read_periods=engine.store.periods, dashboard_url="https://grafana.example.com/"
        ) as address:
            yield {page: address + page for page in DEMO} | {PAGES[-1]: broken}


def violations(page: Page, axe: str) -> list[tuple[str, list[str]]]:
    """Return each violated rule, with the elements that violate it."""
    page.evaluate(axe)
    result: dict[str, Any] = page.evaluate("levels => axe.run({runOnly: levels, resultTypes: ['violations']})", LEVELS)
    assert result["passes"], "no rule was applied"
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in result["violations"]]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("page", PAGES)
def test_page_breaks_no_rule(browser: Browser, addresses: dict[str, str], axe: str, page: str, view: str) -> None:
    with opened(browser, addresses[page], **VIEWS[view]) as (shown, events):
        assert violations(shown, axe) == []
        assert shown.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert events.errors == []


def test_a_broken_rule_would_be_found(browser: Browser, addresses: dict[str, str], axe: str) -> None:
    with opened(browser, addresses["/docs/"]) as (shown, _):
        shown.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert [rule for rule, _ in violations(shown, axe)] == ["image-alt"]

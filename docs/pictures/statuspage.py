"""Take screenshots of the status page, light and dark: the demo's apps after eight days of default configuration."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from browser import FLAGS, opened, served
from playwright.sync_api import sync_playwright

from exporter import demo, logs
from exporter.config import Fetch
from exporter.periods import DAY
from exporter.reports import WEEKLY
from exporter.runtime.engine import Engine

if TYPE_CHECKING:
    from exporter.apps import AppStatus

HERE = Path(__file__).parent
STEP = 7200
"""Seconds by which the simulated clock advances."""


def statuses(now: float) -> tuple[AppStatus, ...]:
    """Return the statuses of the demo's apps after eight days."""
    roles = demo.demo_apps(now)
    moment = now

    def clock() -> float:
        return moment

    server = demo.serve(demo.simulator(roles, clock), "127.0.0.1:0")
    config = demo.configuration(roles, f"http://{server.addresses[0]}")
    moment = now - 8 * DAY
    engine = Engine(replace(config, fetch=Fetch(history_weeks=WEEKLY.chart_periods)), ":memory:", clock)
    while moment <= now:
        engine.poller.drain()
        moment += STEP
    found = engine.poller.statuses()
    engine.close()
    server.stop()
    return found


def main() -> None:
    """Write both screenshots into this directory."""
    logs.configure("error", "logfmt")  # the failing apps of the demo would fill the terminal
    with served(statuses(time.time())) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for scheme in ("light", "dark"):
            size = {"width": 1440, "height": 800}
            with opened(browser, address, color_scheme=scheme, viewport=size) as (page, _):
                bottom = page.locator("table").bounding_box()
                clip = {"x": 0, "y": 0, "width": size["width"], "height": bottom["y"] + bottom["height"] + 16}
                page.screenshot(path=HERE / f"status-page-{scheme}.png", clip=clip, full_page=True)
            print(f"docs/pictures/status-page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()

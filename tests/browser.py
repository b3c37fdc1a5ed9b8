"""The status page in a real browser: Debian's Chromium, driven by Playwright. All its messages are recorded."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from prometheus_client import CollectorRegistry

from exporter.guard import Guard
from exporter.httpd import Server
from exporter.web import Issue, PageContext, Pages, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from exporter.apps import AppStatus
    from exporter.web.approutes import ReadPeriods

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""Flags for Chromium as root, without a screen and without requests of its own."""
# Playwright waits for 5 seconds, in which a loaded machine may not have drawn the page of 600 apps.
expect.set_options(timeout=60_000)


@dataclass
class PageEvents:
    """The invisible messages and requests of a page."""

    errors: list[str] = field(default_factory=list)
    """Errors of the script, of the console (the policy's are among them), dialogs."""
    requests: list[str] = field(default_factory=list)


@contextmanager
def served(
    statuses: tuple[AppStatus, ...],
    *issues: Issue,
    clock: Callable[[], float] = time.time,
    read_periods: ReadPeriods = lambda *_: (),
) -> Iterator[str]:
    """Serve the exporter's web site about these apps over real HTTP; yield its address."""
    pages = Pages(Guard(lambda _: None), statuses)
    pages.render()
    registry = CollectorRegistry()
    site = Site("/metrics", pages, registry, lambda: PageContext("/metrics", issues, clock()), read_periods)
    server = Server(["127.0.0.1:0"], site)
    server.start()
    try:
        yield f"http://{server.addresses[0]}"
    finally:
        server.stop()


@contextmanager
def opened(browser: Browser, address: str, **context: object) -> Iterator[tuple[Page, PageEvents]]:
    """Yield a page in a profile of its own."""
    profile = browser.new_context(**context)  # type: ignore[arg-type]
    page, events = profile.new_page(), PageEvents()
    page.on("console", lambda message: events.errors.append(message.text))
    page.on("pageerror", lambda error: events.errors.append(str(error)))
    page.on("dialog", lambda dialog: (events.errors.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: events.requests.append(request.url))
    try:
        page.goto(address)
        yield page, events
    finally:
        profile.close()

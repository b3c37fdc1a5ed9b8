"""The status page in a real browser: Debian's Chromium, driven by Playwright. All its messages are recorded."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect
from prometheus_client import CollectorRegistry

from exporter.guard import Guard
from exporter.httpd import Server
from exporter.web import Issue, PageContext, Pages, Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, ViewportSize

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
    dashboard_url: str = "",
) -> Iterator[str]:
    """Serve the exporter's web site about these apps over real HTTP; yield its address."""
    pages = Pages(Guard(lambda _: None), statuses)
    pages.render()
    registry = CollectorRegistry()
    context = partial(PageContext, "/metrics", issues, dashboard_url=dashboard_url)
    site = Site("/metrics", pages, registry, lambda: context(clock()), read_periods)
    server = Server(["127.0.0.1:0"], site)
    server.start()
    try:
        yield f"http://{server.addresses[0]}"
    finally:
        server.stop()


_unused: dict[tuple[Browser, bool], list[Page]] = {}
"""Idle pages for reuse, by browser and by whether scripts are enabled."""
_SCREEN: dict[str, Any] = {
    "media": "screen",
    "color_scheme": "light",
    "forced_colors": "none",
    "reduced_motion": "no-preference",
}


@contextmanager
def opened(
    browser: Browser,
    address: str,
    *,
    viewport: ViewportSize | None = None,
    java_script_enabled: bool = True,
    clock: float | None = None,
    **media: str,
) -> Iterator[tuple[Page, PageEvents]]:
    """Yield a page at an address; reuse an idle page if there is one, which takes a third of the time of a new one.

    Args:
        browser: Chromium.
        address: the URL.
        viewport: its size in pixels; 1280 x 720 by default.
        java_script_enabled: whether it runs scripts.
        clock: the time that its clock shows, Unix seconds; the real one by default.
        media: what it emulates, for example ``color_scheme="dark"``.
    """
    unused = _unused.setdefault((browser, java_script_enabled), [])
    page = unused.pop() if unused else browser.new_context(java_script_enabled=java_script_enabled).new_page()
    events = PageEvents()
    listeners: dict[str, Callable[[Any], object]] = {
        "console": lambda message: events.errors.append(message.text),
        "pageerror": lambda error: events.errors.append(str(error)),
        "dialog": lambda dialog: (events.errors.append(dialog.message), dialog.dismiss()),
        "request": lambda request: events.requests.append(request.url),
    }
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]  # the stubs have an overload for each event
    page.set_viewport_size(viewport or {"width": 1280, "height": 720})
    page.emulate_media(**(_SCREEN | media))
    if clock is not None:
        page.clock.install(time=clock)
    page.goto(address)
    yield page, events
    # An exception skips this, so the page of a failed test is not reused. An installed clock cannot be removed.
    if clock is None:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        page.goto("about:blank")  # else an address that differs in its fragment only would not be loaded
        unused.append(page)
    else:
        page.context.close()

"""The long-running exporter: starts and stops the store, the web server, the engine and the threads.

Order of the start: the configuration is loaded first, since a process that cannot start must not touch anything; then
the store is locked, so that a second exporter on the same store fails before it listens; then the server listens, so
that a port in use is reported before the store is opened. It answers 503, and 200 to health checks, until the first
page is rendered: opening a slow or locked store takes seconds. The stop runs in the opposite order (``ExitStack``),
except that the server stops before the engine closes: a request must not meet a closed store.

The main thread only waits for signals. The reloader waits for requests, the poller fetches, the renderer (``pages``)
renders, the stall detector reports a thread that makes no progress. At the stop the three loops get
``_FINISH_SECONDS`` each to finish their step; the threads are daemons, so a blocked one does not keep the process.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from exporter import __version__
from exporter.httpd import Server
from exporter.liveness import StallDetector
from exporter.runtime.engine import Engine
from exporter.runtime.reload import Reloader, log_problems
from exporter.store import MEMORY, Lock
from exporter.web import Issue, PageContext, Pages, Protection, Site, StartupHandler, with_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.poller import Poller
    from exporter.runtime.reload import Source

_FINISH_SECONDS = 0.5
_STORE_UNAVAILABLE = "The store is unavailable; data is kept in memory only."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a run: the command line with its defaults."""

    addresses: tuple[str, ...]
    telemetry_path: str
    storage_path: str
    enable_lifecycle: bool = False
    """Whether ``/-/reload`` is enabled."""
    auto_reload_interval: float = 0.0
    """Seconds between two checks of the configuration's files for changes; 0 disables them."""
    protection: Protection = field(default_factory=Protection)
    external_url: str = ""
    """The external URL of the exporter; empty if not given."""
    dashboard_url: str = ""
    """The URL of the dashboard in Grafana; empty if not given."""


def run(
    source: Source,
    settings: Settings,
    clock: Callable[[], float],
    wait: Callable[[Callable[[], object]], None],
    listening: Callable[[tuple[str, ...]], None] = lambda _addresses: None,
) -> None:
    """Run the exporter until ``wait`` returns.

    Args:
        source: loads the configuration.
        settings: the command line.
        clock: the wall clock, Unix seconds.
        wait: returns at a stop; its argument requests a reload.
        listening: called with the addresses once everything is started.

    Raises:
        ConfigError: the configuration is invalid.
        Locked: another exporter uses the same store.
        ListenError: an address is invalid or in use.
    """
    config = source.load(None)
    log_problems(config)
    with ExitStack() as cleanup:
        # Two exporters on one store would both fetch, and overwrite each other's state.
        lock = None if settings.storage_path == MEMORY else Lock(Path(settings.storage_path))
        if lock is not None:
            cleanup.callback(lock.close)
        startup = StartupHandler()
        site = with_prefix(urlsplit(settings.external_url).path, startup)
        server = Server(settings.addresses, settings.protection.authenticated(site), tls=settings.protection.tls)
        cleanup.callback(server.stop)
        server.start()
        _log_listening(server.addresses, settings, len(config.apps))
        engine = Engine(config, settings.storage_path, clock, lock=lock)
        pages = Pages(engine.guard)
        engine.poller.publish_to(pages.publish)
        cleanup.callback(engine.close)
        cleanup.callback(server.stop)  # again, since callbacks run in reverse: before the engine closes
        engine.meters.watch_web_config(lambda: not settings.protection.issues)
        reloader = Reloader(source, engine, pages.render, settings.auto_reload_interval)
        pages.render()
        # Only with a first page: a scrape without any series would look as if all apps had been removed.
        startup.switch_to(_site(settings, engine, pages, reloader, clock))
        listening(server.addresses)
        detector = StallDetector(
            {
                "httpd": lambda: server.rounds,
                "poller": lambda: engine.poller.rounds,
                "pages": lambda: pages.rounds,
            }
        )
        _run_threads(engine.poller, pages, reloader, detector, wait)
        log.info("stopping")
    log.info("stopped")


def _log_listening(addresses: tuple[str, ...], settings: Settings, apps: int) -> None:
    log.info(
        "listening",
        addresses=" ".join(addresses),
        scheme=settings.protection.scheme,
        telemetry_path=settings.telemetry_path,
        version=__version__,
        apps=apps,
    )


def _run_threads(
    poller: Poller,
    pages: Pages,
    reloader: Reloader,
    detector: StallDetector,
    wait: Callable[[Callable[[], object]], None],
) -> None:
    """Start all threads, wait for the stop, then let the loops finish their current step."""
    threading.Thread(target=reloader.run, name="reloader", daemon=True).start()
    stopping = threading.Event()
    loops = (("poller", poller.run), ("pages", pages.run), ("stall-detector", detector.run))
    threads = [threading.Thread(target=loop, args=(stopping,), name=name, daemon=True) for name, loop in loops]
    for thread in threads:
        thread.start()
    wait(reloader.request)
    stopping.set()
    poller.wake()
    pages.wake()
    for thread in threads:
        thread.join(_FINISH_SECONDS)


def _site(settings: Settings, engine: Engine, pages: Pages, reloader: Reloader, clock: Callable[[], float]) -> Site:
    def page_context() -> PageContext:
        store = (Issue(_STORE_UNAVAILABLE, (engine.store.problem,)),) if engine.store.problem else ()
        issues = (*store, *reloader.issues, *settings.protection.issues)
        return PageContext(settings.telemetry_path, issues, clock(), settings.dashboard_url)

    reload = (lambda: reloader.request().result()) if settings.enable_lifecycle else None
    return Site(settings.telemetry_path, pages, engine.meters.registry, page_context, engine.store.periods, reload)

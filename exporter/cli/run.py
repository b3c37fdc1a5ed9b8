"""The long-running exporter: web, engine and threads are started here, once, and stopped in the other direction."""

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
from exporter.runtime.reload import Reloader, announce
from exporter.store import MEMORY, Lock
from exporter.web import Entrance, Pages, Protection, Site, Surroundings, Trouble, with_prefix

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.poller import Poller
    from exporter.runtime.reload import Source

_FINISH_SECONDS = 0.5
_FROM_MEMORY = "The store takes no writes; the exporter goes on from memory."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says about a run, defaults filled in."""

    addresses: tuple[str, ...]
    telemetry_path: str
    storage_path: str
    enable_lifecycle: bool = False
    """Whether ``/-/reload`` is open to whoever can reach it."""
    auto_reload_interval: float = 0.0
    """Seconds between two looks at the files of the configuration; 0: nobody looks."""
    protection: Protection = field(default_factory=Protection)
    external_url: str = ""
    """Under which people reach the exporter; empty if not given."""


def run(
    source: Source,
    settings: Settings,
    clock: Callable[[], float],
    wait: Callable[[Callable[[], object]], None],
    listening: Callable[[tuple[str, ...]], None] = lambda _addresses: None,
) -> None:
    """Runs the exporter until ``wait`` returns, which is handed what to call for a reload; tells ``listening`` where.

    Raises:
        ConfigError: the configuration cannot be used.
        Locked: another exporter runs on the same storage.
        ListenError: an address cannot be had.
    """
    config = source.load(None)
    announce(config)
    with ExitStack() as undo:
        lock = None if settings.storage_path == MEMORY else Lock(Path(settings.storage_path))
        if lock is not None:
            undo.callback(lock.close)
        entrance = Entrance()
        site = with_prefix(urlsplit(settings.external_url).path, entrance)
        server = Server(settings.addresses, settings.protection.guarded(site), tls=settings.protection.tls)
        undo.callback(server.stop)
        server.start()
        _say_where(server.addresses, settings, len(config.apps))
        engine = Engine(config, settings.storage_path, clock, lock=lock)
        pages = Pages(engine.guard)
        engine.poller.publish_to(pages.publish)
        undo.callback(engine.close)
        undo.callback(server.stop)  # before the engine closes
        engine.meters.web_config_watched(lambda: not settings.protection.troubles)
        reloader = Reloader(source, engine, pages.render, settings.auto_reload_interval)
        pages.render()
        entrance.open(_site(settings, engine, pages, reloader, clock))
        listening(server.addresses)
        detector = StallDetector(
            {
                "httpd": lambda: server.rounds,
                "poller": lambda: engine.poller.rounds,
                "pages": lambda: pages.rounds,
            }
        )
        _work(engine.poller, pages, reloader, detector, wait)
        log.info("stopping")
    log.info("stopped")


def _say_where(addresses: tuple[str, ...], settings: Settings, apps: int) -> None:
    log.info(
        "listening",
        addresses=" ".join(addresses),
        scheme=settings.protection.scheme,
        telemetry_path=settings.telemetry_path,
        version=__version__,
        apps=apps,
    )


def _work(
    poller: Poller,
    pages: Pages,
    reloader: Reloader,
    detector: StallDetector,
    wait: Callable[[Callable[[], object]], None],
) -> None:
    """Run all threads until ``wait`` returns, then give the poller and the renderer time to finish their step."""
    threading.Thread(target=reloader.run, name="reloader", daemon=True).start()
    stopping = threading.Event()
    loops = (("poller", poller.run), ("pages", pages.run), ("stall-detector", detector.run))
    threads = [threading.Thread(target=loop, args=(stopping,), name=name, daemon=True) for name, loop in loops]
    for thread in threads:
        thread.start()
    wait(reloader.ask)
    stopping.set()
    poller.wake()
    pages.wake()
    for thread in threads:
        thread.join(_FINISH_SECONDS)


def _site(settings: Settings, engine: Engine, pages: Pages, reloader: Reloader, clock: Callable[[], float]) -> Site:
    def surroundings() -> Surroundings:
        store = (Trouble(_FROM_MEMORY, (engine.store.problem,)),) if engine.store.problem else ()
        troubles = (*store, *reloader.troubles, *settings.protection.troubles)
        return Surroundings(settings.telemetry_path, troubles, clock())

    reload = (lambda: reloader.ask().result()) if settings.enable_lifecycle else None
    return Site(settings.telemetry_path, pages, engine.meters.registry, surroundings, reload)

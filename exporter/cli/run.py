"""The long-running exporter: everything is wired here, once, and stopped in the other direction."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from exporter import __version__
from exporter.httpd import Server
from exporter.metrics import Meters
from exporter.poller import Poller
from exporter.reports import WEEKLY
from exporter.store import MEMORY, Lock, Store
from exporter.web import Pages, Site, Surroundings
from exporter.wechat.access import endpoints_of
from exporter.wechat.client import Client
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import Config

_FINISH_SECONDS = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says about a run, defaults filled in."""

    addresses: tuple[str, ...]
    telemetry_path: str
    storage_path: str


@dataclass(frozen=True, slots=True)
class Engine:
    """The rooms below the web, wired: what asks, keeps and measures."""

    store: Store
    transport: Transport
    meters: Meters
    poller: Poller

    def close(self) -> None:
        """Ends what is under way, and keeps what is in."""
        self.transport.close()
        self.poller.close()
        self.store.close()


def engine(
    config: Config,
    storage_path: str,
    clock: Callable[[], float],
    *,
    changed: Callable[[], None] = lambda: None,
    long_running: bool = True,
) -> Engine:
    """Wires everything from the store to the poller; nothing is asked yet.

    The long-running exporter measures its process, and asks refused and failed apps at its start.
    """
    store = Store(storage_path, config.api.host, clock)
    endpoints = dict.fromkeys(endpoint for app in config.apps for endpoint in endpoints_of(app.way))
    meters = Meters(lambda: not store.problem, endpoints, process=long_running)
    meters.config_taken(clock(), [broken.file for broken in config.broken_files])
    transport = Transport(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
    client = Client(transport, config.api.base_url, clock, meters.observe)
    poller = Poller(
        config, WEEKLY, asker=client, store=store, clock=clock, pulse=meters, changed=changed, retry=long_running
    )
    return Engine(store, transport, meters, poller)


def run(
    config: Config,
    settings: Settings,
    clock: Callable[[], float],
    wait: Callable[[], None],
    listening: Callable[[tuple[str, ...]], None] = lambda _addresses: None,
) -> None:
    """Runs the exporter until ``wait`` returns; tells ``listening`` where it does.

    Raises:
        Locked: another exporter runs on the same storage.
        ListenError: an address cannot be had.
    """
    with ExitStack() as undo:
        if settings.storage_path != MEMORY:
            _lock(Path(settings.storage_path), undo)
        pages = Pages(
            WEEKLY,
            lambda: rooms.poller.statuses(),  # noqa: PLW0108 (the poller is wired below)
            lambda action: rooms.poller.guarded(action),  # noqa: PLW0108 (the same)
        )
        rooms = engine(config, settings.storage_path, clock, changed=pages.changed)
        undo.callback(rooms.close)
        server = Server(settings.addresses, _site(config, settings.telemetry_path, rooms, pages))
        undo.callback(server.stop)
        server.start()
        log.info(
            "listening",
            addresses=" ".join(server.addresses),
            telemetry_path=settings.telemetry_path,
            version=__version__,
            apps=len(config.apps),
        )
        pages.render()
        listening(server.addresses)
        _work(rooms.poller, pages, wait)
        log.info("stopping")
    log.info("stopped")


def _work(poller: Poller, pages: Pages, wait: Callable[[], None]) -> None:
    """Lets poller and pages run until ``wait`` returns, and gives each a moment to finish its step."""
    stopping = threading.Event()
    threads = [
        threading.Thread(target=loop, args=(stopping,), name=name, daemon=True)
        for name, loop in (("poller", poller.run), ("pages", pages.run))
    ]
    for thread in threads:
        thread.start()
    wait()
    stopping.set()
    poller.wake()
    pages.changed()
    for thread in threads:
        thread.join(_FINISH_SECONDS)


def _lock(folder: Path, undo: ExitStack) -> None:
    """Makes this the one exporter of the folder; a folder that takes no lock is the store's business to report."""
    try:
        undo.callback(Lock(folder).close)
    except OSError as error:
        log.warning("storage takes no lock", path=str(folder), error=error.strerror)


def _site(config: Config, telemetry_path: str, rooms: Engine, pages: Pages) -> Site:
    problems = tuple(map(str, config.problems))

    def surroundings() -> Surroundings:
        return Surroundings(WEEKLY, telemetry_path, rooms.store.problem, problems)

    return Site(telemetry_path, pages, rooms.meters.registry, surroundings)

"""The rooms below the web, wired in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.guard import Guard
from exporter.metrics import Meters
from exporter.poller import ConfigDiff, Poller
from exporter.store import Store
from exporter.wechat.access import endpoints_of
from exporter.wechat.client import Client
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import Config
    from exporter.store import Lock


class Engine:
    """What asks, keeps and measures, from the store to the poller; nothing is asked before the poller runs.

    Args:
        config: the configuration that holds first.
        storage_path: where the store is.
        clock: the wall clock, Unix seconds.
        lock: of the storage, for an exporter that runs on it alone.
        long_running: measures its process, and asks refused and failed apps at its start.
    """

    def __init__(
        self,
        config: Config,
        storage_path: str,
        clock: Callable[[], float],
        *,
        lock: Lock | None = None,
        long_running: bool = True,
    ) -> None:
        self._clock = clock
        self.config = config
        """The configuration that holds."""
        self.store = Store(storage_path, config.api.host, clock, lock)
        self.meters = Meters(lambda: not self.store.problem, process=long_running)
        self._transport = Transport(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
        self._client = self._next_client(config, None)
        self.guard = Guard(self.meters.internal_error)
        """The exception barrier of every thread that must not end."""
        self.poller = Poller(
            config,
            fetcher=self._client,
            store=self.store,
            clock=clock,
            heartbeat=self.meters,
            guard=self.guard,
            retry=long_running,
        )
        self._taken()

    def take(self, config: Config) -> ConfigDiff | None:
        """Goes over to the next configuration, while the poller runs; returns when it holds.

        Returns:
            What it changed; None if an internal error prevented it.
        """
        turnover: ConfigDiff | None = ConfigDiff(added=0, changed=0, removed=0)
        if config != self.config:
            client = self._next_client(config, self._client)
            turnover = self.poller.apply_config(config, client)
            if turnover is None:
                return None
            self._transport.adapt(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
            self.config, self._client = config, client
        self._taken()
        return turnover

    def close(self) -> None:
        """Ends what is under way, and keeps what is in."""
        self._transport.close()
        self.poller.close()
        self.store.close()

    def _next_client(self, config: Config, previous: Client | None) -> Client:
        return Client(
            config.apps,
            config.api.base_url,
            sender=self._transport,
            clock=self._clock,
            observe=self.meters.observe,
            previous=previous,
        )

    def _taken(self) -> None:
        self.meters.config_taken(
            self._clock(),
            dict.fromkeys(endpoint for app in self.config.apps for endpoint in endpoints_of(app.access, app.reports)),
            (broken.file for broken in self.config.broken_files),
        )

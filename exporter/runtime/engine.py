"""Composes everything below the web: store, transport, client, poller and meters."""

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
    """Store, client, poller and meters of one process. Nothing is requested before the poller runs.

    Args:
        config: the first configuration.
        storage_path: the directory of the store, or ``:memory:``.
        clock: the wall clock, Unix seconds.
        lock: the lock of the storage directory, for a long-running exporter.
        long_running: whether process metrics are exposed and refused and failed apps are requested at the start.
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
        """The current configuration."""
        self.store = Store(storage_path, config.api.host, clock, lock)
        self.meters = Meters(lambda: not self.store.problem, process=long_running)
        self._transport = Transport(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
        self._client = self._next_client(config, None)  # no tokens are known yet
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
        self._count_config()

    def apply_config(self, config: Config) -> ConfigDiff | None:
        """Apply the next configuration while the poller runs; return when it is in effect.

        Returns:
            What it changed; None if an internal error prevented it.
        """
        diff: ConfigDiff | None = ConfigDiff(added=0, changed=0, removed=0)
        if config != self.config:
            # Unchanged apps keep their tokens: 5,000 new ones would be 5,000 needless calls.
            client = self._next_client(config, self._client)
            diff = self.poller.apply_config(config, client)
            if diff is None:
                return None
            self._transport.adapt(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
            self.config, self._client = config, client
        self._count_config()
        return diff

    def close(self) -> None:
        """Abort requests in flight and close the store."""
        # The transport first: it ends requests for which workers wait.
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

    def _count_config(self) -> None:
        self.meters.config_loaded(
            self._clock(),
            dict.fromkeys(endpoint for app in self.config.apps for endpoint in endpoints_of(app.access, app.reports)),
            (broken.file for broken in self.config.broken_files),
        )

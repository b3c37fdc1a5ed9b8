"""The families without an ``appid`` label: metrics of the exporter itself, rendered at each scrape.

They are prometheus_client's own metrics in a registry of their own, and change at any time, from any thread: each
metric of prometheus_client has a lock. What belongs to apps is in the cached page instead (``metrics.page``).
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from exporter import __version__
from exporter.metrics import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from exporter.metrics.catalogue import MetricInfo

M = TypeVar("M", Counter, Gauge, Histogram)

COMPONENTS = ("poller", "pages", "reloader")
"""The values of the ``component`` label."""
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """The metrics of the exporter itself. Safe for use from any thread.

    Args:
        store_up: whether the store is usable; called at each scrape.
        process: whether ``process_*`` and ``python_info`` are exposed.
    """

    def __init__(self, store_up: Callable[[], bool], *, process: bool) -> None:
        # ``_created`` series double the number of counters and mean nothing for a process that restarts.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type here
        self.registry = CollectorRegistry()
        self._duration = self._create(Histogram, catalogue.REQUEST_DURATION, buckets=_SECONDS)
        self._failures = self._create(Counter, catalogue.REQUEST_FAILURES)
        self._last_run = self._create(Gauge, catalogue.POLLER_LAST_RUN)
        self._errors = self._create(Counter, catalogue.INTERNAL_ERRORS)
        # A counter that appears only with its first error shows no increase, so that no alert fires.
        for component in COMPONENTS:
            self._errors.labels(component)
        self._create(Gauge, catalogue.STORE_UP).set_function(store_up)
        self._create(Gauge, catalogue.BUILD_INFO).labels(__version__, platform.python_version()).set(1)
        self._rejected = False
        self._web_config_valid: Callable[[], bool] = lambda: True
        successful = self._create(Gauge, catalogue.RELOAD_SUCCESSFUL)
        successful.set_function(lambda: not self._rejected and self._web_config_valid())
        self._reload_success_time = self._create(Gauge, catalogue.RELOAD_SUCCESS_TIME)
        self._file_errors = self._create(Gauge, catalogue.CONFIG_FILE_ERRORS)
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def observe(self, endpoint: str, seconds: float, *, failed: bool) -> None:
        """Record one call to WeChat: its duration, and whether it failed without a response of WeChat."""
        self._duration.labels(endpoint).observe(seconds)
        if failed:
            self._failures.labels(endpoint).inc()

    def tick(self, now: float) -> None:
        """Record that the poller ran."""
        self._last_run.set(now)

    def internal_error(self, component: str) -> None:
        """Count an internal error of a component, which continues."""
        self._errors.labels(component).inc()

    def config_loaded(self, now: float, endpoints: Iterable[str], broken_files: Iterable[str]) -> None:
        """Record that a configuration was applied, apart from its invalid app files.

        Args:
            now: Unix seconds.
            endpoints: the values of the ``endpoint`` label that its calls can have; exposed at 0 from the start.
            broken_files: the names of the invalid app files.
        """
        for endpoint in endpoints:
            self._duration.labels(endpoint)
            self._failures.labels(endpoint)
        self._rejected = False
        self._reload_success_time.set(now)
        self._file_errors.clear()  # files that are valid again, or removed, lose their series
        for file in broken_files:
            self._file_errors.labels(file).set(1)

    def config_rejected(self) -> None:
        """Record that a configuration was rejected and the previous one continues."""
        self._rejected = True

    def watch_web_config(self, valid: Callable[[], bool]) -> None:
        """Count a reload as successful only while the web configuration is valid too."""
        self._web_config_valid = valid

    def _create(self, kind: type[M], info: MetricInfo, **options: Any) -> M:  # noqa: ANN401 (each kind has its own)
        return kind(info.name, info.help, info.labels, registry=self.registry, **options)

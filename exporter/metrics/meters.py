"""The families without an ``appid`` label: the exporter about itself, alive and rendered at each scrape."""

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
    """What the exporter measures of itself. Safe for use from any thread.

    Args:
        store_up: asked at each scrape.
        process: whether ``process_*`` and ``python_info`` belong to it.
    """

    def __init__(self, store_up: Callable[[], bool], *, process: bool) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type here
        self.registry = CollectorRegistry()
        self._duration = self._made(Histogram, catalogue.REQUEST_DURATION, buckets=_SECONDS)
        self._last_run = self._made(Gauge, catalogue.POLLER_LAST_RUN)
        self._errors = self._made(Counter, catalogue.INTERNAL_ERRORS)
        for component in COMPONENTS:
            self._errors.labels(component)
        self._made(Gauge, catalogue.STORE_UP).set_function(store_up)
        self._made(Gauge, catalogue.BUILD_INFO).labels(__version__, platform.python_version()).set(1)
        self._refused = False
        self._web_config_holds: Callable[[], bool] = lambda: True
        successful = self._made(Gauge, catalogue.RELOAD_SUCCESSFUL)
        successful.set_function(lambda: not self._refused and self._web_config_holds())
        self._reload_success_time = self._made(Gauge, catalogue.RELOAD_SUCCESS_TIME)
        self._file_errors = self._made(Gauge, catalogue.CONFIG_FILE_ERRORS)
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)

    def observe(self, endpoint: str, seconds: float) -> None:
        """One call to WeChat took that long."""
        self._duration.labels(endpoint).observe(seconds)

    def tick(self, now: float) -> None:
        """The poller ran."""
        self._last_run.set(now)

    def internal_error(self, component: str) -> None:
        """An internal error happened in a component, which continues."""
        self._errors.labels(component).inc()

    def config_taken(self, now: float, endpoints: Iterable[str], broken_files: Iterable[str]) -> None:
        """A configuration was read and taken, apart from its broken app files.

        Args:
            now: Unix seconds.
            endpoints: the values of the ``endpoint`` label that its calls can have; they are there, at 0 at first.
            broken_files: by name.
        """
        for endpoint in endpoints:
            self._duration.labels(endpoint)
        self._refused = False
        self._reload_success_time.set(now)
        self._file_errors.clear()
        for file in broken_files:
            self._file_errors.labels(file).set(1)

    def config_refused(self) -> None:
        """A configuration was read and not taken: the one before goes on."""
        self._refused = True

    def web_config_watched(self, holds: Callable[[], bool]) -> None:
        """A reload counts as successful only while the web configuration is as its files say, too."""
        self._web_config_holds = holds

    def _made(self, kind: type[M], info: MetricInfo, **options: Any) -> M:  # noqa: ANN401 (each kind has its own)
        return kind(info.name, info.help, info.labels, registry=self.registry, **options)

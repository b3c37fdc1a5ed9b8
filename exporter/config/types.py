"""The configuration as frozen values. Their defaults are the only definition of the defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.config.durations import HOUR, MINUTE
from exporter.reports import DEFAULT_REPORTS, Report, Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.config.app.access_config import AccessConfig
    from exporter.config.document.problems import Problem


@dataclass(frozen=True, slots=True)
class Fetch:
    """When and how reports are fetched; durations in seconds."""

    interval: float = 6 * HOUR
    """Wait before a known period is fetched again."""
    retry_interval: float = 30 * MINUTE
    """Wait while a period is not published; the first wait after a failure."""
    ready_after: float = 10 * HOUR
    """Wait between the end of a period (Beijing) and its first request."""
    timeout: float = 10.0
    """Of one complete request."""
    concurrency: int = 8
    """Requests in flight."""
    history_weeks: int = 9
    """How far back the store is filled for each report, in weeks, including the newest period."""


@dataclass(frozen=True, slots=True)
class Api:
    """The address of WeChat's API."""

    base_url: str = "https://api.weixin.qq.com"
    """Scheme, host and optional port, without a trailing slash."""

    @property
    def host(self) -> str:
        """``api.weixin.qq.com`` or ``127.0.0.1:4321``; part of the key of stored data."""
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True, slots=True)
class App:
    """One Mini Program and how its reports are read."""

    appid: str
    access: AccessConfig
    name: str = ""
    """Display name; may be empty."""
    alerts: Thresholds = Thresholds()  # noqa: RUF009 (a frozen value)
    """Alert thresholds: its own, else those of ``defaults``."""
    reports: tuple[Report, ...] = DEFAULT_REPORTS
    """Reports to fetch: its own, else those of the main file; in the order of the catalogue."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Options of every app that does not override them."""

    alerts: Thresholds = Thresholds()  # noqa: RUF009 (a frozen value)


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """An invalid app file. Its last valid apps stay in the configuration."""

    file: str
    problems: tuple[Problem, ...]
    kept_apps: int = 0
    """Number of its last valid apps; 0 at start."""


@dataclass(frozen=True, slots=True)
class Config:
    """The complete configuration."""

    apps: tuple[App, ...]
    """Those of the main file first, then those of the app files, sorted by file name."""
    reports: tuple[Report, ...] = DEFAULT_REPORTS
    """Reports of every app without its own list."""
    fetch: Fetch = field(default_factory=Fetch)
    api: Api = field(default_factory=Api)
    defaults: Defaults = field(default_factory=Defaults)
    broken_files: tuple[BrokenFile, ...] = ()
    warnings: tuple[Problem, ...] = ()
    apps_of_files: Mapping[str, tuple[App, ...]] = field(default_factory=dict)
    """The apps of each app file, from which a reload takes the last valid apps of a broken file."""
    app_config_files: tuple[str, ...] = ()
    """Names and patterns of the app files, as written in the main file."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems of the broken files."""
        return tuple(problem for broken in self.broken_files for problem in broken.problems)

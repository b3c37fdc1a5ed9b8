"""What the operator wrote, as values: checked, typed and frozen. The defaults stand here and nowhere else."""

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
    """When and how WeChat is asked; durations in seconds."""

    interval: float = 6 * HOUR
    """After this long a known period is fetched again."""
    retry_interval: float = 30 * MINUTE
    """Wait while a period is not published; the first wait after a failure."""
    ready_after: float = 10 * HOUR
    """After the end of a period (Beijing), when it is first requested."""
    timeout: float = 10.0
    """For one whole request."""
    concurrency: int = 8
    """Requests under way at once."""
    history_weeks: int = 9
    """How far back, in weeks, the store is filled for each report, the newest period included."""


@dataclass(frozen=True, slots=True)
class Api:
    """Where WeChat is."""

    base_url: str = "https://api.weixin.qq.com"
    """Scheme, host and perhaps port, without a slash at the end."""

    @property
    def host(self) -> str:
        """``api.weixin.qq.com`` or ``127.0.0.1:4321``: what is stored is keyed by it."""
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True, slots=True)
class App:
    """One Mini Program and the way by which its reports are read."""

    appid: str
    access: AccessConfig
    name: str = ""
    """Shown to people; may be empty."""
    alerts: Thresholds = Thresholds()  # noqa: RUF009 (a frozen value)
    """The ratios below which it alerts: its own, else those of ``defaults``."""
    reports: tuple[Report, ...] = DEFAULT_REPORTS
    """What is fetched: its own, else those of the whole configuration; in the order of the catalogue."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every app that does not say otherwise."""

    alerts: Thresholds = Thresholds()  # noqa: RUF009 (a frozen value)


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """An app file that could not be used: of its apps, those of its last good state are in the configuration."""

    file: str
    problems: tuple[Problem, ...]
    kept_apps: int = 0
    """How many apps of its last good state go on: none at a start."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of one run."""

    apps: tuple[App, ...]
    """In the order of reading: main file first, then app files by name."""
    reports: tuple[Report, ...] = DEFAULT_REPORTS
    """What every app fetches that has no list of its own."""
    fetch: Fetch = field(default_factory=Fetch)
    api: Api = field(default_factory=Api)
    defaults: Defaults = field(default_factory=Defaults)
    broken_files: tuple[BrokenFile, ...] = ()
    warnings: tuple[Problem, ...] = ()
    apps_of_files: Mapping[str, tuple[App, ...]] = field(default_factory=dict)
    """The apps of each app file, so that the next reload knows its last good state."""
    app_config_files: tuple[str, ...] = ()
    """Names and patterns of the app files, as the main file says them."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong in the broken files."""
        return tuple(problem for broken in self.broken_files for problem in broken.problems)

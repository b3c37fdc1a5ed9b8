"""The reloader thread: reads the configuration again on SIGHUP, on ``/-/reload``, or because files changed.

Requests are futures in a queue. All that are queued get the result of one reload, so that many clients cannot queue up
many reloads. The thread reads the files and hands a valid configuration to the engine, which returns when the poller
has applied it; no other thread changes the configuration.

Changed files are noticed by comparing signatures (sizes, times, links) every ``interval`` seconds. They are read when
two checks in a row found the same signatures, and the result is discarded if a file changed while it was read:
otherwise an editor that writes in two steps causes an error about half a file.

An invalid configuration is read again although no signature changed, because the cause may be in a place that is not
checked. It is re-read at most once per 20 times the last read time, so that it costs at most 5 % of one core.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import structlog

from exporter.config import Config, ConfigError, Problem
from exporter.web import Issue, ReloadResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.runtime.engine import Engine

log = structlog.get_logger()

_APPS_KEPT = "app file invalid, apps kept"
_APPS_MISSING = "app file invalid, apps missing"

_SHOWN = 50
"""The most problems in the log and on the page; the response of a reload and ``check`` have all of them."""
_REST = 20
"""Pause before an invalid configuration is read again, as a multiple of the last read time."""

_MOST_UNSETTLED = 10
"""Checks in a row. A file that changes all the time, such as a log in apps.d/, must not prevent reloads."""
_REST_AFTER_INTERNAL_ERROR = 60.0
"""Seconds: each attempt logs a traceback."""

_INVALID = "The configuration is invalid; the previous one continues."
_NOT_APPLIED = "The configuration could not be applied; the previous one continues."
_INVALID_FILES = "App files are invalid; their last valid apps stay configured, apps that are new in them are missing."

_INTERNAL_ERROR = ReloadResult(
    applied=False, message="internal error, see the log; the previous configuration continues"
)

COMPONENT = "reloader"
_CHANGED_WHILE_READ = ReloadResult(applied=False, message="a file changed while it was read; it is read again")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from."""

    load: Callable[[Config | None], Config]
    """Reads it, given the current one; raises ConfigError."""
    signatures: Callable[[Config], object]
    """Returns the sizes, times and links of all files that a configuration was read from."""


def log_problems(config: Config, before: Config | None = None) -> None:
    """Log the warnings and invalid app files of a usable configuration, unless the previous one had them."""
    logged = set() if before is None else {*before.warnings, *before.broken_files}
    for warning in config.warnings:
        if warning not in logged:
            log.warning("configuration warning", warning=str(warning))
    for broken in config.broken_files:
        if broken not in logged:
            for problem in _shown(broken.problems):
                log.error(_APPS_KEPT if broken.kept_apps else _APPS_MISSING, error=problem)


class Reloader:
    """Reloads the configuration, one reload at a time.

    Args:
        source: where the configuration comes from.
        engine: applies it.
        render: renders the pages again.
        interval: seconds between two checks of the files; 0 disables them.
    """

    def __init__(self, source: Source, engine: Engine, render: Callable[[], None], interval: float) -> None:
        self._source = source
        self._engine = engine
        self._render = render
        self._interval = interval
        self._requests: SimpleQueue[Future[ReloadResult]] = SimpleQueue()
        self._invalid: tuple[Problem, ...] = ()
        self._has_failed = False
        """Whether the last reload ended in an internal error."""
        self._unsettled = 0
        """How many checks in a row found a changed file."""
        self._seen: object = None
        """The signatures at the last check."""
        self._loaded: object = None
        """The signatures when the files were last read because of a change."""
        self._read_at = self._reading_took = 0.0

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What is wrong in the files as they were last read; for any thread."""
        not_applied = Issue(_NOT_APPLIED, (_INTERNAL_ERROR.message,) if self._has_failed else ())
        invalid = Issue(_INVALID, _shown(self._invalid))
        invalid_files = Issue(_INVALID_FILES, _shown(self._engine.config.problems))
        return tuple(issue for issue in (not_applied, invalid, invalid_files) if issue.details)

    def request(self) -> Future[ReloadResult]:
        """Request a reload; the future has its result when the configuration is in effect, or was rejected."""
        requested: Future[ReloadResult] = Future()
        self._requests.put(requested)
        return requested

    def run(self) -> None:
        """Reload on request and when a file has changed; never returns."""
        guard = self._engine.guard
        while True:
            waiting = self._next()
            if bool(waiting) or guard.run(COMPONENT, self._is_due):
                verdict = guard.run(COMPONENT, partial(self._reload, quiet=not waiting)) or self._fail()
                for requested in waiting:
                    requested.set_result(verdict)

    def _next(self) -> list[Future[ReloadResult]]:
        """Return all queued requests; none when the files are to be checked."""
        waiting: list[Future[ReloadResult]] = []
        try:
            waiting.append(self._requests.get(timeout=self._interval or None))
            while True:
                waiting.append(self._requests.get_nowait())
        except Empty:
            return waiting

    def _is_due(self) -> bool:
        """Return whether changed files were equal at two checks, or an invalid configuration is due again."""
        before, self._seen = self._seen, self._source.signatures(self._engine.config)
        self._unsettled = self._unsettled + 1 if before != self._seen else 0
        if 0 < self._unsettled < _MOST_UNSETTLED:
            return False
        if self._unsettled == _MOST_UNSETTLED:
            log.warning("configuration files keep changing", checks=_MOST_UNSETTLED)
        rest = max(_REST * self._reading_took, _REST_AFTER_INTERNAL_ERROR if self._has_failed else 0.0)
        return self._seen != self._loaded or (bool(self.issues) and time.monotonic() - self._read_at > rest)

    def _is_still(self, before: Config, config: Config) -> bool:
        """Return whether no file changed while it was read, including those that are new in this configuration."""
        if self._unsettled:
            return True  # they keep changing: waiting any longer would prevent reloads
        if self._source.signatures(before) != self._seen:
            return False
        seen = self._source.signatures(config)
        if seen != self._seen:  # the configuration has other files now: check those twice, too
            time.sleep(self._interval)
        return seen == self._source.signatures(config)

    def _reload(self, *, quiet: bool) -> ReloadResult | None:
        """Read and apply the configuration; None after an internal error. ``quiet`` logs only what is new."""
        before, self._read_at = self._engine.config, time.monotonic()
        try:
            config = self._source.load(before)
        except ConfigError as error:
            return self._reject(error, quiet=quiet)
        finally:
            self._reading_took = time.monotonic() - self._read_at
            if quiet:  # a reload on request has not compared signatures
                self._loaded = self._seen
        if quiet and not self._is_still(before, config):
            self._loaded = None
            return _CHANGED_WHILE_READ
        diff = self._engine.apply_config(config)
        if diff is None:
            return None
        self._has_failed = False
        is_news = config != before or bool(self._invalid)
        self._invalid = ()
        if config != before:
            self._render()
        log_problems(config, before)
        message = "configuration unchanged" if config == before else "configuration reloaded"
        facts = {"apps": len(config.apps), **asdict(diff)}
        if is_news or not quiet:
            log.info(message, **facts)
        summary = f"{message}: {', '.join(f'{number} {what}' for what, number in facts.items())}"
        return ReloadResult(applied=True, message="\n".join((summary, *map(str, config.problems))))

    def _fail(self) -> ReloadResult:
        """Record an internal error; the previous configuration continues."""
        self._has_failed = True
        self._engine.meters.config_rejected()
        return _INTERNAL_ERROR

    def _reject(self, error: ConfigError, *, quiet: bool) -> ReloadResult:
        """Log the problems of an invalid configuration; the previous one continues."""
        is_new = error.problems != self._invalid
        self._invalid = error.problems
        self._has_failed = False
        self._engine.meters.config_rejected()  # before the log, so that the next scrape agrees with it
        if is_new or not quiet:
            for problem in _shown(error.problems):
                log.error("configuration reload failed", error=problem)
        return ReloadResult(applied=False, message=str(error))


def _shown(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    """Return the first of them, and how many more there are."""
    more = (f"and {len(problems) - _SHOWN} more: `check` prints them all",) if len(problems) > _SHOWN else ()
    return (*map(str, problems[:_SHOWN]), *more)

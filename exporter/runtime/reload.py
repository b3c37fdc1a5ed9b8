"""Reading the configuration again while the exporter runs: asked for by signal or HTTP, or because files changed."""

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

_APPS_GO_ON = "configuration file is broken, its last good apps go on"
_APPS_MISSING = "configuration file is broken, its apps are missing"

_SHOWN = 50
"""Problems that are logged and on the page; the answer of a reload and ``check`` have all of them."""
_REST = 20
"""What is wrong is read again after so many times as long as it took: in all, a twentieth of a processor."""

_MOST_UNSETTLED = 10
"""Checks; files that change all the time must not keep others from being read."""
_REST_AFTER_FAULT = 60.0
"""Seconds; each time the log has a traceback."""

_REFUSED = "The configuration in the files is refused; the one before goes on."
_FAULTY = "The configuration in the files could not be taken; the one before goes on."
_BROKEN = "App files are broken: the apps that they had before go on, or are missing where there were none."

_FAULT = ReloadResult(applied=False, message="a fault of the exporter, see its log; the configuration before goes on")

COMPONENT = "reloader"
_WRITTEN_MEANWHILE = ReloadResult(applied=False, message="a file was written while it was read; it is read again")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from."""

    load: Callable[[Config | None], Config]
    """Reads it, given the one that holds; raises ConfigError."""
    look: Callable[[Config], object]
    """How all that it was read from looks at this moment."""


def announce(config: Config, before: Config | None = None) -> None:
    """Says in the log what of a usable configuration is not as it should be, and was not said before."""
    said = set() if before is None else {*before.warnings, *before.broken_files}
    for warning in config.warnings:
        if warning not in said:
            log.warning("configuration", problem=str(warning))
    for broken in config.broken_files:
        if broken not in said:
            for problem in _shown(broken.problems):
                log.error(_APPS_GO_ON if broken.kept_apps else _APPS_MISSING, problem=problem)


class Reloader:
    """Replaces the configuration when it is told to: one reload at a time, however many ask for it.

    Args:
        source: where the configuration comes from.
        engine: what takes it.
        render: shows what was taken.
        interval: seconds between two looks at the files; 0: nobody looks.
    """

    def __init__(self, source: Source, engine: Engine, render: Callable[[], None], interval: float) -> None:
        self._source = source
        self._engine = engine
        self._render = render
        self._interval = interval
        self._asked: SimpleQueue[Future[ReloadResult]] = SimpleQueue()
        self._refused: tuple[Problem, ...] = ()
        self._faulty = False
        """Whether the last reload met a fault of the exporter."""
        self._unsettled = 0
        """At how many checks in a row the files were different."""
        self._seen: object = None
        """What the files were at the last check (sizes, times and links)."""
        self._taken: object = None
        """What they were when they were last read because they had changed."""
        self._read_at = self._reading_took = 0.0

    @property
    def issues(self) -> tuple[Issue, ...]:
        """What is wrong in the files as they were last read."""
        faulty = Issue(_FAULTY, (_FAULT.message,) if self._faulty else ())
        refused = Issue(_REFUSED, _shown(self._refused))
        broken = Issue(_BROKEN, _shown(self._engine.config.problems))
        return tuple(issue for issue in (faulty, refused, broken) if issue.details)

    def ask(self) -> Future[ReloadResult]:
        """Has the configuration read again; the verdict comes when the next one holds, or was refused."""
        asked: Future[ReloadResult] = Future()
        self._asked.put(asked)
        return asked

    def run(self) -> None:
        """Reloads whenever somebody asks for it or a file has changed; never returns."""
        guard = self._engine.guard
        while True:
            waiting = self._next()
            if bool(waiting) or guard.run(COMPONENT, self._is_due):
                verdict = guard.run(COMPONENT, partial(self._reload, quiet=not waiting)) or self._fail()
                for asked in waiting:
                    asked.set_result(verdict)

    def _next(self) -> list[Future[ReloadResult]]:
        """Everybody who asks for a reload; nobody when it is time for a look at the files."""
        waiting: list[Future[ReloadResult]] = []
        try:
            waiting.append(self._asked.get(timeout=self._interval or None))
            while True:
                waiting.append(self._asked.get_nowait())
        except Empty:
            return waiting

    def _is_due(self) -> bool:
        """Whether files have changed and were equal at two checks, so that none is read while it is being written.

        An invalid configuration is read again anyway: the fix may be in a place that is not checked.
        """
        before, self._seen = self._seen, self._source.look(self._engine.config)
        self._unsettled = self._unsettled + 1 if before != self._seen else 0
        if 0 < self._unsettled < _MOST_UNSETTLED:
            return False
        if self._unsettled == _MOST_UNSETTLED:
            log.warning("configuration files keep changing, read anyway")
        rest = max(_REST * self._reading_took, _REST_AFTER_FAULT if self._faulty else 0.0)
        return self._seen != self._taken or (bool(self.issues) and time.monotonic() - self._read_at > rest)

    def _is_still(self, before: Config, config: Config) -> bool:
        """Whether no file was written while it was read, those included that are new in this configuration."""
        if self._unsettled:
            return True  # they keep changing, and are read anyway
        if self._source.look(before) != self._seen:
            return False
        seen = self._source.look(config)
        if seen != self._seen:
            time.sleep(self._interval)
        return seen == self._source.look(config)

    def _reload(self, *, quiet: bool) -> ReloadResult | None:
        """Reads the configuration and takes it; ``quiet`` says nothing where nothing is new. None for a fault."""
        before, self._read_at = self._engine.config, time.monotonic()
        try:
            config = self._source.load(before)
        except ConfigError as error:
            return self._refuse(error, quiet=quiet)
        finally:
            self._reading_took = time.monotonic() - self._read_at
            if quiet:
                self._taken = self._seen
        if quiet and not self._is_still(before, config):
            self._taken = None
            return _WRITTEN_MEANWHILE
        turnover = self._engine.take(config)
        if turnover is None:
            return None
        self._faulty = False
        is_news = config != before or bool(self._refused)
        self._refused = ()
        if config != before:
            self._render()
        announce(config, before)
        words = "configuration unchanged" if config == before else "configuration reloaded"
        facts = {"apps": len(config.apps), **asdict(turnover)}
        if is_news or not quiet:
            log.info(words, **facts)
        summary = f"{words}: {', '.join(f'{number} {what}' for what, number in facts.items())}"
        return ReloadResult(applied=True, message="\n".join((summary, *map(str, config.problems))))

    def _fail(self) -> ReloadResult:
        """A fault of the exporter came between; the configuration before goes on."""
        self._faulty = True
        self._engine.meters.config_refused()
        return _FAULT

    def _refuse(self, error: ConfigError, *, quiet: bool) -> ReloadResult:
        """Nothing changes, and that loudly."""
        if not quiet or error.problems != self._refused:
            for problem in _shown(error.problems):
                log.error("configuration refused, the one before goes on", problem=problem)
        self._refused = error.problems
        self._faulty = False
        self._engine.meters.config_refused()
        return ReloadResult(applied=False, message=str(error))


def _shown(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    """The first of them, and how many more there are."""
    more = (f"and {len(problems) - _SHOWN} more: `check` prints them all",) if len(problems) > _SHOWN else ()
    return (*map(str, problems[:_SHOWN]), *more)

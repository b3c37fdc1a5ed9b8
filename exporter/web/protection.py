"""TLS, headers and passwords as the web configuration has them now: it is read again when its files change."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exporter.config import ConfigError, WebConfig, load_web
from exporter.web.documents import Trouble
from exporter.web.passwords import Passwords

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.httpd import Handler, Request, Response, Tls

LOOK_AGAIN = 1.0
"""Seconds between two looks at the files, at the least."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one reading of the web configuration comes to."""

    config: WebConfig
    passwords: Passwords | None


class Protection:
    """What stands between a client and the site; for any thread.

    While a changed file is broken, or a certificate and its key do not fit, the last good ones go on.

    Args:
        path: the web configuration; None: there is none, and none is looked for.
        config: as it was read from there.
    """

    def __init__(self, path: Path | None = None, config: WebConfig = WebConfig()) -> None:  # noqa: B008 (frozen)
        self._path = path
        self._rules = _rules(config)
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._complaint = ""
        """What is wrong with the files now, as the log was told; empty while they are good."""
        _warn(config)

    def tls(self) -> Tls | None:
        """How a connection that comes now is secured."""
        return self._current().config.tls

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as it is now."""
        return "http" if self._rules.config.tls is None else "https"

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong with the files, as they were last read."""
        lines = tuple(self._complaint.splitlines())
        return (Trouble("The web configuration is broken; the last good one goes on.", lines),) if lines else ()

    def guarded(self, site: Handler) -> Handler:
        """The site for those who may see it, with the headers that the operator wants."""

        def answer(request: Request) -> Response:
            rules = self._current()
            refused = rules.passwords and rules.passwords.refusal(request.headers.get("Authorization", ""))
            return _with_headers(refused or site(request), rules.config.headers)

        return answer

    def _current(self) -> _Rules:
        if self._path is not None and time.monotonic() >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._look(self._path)
            finally:
                self._next_look = time.monotonic() + LOOK_AGAIN
                self._lock.release()
        return self._rules

    def _look(self, path: Path) -> None:
        if not self._complaint and not self._rules.config.outdated:
            return
        before = self._complaint
        config, self._complaint = _read(path)
        if config is None:
            for problem in self._complaint.splitlines() if self._complaint != before else ():
                log.error("web configuration is broken, the last good one goes on", problem=problem)
            return
        self._rules = _rules(config, self._rules)
        log.info("web configuration read again", scheme=self.scheme, users=len(config.users))
        _warn(config)


def _read(path: Path) -> tuple[WebConfig | None, str]:
    """The web configuration, or what is wrong with it."""
    try:
        return load_web(path), ""
    except (ConfigError, OSError) as error:
        return None, str(error)


def _warn(config: WebConfig) -> None:
    for warning in config.warnings:
        log.warning("web configuration", problem=str(warning))


def _rules(config: WebConfig, before: _Rules | None = None) -> _Rules:
    """The rules of a configuration; passwords that were found right stay known."""
    if not config.users:
        return _Rules(config, None)
    known = before.passwords if before else None
    return _Rules(config, known.followed_by(config.users) if known else Passwords(config.users))


def _with_headers(response: Response, headers: tuple[tuple[str, str], ...]) -> Response:
    if not headers:
        return response
    replaced = {name.lower() for name, _ in headers}
    kept = tuple((name, value) for name, value in response.headers if name.lower() not in replaced)
    return replace(response, headers=(*kept, *headers))

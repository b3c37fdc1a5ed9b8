"""TLS, response headers and passwords of the web configuration, which is read again when its files change.

There is no thread for this. ``_current`` is called for every connection and every request; at most once a second one
caller compares the files with those that were read (``WebConfig.outdated``) and reads them again if they differ. The
lock is acquired without waiting, so all other callers continue with the current settings, and a slow disk delays one
request at a time. The settings are one immutable object that is replaced by one assignment; a request uses the object
that it started with.

If the changed files are invalid, the previous settings stay, so that a certificate whose new key is not written yet or
a file that an editor has emptied for a moment neither ends TLS nor removes the passwords. The files are then read
again every second until they are valid, because the cause may lie outside the files that were read.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from exporter.config import ConfigError, WebConfig, load_web
from exporter.web.documents import Issue
from exporter.web.passwords import Passwords

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.httpd import Handler, Request, Response, Tls

CHECK_INTERVAL = 1.0
"""Seconds between two checks of the files, at least."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _ActiveConfig:
    """The settings in use."""

    config: WebConfig
    passwords: Passwords | None


class Protection:
    """TLS and authentication in front of the site; safe for use from any thread.

    Args:
        path: the file of the web configuration; None: there is none.
        config: its content, as read at the start.
    """

    def __init__(self, path: Path | None = None, config: WebConfig = WebConfig()) -> None:  # noqa: B008 (frozen)
        self._path = path
        self._active = _activate(config)
        self._lock = threading.Lock()
        self._next_check = 0.0
        self._error = ""
        """The problems of the files, one a line, as logged; empty while they are valid."""
        _log_warnings(config)

    def tls(self) -> Tls | None:
        """Return the TLS settings for a new connection."""
        return self._current().config.tls

    @property
    def scheme(self) -> str:
        """The current scheme, ``http`` or ``https``."""
        return "http" if self._active.config.tls is None else "https"

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The problems of the files when they were last read."""
        details = tuple(self._error.splitlines())
        return (Issue("The web configuration is invalid; the previous one continues.", details),) if details else ()

    def authenticated(self, site: Handler) -> Handler:
        """Return a handler that requires a password where one is configured, and adds the configured headers."""

        def handle(request: Request) -> Response:
            active = self._current()
            challenge = active.passwords and active.passwords.challenge(request.headers.get("Authorization", ""))
            return _with_headers(challenge or site(request), active.config.headers)

        return handle

    def _current(self) -> _ActiveConfig:
        if self._path is not None and time.monotonic() >= self._next_check and self._lock.acquire(blocking=False):
            try:
                self._reload_if_changed(self._path)
            finally:
                # After the check, not before: a slow disk must not be read without pause.
                self._next_check = time.monotonic() + CHECK_INTERVAL
                self._lock.release()
        return self._active

    def _reload_if_changed(self, path: Path) -> None:
        if not self._error and not self._active.config.outdated:
            return
        previous_error = self._error
        config, self._error = _read(path)
        if config is None:
            for problem in self._error.splitlines() if self._error != previous_error else ():
                log.error("web configuration reload failed", error=problem)
            return
        self._active = _activate(config, self._active)
        log.info("web configuration reloaded", scheme=self.scheme, users=len(config.users))
        _log_warnings(config)


def _read(path: Path) -> tuple[WebConfig | None, str]:
    """Return the web configuration, or None and its problems."""
    try:
        return load_web(path), ""
    except (ConfigError, OSError) as error:
        return None, str(error)


def _log_warnings(config: WebConfig) -> None:
    for warning in config.warnings:
        log.warning("web configuration warning", warning=str(warning))


def _activate(config: WebConfig, previous: _ActiveConfig | None = None) -> _ActiveConfig:
    """Return the settings of a configuration; passwords that were verified before stay verified."""
    if not config.users:
        return _ActiveConfig(config, None)
    verified = previous.passwords if previous else None
    return _ActiveConfig(config, verified.with_users(config.users) if verified else Passwords(config.users))


def _with_headers(response: Response, headers: tuple[tuple[str, str], ...]) -> Response:
    """Return the response with configured headers in place of its own ones of the same name."""
    if not headers:
        return response
    replaced = {name.lower() for name, _ in headers}
    kept = tuple((name, value) for name, value in response.headers if name.lower() not in replaced)
    return replace(response, headers=(*kept, *headers))

"""Logging: one line per event to standard error, as logfmt or JSON, with the field names of Prometheus' own logs.

Every text passes ``redact`` last. Callers redact what they know to be secret; this filter catches what a library or a
traceback adds. It also escapes control characters, so that a hostile value can neither forge a line nor send escape
sequences to a terminal. Errors of the stream are ignored: losing the log must not stop the exporter.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import EventDict, Processor

LEVELS: Final = ("debug", "info", "warn", "error")
FORMATS: Final = ("logfmt", "json")

_SECRET = re.compile(r"""((?:access_token|secret)(?:["']?[=:]["']?|["']\s*:\s*["']))[^\s"'&,}]+""", re.IGNORECASE)


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Configure the logging of the process.

    Args:
        level: the minimum level, one of ``LEVELS``.
        form: one of ``FORMATS``.
        stream: the output; standard error by default.
    """
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "logfmt":
        renderer = structlog.processors.LogfmtRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _prometheus_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            redact,
            _in_order,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning" if level == "warn" else level),
        logger_factory=structlog.WriteLoggerFactory(_Unbreakable(stream or sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Remove access tokens and secrets of a URL, a form or JSON from every text of an event."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:  # noqa: ANN401 (an event's values are of any type)
    if not isinstance(value, str):
        return value
    value = _SECRET.sub(r"\1<SECRET>", value)
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in value)


def _prometheus_level(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["level"] = "warn" if event["level"] == "warning" else event["level"]
    return event


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Put the fields that every line has first, as in Prometheus' own logs."""
    return {key: event[key] for key in ("ts", "level", "msg")} | dict(event)


class _Unbreakable:
    """A stream that ignores errors: its reader may have exited, and the exporter continues without its log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

"""One line for each fact, logfmt or JSON, with the field names of Prometheus' own logs, to standard error."""

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

_HIDDEN = re.compile(r"""((?:access_token|secret)(?:["']?[=:]["']?|["']\s*:\s*["']))[^\s"'&,}]+""", re.IGNORECASE)


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Sets the one log of the process up.

    Args:
        level: the least of ``LEVELS`` that is written.
        form: one of ``FORMATS``.
        stream: where to; standard error if not given.
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
    """The last filter, of texts: no access token or secret of an address, a form or JSON leaves, whoever wrote it."""
    return {key: _redacted(value) for key, value in event.items()}


def _redacted(value: Any) -> Any:  # noqa: ANN401 (an event's values are of any type)
    if not isinstance(value, str):
        return value
    value = _HIDDEN.sub(r"\1<SECRET>", value)
    return "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in value)


def _prometheus_level(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["level"] = "warn" if event["level"] == "warning" else event["level"]
    return event


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    """What every line has stands first, as in Prometheus' own logs."""
    return {key: event[key] for key in ("ts", "level", "msg")} | dict(event)


class _Unbreakable:
    """A stream whose reader may go away: the exporter goes on without its log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

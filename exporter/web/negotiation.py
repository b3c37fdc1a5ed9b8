"""Which form of an answer a client prefers (RFC 9110 section 12)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.metrics import Format

_QVALUE = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One member of an Accept or Accept-Encoding header."""

    name: str
    parameters: dict[str, str]
    quality: float


def preferred_format(accept: str) -> Format:
    """The exposition format for an Accept header; text unless OpenMetrics 1.0 is wanted more or as much."""
    quality = {format_: _media_quality(_choices(accept), format_) for format_ in Format}
    wants_openmetrics = quality[Format.OPENMETRICS] > 0 and quality[Format.OPENMETRICS] >= quality[Format.TEXT]
    named = any(choice.name == "application/openmetrics-text" for choice in _choices(accept))
    return Format.OPENMETRICS if wants_openmetrics and named else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip; ``gzip;q=0`` does not, nor does no header."""
    choices = {choice.name: choice.quality for choice in _choices(accept_encoding)}
    return choices.get("gzip", choices.get("x-gzip", choices.get("*", 0.0))) > 0


def _choices(header: str) -> list[_Choice]:
    choices = []
    for member in header.lower().split(","):
        name, *rest = (piece.strip() for piece in member.split(";"))
        parameters = {
            key.strip(): value.strip().strip('"') for key, _, value in (piece.partition("=") for piece in rest)
        }
        quality = parameters.pop("q", "1")
        if name and _QVALUE.fullmatch(quality):
            choices.append(_Choice(name, parameters, float(quality)))
    return choices


def _media_quality(choices: list[_Choice], format_: Format) -> float:
    """The quality of the most specific member that matches a format."""
    kind, *rest = format_.value.split("; ")
    version = rest[0].removeprefix("version=")
    ranges = {kind: 3, kind.split("/")[0] + "/*": 2, "*/*": 1}
    matching = [
        (ranges[choice.name] + ("version" in choice.parameters), choice.quality)
        for choice in choices
        if choice.name in ranges and choice.parameters.get("version", version) == version
    ]
    return max(matching, default=(0, 0.0))[1]

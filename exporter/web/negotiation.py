"""Content negotiation: the format and the compression that a client prefers (RFC 9110, 12.5)."""

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
    """Return the exposition format for an Accept header: text, unless OpenMetrics 1.0 has at least the same quality."""
    quality = {format_: _media_quality(_choices(accept), format_) for format_ in Format}
    prefers_openmetrics = quality[Format.OPENMETRICS] > 0 and quality[Format.OPENMETRICS] >= quality[Format.TEXT]
    # "*/*" alone selects text, as in the Prometheus client libraries.
    is_named = any(choice.name == "application/openmetrics-text" for choice in _choices(accept))
    return Format.OPENMETRICS if prefers_openmetrics and is_named else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip; ``gzip;q=0`` and a missing header do not."""
    choices = {choice.name: choice.quality for choice in _choices(accept_encoding)}
    return choices.get("gzip", choices.get("x-gzip", choices.get("*", 0.0))) > 0


def _choices(header: str) -> list[_Choice]:
    choices = []
    for member in header.lower().split(","):
        name, *rest = (part.strip() for part in member.split(";"))
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in (part.partition("=") for part in rest)}
        quality = parameters.pop("q", "1")
        if name and _QVALUE.fullmatch(quality):
            choices.append(_Choice(name, parameters, float(quality)))
    return choices


def _media_quality(choices: list[_Choice], format_: Format) -> float:
    """Return the quality of the most specific member that matches a format."""
    media_type, *rest = format_.value.split("; ")
    version = rest[0].removeprefix("version=")
    ranges = {media_type: 3, media_type.split("/")[0] + "/*": 2, "*/*": 1}
    matching = [
        (ranges[choice.name] + ("version" in choice.parameters), choice.quality)
        for choice in choices
        if choice.name in ranges and choice.parameters.get("version", version) == version
    ]
    return max(matching, default=(0, 0.0))[1]

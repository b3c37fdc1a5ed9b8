"""The rows of the tables of bad configurations.

``{M}`` is replaced by a marker in the place of a secret: no message may contain it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKER = "S3CR3T-7f3a9"
"""Not of the form of an option, so that messages may not repeat it even as a key."""

APP = "apps: [{appid: wx0123456789abcdef, secret: '{M}'}]\n"
"""Comes last, so that the lines above it count from 1."""


@dataclass(frozen=True)
class Bad:
    """Files by name (``config.yaml`` is the main one) and the lines of the error."""

    name: str
    files: dict[str, str | bytes]
    expected: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)


def bad(
    name: str,
    main: str | bytes,
    *expected: str,
    environ: dict[str, str] | None = None,
    files: dict[str, str | bytes] | None = None,
) -> Bad:
    """Return one row; ``files`` are written beside the main one."""
    everything = {"config.yaml": main, **(files or {})}
    marked = {file: _marked(text) for file, text in everything.items()}
    return Bad(name, marked, expected, environ or {})


def _marked(text: str | bytes) -> str | bytes:
    return text if isinstance(text, bytes) else text.replace("{M}", MARKER)


def write(files: Mapping[str, str | bytes], folder: Path) -> Path:
    """Write the files and return the path of the main one."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "config.yaml"

"""Notice changes of the files that a configuration was read from, by their signatures.

The reloader compares the signatures of all files every auto-reload interval. They are compared without reading the
files, so that a check of 10,000 secrets costs 10,000 stat calls and no I/O on the content. Patterns are expanded again
each time, so that a new or deleted app file is a change too.

Token files are excluded: another program renews them, often every hour, and they are read at each use; a reload for
each new token would be of no use. The same holds for a refresh token, which the exporter itself replaces. Both are
recognized by their missing fingerprint.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from exporter.config.app.secrets import FileSecret
from exporter.config.files import FileSignature, file_signature
from exporter.config.patterns import matching_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.types import Config

FileSignatures = dict["Path", FileSignature]


def file_signatures(path: Path, config: Config) -> FileSignatures:
    """Return the current signatures of the main file, of all matching app files and of the secret files.

    Args:
        path: the main file.
        config: the configuration that was last read from it.
    """
    secrets = {file for app in config.apps for file in _secret_files(app.access)}
    return {
        file: file_signature(file) for file in ({path} | matching_files(config.app_config_files, path.parent) | secrets)
    }


def _secret_files(value: object) -> Iterator[Path]:
    """Yield the secret files within an access configuration, without token files."""
    if isinstance(value, FileSecret):
        if value.fingerprint:
            yield value.path
    elif isinstance(value, tuple):
        for item in value:
            yield from _secret_files(item)
    # Generic, so that the secret files of a new access method are watched too.
    elif is_dataclass(value):
        for field in fields(value):
            yield from _secret_files(getattr(value, field.name))

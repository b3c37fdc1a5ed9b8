"""Whether what a configuration was read from has changed since: files are looked at, not read."""

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
    """How the main file, the app files that its patterns name now, and the files of secrets look at this moment.

    A token file is none of them: others renew it, and it is read whenever it is needed.

    Args:
        path: the main file.
        config: what was last read from it.
    """
    secrets = {file for app in config.apps for file in _secret_files(app.access)}
    return {
        file: file_signature(file) for file in ({path} | matching_files(config.app_config_files, path.parent) | secrets)
    }


def _secret_files(value: object) -> Iterator[Path]:
    """The files of secrets that were read at load, wherever in a way they are."""
    if isinstance(value, FileSecret):
        if value.fingerprint:
            yield value.path
    elif isinstance(value, tuple):
        for item in value:
            yield from _secret_files(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _secret_files(getattr(value, field.name))

"""From the main file's path to the whole configuration: every problem of every file in one run."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from exporter.config.apps import AppReader
from exporter.config.documents import DocumentError, Entries, Items, Node, Text, read_document
from exporter.config.files import parse_path
from exporter.config.problems import ConfigError, Findings
from exporter.config.sections import Section, kind
from exporter.config.settings import (
    API_OPTIONS,
    DEFAULTS_OPTIONS,
    FETCH_OPTIONS,
    read_api,
    read_defaults,
    read_fetch,
)
from exporter.config.types import App, BrokenFile, Config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAIN_OPTIONS = ("fetch", "api", "defaults", "apps", "app_config_files")

_WILDCARDS = frozenset("*?[")
_NO_SUCH_FILE = "no such file, or its folder is closed (relative names begin in this file's folder)"


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Reads the main file and the app files that it names; checks that every secret can be had.

    A broken app file costs only its own apps and is listed in ``broken_files``.

    Args:
        path: the main file; paths within it are relative to its folder.
        environ: where ``secret_env`` looks, now and whenever the secret is read.

    Raises:
        ConfigError: the main file is broken; it holds the problems of all files.
    """
    notes = Findings(path)
    section = _open_main(path, notes)
    fetch = read_fetch(section.section("fetch", FETCH_OPTIONS))
    api = read_api(section.section("api", API_OPTIONS))
    defaults = read_defaults(section.section("defaults", DEFAULTS_OPTIONS))
    reader = AppReader(environ, defaults)
    apps = list(reader.read(section.nodes("apps"), "apps", path, notes))
    files = [notes]
    for file in _app_files(section, path, notes):
        found = Findings(file)
        listed = _read_app_file(file, reader, found)
        apps += () if found.problems else listed
        files.append(found)
    if not apps and not any(found.problems for found in files[1:]):
        _demand_apps(notes)
    if notes.problems:
        raise ConfigError(problem for found in files for problem in found.problems)
    return Config(
        apps=tuple(apps),
        fetch=fetch,
        api=api,
        defaults=defaults,
        broken_files=tuple(BrokenFile(found.file, found.problems) for found in files if found.problems),
        warnings=tuple(warning for found in files for warning in found.warnings),
    )


def _open_main(path: Path, notes: Findings) -> Section:
    try:
        tree = read_document(path)
    except DocumentError as error:
        notes.problem(error.line, "", str(error))
        raise ConfigError(notes.problems) from None
    if not isinstance(tree, Entries):
        notes.problem(tree.line, "", f"must be a mapping ({', '.join(MAIN_OPTIONS)}), not {kind(tree)}")
        raise ConfigError(notes.problems)
    return Section(tree, tree.line, "", MAIN_OPTIONS, notes)


def _read_app_file(file: Path, reader: AppReader, notes: Findings) -> tuple[App, ...]:
    try:
        tree = read_document(file)
    except DocumentError as error:
        notes.problem(error.line, "", str(error))
        return ()
    if not isinstance(tree, Items):
        notes.problem(tree.line, "", f"must be a list of apps (- appid: ...), not {kind(tree)}")
        return ()
    return reader.read(tree.nodes, "", file, notes)


def _app_files(section: Section, main: Path, notes: Findings) -> list[Path]:
    """The files that the patterns name, by name, each once and never the main file."""
    files: dict[str, Path] = {}
    for index, node in enumerate(section.nodes("app_config_files")):
        for file in _matches(node, f"app_config_files[{index}]", main.parent, notes):
            files.setdefault(os.path.normpath(file), file)
    files.pop(os.path.normpath(main), None)
    return sorted(files.values(), key=str)


def _matches(node: Node, field: str, folder: Path, notes: Findings) -> list[Path]:
    if not isinstance(node, Text) or node.nothing:
        notes.problem(node.line, field, f"must be a file name or a pattern, not {kind(node)}")
        return []
    try:
        pattern = parse_path(node.value)
    except ValueError as error:
        notes.problem(node.line, field, str(error))
        return []
    if not _WILDCARDS.isdisjoint(pattern):
        return _matches_of_wildcard(pattern, node.line, field, folder, notes)
    if _is_folder(folder / pattern):
        notes.problem(node.line, field, "names a folder; write a pattern such as apps.d/*.yaml")
        return []
    if not os.path.lexists(folder / pattern):
        notes.problem(node.line, field, _NO_SUCH_FILE)
        return []
    return [folder / pattern]


def _matches_of_wildcard(pattern: str, line: int, field: str, folder: Path, notes: Findings) -> list[Path]:
    found = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (Path.glob knows no absolute patterns)
    files = [folder / name for name in found if not _is_folder(folder / name)]
    if not files:
        notes.warning(line, field, "matches no file (relative patterns begin in this file's folder)")
    return files


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for a folder that is closed to us


def _demand_apps(notes: Findings) -> None:
    """Says why there are no apps, unless a problem with the lists of apps has said it already."""
    for warning in notes.warnings:
        if warning.field.startswith("app_config_files"):
            notes.problem(warning.line, warning.field, warning.message)
    if not any(problem.field.startswith("app") for problem in notes.problems):
        notes.problem(None, "apps", "there are no apps; list them here or in files named by app_config_files")

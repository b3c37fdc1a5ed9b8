"""From the main file's path to the whole configuration: every problem of every file in one run."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from exporter.config.app.apps import AppReader
from exporter.config.document.documents import DocumentError, Node, ScalarNode, SequenceNode, read_document
from exporter.config.document.problems import ConfigError, Findings
from exporter.config.document.sections import Section, kind, open_mapping
from exporter.config.files import parse_path
from exporter.config.patterns import WILDCARDS, identity, matching_files
from exporter.config.settings import (
    API_OPTIONS,
    DEFAULTS_OPTIONS,
    FETCH_OPTIONS,
    read_api,
    read_defaults,
    read_fetch,
    read_reports,
)
from exporter.config.types import App, BrokenFile, Config
from exporter.reports import DEFAULT_REPORTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

MAIN_OPTIONS = ("reports", "fetch", "api", "defaults", "apps", "app_config_files")

_NO_SUCH_FILE = "no such file, or its folder is closed (relative names begin in this file's folder)"


def load(path: Path, environ: Mapping[str, str], last: Config | None = None) -> Config:
    """Reads the main file and the app files that it names; checks that every secret can be had.

    A broken app file costs only its own apps and is listed in ``broken_files``.

    Args:
        path: the main file; paths within it are relative to its folder.
        environ: where ``secret_env`` looks, now and whenever the secret is read.
        last: the configuration that holds now, if this is a reload: a broken app file keeps its last good apps.

    Raises:
        ConfigError: the main file is broken; it holds the problems of all files.
    """
    findings = Findings(path)
    section = open_mapping(path, MAIN_OPTIONS, findings)
    fetch = read_fetch(section.section("fetch", FETCH_OPTIONS))
    api = read_api(section.section("api", API_OPTIONS))
    defaults = read_defaults(section.section("defaults", DEFAULTS_OPTIONS))
    reports = read_reports(section, DEFAULT_REPORTS)
    reader = AppReader(environ, defaults, reports)
    own = reader.read(section.items("apps"), "apps", path, findings)
    read = dict(_read_app_file(file, reader) for file in _app_files(section, path, findings))
    files = (findings, *read)
    is_misspelt = section.is_misspelt("apps", "app_config_files")
    if not own and not any(read.values()) and not any(found.problems for found in read) and not is_misspelt:
        _require_apps(findings)
    if findings.problems:
        raise ConfigError(problem for found in files for problem in found.problems)
    apps_of_files = _with_last_good(read, own, last)
    return Config(
        apps=(*own, *chain.from_iterable(apps_of_files.values())),
        reports=reports,
        fetch=fetch,
        api=api,
        defaults=defaults,
        broken_files=tuple(
            BrokenFile(found.file, found.problems, len(apps_of_files[found.file])) for found in read if found.problems
        ),
        warnings=tuple(warning for found in files for warning in found.warnings),
        apps_of_files=apps_of_files,
        app_config_files=tuple(
            node.value for node in section.items("app_config_files") if isinstance(node, ScalarNode)
        ),
    )


def _read_app_file(file: Path, reader: AppReader) -> tuple[Findings, tuple[App, ...]]:
    """What is found in one app file, and its apps: none of them if there is a problem."""
    findings = Findings(file)
    try:
        tree = read_document(file)
    except DocumentError as error:
        findings.problem(error.line, "", str(error))
        return findings, ()
    if not isinstance(tree, SequenceNode):
        findings.problem(tree.line, "", f"must be a list of apps (- appid: ...), not {kind(tree)}")
        return findings, ()
    apps = reader.read(tree.items, "", file, findings)
    return findings, () if findings.problems else apps


def _with_last_good(
    read: Mapping[Findings, tuple[App, ...]], own: Collection[App], last: Config | None
) -> dict[str, tuple[App, ...]]:
    """The apps of each app file; of a broken one its last good apps, but for those that now stand elsewhere."""
    before = {} if last is None else last.apps_of_files
    elsewhere = {app.appid for app in chain(own, *read.values())}
    return {
        found.file: tuple(app for app in before.get(found.file, ()) if app.appid not in elsewhere)
        if found.problems
        else listed
        for found, listed in read.items()
    }


def _app_files(section: Section, main: Path, findings: Findings) -> list[Path]:
    """The files that the patterns name, by name, each once and never the main file."""
    files: dict[object, Path] = {}
    for index, node in enumerate(section.items("app_config_files")):
        for file in _matches(node, f"app_config_files[{index}]", main.parent, findings):
            files.setdefault(identity(file) or os.path.normpath(file), file)
    files.pop(identity(main), None)
    return sorted(files.values(), key=str)


def _matches(node: Node, field: str, folder: Path, findings: Findings) -> list[Path]:
    if not isinstance(node, ScalarNode) or node.is_null:
        findings.problem(node.line, field, f"must be a file name or a pattern, not {kind(node)}")
        return []
    try:
        pattern = parse_path(node.value)
    except ValueError as error:
        findings.problem(node.line, field, str(error))
        return []
    if not WILDCARDS.isdisjoint(pattern):
        return _matches_of_wildcard(pattern, node.line, field, folder, findings)
    if _is_folder(folder / pattern):
        findings.problem(node.line, field, "names a folder; write a pattern such as apps.d/*.yaml")
        return []
    if not os.path.lexists(folder / pattern):
        findings.problem(node.line, field, _NO_SUCH_FILE)
        return []
    return [folder / pattern]


def _matches_of_wildcard(pattern: str, line: int, field: str, folder: Path, findings: Findings) -> list[Path]:
    files = matching_files([pattern], folder)
    if not files and _is_closed(folder / pattern):
        findings.problem(line, field, "its folder cannot be read: permission denied")
    elif not files:
        findings.warning(line, field, "matches no file (relative patterns begin in this file's folder)")
    return list(files)


def _is_closed(pattern: Path) -> bool:
    """Whether the folder in which a pattern begins keeps its files to itself: what is in it is then not known."""
    begin = next(part for part in pattern.parents if WILDCARDS.isdisjoint(str(part)))
    try:
        begin.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(begin, os.R_OK | os.X_OK)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for a folder that is closed to us


def _require_apps(findings: Findings) -> None:
    """Says why there are no apps, unless a problem with the lists of apps has said it already."""
    for warning in findings.warnings:
        if warning.field.startswith("app_config_files"):
            findings.problem(warning.line, warning.field, warning.message)
    if not any(problem.field.startswith("app") for problem in findings.problems):
        findings.problem(None, "apps", "there are no apps; list them here or in files named by app_config_files")

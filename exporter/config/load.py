"""Load the configuration: the main file, the app files that it names, and every problem of all of them at once."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from exporter.config.app.apps import AppReader
from exporter.config.document.documents import DocumentError, Node, ScalarNode, SequenceNode, read_document
from exporter.config.document.problems import ConfigError, Findings
from exporter.config.document.sections import Section, kind, open_mapping
from exporter.config.files import no_such_file, parse_path
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

_CLOSED = "its directory cannot be read: permission denied"


def load(path: Path, environ: Mapping[str, str], last: Config | None = None) -> Config:
    """Return the configuration of the main file and the app files that it names; every secret is read once.

    A broken app file does not affect the apps of other files; it is listed in ``broken_files``.

    Args:
        path: the main file; relative paths in it start at its directory.
        environ: the environment variables, which ``secret_env`` reads now and at each use.
        last: the current configuration at a reload: a broken app file keeps its last valid apps.

    Raises:
        ConfigError: the main file is broken; the error has the problems of all files.
    """
    findings = Findings(path)
    section = open_mapping(path, MAIN_OPTIONS, findings)
    fetch = read_fetch(section.section("fetch", FETCH_OPTIONS))
    api = read_api(section.section("api", API_OPTIONS))
    defaults = read_defaults(section.section("defaults", DEFAULTS_OPTIONS))
    reports = read_reports(section, DEFAULT_REPORTS)
    reader = AppReader(environ, defaults, reports)
    own = reader.read(section.items("apps"), "apps", path, findings)
    # One reader for all files, so that an appid in two files is a problem. They are read even if the main file has
    # problems: all are reported at once.
    read = dict(_read_app_file(file, reader) for file in _app_files(section, path, findings))
    files = (findings, *read)
    # If something else is wrong with the lists, "no apps" would only be a consequence of it.
    is_misspelt = section.is_misspelt("apps", "app_config_files")
    if not own and not any(read.values()) and not any(found.problems for found in read) and not is_misspelt:
        _require_apps(findings)
    if findings.problems:
        raise ConfigError(problem for found in files for problem in found.problems)
    apps_of_files = _with_last_valid(read, own, last)
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
    """Return the findings of one app file, and its apps: none if there is a problem."""
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
    # All or nothing: with a part of its apps, a broken file would look like one from which apps were removed.
    return findings, () if findings.problems else apps


def _with_last_valid(
    read: Mapping[Findings, tuple[App, ...]], own: Collection[App], last: Config | None
) -> dict[str, tuple[App, ...]]:
    """Return the apps of each app file; of a broken one its last valid apps, except those moved to another file."""
    previous = {} if last is None else last.apps_of_files
    elsewhere = {app.appid for app in chain(own, *read.values())}
    return {
        found.file: tuple(app for app in previous.get(found.file, ()) if app.appid not in elsewhere)
        if found.problems
        else listed
        for found, listed in read.items()
    }


def _app_files(section: Section, main: Path, findings: Findings) -> list[Path]:
    """Return the files that the patterns match, sorted by name, each once and without the main file."""
    files: dict[object, Path] = {}
    for index, node in enumerate(section.items("app_config_files")):
        for file in _matches(node, f"app_config_files[{index}]", main.parent, findings):
            files.setdefault(identity(file) or os.path.normpath(file), file)
    # A pattern such as *.yaml can match the main file too.
    files.pop(identity(main), None)
    return sorted(files.values(), key=str)


def _matches(node: Node, field: str, directory: Path, findings: Findings) -> list[Path]:
    if not isinstance(node, ScalarNode) or node.is_null:
        findings.problem(node.line, field, f"must be a file name or a pattern, not {kind(node)}")
        return []
    try:
        pattern = parse_path(node.value)
    except ValueError as error:
        findings.problem(node.line, field, str(error))
        return []
    if not WILDCARDS.isdisjoint(pattern):
        return _matches_of_wildcard(pattern, node.line, field, directory, findings)
    if _is_directory(directory / pattern):
        findings.problem(node.line, field, "is a directory; use a pattern such as apps.d/*.yaml")
        return []
    if not os.path.lexists(directory / pattern):
        is_closed = _is_closed(directory / pattern, os.X_OK)
        findings.problem(node.line, field, _CLOSED if is_closed else no_such_file(pattern))
        return []
    return [directory / pattern]


def _matches_of_wildcard(pattern: str, line: int, field: str, directory: Path, findings: Findings) -> list[Path]:
    files = matching_files([pattern], directory)
    if not files and _is_closed(directory / pattern, os.R_OK | os.X_OK):
        findings.problem(line, field, _CLOSED)
    elif not files:
        findings.warning(line, field, "matches no file (relative patterns start at this file's directory)")
    return list(files)


def _is_closed(pattern: Path, mode: int) -> bool:
    """Return whether the directory in which a pattern starts denies the access that finding its files requires."""
    start = next(part for part in pattern.parents if WILDCARDS.isdisjoint(str(part)))
    try:
        start.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(start, mode)


def _is_directory(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises without permission


def _require_apps(findings: Findings) -> None:
    """Report that there are no apps, unless a problem with the lists of apps explains it already."""
    for warning in findings.warnings:
        if warning.field.startswith("app_config_files"):
            findings.problem(warning.line, warning.field, warning.message)
    if not any(problem.field.startswith("app") for problem in findings.problems):
        findings.problem(None, "apps", "no apps configured; list them here or in the files of app_config_files")

"""Read lists of apps, from the main file and from app files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.config.app.access_config import AccessConfig, Authorizer, CloudFunction, Datacube
from exporter.config.app.access_reader import ACCESS_OPTIONS, AccessReader
from exporter.config.document.sections import Section, parse_identifier
from exporter.config.files import readable_by_others
from exporter.config.settings import read_alerts, read_reports
from exporter.config.types import App

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from exporter.config.document.documents import Node
    from exporter.config.document.problems import Findings
    from exporter.config.types import Defaults
    from exporter.reports import Report

APP_OPTIONS = ("appid", "name", *ACCESS_OPTIONS, "alerts", "reports")

_USUAL_APPID = re.compile("wx[0-9a-f]{16}")


class AppReader:
    """Reads the apps of all files of one configuration; an appid or refresh token that occurs twice is a problem."""

    def __init__(self, environ: Mapping[str, str], defaults: Defaults, reports: tuple[Report, ...]) -> None:
        self._environ = environ
        self._defaults = defaults
        self._reports = reports
        self._places: dict[str, str] = {}
        self._refresh_tokens: dict[Path, str] = {}

    def read(self, nodes: Iterable[Node], field: str, file: Path, findings: Findings) -> tuple[App, ...]:
        """Return the apps of one file's list, without those that have problems.

        Args:
            nodes: the items of the list.
            field: the list's name in messages; empty for an app file.
            file: the file that contains the list; relative paths start at its directory.
            findings: collects problems and warnings.
        """
        sections = [
            Section(node, node.line, f"{field}[{index}]", APP_OPTIONS, findings) for index, node in enumerate(nodes)
        ]
        _warn_of_inline_secrets(sections, file)
        apps = [self._app(section, file, findings) for section in sections if section.usable]
        return tuple(filter(None, apps))

    def _app(self, section: Section, file: Path, findings: Findings) -> App | None:
        appid = self._appid(section, findings)
        name = section.value("name", _name)
        access = AccessReader(file.parent, self._environ).read(section)
        alerts = read_alerts(section, self._defaults.alerts)
        reports = read_reports(section, self._reports)
        if appid is None or access is None:
            return None
        return None if self._is_shared(access, section, findings) else App(appid, access, name or "", alerts, reports)

    def _is_shared(self, access: AccessConfig, section: Section, findings: Findings) -> bool:
        """Return whether another app uses the same refresh token file, which the two would overwrite for each other."""
        tokens = access.tokens if isinstance(access, Datacube | CloudFunction) else None
        if not isinstance(tokens, Authorizer):
            return False
        place = f"{findings.file}:{section.line_of('authorizer')}"
        first = self._refresh_tokens.setdefault(tokens.refresh_token.path.resolve(), place)
        if first != place:
            section.problem("authorizer", f"refresh_token_file is already used by the app in {first}")
        return first != place

    def _appid(self, section: Section, findings: Findings) -> str | None:
        if "appid" not in section:
            if not section.is_misspelt("appid"):
                section.problem("appid", "is missing")
            return None
        appid = section.value("appid", parse_identifier)
        if appid is None:
            return None
        usual = _USUAL_APPID.fullmatch(appid)  # anything else could be a secret in the wrong place and is not repeated
        if not usual:
            section.warning("appid", "does not have the usual form: wx and 16 hexadecimal digits")
        if appid in self._places:
            message = f"{appid if usual else 'this appid'} is already configured in {self._places[appid]}"
            section.problem("appid", message)
            return None
        self._places[appid] = f"{findings.file}:{section.line_of('appid')}"
        return appid


def _warn_of_inline_secrets(sections: Iterable[Section], file: Path) -> None:
    """Warn once for a file: ten thousand equal lines would hide all other warnings."""
    inline = next((section for section in sections if "secret" in section), None)
    if inline and readable_by_others(file):
        inline.warning("secret", "this file is readable by every user of this machine; run chmod o-r on it")


def _name(text: str) -> str:
    if not text.isprintable():
        raise ValueError("contains non-printable characters; use a single line")
    return text

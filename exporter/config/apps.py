"""Lists of apps, in the main file or in files of their own: who they are and the way to their secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from exporter.config.files import readable_by_others
from exporter.config.secrets import EnvSecret, FileSecret, LiteralSecret, Secret, SecretUnavailable
from exporter.config.sections import Section
from exporter.config.settings import ALERT_OPTIONS, read_alerts
from exporter.config.types import App

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from exporter.config.documents import Node
    from exporter.config.problems import Findings
    from exporter.config.types import Defaults

WAYS = ("secret", "secret_file", "secret_env")
APP_OPTIONS = ("appid", "name", *WAYS, "alerts")

_USUAL_APPID = re.compile("wx[0-9a-f]{16}")


class AppReader:
    """Reads the apps of all files of one configuration and sees to it that no appid comes twice."""

    def __init__(self, environ: Mapping[str, str], defaults: Defaults) -> None:
        self._environ = environ
        self._defaults = defaults
        self._places: dict[str, str] = {}

    def read(self, nodes: Iterable[Node], field: str, file: Path, notes: Findings) -> tuple[App, ...]:
        """Reads one file's list of apps; those with problems are left out.

        Args:
            nodes: the items of the list.
            field: the list's name in messages; empty for an app file.
            file: where the list stands; relative paths begin in its folder.
            notes: where problems and warnings go.
        """
        sections = [
            Section(node, node.line, f"{field}[{index}]", APP_OPTIONS, notes) for index, node in enumerate(nodes)
        ]
        _warn_of_inline_secrets(sections, file)
        apps = [self._app(section, file, notes) for section in sections if section.usable]
        return tuple(filter(None, apps))

    def _app(self, section: Section, file: Path, notes: Findings) -> App | None:
        appid = self._appid(section, notes)
        name = section.value("name", _name)
        secret = self._secret(section, file.parent)
        alerts = read_alerts(section.section("alerts", ALERT_OPTIONS), self._defaults.alerts)
        if appid is None or secret is None:
            return None
        return App(appid, secret, name or "", alerts)

    def _appid(self, section: Section, notes: Findings) -> str | None:
        if "appid" not in section:
            section.problem("appid", "is missing")
            return None
        appid = section.value("appid", _appid)
        if appid is None:
            return None
        usual = _USUAL_APPID.fullmatch(appid)
        if not usual:
            section.warning("appid", "is not wx and 16 digits or letters a to f, the form of today's appids")
        if appid in self._places:
            words = f"{appid if usual else 'this appid'} is already configured in {self._places[appid]}"
            section.problem("appid", words)
            return None
        self._places[appid] = f"{notes.file}:{section.line_of('appid')}"
        return appid

    def _secret(self, section: Section, folder: Path) -> Secret | None:
        given = [way for way in WAYS if way in section]
        if not given:
            section.problem("", f"no secret; give one of {', '.join(WAYS)}")
            return None
        if len(given) > 1:
            section.problem(given[1], f"{' and '.join(given)} are given; keep one")
            return None
        way = given[0]
        secret = section.value(way, self._parsers(folder)[way])
        return secret and _noted(section, way, secret)

    def _parsers(self, folder: Path) -> dict[str, Callable[[str], Secret]]:
        return {
            "secret": LiteralSecret,
            "secret_file": lambda text: FileSecret(folder / parse_path(text)),
            "secret_env": lambda text: EnvSecret(_required(text), self._environ),
        }


def parse_path(text: str) -> str:
    """Checks that a text can name a file.

    Raises:
        ValueError: it is empty or holds what no file name should.
    """
    if not _required(text).isprintable():
        raise ValueError("holds characters that cannot be shown")
    return text


def _noted(section: Section, way: str, secret: Secret) -> Secret | None:
    """Checks at load that the secret can be had, so that a typo is found now and not on Monday."""
    try:
        noted = secret.noted()
    except SecretUnavailable as error:
        section.problem(way, str(error))
        return None
    if isinstance(noted, FileSecret) and readable_by_others(noted.path):
        section.warning(way, "every user of this machine can read the file; chmod o-r it")
    return noted


def _warn_of_inline_secrets(sections: Iterable[Section], file: Path) -> None:
    """Once for a file: ten thousand equal lines would hide all others."""
    inline = next((section for section in sections if "secret" in section), None)
    if inline and readable_by_others(file):
        words = "every user of this machine can read this file; chmod o-r it"
        inline.warning("secret", words)


def _required(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


def _appid(text: str) -> str:
    if not _required(text).isprintable() or any(map(str.isspace, text)):
        raise ValueError("must not hold white space or characters that cannot be shown")
    return text


def _name(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that cannot be shown; keep it on one line")
    return text

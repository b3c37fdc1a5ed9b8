"""The command line: its commands and flags. Flags may stand before or after the command."""

from __future__ import annotations

import argparse
import difflib
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from exporter import __version__, alerts, demo, logs
from exporter.config import parse_duration
from exporter.httpd import ListenError, parse_address
from exporter.store import MEMORY
from exporter.web import APPS, DOCS, hides_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_EXTERNAL_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-f:.]+\])(:\d+)?(/[A-Za-z0-9._~-]+)*/?")
_FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9._-]{1,60}")
_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")

NAME = "wechat-miniprogram-exporter"

RUN = "run"

LISTEN_ADDRESS = ":10717"
STORAGE_PATH = "data/"
TELEMETRY_PATH = "/metrics"

COMMANDS = {
    "check": "read the configuration and print every problem; with --live also ask WeChat about each app",
    "fetch": "fetch what is due, once, and print the metrics (for node_exporter's textfile collector)",
    "demo": "run the exporter against a built-in simulator of WeChat: no account, no network",
    "simulator": "run that simulator alone, over HTTP",
    "rules": "print the recording and alert rules for Prometheus, or with --kubernetes for its operator",
    "dashboard": "print the Grafana dashboard",
    "config": "print the example configuration or a systemd unit, as delivered with the program",
    "healthcheck": "exit 0 if the exporter at --web.listen-address answers (for containers)",
}


SYSTEMD_UNITS = {
    "service": "deploy/systemd/wechat-miniprogram-exporter.service",
    "fetch.service": "deploy/systemd/wechat-miniprogram-exporter-fetch.service",
    "fetch.timer": "deploy/systemd/wechat-miniprogram-exporter-fetch.timer",
}
"""The units that ``config --systemd`` prints, as ``shipped`` knows them."""


class UsageError(Exception):
    """The command line asks for something that cannot be."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was said on the command line; ``command`` is ``run`` where none was named."""

    command: str = RUN
    config_file: Path = Path("config.yaml")
    listen_addresses: tuple[str, ...] = ()
    telemetry_path: str = TELEMETRY_PATH
    web_config_file: Path | None = None
    external_url: str = ""
    enable_lifecycle: bool = False
    storage_path: str | None = None
    auto_reload_interval: float = 0.0
    log_level: str = "info"
    log_format: str = "logfmt"
    live: bool = False
    output: Path | None = None
    seed: int = 0
    faults: tuple[str, ...] = field(default=())
    kubernetes: bool = False
    dashboard_url: str = alerts.DEFAULT_LINKS.dashboard
    runbook_url: str = ""
    example: bool = False
    systemd: str = ""

    @property
    def links(self) -> alerts.Links:
        """Where alerts lead: the runbook is the exporter's own documentation unless another one was given."""
        served = f"{self.external_url}{alerts.RUNBOOK_PAGE}" if self.external_url else alerts.DEFAULT_LINKS.runbook
        return alerts.Links(self.dashboard_url, self.runbook_url or served)

    def addresses(self, default: str = LISTEN_ADDRESS) -> tuple[str, ...]:
        """Where to listen: what was said, else the command's own default."""
        return self.listen_addresses or (default,)

    def storage(self, default: str = STORAGE_PATH) -> str:
        """Where to keep what was fetched: what was said, else the command's own default."""
        return self.storage_path or default


def parse(argv: Sequence[str]) -> Options:
    """Reads the command line.

    Raises:
        SystemExit: 2 for wrong usage; 0 after ``--help`` or ``--version``.
    """
    parser = _parser()
    parser.refuse_unknown_flags(argv)
    values = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    values["listen_addresses"] = tuple(values.pop("listen_addresses", ()))
    values["faults"] = tuple(values.pop("faults", ()))
    options = Options(**values)
    for path in (options.telemetry_path, APPS, DOCS, "/-"):
        if hides_page(urlsplit(options.external_url).path, path):
            parser.error(f"argument --web.external-url: its path hides {path}, which is a page of the exporter")
    return options


class _Parser(argparse.ArgumentParser):
    """Says what an unknown flag or command may have meant; argparse says only that it is unknown."""

    def refuse_unknown_flags(self, argv: Sequence[str]) -> None:
        """End with a message at the first flag that no command has."""
        known = {option for parser in self._all() for option in parser._option_string_actions}  # noqa: SLF001 (there is no public list)
        for argument in argv:
            name = argument.partition("=")[0]
            if argument == "--":
                return
            if _FLAG.fullmatch(name) and name not in known:
                self.error(f"unknown flag {name}{_guess('--' + name.lstrip('-'), known)}")

    def error(self, message: str) -> NoReturn:
        """End with the message, and what an invalid choice may have meant."""
        choice = _INVALID_CHOICE.search(message)
        hint = _guess(choice[1], re.findall(r"'([^']+)'", choice[2])) if choice else ""
        super().error(f"{message}{hint}")

    def _all(self) -> list[argparse.ArgumentParser]:
        commands = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 (the same)
        return [self, *(parser for action in commands for parser in action.choices.values())]


def _guess(text: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(text, [*known], 1)
    return f"; did you mean {close[0]}?" if close else ""


def _parser() -> _Parser:
    shared = _shared_flags()
    parser = _Parser(
        prog=NAME,
        parents=[shared],
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        description="Prometheus exporter for the visit figures of WeChat Mini Programs."
        " Without a command it runs until it is told to stop.",
    )
    version = f"{NAME} {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=version)
    _add_commands(parser, shared)
    return parser


def _add_commands(parser: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    made = {
        name: commands.add_parser(
            name,
            parents=[shared],
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
        )
        for name, words in COMMANDS.items()
    }
    made["check"].add_argument("--live", action="store_true", help="also fetch one finished period per app and report")
    made["fetch"].add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write to FILE, whole or not at all, in place of standard output",
    )
    _add_links(made["rules"])
    _add_files(made["config"])
    for name in ("demo", "simulator"):
        made[name].add_argument("--seed", type=int, help="other figures for another number (default: 0)")
    made["simulator"].add_argument(
        "--fault",
        dest="faults",
        action="append",
        metavar="APPID=KIND",
        help="something wrong with an app's answers: an errcode, or one of the names that `--fault help` prints;"
        " APPID=daily:KIND spoils one report, APPID=stable_token:KIND its tokens; repeatable",
    )


def _add_links(rules_command: argparse.ArgumentParser) -> None:
    rules_command.add_argument("--kubernetes", action="store_true", help="as a PrometheusRule of prometheus-operator")
    rules_command.add_argument(
        "--dashboard.url",
        dest="dashboard_url",
        type=_link,
        metavar="URL",
        help=f"URL of the dashboard in your Grafana (default: {alerts.DEFAULT_LINKS.dashboard})",
    )
    rules_command.add_argument(
        "--runbook.url",
        dest="runbook_url",
        type=_link,
        metavar="URL",
        help=f"URL of the page that describes the alerts (default: {alerts.RUNBOOK_PAGE} below --web.external-url,"
        f" or {alerts.DEFAULT_LINKS.runbook})",
    )


def _add_files(config_command: argparse.ArgumentParser) -> None:
    choice = config_command.add_mutually_exclusive_group(required=True)
    choice.add_argument("--example", action="store_true", help="every option of the configuration with its default")
    choice.add_argument(
        "--systemd",
        nargs="?",
        const="service",
        choices=SYSTEMD_UNITS,
        metavar="UNIT",
        help="the unit that runs the exporter, or one of the two that run `fetch` for node_exporter:"
        f" {', '.join(SYSTEMD_UNITS)} (default: service)",
    )


def _shared_flags() -> argparse.ArgumentParser:
    """The flags of every command. Without defaults of their own: a sub-parser's would undo what stood before it."""
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    flags.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        metavar="FILE",
        help="the configuration (default: config.yaml)",
    )
    flags.add_argument(
        "--config.auto-reload-interval",
        dest="auto_reload_interval",
        type=_interval,
        metavar="DURATION",
        help="how often to look whether a file of the configuration or of a secret has changed, and then to read"
        " the configuration again; 1s or more, 0 is never (default: 0)",
    )
    _add_web_flags(flags)
    flags.add_argument(
        "--storage.path",
        dest="storage_path",
        metavar="FOLDER",
        help=f"where fetched figures are kept; {MEMORY} keeps nothing (default: {STORAGE_PATH}; demo: {MEMORY})",
    )
    flags.add_argument(
        "--log.level", dest="log_level", choices=logs.LEVELS, help="the least that is logged (default: info)"
    )
    flags.add_argument(
        "--log.format", dest="log_format", choices=logs.FORMATS, help="how a line looks (default: logfmt)"
    )
    return flags


def _add_web_flags(flags: argparse.ArgumentParser) -> None:
    """Where and how the exporter is served."""
    flags.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        type=_address,
        action="append",
        metavar="ADDRESS",
        help="host:port, :port or [::1]:port; repeatable; port 0 picks a free one"
        f" (default: {LISTEN_ADDRESS}; demo: {demo.LISTEN_ADDRESS}; simulator: {demo.SIMULATOR_ADDRESS})",
    )
    flags.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=_path,
        metavar="PATH",
        help=f"where the metrics are (default: {TELEMETRY_PATH})",
    )
    flags.add_argument(
        "--web.external-url",
        dest="external_url",
        type=_external_url,
        metavar="URL",
        help="URL under which people reach the exporter, behind a reverse proxy too; its path, if any, is answered"
        " beside /; `rules` links alerts to the documentation below it (default: none)",
    )
    flags.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=_file_or_none,
        metavar="FILE",
        help="TLS, passwords and headers, in the format of Prometheus' exporter-toolkit (default: none of them)",
    )
    flags.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="let POST and PUT /-/reload read the configuration again, as SIGHUP does (default: off)",
    )


def _address(text: str) -> str:
    try:
        parse_address(text)
    except ListenError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _file_or_none(text: str) -> Path | None:
    """An empty name is none, as for Prometheus."""
    return Path(text) if text else None


def _interval(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if 0 < seconds < 1:
        raise argparse.ArgumentTypeError("must be 0 or at least 1s")
    return seconds


def _link(text: str) -> str:
    if not text.isprintable() or not text or set(text) & set(" {}#"):
        raise argparse.ArgumentTypeError("must be an address without white space, braces and fragment")
    return text


def _external_url(text: str) -> str:
    """Return the URL without the slash at its end; empty is none."""
    if text and not _EXTERNAL_URL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "must be http:// or https:// with a host and perhaps a port and a path of letters, digits and ._~-"
        )
    return text.rstrip("/")


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or text in {"/", APPS, DOCS} or text.startswith(("/-/", "//", f"{DOCS}/")):
        raise argparse.ArgumentTypeError(
            "must begin with /, hold letters, digits and ._~/- only, and be no other page of the exporter"
        )
    return text

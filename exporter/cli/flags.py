"""The command line: its commands and flags. Flags are accepted before and after the command."""

from __future__ import annotations

import argparse
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter import __version__, alerts, demo, logs
from exporter.cli import backfill_flags, flag_values
from exporter.cli.backfill_flags import BackfillOptions
from exporter.cli.suggesting_parser import SuggestingParser
from exporter.store import MEMORY
from exporter.web import APPS, DOCS, PAGES, hides_page

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "wechat-miniprogram-exporter"

RUN = "run"

LISTEN_ADDRESS = ":10717"
STORAGE_PATH = "data/"
TELEMETRY_PATH = "/metrics"

COMMANDS = {
    "check": "Validate the configuration and print every problem; with --live, also fetch from WeChat for each app.",
    "fetch": "Fetch what is due, once, and print the metrics (for node_exporter's textfile collector).",
    "backfill": "Fetch past periods and write them as a history for Prometheus, or evaluate the alerts on them.",
    "demo": "Run the exporter with a built-in simulator of WeChat: no account, no network.",
    "simulator": "Run only the simulator, over HTTP.",
    "rules": "Print the recording and alerting rules for Prometheus; with --kubernetes, as a PrometheusRule resource.",
    "dashboard": "Print the Grafana dashboard.",
    "config": "Print the example configuration or a systemd unit.",
    "healthcheck": "Exit with 0 if the exporter at --web.listen-address responds (for containers).",
}


SYSTEMD_UNITS = {
    "service": "deploy/systemd/wechat-miniprogram-exporter.service",
    "fetch.service": "deploy/systemd/wechat-miniprogram-exporter-fetch.service",
    "fetch.timer": "deploy/systemd/wechat-miniprogram-exporter-fetch.timer",
}
"""The units that ``config --systemd`` prints: their paths for ``shipped``."""


class UsageError(Exception):
    """Invalid usage of the command line; the message goes to the user."""


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed command line; ``command`` is ``run`` if none is given."""

    command: str = RUN
    config_file: Path = Path("config.yaml")
    listen_addresses: tuple[str, ...] = ()
    telemetry_path: str = TELEMETRY_PATH
    web_config_file: Path | None = None
    external_url: str = ""
    dashboard_url: str = ""
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
    runbook_url: str = ""
    example: bool = False
    systemd: str = ""
    backfill: BackfillOptions = BackfillOptions()  # noqa: RUF009 (a frozen value)

    @property
    def links(self) -> alerts.Links:
        """Return the links of alerts; the default runbook is the exporter's own documentation."""
        served = f"{self.external_url}{alerts.RUNBOOK_PAGE}" if self.external_url else alerts.DEFAULT_LINKS.runbook
        return alerts.Links(self.dashboard_url or alerts.DEFAULT_LINKS.dashboard, self.runbook_url or served)

    def addresses(self, default: str = LISTEN_ADDRESS) -> tuple[str, ...]:
        """Return the addresses to listen on: those given, else the command's default."""
        return self.listen_addresses or (default,)

    def storage(self, default: str = STORAGE_PATH) -> str:
        """Return the directory of the store: the one given, else the command's default."""
        return self.storage_path or default


def parse(argv: Sequence[str]) -> Options:
    """Parse the command line.

    Raises:
        SystemExit: 2 for wrong usage; 0 after ``--help`` or ``--version``.
    """
    parser = _parser()
    parser.refuse_unknown_flags(argv)
    values = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    values["listen_addresses"] = tuple(values.pop("listen_addresses", ()))
    values["faults"] = tuple(values.pop("faults", ()))
    values["backfill"] = backfill_flags.take_options(values)
    options = Options(**values)
    prefix = urlsplit(options.external_url).path
    for path in (options.telemetry_path, APPS, DOCS, "/-", PAGES):
        # A path below that of the apps hides only the page of an app with that appid, which no app has.
        if prefix == path if path == PAGES else hides_page(prefix, path):
            parser.error(f"argument --web.external-url: its path hides the exporter's page {path}")
    return options


def _parser() -> SuggestingParser:
    shared = _shared_flags()
    parser = SuggestingParser(
        prog=NAME,
        parents=[shared],
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        description="Prometheus exporter for the visit figures of WeChat Mini Programs."
        " Without a command, it runs until it is stopped.",
    )
    version = f"{NAME} {__version__} (Python {platform.python_version()})"
    parser.add_argument("--version", action="version", version=version, help="Print the version and exit.")
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
            help=summary,
            description=summary,
        )
        for name, summary in COMMANDS.items()
    }
    made["check"].add_argument("--live", action="store_true", help="Also fetch one finished period per app and report.")
    made["fetch"].add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="Write to FILE, atomically, instead of standard output.",
    )
    backfill_flags.add_flags(made["backfill"])
    _add_links(made["rules"])
    _add_files(made["config"])
    for name in ("demo", "simulator"):
        made[name].add_argument("--seed", type=int, help="Seed of the simulated figures (default: 0).")
    made["simulator"].add_argument(
        "--fault",
        dest="faults",
        action="append",
        metavar="APPID=KIND",
        help="Fail requests for an app: KIND is an errcode or a name from `--fault help`. APPID=daily:KIND affects one"
        " report, APPID=stable_token:KIND its token requests. Repeatable.",
    )


def _add_links(rules_command: argparse.ArgumentParser) -> None:
    rules_command.add_argument("--kubernetes", action="store_true", help="Print them as a PrometheusRule resource.")
    rules_command.add_argument(
        "--runbook.url",
        dest="runbook_url",
        type=flag_values.link,
        metavar="URL",
        help="URL of the runbook, for links in alerts (default: the documentation at --web.external-url, else"
        f" {alerts.DEFAULT_LINKS.runbook}).",
    )


def _add_files(config_command: argparse.ArgumentParser) -> None:
    choice = config_command.add_mutually_exclusive_group(required=True)
    choice.add_argument(
        "--example", action="store_true", help="Print a configuration with every option and its default."
    )
    choice.add_argument(
        "--systemd",
        nargs="?",
        const="service",
        choices=SYSTEMD_UNITS,
        metavar="UNIT",
        help="Print the unit that runs the exporter (service), or those that run `fetch` for node_exporter"
        " (fetch.service, fetch.timer).",
    )


def _shared_flags() -> argparse.ArgumentParser:
    """Return the flags of every command, without defaults: those of a sub-parser would overwrite earlier flags."""
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    flags.add_argument(
        "--config.file",
        dest="config_file",
        type=Path,
        metavar="FILE",
        help="Configuration file (default: config.yaml).",
    )
    flags.add_argument(
        "--config.auto-reload-interval",
        dest="auto_reload_interval",
        type=flag_values.interval,
        metavar="DURATION",
        help="Interval for checking the configuration, app and secret files for changes, which trigger a reload;"
        " at least 1s, 0 disables (default: 0).",
    )
    _add_web_flags(flags)
    flags.add_argument(
        "--storage.path",
        dest="storage_path",
        metavar="DIRECTORY",
        help=f"Directory of the store; {MEMORY} stores nothing on disk (default: {STORAGE_PATH}; demo: {MEMORY}).",
    )
    flags.add_argument("--log.level", dest="log_level", choices=logs.LEVELS, help="Minimum log level (default: info).")
    flags.add_argument(
        "--log.format", dest="log_format", choices=logs.FORMATS, help="Log format: logfmt or json (default: logfmt)."
    )
    return flags


def _add_web_flags(flags: argparse.ArgumentParser) -> None:
    """Add the flags of the HTTP server."""
    flags.add_argument(
        "--web.listen-address",
        dest="listen_addresses",
        type=flag_values.address,
        action="append",
        metavar="ADDRESS",
        help="Address to listen on: host:port, :port or [::1]:port. Port 0 selects a free port. Repeatable"
        f" (default: {LISTEN_ADDRESS}; demo: {demo.LISTEN_ADDRESS}; simulator: {demo.SIMULATOR_ADDRESS}).",
    )
    flags.add_argument(
        "--web.telemetry-path",
        dest="telemetry_path",
        type=flag_values.path,
        metavar="PATH",
        help=f"Path of the metrics (default: {TELEMETRY_PATH}).",
    )
    _add_url_flags(flags)
    flags.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=flag_values.file_or_none,
        metavar="FILE",
        help="File with TLS, passwords and headers, in the format of Prometheus' exporter-toolkit (default: none).",
    )
    flags.add_argument(
        "--web.enable-lifecycle",
        dest="enable_lifecycle",
        action="store_true",
        help="Enable POST and PUT /-/reload, which reload the configuration as SIGHUP does (default: off).",
    )


def _add_url_flags(flags: argparse.ArgumentParser) -> None:
    """Add the URLs that links need: of the exporter, and of the dashboard."""
    flags.add_argument(
        "--web.external-url",
        dest="external_url",
        type=flag_values.external_url,
        metavar="URL",
        help="External URL of the exporter, for example behind a reverse proxy. Pages are also served"
        " below its path, and `rules` links to it (default: none).",
    )
    flags.add_argument(
        "--dashboard.url",
        dest="dashboard_url",
        type=flag_values.link,
        metavar="URL",
        help="URL of the dashboard in your Grafana, to which pages and alerts link (default: none; rules:"
        f" {alerts.DEFAULT_LINKS.dashboard}).",
    )

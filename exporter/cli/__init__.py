"""The composition root: the only reader of argv, environment, wall clock and signals."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from exporter import config, demo, logs
from exporter.cli import commands, health
from exporter.cli.flags import LISTEN_ADDRESS, RUN, STORAGE_PATH, Options, UsageError, parse
from exporter.cli.run import Settings, run
from exporter.cli.signals import Signals
from exporter.httpd import ListenError
from exporter.runtime.reload import Source, announce
from exporter.store import MEMORY, Locked
from exporter.web import Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FINE, FAILED, UNUSABLE = 0, 1, 2
"""Exit codes: all is well; the work failed; wrong usage, or a configuration that cannot be started with."""
INTERRUPTED = 130

LONG_RUNNING = (RUN, "demo", "simulator")

log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    _open_streams()
    options = parse(sys.argv[1:] if argv is None else argv)
    logs.configure(options.log_level, options.log_format)
    signals = Signals()
    if options.command in LONG_RUNNING:
        signals.hold(reload=options.command == RUN)
    try:
        return _dispatch(options, signals)
    except KeyboardInterrupt:
        return INTERRUPTED
    except config.ConfigError as error:
        print(error, file=sys.stdout if options.command == "check" else sys.stderr)
        return FAILED if options.command == "check" else UNUSABLE
    except UsageError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except (Locked, ListenError, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    finally:
        _let_go_of_the_log()


def _dispatch(options: Options, signals: Signals) -> int:
    without_configuration: dict[str, Callable[[Options], int]] = {
        "healthcheck": health.healthcheck,
        "rules": commands.print_rules,
        "dashboard": commands.print_dashboard,
        "config": commands.print_file,
        "simulator": lambda options: commands.simulate(options, _clock, signals.wait),
        "demo": lambda options: _demo(options, signals),
    }
    if options.command in without_configuration:
        return without_configuration[options.command](options)
    source = Source(
        load=partial(config.load, options.config_file, os.environ),
        look=partial(config.fingerprint, options.config_file),
    )
    if options.command == "fetch":
        loaded = source.load(None)
        announce(loaded)
        return commands.fetch(loaded, options, _clock)
    web = _web_configuration(options, lambda: source.load(None))
    if options.command == "check":
        loaded = source.load(None)
        return commands.check(replace(loaded, warnings=(*loaded.warnings, *web.warnings)), options, _clock)
    run(source, _settings(options, web), _clock, signals.wait)
    return FINE


def _web_configuration(options: Options, other: Callable[[], config.Config] | None = None) -> config.WebConfig:
    """The web configuration, if there is one.

    Raises:
        ConfigError: it is broken; the problems of the other configuration are said with its own.
    """
    if options.web_config_file is None:
        return config.WebConfig()
    try:
        return config.load_web(options.web_config_file)
    except config.ConfigError as error:
        raise config.ConfigError((*_problems_of(other), *error.problems)) from None


def _problems_of(load: Callable[[], config.Config] | None) -> tuple[config.Problem, ...]:
    try:
        return load().problems if load else ()
    except config.ConfigError as error:
        return error.problems


def _demo(options: Options, signals: Signals) -> int:
    roles = demo.cast(_clock())
    wechat = demo.serve(demo.simulator(roles, _clock, options.seed), "127.0.0.1:0")
    pretended = demo.configuration(roles, f"http://{wechat.addresses[0]}")
    settings = _settings(options, _web_configuration(options), demo.LISTEN_ADDRESS, MEMORY)
    invite = partial(_invite, settings.protection.scheme, settings.telemetry_path)
    run(Source(lambda _last: pretended, lambda _config: None), settings, _clock, signals.wait, invite)
    wechat.stop()
    return FINE


def _settings(
    options: Options, web: config.WebConfig, address: str = LISTEN_ADDRESS, storage: str = STORAGE_PATH
) -> Settings:
    """What was said on the command line, the command's own defaults filled in."""
    return Settings(
        options.addresses(address),
        options.telemetry_path,
        options.storage(storage),
        options.enable_lifecycle,
        options.auto_reload_interval,
        Protection(options.web_config_file, web),
        options.external_url,
    )


def _invite(scheme: str, telemetry_path: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        place = f"{scheme}://{address}"
        print(f"status page: {place}/", f"metrics:     {place}{telemetry_path}", sep="\n", flush=True)


def _open_streams() -> None:
    """Standard streams may be closed, and may not know every character; neither ends the program."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (for the whole run)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 (the same)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_the_log() -> None:
    """What a reader who went away did not take must not spoil the exit code, as Python's own last flush would."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        with Path(os.devnull).open("w") as nowhere, suppress(OSError, ValueError):
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


def _clock() -> float:
    return time.time()

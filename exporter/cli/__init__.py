"""The entry point: the only reader of argv, environment, wall clock and signals."""

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
from exporter.cli.backfill import backfill
from exporter.cli.flags import LISTEN_ADDRESS, RUN, STORAGE_PATH, Options, UsageError, parse
from exporter.cli.run import Settings, run
from exporter.cli.signals import Signals, raise_interrupts
from exporter.httpd import ListenError
from exporter.runtime.reload import Source, log_problems
from exporter.store import MEMORY, Locked
from exporter.web import Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
"""Exit codes: success; the work failed; wrong usage, or a configuration that the exporter cannot start with."""
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""

LONG_RUNNING = (RUN, "demo", "simulator")

log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _prepare_streams()
    options = parse(sys.argv[1:] if argv is None else argv)
    logs.configure(options.log_level, options.log_format)
    signals = Signals()
    # Before any thread starts, since threads inherit the signal mask.
    if options.command in LONG_RUNNING:
        signals.start(reload=options.command == RUN)
    try:
        return _dispatch(options, signals)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except config.ConfigError as error:
        print(error, file=sys.stdout if options.command == "check" else sys.stderr)
        return EXIT_FAILED if options.command == "check" else EXIT_USAGE
    except UsageError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except (Locked, ListenError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    finally:
        _flush_stderr()


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
        signatures=partial(config.file_signatures, options.config_file),
    )
    if options.command in {"fetch", "backfill"}:
        loaded = source.load(None)
        log_problems(loaded)
        if options.command == "fetch":
            return commands.fetch(loaded, options, _clock)
        raise_interrupts()
        return backfill(loaded, options, _clock)
    # Before anything is started, so that problems of both configurations are reported at once.
    web = _web_configuration(options, lambda: source.load(None))
    if options.command == "check":
        loaded = source.load(None)
        return commands.check(replace(loaded, warnings=(*loaded.warnings, *web.warnings)), options, _clock)
    run(source, _settings(options, web), _clock, signals.wait)
    return EXIT_OK


def _web_configuration(options: Options, load_main: Callable[[], config.Config] | None = None) -> config.WebConfig:
    """Return the web configuration, if there is one.

    Args:
        options: the command line.
        load_main: loads the main configuration, whose problems are reported together with those of this one.

    Raises:
        ConfigError: it is invalid.
    """
    if options.web_config_file is None:
        return config.WebConfig()
    try:
        return config.load_web(options.web_config_file)
    except config.ConfigError as error:
        raise config.ConfigError((*_problems_of(load_main), *error.problems)) from None


def _problems_of(load: Callable[[], config.Config] | None) -> tuple[config.Problem, ...]:
    try:
        return load().problems if load else ()
    except config.ConfigError as error:
        return error.problems


def _demo(options: Options, signals: Signals) -> int:
    apps = demo.demo_apps(_clock())
    wechat = demo.serve(demo.simulator(apps, _clock, options.seed), "127.0.0.1:0")
    simulated = demo.configuration(apps, f"http://{wechat.addresses[0]}")
    settings = _settings(options, _web_configuration(options), demo.LISTEN_ADDRESS, MEMORY)
    print_urls = partial(_print_urls, settings.protection.scheme, settings.telemetry_path)
    run(Source(lambda _last: simulated, lambda _config: None), settings, _clock, signals.wait, print_urls)
    wechat.stop()
    return EXIT_OK


def _settings(
    options: Options, web: config.WebConfig, address: str = LISTEN_ADDRESS, storage: str = STORAGE_PATH
) -> Settings:
    """Return the settings of a run: the command line with the command's defaults."""
    return Settings(
        options.addresses(address),
        options.telemetry_path,
        options.storage(storage),
        options.enable_lifecycle,
        options.auto_reload_interval,
        Protection(options.web_config_file, web),
        options.external_url,
        options.dashboard_url,
    )


def _print_urls(scheme: str, telemetry_path: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        url = f"{scheme}://{address}"
        print(f"status page: {url}/", f"metrics:     {url}{telemetry_path}", sep="\n", flush=True)


def _prepare_streams() -> None:
    """Make closed standard streams writable, and escape characters that their encoding cannot represent.

    Otherwise `2>&-` or a Chinese app name in a Latin-1 locale would end the exporter with an error.
    """
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (until the process ends)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 (the same)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_stderr() -> None:
    """Flush standard error; if its reader is gone, redirect it to /dev/null.

    Otherwise Python's own flush at exit would fail and replace the exit code by 120.
    """
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        with Path(os.devnull).open("w") as nowhere, suppress(OSError, ValueError):
            os.dup2(nowhere.fileno(), sys.stderr.fileno())


def _clock() -> float:
    return time.time()

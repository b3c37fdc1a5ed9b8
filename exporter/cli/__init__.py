"""The composition root: the only reader of argv, environment, wall clock and signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import structlog

from exporter import config, demo, logs
from exporter.cli import commands
from exporter.cli.flags import RUN, Options, UsageError, parse
from exporter.cli.run import Settings, run
from exporter.httpd import ListenError
from exporter.store import MEMORY, Locked

if TYPE_CHECKING:
    from collections.abc import Sequence

FINE, FAILED, UNUSABLE = 0, 1, 2
"""Exit codes: all is well; the work failed; wrong usage, or a configuration that cannot be started with."""
INTERRUPTED = 130

LONG_RUNNING = (RUN, "demo", "simulator")

log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    logs.configure(options.log_level, options.log_format)
    stopping = threading.Event()
    if options.command in LONG_RUNNING:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopping.set())
    try:
        return _dispatch(options, stopping)
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


def _dispatch(options: Options, stopping: threading.Event) -> int:
    match options.command:
        case "healthcheck":
            return commands.healthcheck(options)
        case "simulator":
            return commands.simulate(options, _clock, stopping)
        case "demo":
            return _demo(options, stopping)
    loaded = config.load(options.config_file, os.environ)
    if options.command == "check":
        return commands.check(loaded, options, _clock)
    _announce(loaded)
    if options.command == "fetch":
        return commands.fetch(loaded, options, _clock)
    run(loaded, Settings(options.addresses(), options.telemetry_path, options.storage()), _clock, stopping)
    return FINE


def _demo(options: Options, stopping: threading.Event) -> int:
    roles = demo.cast(_clock())
    wechat = demo.serve(demo.simulator(roles, _clock, options.seed), "127.0.0.1:0")
    pretended = demo.configuration(roles, f"http://{wechat.addresses[0]}")
    settings = Settings(options.addresses(demo.LISTEN_ADDRESS), options.telemetry_path, options.storage(MEMORY))
    run(pretended, settings, _clock, stopping, _invite)
    wechat.stop()
    return FINE


def _invite(addresses: tuple[str, ...]) -> None:
    for address in addresses:
        print(f"status page: http://{address}/", f"metrics:     http://{address}/metrics", sep="\n", flush=True)


def _announce(loaded: config.Config) -> None:
    """Says in the log what of a usable configuration is not as it should be."""
    for warning in loaded.warnings:
        log.warning("configuration", problem=str(warning))
    for broken in loaded.broken_files:
        for problem in broken.problems:
            log.error("configuration file is broken, its apps are missing", problem=str(problem))


def _clock() -> float:
    return time.time()

"""The commands that do one thing and end."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import alerts, dashboards, demo
from exporter.cli.flags import SYSTEMD_UNITS, UsageError
from exporter.metrics import Format, Renderer, compose
from exporter.reports import REPORTS
from exporter.runtime.engine import Engine
from exporter.runtime.live_check import check_live
from exporter.shipped import shipped
from exporter.wechat.simulator import KINDS, OTHER_ENDPOINTS, Fault, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.cli.flags import Options
    from exporter.config import Config


def check(config: Config, options: Options, clock: Callable[[], float]) -> int:
    """Prints what is wrong with a configuration that could be read, and with ``--live`` what WeChat says to it."""
    for warning in config.warnings:
        print(f"warning: {warning}")
    for problem in config.problems:
        print(problem)
    failed = check_live(config, clock, partial(print, flush=True)) if options.live else 0
    if config.problems or failed:
        print(f"FAILED: {len(config.problems)} problems" + (f", {failed} of {len(config.apps)} apps" if failed else ""))
        return 1
    print(f"SUCCESS: {len(config.apps)} apps")
    return 0


def fetch(config: Config, options: Options, clock: Callable[[], float]) -> int:
    """Fetches what is due, once, and gives out the metrics; 1 if WeChat does not answer for some app as it should."""
    output = None if options.output is None else _checked(options.output)
    rooms = Engine(config, options.storage(), clock, long_running=False)
    rooms.poller.drain()
    statuses = rooms.poller.statuses()
    page = Renderer().render(statuses)
    exposition = compose(page, rooms.meters.registry, Format.TEXT, gzip=False)
    rooms.close()
    if output is None:
        sys.stdout.buffer.write(exposition)
    elif output.exists() and not output.is_file():
        output.write_bytes(exposition)  # a pipe or a device is not replaced
    else:
        _replace(output, exposition)
    return 0 if all(of.state.up for status in statuses for of in status.reports) and not config.broken_files else 1


def simulate(options: Options, clock: Callable[[], float], wait: Callable[[], None]) -> int:
    """Runs the simulator until told to stop; prints a configuration that fits it."""
    if "help" in options.faults:
        print("\n".join(("any errcode, such as 40164", *sorted(KINDS))))
        return 0
    roles = demo.cast(clock())
    wechat = demo.simulator(roles, clock, options.seed)
    for fault in options.faults:
        _spoil(wechat, fault)
    servers = [demo.serve(wechat, address) for address in options.addresses(demo.SIMULATOR_ADDRESS)]
    apps = [
        {
            "appid": role.app.appid,
            "name": role.name,
            "secret": role.app.secret,
            "reports": [report.name for report in role.reports],
        }
        for role in roles
    ]
    api = {"base_url": f"http://{servers[0].addresses[0]}"}
    print("# a configuration for this simulator (JSON is YAML)")
    print(json.dumps({"api": api, "apps": apps}, indent=2), flush=True)
    wait()
    for server in servers:
        server.stop()
    return 0


def print_rules(options: Options) -> int:
    """Prints the rules of Prometheus, their annotations leading to the given addresses."""
    write = alerts.kubernetes if options.kubernetes else alerts.document
    print(write(options.links), end="")
    return 0


def print_dashboard(_options: Options) -> int:
    """Prints the Grafana dashboard."""
    print(dashboards.dashboard(), end="")
    return 0


def print_file(options: Options) -> int:
    """Prints the example configuration or a systemd unit."""
    path = SYSTEMD_UNITS[options.systemd] if options.systemd else "config.example.yaml"
    print(shipped(path).read_text(encoding="utf-8"), end="")
    return 0


def _checked(output: Path) -> Path:
    """The file that is meant, known to be one before anybody is asked.

    Raises:
        UsageError: it is a folder, or its folder is not there.
    """
    try:
        resolved = output.resolve()
    except (OSError, RuntimeError):  # links that lead to each other; which of the two depends on Python's version
        raise UsageError(f"--output {output}: its links lead to each other") from None
    if resolved.is_dir() or not resolved.parent.is_dir():
        raise UsageError(f"--output {output}: it must be a file in a folder that exists")
    return resolved


def _replace(output: Path, content: bytes) -> None:
    """Writes a file beside its place and renames it there: a reader sees the old or the new, never a half."""
    with tempfile.NamedTemporaryFile(dir=output.parent, prefix=f".{output.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            file.write(content)
            file.flush()
            beside.chmod(0o644)
            beside.replace(output)
        except OSError:
            beside.unlink()
            raise


def _spoil(wechat: Simulator, fault: str) -> None:
    """Gives an app of the simulator a fault, as ``--fault`` words it."""
    appid, _, words = fault.partition("=")
    kind, _, endpoint = reversed(words.rpartition(":"))
    app = wechat.apps.get(appid)
    if app is None:
        raise UsageError(f"--fault {fault}: there is no app {appid}")
    if endpoint not in {"", *REPORTS, *OTHER_ENDPOINTS}:
        known = ", ".join((*REPORTS, *OTHER_ENDPOINTS))
        raise UsageError(f"--fault {fault}: no such endpoint; there are: {known}")
    try:
        faults = tuple(Fault(kind, each) for each in ([endpoint] if endpoint else REPORTS))
        wechat.put(replace(app, faults=(*faults, *app.faults)))
    except ValueError as error:
        raise UsageError(f"--fault {fault}: {error}") from None

"""Commands that do one thing and exit: check, fetch, simulator, rules, dashboard."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from exporter import alerts, dashboards, demo
from exporter.cli.flags import SYSTEMD_UNITS, UsageError
from exporter.config import resolve_links, write_atomically
from exporter.metrics import Format, Renderer, compose
from exporter.reports import REPORTS
from exporter.runtime.engine import Engine
from exporter.runtime.live_check import check_live
from exporter.shipped import shipped
from exporter.wechat.simulator import KINDS, OTHER_ENDPOINTS, InjectedFault, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from exporter.cli.flags import Options
    from exporter.config import Config


def resolved_output(output: Path) -> Path:
    """Return the output file with links resolved; checked before any request, so that no fetch is wasted.

    Raises:
        UsageError: it is a directory, its directory does not exist, or its links form a loop.
    """
    try:
        resolved = resolve_links(output)
    except OSError:
        raise UsageError(f"--output {output}: too many levels of symbolic links") from None
    if resolved.is_dir() or not resolved.parent.is_dir():
        raise UsageError(f"--output {output}: must be a file in an existing directory")
    return resolved


def check(config: Config, options: Options, clock: Callable[[], float]) -> int:
    """Print the problems of a loaded configuration, with ``--live`` also one fetch per app and report."""
    for warning in config.warnings:
        print(f"warning: {warning}")
    for problem in config.problems:
        print(problem)
    failed = check_live(config, clock, partial(print, flush=True)) if options.live else 0
    if config.problems or failed:
        print(
            f"FAILED: {len(config.problems)} problems"
            + (f", {failed} of {len(config.apps)} apps failed" if failed else "")
        )
        return 1
    print(f"SUCCESS: {len(config.apps)} apps")
    return 0


def fetch(config: Config, options: Options, clock: Callable[[], float]) -> int:
    """Fetch what is due, once, and write the metrics; return 1 if an app failed or an app file is broken."""
    output = None if options.output is None else resolved_output(options.output)
    engine = Engine(config, options.storage(), clock, long_running=False)
    engine.poller.drain()
    statuses = engine.poller.statuses()
    page = Renderer().render(statuses)
    exposition = compose(page, engine.meters.registry, Format.TEXT, gzip=False)
    engine.close()
    if output is None:
        sys.stdout.buffer.write(exposition)
    elif output.exists() and not output.is_file():
        output.write_bytes(exposition)  # a rename would replace a pipe or a device by a file
    else:
        write_atomically(output, exposition, mode=0o644)  # node_exporter runs as another user
    return 0 if all(of.state.up for status in statuses for of in status.reports) and not config.broken_files else 1


def simulate(options: Options, clock: Callable[[], float], wait: Callable[[], None]) -> int:
    """Run the simulator until it is stopped; print a configuration for it."""
    if "help" in options.faults:
        print("\n".join(("any errcode, such as 40164", *sorted(KINDS))))
        return 0
    simulated = demo.demo_apps(clock())
    wechat = demo.simulator(simulated, clock, options.seed)
    for fault in options.faults:
        _inject_fault(wechat, fault)
    servers = [demo.serve(wechat, address) for address in options.addresses(demo.SIMULATOR_ADDRESS)]
    apps = [
        {
            "appid": entry.app.appid,
            "name": entry.name,
            "secret": entry.app.secret,
            "reports": [report.name for report in entry.reports],
        }
        for entry in simulated
    ]
    api = {"base_url": f"http://{servers[0].addresses[0]}"}
    print("# configuration for this simulator (JSON is valid YAML)")
    print(json.dumps({"api": api, "apps": apps}, indent=2), flush=True)
    wait()
    for server in servers:
        server.stop()
    return 0


def print_rules(options: Options) -> int:
    """Print the rules for Prometheus, with links to the given URLs in their annotations."""
    write = alerts.render_prometheus_rule if options.kubernetes else alerts.render_rules
    print(write(options.links), end="")
    return 0


def print_dashboard(_options: Options) -> int:
    """Print the Grafana dashboard."""
    print(dashboards.dashboard(), end="")
    return 0


def print_file(options: Options) -> int:
    """Print the example configuration or a systemd unit."""
    path = SYSTEMD_UNITS[options.systemd] if options.systemd else "config.example.yaml"
    print(shipped(path).read_text(encoding="utf-8"), end="")
    return 0


def _inject_fault(wechat: Simulator, fault: str) -> None:
    """Give a simulated app a fault in the notation of ``--fault``: ``APPID=KIND`` or ``APPID=ENDPOINT:KIND``."""
    appid, _, description = fault.partition("=")
    kind, _, endpoint = reversed(description.rpartition(":"))
    app = wechat.apps.get(appid)
    if app is None:
        raise UsageError(f"--fault {fault}: unknown app {appid}; simulated apps: {', '.join(wechat.apps)}")
    if endpoint not in {"", *REPORTS, *OTHER_ENDPOINTS}:
        known = ", ".join((*REPORTS, *OTHER_ENDPOINTS))
        raise UsageError(f"--fault {fault}: unknown endpoint; valid endpoints: {known}")
    try:
        faults = tuple(InjectedFault(kind, each) for each in ([endpoint] if endpoint else REPORTS))
        wechat.put(replace(app, faults=(*faults, *app.faults)))
    except ValueError as error:
        raise UsageError(f"--fault {fault}: {error}") from None

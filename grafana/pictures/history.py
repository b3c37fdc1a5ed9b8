"""Write twelve weeks of the demo as Prometheus blocks: a simulated clock steps, and each sample has its time."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter import demo
from exporter.config import Fetch
from exporter.metrics import Format, Renderer, compose
from exporter.reports import MONTHLY, PREFIX
from exporter.runtime.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP = 7200
"""Seconds between two scrapes."""
SPAN = 12 * 7 * 86400
FETCH = Fetch(history_weeks=21)
"""Reaches back to the typical weekday of the first day of the span."""
MONTHS_FETCH = Fetch(history_weeks=70)
"""Reaches back to the month one year before the first month of the span."""

_SAMPLE = re.compile(r"([a-z_]+)(?:{(.*)})? (\S+)")
_TARGET_LABELS = 'instance="exporter:10717",job="wechat-miniprogram"'


def write(folder: Path, now: int) -> None:
    """Write blocks into ``folder``, from which a Prometheus can be started."""
    kinds = {"up": "gauge"}
    samples: dict[str, list[str]] = defaultdict(list)
    for moment, page in _pages(now, str(folder / "store")):
        samples["up"].append(f"up{{{_TARGET_LABELS}}} 1 {moment}")
        family = ""
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                kinds[family] = kind
            elif sample := _SAMPLE.fullmatch(line):
                name, labels, value = sample.groups()
                if name.startswith(PREFIX):
                    samples[family].append(
                        f"{name}{{{','.join(filter(None, (labels, _TARGET_LABELS)))}}} {value} {moment}"
                    )
    text = folder / "history.openmetrics"
    families = (f"# TYPE {family} {kinds[family]}\n" + "\n".join(lines) for family, lines in samples.items())
    text.write_text("\n".join(families) + "\n# EOF\n")
    # By default promtool writes one block for every two hours, which takes a hundred times longer.
    create = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=20000h", "--quiet", "openmetrics"]
    subprocess.run([*create, text, folder / "tsdb"], check=True, stdout=subprocess.DEVNULL)
    text.unlink()


def _pages(now: int, store: str) -> Iterator[tuple[int, str]]:
    """Yield the time and the exposition of an exporter at each step."""
    moment = now - SPAN
    roles = demo.demo_apps(now)

    def clock() -> float:
        return moment

    server = demo.serve(demo.simulator(roles, clock), "127.0.0.1:0")
    config = demo.configuration(roles, f"http://{server.addresses[0]}")
    monthly = tuple(replace(app, reports=(MONTHLY,)) for app in config.apps if MONTHLY in app.reports)
    engine = Engine(replace(config, fetch=MONTHS_FETCH, apps=monthly), store, clock)
    engine.poller.drain()
    engine.close()
    engine = Engine(replace(config, fetch=FETCH), store, clock)
    renderer = Renderer()
    for moment in range(now - SPAN, now + 1, STEP):
        engine.poller.drain()
        page = renderer.render(engine.poller.statuses())
        yield moment, compose(page, engine.meters.registry, Format.OPENMETRICS, gzip=False).decode()
    engine.close()
    server.stop()

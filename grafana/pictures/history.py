"""Twelve weeks of the demo, as Prometheus would have scraped them: the clock runs, and the samples carry its times."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter import demo
from exporter.config import Fetch
from exporter.metrics import Format, Renderer, compose
from exporter.reports import PREFIX
from exporter.runtime.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STEP = 7200
"""Seconds between two samples."""
SPAN = 12 * 7 * 86400
FETCHED = Fetch(history_weeks=70)
"""As far back as the month a year before the first one of the span."""

_SAMPLE = re.compile(r"([a-z_]+)(?:{(.*)})? (\S+)")
_SCRAPED = 'instance="exporter:10717",job="wechat-miniprogram"'


def write(folder: Path, now: int) -> None:
    """Fills a folder with blocks that a Prometheus can be started on."""
    kinds = {"up": "gauge"}
    samples: dict[str, list[str]] = defaultdict(list)
    for moment, page in _pages(now):
        samples["up"].append(f"up{{{_SCRAPED}}} 1 {moment}")
        family = ""
        for line in page.splitlines():
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                kinds[family] = kind
            elif sample := _SAMPLE.fullmatch(line):
                name, labels, value = sample.groups()
                if name.startswith(PREFIX):
                    samples[family].append(f"{name}{{{','.join(filter(None, (labels, _SCRAPED)))}}} {value} {moment}")
    text = folder / "history.openmetrics"
    families = (f"# TYPE {family} {kinds[family]}\n" + "\n".join(lines) for family, lines in samples.items())
    text.write_text("\n".join(families) + "\n# EOF\n")
    # One block for everything: by default there would be one for every two hours.
    create = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=20000h", "--quiet", "openmetrics"]
    subprocess.run([*create, text, folder / "tsdb"], check=True, stdout=subprocess.DEVNULL)
    text.unlink()


def _pages(now: int) -> Iterator[tuple[int, str]]:
    """Yield what an exporter exposes, step by step."""
    moment = now - SPAN
    roles = demo.cast(now)

    def clock() -> float:
        return moment

    server = demo.serve(demo.simulator(roles, clock), "127.0.0.1:0")
    config = replace(demo.configuration(roles, f"http://{server.addresses[0]}"), fetch=FETCHED)
    rooms = Engine(config, ":memory:", clock)
    renderer = Renderer()
    for moment in range(now - SPAN, now + 1, STEP):
        rooms.poller.drain()
        page = renderer.render(rooms.poller.statuses())
        yield moment, compose(page, rooms.meters.registry, Format.OPENMETRICS, gzip=False).decode()
    rooms.close()
    server.stop()

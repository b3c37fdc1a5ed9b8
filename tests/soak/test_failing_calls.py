"""System calls that fail at random, injected with Debian's fiu-utils: the exporter recovers, or exits for a restart."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import requests
from fleet import APPS, ENVIRON, figures, write_configuration
from harness import Running, running, served

from exporter.liveness import STALL_SECONDS
from exporter.reports import WEEKLY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("fiu-run") is None, reason="fiu-utils is not installed"),
]

SECONDS = 15.0
FIGURES = 3 * len(WEEKLY.fields) * len(APPS)
POINTS = {
    "mm/mmap": 0.3,
    "io/rw/write": 0.02,
    "io/rw/read": 0.02,
    "io/oc/open": 0.1,
    "io/sync/fsync": 0.3,
    "io/dir/rename": 0.5,
    "io/dir/unlink": 0.5,
    "io/net/recv": 0.05,
    "io/net/send": 0.05,
    "io/net/connect": 0.2,
    "io/net/accept": 0.2,
    "io/net/socket": 0.2,
    "io/stat/stat": 0.1,
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("point", POINTS)
def test_exporter_recovers_or_exits_with_code_1(tmp_path: Path, point: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fiu").mkdir()
    within = ("fiu-run", "-x", "-f", str(tmp_path / "fiu" / "pipe"))
    with served(APPS) as (_, base_url):
        write_configuration(tmp_path, base_url, interval="1s", retry_interval="1s")
        with running(tmp_path, within=within, **ENVIRON) as exporter:
            right = figures(exporter.scrape_until(lambda samples: len(figures(samples)) == FIGURES))
            fiu_control(tmp_path, exporter, f"enable_random name=posix/{point},probability={POINTS[point]}")
            wrong = {}
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and exporter.process.poll() is None:
                with contextlib.suppress(requests.RequestException):
                    exporter.get("/")
                    found = figures(exporter.scrape())
                    wrong |= {key: value for key, value in found.items() if right.get(key) != value}
                time.sleep(0.1)
            fiu_control(tmp_path, exporter, f"disable name=posix/{point}")
            recovered = recovers(exporter)
            problems = sum("level=error" in line or "level=warn" in line for line in exporter.log)
            with capsys.disabled():
                end = "healed" if recovered else f"ended with {exporter.process.poll()}"
                print(f"\n{point}: {end}, {problems} warnings and errors")  # noqa: T201 (a soak test prints its results)
            assert not wrong
            if recovered:
                assert figures(exporter.scrape()) == right
                exporter.stop()
            else:
                assert exporter.process.poll() == 1


def recovers(exporter: Running) -> bool:
    """Return whether it responds again; False once it has exited."""
    end = time.monotonic() + STALL_SECONDS + 20
    while exporter.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(requests.RequestException):
            if exporter.get("/-/healthy").status_code == 200:
                return True
        time.sleep(1)
    return False


def fiu_control(folder: Path, exporter: Running, command: str) -> None:
    pid = str(exporter.process.pid)
    subprocess.run(["fiu-ctrl", "-f", str(folder / "fiu" / "pipe"), "-c", command, pid], check=False, timeout=10)

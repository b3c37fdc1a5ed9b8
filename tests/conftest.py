from __future__ import annotations

import functools
import gc
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import FLAGS
from grafana_fixture import GrafanaFixture, play_history
from harness import starting_at_now
from hypothesis import settings
from playwright.sync_api import sync_playwright
from secret_scan import pytest_runtest_logreport, search  # noqa: F401 (pytest finds them here)
from systemd import Systemd
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from xdist.remote import Producer

pytest_plugins = ["measured"]

ROOT = Path(__file__).parent.parent
SHARING = {
    "test_apppage.py": "Chromium",
    "test_browser.py": "Chromium",
    "test_dashboard_panels.py": "grafana",
    "test_dashboard_queries.py": "grafana",
    "test_dashboard_why.py": "grafana",
}
"""The expensive session fixture that several files share; their tests run in one process."""
LONG = {"test_alerting.py", "test_reload.py", "test_rules.py", "test_store.py"}
"""Files with tests of ten seconds and more. They start first: the others would wait for one that starts last."""
UNPACKED = ROOT / ".cache" / "prometheus" / "usr" / "bin"


def _program(name: str) -> str:
    unpacked = UNPACKED / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        pytest.skip(f"{name} is not on this machine; see tests/get-debian-packages")
    return found


settings.register_profile("any speed", deadline=None)
settings.load_profile("any speed")


class Scheduling(LoadScopeScheduling):
    """Run the tests of a file in one worker if they share a fixture or are long; else the cases of a test."""

    def _split_scope(self, nodeid: str) -> str:
        file = ROOT / nodeid.partition("::")[0]
        return SHARING.get(file.name) or (file.name if _runs_in_one_process(file) else nodeid.partition("[")[0])


@functools.cache
def _runs_in_one_process(file: Path) -> bool:
    return file.name in LONG or 'scope="module"' in file.read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture
def fixed_time() -> Iterator[None]:
    """Set the clock of simulator and command to ``harness.NOW``, so that the newest periods are always the same."""
    with starting_at_now():
        yield


@pytest.fixture(scope="session")
def promtool() -> str:
    return _program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _program("prometheus")


@pytest.fixture(scope="session")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Yield Debian's Alertmanager. Its path of templates is fixed, so an unpacked one runs in a mount namespace."""
    program = _program("prometheus-alertmanager")
    share = UNPACKED.parent / "share"
    if not program.startswith(str(UNPACKED)):
        return program
    seeing = tmp_path_factory.mktemp("alertmanager") / "alertmanager"
    within = f"mount --bind '{share}' /usr/share && exec '{program}' \"$@\""
    seeing.write_text(f'#!/bin/sh\nexec unshare --mount --map-root-user sh -c {shlex.quote(within)} sh "$@"\n')
    seeing.chmod(0o755)
    if subprocess.run([seeing, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("Debian's Alertmanager finds its templates only where root has installed it")
    return str(seeing)


@pytest.fixture(scope="session")
def amtool() -> str:
    return _program("amtool")


@pytest.fixture(scope="session")
def systemd() -> Systemd:
    """``systemd-analyze``, which checks units; it does not require a running systemd."""
    unpacked = ROOT / ".cache" / "systemd"
    if found := shutil.which("systemd-analyze"):
        return Systemd(found)
    if not (program := unpacked / "usr" / "bin" / "systemd-analyze").exists():
        pytest.skip("systemd-analyze is not on this machine; see tests/get-debian-packages")
    return Systemd(str(program), unpacked)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not on this machine; see tests/get-chromium")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with Grafana's data engine beside ``tests/grafana``."""
    if not (ROOT / "tests" / "grafana" / "node_modules").exists():
        pytest.skip("@grafana/data is not here; see tests/get-node-packages")
    return str(Path(sys.executable).parent / "node")


@pytest.fixture(scope="session")
def grafana(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrafanaFixture]:
    with play_history(prometheus, tmp_path_factory.mktemp("grafana")) as grafana:
        yield grafana


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (item.path.name not in LONG, not _runs_in_one_process(item.path)))


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and tests stay until the end; the garbage collector would traverse them each time

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stage import Stage, played

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
UNPACKED = ROOT / ".cache" / "prometheus" / "usr" / "bin"


def _program(name: str) -> str:
    unpacked = UNPACKED / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        pytest.skip(f"{name} is not on this machine; tests/get-prometheus says why")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return _program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return _program("prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> str:
    program = _program("prometheus-alertmanager")
    if program.startswith(str(UNPACKED)) and not Path("/usr/share/prometheus/alertmanager").exists():
        pytest.skip("Debian's Alertmanager finds its templates only where root has installed it")
    return program


@pytest.fixture(scope="session")
def amtool() -> str:
    return _program("amtool")


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with Grafana's data engine beside ``tests/grafana``."""
    if not (ROOT / "tests" / "grafana" / "node_modules").exists():
        pytest.skip("@grafana/data is not here; tests/get-grafana says why")
    return str(Path(sys.executable).parent / "node")


@pytest.fixture(scope="session")
def stage(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with played(prometheus, tmp_path_factory.mktemp("stage")) as stage:
        yield stage

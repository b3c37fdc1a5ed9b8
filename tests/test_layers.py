"""The rules of the structure that a test can check: imports go to lower layers, each external module has one owner."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from sources import MODULES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "exporter"

LAYERS = {
    "exporter": 0,
    "exporter.periods": 1,
    "exporter.guard": 1,
    "exporter.httpd": 1,
    "exporter.liveness": 1,
    "exporter.logs": 1,
    "exporter.shipped": 1,
    "exporter.holidays": 2,
    "exporter.reports": 3,
    "exporter.apps": 4,
    "exporter.config": 4,
    "exporter.store": 5,
    "exporter.wechat": 5,
    "exporter.metrics": 5,
    "exporter.poller": 6,
    "exporter.promql": 6,
    "exporter.alerts": 7,
    "exporter.backfill": 7,
    "exporter.web": 8,
    "exporter.dashboards": 8,
    "exporter.demo": 8,
    "exporter.runtime": 9,
    "exporter.cli": 10,
    "exporter.__main__": 11,
}
"""CONTRIBUTING.md lists these layers."""

WECHAT = {
    "exporter.wechat": 0,
    "exporter.wechat.messages": 1,
    "exporter.wechat.deadline": 1,
    "exporter.wechat.causes": 2,
    "exporter.wechat.codes": 1,
    "exporter.wechat.protocol": 2,
    "exporter.wechat.access": 3,
    "exporter.wechat.transport": 3,
    "exporter.wechat.client": 4,
    "exporter.wechat.simulator": 4,
}
"""The order inside ``wechat/``."""

RESTRICTED_IMPORTS = {
    "requests": {"exporter.wechat.transport"},
    "urllib3": {"exporter.wechat"},
    "sqlite3": {"exporter.store"},
    "yaml": {"exporter.config", "exporter.alerts"},
    "chinese_calendar": {"exporter.holidays"},
    "socket": {"exporter.httpd", "exporter.wechat"},
    "socketserver": {"exporter.httpd"},
    "h11": {"exporter.httpd"},
    "http.client": {"exporter.httpd", "exporter.cli", "exporter.wechat"},
    "argparse": {"exporter.cli"},
    "signal": {"exporter.cli"},
    "jinja2": {"exporter.web"},
    "markdown_it": {"exporter.web"},
    "tqdm": {"exporter.backfill"},
    "bcrypt": {"exporter.config", "exporter.web"},
    "ssl": {"exporter.config", "exporter.httpd", "exporter.wechat", "exporter.cli"},
    "prometheus_client": {"exporter.metrics", "exporter.web"},
}
"""The packages that may import each module with external effects."""


def package(module: str, packages: dict[str, int]) -> str:
    """Return the package of a module: the longest name in the table that is a prefix of its name."""
    return max((name for name in packages if module == name or module.startswith(f"{name}.")), key=len)


def imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def named(module: str) -> str:
    """Return the module that defines an imported name."""
    while module not in MODULES:
        module = module.rpartition(".")[0]
    return module


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_lower_layers(module: str) -> None:
    here = package(module, LAYERS)
    for name in imports(MODULES[module]):
        if not name.startswith("exporter"):
            continue
        there = package(named(name), LAYERS)
        if there == here:
            if here == "exporter.wechat" and package(named(name), WECHAT) != package(module, WECHAT):
                assert WECHAT[package(named(name), WECHAT)] < WECHAT[package(module, WECHAT)], f"{module} -> {name}"
            continue
        assert LAYERS[there] < LAYERS[here], f"{module} -> {name}"


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    packages = {package(module, LAYERS) for module in MODULES}
    assert packages == set(LAYERS)
    inside = {package(module, WECHAT) for module in MODULES if module.startswith("exporter.wechat")}
    assert inside == set(WECHAT)


@pytest.mark.parametrize("module", MODULES)
def test_each_external_import_is_allowed_in_its_package_only(module: str) -> None:
    for name in imports(MODULES[module]):
        for restricted, packages in RESTRICTED_IMPORTS.items():
            if name == restricted or name.startswith(f"{restricted}."):
                assert {module, package(module, LAYERS)} & packages, f"{module} imports {name}"


SINGLE_REPORTS = {"WEEKLY", "DAILY", "MONTHLY"}
"""Single reports are named only in the catalogue, in alerts and on the dashboard."""


@pytest.mark.parametrize("module", MODULES)
def test_single_reports_are_named_only_in_allowed_packages(module: str) -> None:
    named_here = {node.id for node in ast.walk(MODULES[module]) if isinstance(node, ast.Name)} & SINGLE_REPORTS
    allowed = {"exporter.reports", "exporter.alerts", "exporter.dashboards"}
    assert not named_here or package(module, LAYERS) in allowed, named_here


def source(module: str) -> str:
    return ast.unparse(MODULES[module])


def test_clock_and_environment_are_read_in_cli_only() -> None:
    readers = {
        module
        for module in MODULES
        if any(word in source(module) for word in ("time.time()", "datetime.now", "os.environ", "sys.argv"))
        or imports(MODULES[module]) & {"time.time", "os.environ", "sys.argv"}
    }
    assert readers == {"exporter.cli"}


def test_only_one_module_catches_every_exception() -> None:
    broad = [
        module
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and ast.unparse(node.body[-1]) != "raise"  # it cleans up and raises the error again
    ]
    assert broad == ["exporter.guard"]
    assert [module for module in MODULES if "suppress(Exception" in source(module)] == []


def test_no_module_has_a_catch_all_name() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "common", "base", "manager", "misc"}

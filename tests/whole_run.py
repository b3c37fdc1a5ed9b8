"""A search of everything that a test run wrote for every secret that the tests gave to the exporter.

Written is what processes printed and logged, the answers that ``rig`` read, what tests printed, and each file left in a
test's folder that the process of the tests did not write: what that wrote, the exporter was given. (What the exporter's
code writes when a test calls it in that same process is not told apart, and not searched; the same code is run as a
process, too.) The run fails for a find.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import TYPE_CHECKING

import pytest
from secrets_search import LARGEST, RUN, files, place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xdist.workermanage import WorkerController

_given: set[str] = set()
"""Every file that this process opened for writing."""
_result = pytest.StashKey["Result"]()


def note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and str(arguments[0]) in _given:
        _given.add(os.path.abspath(str(arguments[1])))  # noqa: PTH100 (called for every file that is opened)
    if event == "open" and isinstance(arguments[0], str) and arguments[2]:
        flags = arguments[2]
        if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR):
            _given.add(os.path.abspath(arguments[0]))  # noqa: PTH100 (the same)


def pytest_configure() -> None:
    sys.addaudithook(note_opened)
    subprocess.Popen.communicate = _overheard(subprocess.Popen.communicate)  # type: ignore[method-assign]


def _overheard(communicate: Callable[..., tuple[str | bytes, str | bytes]]) -> Callable[..., object]:
    def overheard(self: subprocess.Popen[str], *arguments: object, **options: object) -> object:
        printed = communicate(self, *arguments, **options)
        for name, content in zip(("standard output", "standard error"), printed, strict=True):
            RUN.written(place(name), content)
        return printed

    return overheard


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, content in report.sections:
        RUN.written(f"{report.nodeid}: {name}", content)


@dataclass
class Result:
    """What a search came to; several processes each search what they wrote for what they hid."""

    secrets: int = 0
    short: int = 0
    size: int = 0
    places: int = 0
    seconds: float = 0.0
    finds: list[tuple[str, str]] = field(default_factory=list)
    """Where it is, and what stands around it."""

    def with_others(self, other: Result) -> Result:
        """Both."""
        return Result(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def searched(folder: Path | None) -> Result:
    """Searches everything, and the files of a folder."""
    began = time.perf_counter()
    for file in files(folder) if folder else ():
        if str(file) not in _given and file.stat().st_blocks * 512 < LARGEST:
            RUN.written(str(file.relative_to(folder)), file.read_bytes())
    finds = [astuple(find) for find in RUN.finds()]
    return Result(len(RUN.secrets), len(RUN.short), RUN.size, len(RUN.places), time.perf_counter() - began, finds)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    stash = session.config.stash
    factory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    leads = session.config.pluginmanager.has_plugin("dsession")  # the files are those of the processes that it leads
    own = searched(None if leads else factory._basetemp)
    result = stash[_result] = stash.get(_result, Result()).with_others(own)
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["searched"] = asdict(result)
    if result.finds:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    told = Result(**getattr(node, "workeroutput", {}).get("searched", {}))
    stash = node.config.stash
    stash[_result] = stash.get(_result, Result()).with_others(told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    result = config.stash.get(_result, Result())
    terminalreporter.section("Search for secrets")
    terminalreporter.write_line(
        f"{result.secrets} secrets and tokens, and whatever looks like one of the simulator's,"
        f" looked for in {result.size / 1e6:.1f} MB from {result.places} places ({result.seconds:.1f} s):"
        f" {len(result.finds) or 'nothing'} found ({result.short} words too short to be looked for)"
    )
    for where, around in result.finds[:50]:
        terminalreporter.write_line(f"{where}: {around}", red=True)

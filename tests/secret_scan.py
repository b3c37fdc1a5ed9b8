"""A search of everything that a test run wrote for every secret that the tests gave to the exporter.

It searches what processes printed and logged, the responses that ``harness`` read, what tests printed, and each file in
a test's directory that another process wrote. What the process of the tests wrote there is the exporter's input. Each
process of a test run searches what was written in it; a find is an error of its last test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from secrets_search import RUN, files, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measured import Measured

_given: set[str] = set()
"""Every file that this process opened for writing."""


def _note_given(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and str(arguments[0]) in _given:
        _given.add(os.path.abspath(str(arguments[1])))  # noqa: PTH100 (called for every file that is opened)
    elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):  # type: ignore[operator]
        _given.add(os.path.abspath(arguments[0]))  # noqa: PTH100 (the same)


def pytest_configure() -> None:
    sys.addaudithook(_note_given)
    communicate = subprocess.Popen.communicate

    def overheard(self: subprocess.Popen[str], *arguments: object, **options: object) -> object:
        printed = communicate(self, *arguments, **options)  # type: ignore[arg-type]
        for name, content in zip(("standard output", "standard error"), printed, strict=True):
            RUN.written(place(name), content)
        return printed

    subprocess.Popen.communicate = overheard  # type: ignore[method-assign,assignment]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, content in report.sections:
        RUN.written(f"{report.nodeid}: {name}", content)


@pytest.fixture(scope="session", autouse=True)
def search(tmp_path_factory: pytest.TempPathFactory, measured: Measured) -> Iterator[None]:
    """Search everything after the last test of this process."""
    yield
    folder = tmp_path_factory.getbasetemp()
    for file in files(folder):
        if str(file) not in _given:
            RUN.written(str(file.relative_to(folder)), file.read_bytes())
    finds = list(RUN.finds())
    sizes = {"secrets": len(RUN.secrets), "MB": sum(map(len, RUN.lines)) / 1e6, "found": len(finds)}
    measured("Search for secrets", sizes)
    if finds:
        pytest.fail("\n".join(finds[:50]), pytrace=False)

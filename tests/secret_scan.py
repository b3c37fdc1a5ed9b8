"""A search of everything that a test run wrote for the secrets that the tests gave to the exporter.

Every secret of a test contains a marker. The search looks for it in the output of tests and processes, in the responses
that ``harness`` read, and in each file in a test's directory that another process wrote: what the process of the tests
wrote there is the exporter's input. Each process of a test run reports what it found as an error of its last test.
"""

from __future__ import annotations

import base64
import gzip
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARKERS = ("secret-of-", "SIMULATED")
"""Escaping for HTML, JSON or URLs leaves these unchanged. A bcrypt salt, without hyphens, can contain the second."""
found: set[str] = set()
"""The places where secrets were found, each with the text before the marker."""
_given: set[str] = set()
"""Each file that this process opened for writing."""
_communicate: Callable[..., tuple[str, str]] = subprocess.Popen.communicate


def _forms(marker: bytes) -> Iterator[bytes]:
    """Yield the marker as it is, in hexadecimal, and the part of its base64 that depends on no byte beside it."""
    yield from (marker, marker.hex().encode())
    for shift, cut in enumerate((0, 2, 3)):
        yield base64.b64encode(bytes(shift) + marker)[cut : (shift + len(marker)) * 8 // 6]


_FORMS = re.compile(b"|".join(form for marker in MARKERS for form in _forms(marker.encode())))


def require_markers(*secrets: str) -> None:
    """Fail if the search could not find one of these secrets; an empty one is none."""
    without = [secret for secret in secrets if secret and not _FORMS.search(secret.encode())]
    assert not without, f"add one of {MARKERS} to these secrets of a test, so that secret_scan can find them: {without}"


def record(place: str, content: str | bytes | None) -> None:
    """Search this content, decompressed if it is gzipped; of several secrets the first is reported."""
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content or b""
    with suppress(Exception):
        data = gzip.decompress(data)
    if match := _FORMS.search(data):
        found.add(f"{place}: {data[max(match.start() - 30, 0) : match.start()]!r}<SECRET>")


def by_test(what: str) -> str:
    """Return a place: the current test and what it wrote."""
    return f"{os.environ.get('PYTEST_CURRENT_TEST', '').partition(' ')[0]}: {what}"


def _note_given(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "os.rename" and str(arguments[0]) in _given:
        _given.add(os.path.abspath(str(arguments[1])))  # noqa: PTH100 (called for every file that is opened)
    elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
        _given.add(os.path.abspath(arguments[0]))  # noqa: PTH100 (the same)


def _recording(process: subprocess.Popen[str], *arguments: object, **options: object) -> object:
    printed = _communicate(process, *arguments, **options)
    for name, content in zip(("standard output", "standard error"), printed, strict=True):
        record(by_test(name), content)
    return printed


sys.addaudithook(_note_given)
subprocess.Popen.communicate = _recording  # type: ignore[method-assign,assignment]  # also called by subprocess.run


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, content in report.sections:
        record(f"{report.nodeid}: {name}", content)


@pytest.fixture(scope="session", autouse=True)
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search the files after the last test of this process, and report everything that was found."""
    yield
    folder = tmp_path_factory.getbasetemp()
    for file in filter(Path.is_file, folder.rglob("*")):
        if str(file) not in _given and not file.is_symlink() and file.stat().st_blocks < 2**17:  # of 512 bytes
            record(str(file.relative_to(folder)), file.read_bytes())
    if found:
        pytest.fail("\n".join(sorted(found)[:50]), pytrace=False)

"""A search of everything that a test run wrote for every secret that the tests gave to the exporter.

It searches the output of tests and processes, the responses that ``harness`` read, and each file in a test's directory
that another process wrote: what the process of the tests wrote there is the exporter's input. Each process of a test
run searches what was recorded in it; a match is reported as an error of its last test.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

import ahocorasick
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHORTEST = 12
"""Characters of the shortest secret that is searched for; a shorter one might be found by chance."""
AROUND = 30
secrets = {"SIMULATED_", "demo-secret-of-"}
"""Starts with the prefixes of simulated tokens and of the secrets of the demo."""
recorded: dict[bytes, str] = {}
"""Each different line that was written, and the place where it was first."""
_given: set[str] = set()
"""Each file that this process opened for writing."""
_communicate = subprocess.Popen.communicate


def add_secrets(*texts: str) -> None:
    """Search for these, line by line."""
    lines = {line.strip() for text in texts for line in text.splitlines()}
    secrets.update(line for line in lines if len(line) >= SHORTEST and not line.startswith("-----"))


def add_configured_secrets(folder: Path, environ: Mapping[str, str]) -> None:
    """Search for every secret that the configurations in a directory contain or lead to."""
    for file in (file for suffix in ("yaml", "yml", "json") for file in folder.rglob(f"*.{suffix}") if file.is_file()):
        with suppress(OSError, yaml.YAMLError, ValueError, RecursionError):
            for key, value in _values(yaml.load(file.read_bytes(), yaml.CBaseLoader), "", set()):  # noqa: S506 (text)
                add_secrets(value if key == "secret" else environ.get(value, "") if key.endswith("env") else "")
                with suppress(OSError, ValueError):
                    if key.endswith("file") and key not in {"ca_file", "cert_file", "client_ca_file"}:
                        add_secrets((file.parent / value).read_text())
                    add_secrets(*(word for _, word in parse_qsl(urlsplit(value).query) if key == "url"))


def _values(node: object, key: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield each value with its key; the values of a mapping of secrets with the key ``secret``."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list) and id(node) not in seen and key != "http_server_config":
        seen.add(id(node))  # it may be repeated by aliases, a billion times
        for name, value in node.items() if isinstance(node, dict) else ((key, item) for item in node):
            yield from _values(value, "secret" if key in {"basic_auth_users", "headers"} else name, seen)


def record(place: str, content: str | bytes | None) -> None:
    """Search this content, decompressed if it is gzipped."""
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content or b""
    with suppress(Exception):
        data = gzip.decompress(data)
    for line in data.splitlines():
        recorded.setdefault(line, place)


def by_test(what: str) -> str:
    """Return a place: the current test and what it wrote."""
    return f"{os.environ.get('PYTEST_CURRENT_TEST', '').partition(' ')[0]}: {what}"


def matches(secrets: set[str], lines: Mapping[bytes, str]) -> Iterator[str]:
    """Yield the place of each secret in the lines, and the text around it."""
    searched = ahocorasick.Automaton()
    for form in (form for secret in secrets for form in _forms(secret)):
        searched.add_word(form, len(form))
    searched.make_automaton()
    for line, place in lines.items():
        for end, length in searched.iter(text := line.decode(errors="replace")):
            start = end + 1 - length
            yield f"{place}: {text[max(start - AROUND, 0) : start]}<SECRET>{text[end + 1 :][:AROUND]}"


def _forms(secret: str) -> Iterator[str]:
    """Yield every form in which a secret may have been written."""
    plain, quoted = secret.encode(), quote(secret, safe="")
    yield from (secret, quoted, quoted.lower(), html.escape(secret), plain.hex())
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    for shift, cut in enumerate((0, 2, 3)):  # base64 depends on the bytes before and after
        coded = base64.b64encode(bytes(shift) + plain).decode()
        yield from (inner := coded[cut : len(coded) // 4 * 4 - 4], inner.replace("+", "-").replace("/", "_"))


def _note_given(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and str(arguments[0]) in _given:
        _given.add(os.path.abspath(str(arguments[1])))  # noqa: PTH100 (called for every file that is opened)
    elif event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):  # type: ignore[operator]
        _given.add(os.path.abspath(arguments[0]))  # noqa: PTH100 (the same)


def _recording(process: subprocess.Popen[str], *arguments: object, **options: object) -> object:
    printed = _communicate(process, *arguments, **options)  # type: ignore[arg-type]
    for name, content in zip(("standard output", "standard error"), printed, strict=True):
        record(by_test(name), content)
    return printed


sys.addaudithook(_note_given)
subprocess.Popen.communicate = _recording  # type: ignore[method-assign,assignment]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, content in report.sections:
        record(f"{report.nodeid}: {name}", content)


@pytest.fixture(scope="session", autouse=True)
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search everything after the last test of this process."""
    yield
    folder = tmp_path_factory.getbasetemp()
    for file in filter(Path.is_file, folder.rglob("*")):
        if str(file) not in _given and not file.is_symlink() and file.stat().st_blocks < 2**17:  # of 512 bytes
            record(str(file.relative_to(folder)), file.read_bytes())
    if found := [*matches(secrets, recorded)]:
        pytest.fail("\n".join(found[:50]), pytrace=False)

"""A search for secrets, in every form in which they may have been written; ``secret_scan`` makes it of a test run."""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import json
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SHORTEST = 12
"""Characters of the shortest secret that is searched for; a shorter one might be found by chance."""
PRETENDED = ("SIMULATED_", "demo-secret-of-")
"""The prefix of every token that a simulator issues and of every secret of the demo, in any process."""
_LARGEST = 64 * 1024 * 1024
_GRAM, _STRIDE, _AROUND = 8, 3, 30
_SECRET_VALUES = {"basic_auth_users", "headers"}


def encodings(secret: str) -> set[bytes]:
    """Return every form in which a secret may have been written."""
    plain, quoted = secret.encode(), quote(secret, safe="")
    forms = {secret, quoted, quoted.lower(), html.escape(secret), plain.hex()}
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for shift, cut in enumerate((0, 2, 3)):  # base64 depends on the bytes before and after
        coded = base64.b64encode(b"\0" * shift + plain).decode()
        inner = coded[cut : len(coded) // 4 * 4 - 4]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form.encode() for form in forms}


class Search:
    """The written texts, and the secrets that must not be in them."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.lines: dict[bytes, str] = {}
        """Each different line that was written, and the place where it was first."""

    def hide(self, *secrets: str) -> None:
        """Search for these, line by line."""
        lines = {line.strip() for secret in secrets for line in secret.splitlines()}
        self.secrets |= {line for line in lines if len(line) >= SHORTEST and not line.startswith("-----")}

    def written(self, place: str, content: str | bytes | None) -> None:
        """Search these bytes, decompressed if they are gzipped."""
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content or b""
        with contextlib.suppress(OSError, EOFError, zlib.error):
            data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        for line in data.splitlines():
            self.lines.setdefault(line, place)

    def finds(self) -> Iterator[str]:
        """Search for all secrets at once: the eight bytes at every third position are searched in all of them."""
        grams: dict[bytes, set[tuple[int, bytes]]] = {}
        for form in set().union(*map(encodings, {*PRETENDED, *self.secrets})):
            for offset in range(_STRIDE):
                grams.setdefault(form[offset : offset + _GRAM], set()).add((offset, form))
        for line, place in self.lines.items():
            for at in range(0, len(line), _STRIDE):
                for offset, form in grams.get(line[at : at + _GRAM], ()):
                    if (start := at - offset) >= 0 and line.startswith(form, start):
                        around = line[max(start - _AROUND, 0) : start], line[start + len(form) :][:_AROUND]
                        yield f"{place}: " + "<SECRET>".join(part.decode(errors="replace") for part in around)


RUN = Search()
"""The search of this process of the test run."""


def place(what: str) -> str:
    """Return where something was written: by the test that runs now."""
    return f"{os.environ.get('PYTEST_CURRENT_TEST', 'no test').partition(' ')[0]}: {what}"


def hidden_in(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Return every secret that the configurations in a directory contain or lead to."""
    for file in files(folder):
        if file.suffix in {".yaml", ".yml", ".json"}:
            with contextlib.suppress(OSError, yaml.YAMLError, ValueError, RecursionError):
                for key, value in _options(yaml.load(file.read_bytes(), yaml.CBaseLoader), "", set()):  # noqa: S506 (text)
                    yield _led_to(key, value, file.parent, environ)


def _options(node: object, key: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Yield each value with its key; the values of a mapping of secrets with the key ``secret``."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list) and id(node) not in seen and key != "http_server_config":
        seen.add(id(node))  # it may be repeated by aliases, a billion times
        for name, value in node.items() if isinstance(node, dict) else ((key, item) for item in node):
            yield from _options(value, "secret" if key in _SECRET_VALUES else name, seen)


def _led_to(key: str, value: str, folder: Path, environ: Mapping[str, str]) -> str:
    with contextlib.suppress(OSError, ValueError):
        if key == "url":
            return "\n".join(word for _, word in parse_qsl(urlsplit(value).query))
        if key == "file" or (key.endswith("_file") and key not in {"cert_file", "client_ca_file"}):
            return (folder / value).read_text()
    return value if key == "secret" else environ.get(value, "") if key in {"secret_env", "env"} else ""


def files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        for file in (Path(path, name) for name in names):
            if file.is_file() and not file.is_symlink() and file.stat().st_blocks * 512 < _LARGEST:
                yield file

"""A search for secrets, in every form in which they may have been written; ``whole_run`` makes it of a test run."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import threading
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlsplit

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SHORTEST = 12
"""Characters of the shortest secret that is searched for; what is shorter might be found by chance."""
PRETENDED = ("SIMULATED_", "demo-secret-of-")
"""Every token that a simulator issues and every secret of the demo begins so, in whatever process."""
_GRAM, _STRIDE = 8, 3
_AROUND = 30
LARGEST = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"


def encodings(secret: str) -> set[bytes]:
    """Every form in which a secret may have been written."""
    plain = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        plain.hex(),
    }
    for shift in range(3):  # by how many bytes stood before it
        coded = base64.b64encode(b"\0" * shift + plain)
        whole = coded[(0, 2, 3)[shift] : len(coded) // 4 * 4 - 4]
        forms |= {whole.decode(), whole.translate(bytes.maketrans(b"+/", b"-_")).decode()}
    return {form.encode() for form in forms}


@dataclass(frozen=True)
class Find:
    """A secret where it must not be."""

    place: str
    around: str
    """What stands before it, and after it."""


@dataclass
class Search:
    """What was written, and what must not be in it; safe to feed from several threads."""

    secrets: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    """What is too short to be looked for."""
    lines: dict[bytes, str] = field(default_factory=dict)
    """Each line that was written, once, and the place where it was first."""
    places: set[str] = field(default_factory=set)
    size: int = 0
    """Bytes that were written."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hide(self, *secrets: str) -> None:
        """These must not be found; lines count one by one."""
        for word in {line.strip() for secret in secrets for line in secret.splitlines()}:
            if word and not word.startswith("-----"):
                (self.secrets if len(word) >= SHORTEST else self.short).add(word)

    def written(self, place: str, content: str | bytes | None) -> None:
        """Something was written; what is gzipped is looked into."""
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content or b""
        if data.startswith(_GZIP):
            data = _unzipped(data)
        with self._lock:
            self.places.add(place)
            self.size += len(data)
            for line in data.splitlines():
                self.lines.setdefault(line, place)

    def finds(self) -> Iterator[Find]:
        """Looks for all secrets at once: at every third byte for eight bytes of any of them."""
        grams: dict[bytes, list[tuple[int, bytes]]] = {}
        for secret in {*PRETENDED, *self.secrets}:
            for form in encodings(secret):
                for offset in range(_STRIDE):
                    grams.setdefault(form[offset : offset + _GRAM], []).append((offset, form))
        for line, place in self.lines.items():
            for at in range(0, len(line), _STRIDE):
                for offset, form in grams.get(line[at : at + _GRAM], ()):
                    start = at - offset
                    if start >= 0 and line.startswith(form, start):
                        before, after = line[max(start - _AROUND, 0) : start], line[start + len(form) :][:_AROUND]
                        yield Find(place, f"{_shown(before)}<SECRET>{_shown(after)}")


def _unzipped(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def _shown(data: bytes) -> str:
    return data.decode(errors="replace")


RUN = Search()
"""That of this test run."""


def place(what: str) -> str:
    """Where something was written: by the test that runs now."""
    return f"{os.environ.get('PYTEST_CURRENT_TEST', 'no test').partition(' ')[0]}: {what}"


def hidden_in(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Every secret that the configurations in a folder give or name."""
    for file in files(folder):
        if file.suffix in {".yaml", ".yml", ".json"} and file.stat().st_size < LARGEST:
            try:
                document = yaml.load(file.read_bytes(), getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506 (text alone)
            except (OSError, yaml.YAMLError, ValueError, RecursionError):
                continue
            yield from _hidden(document, file.parent, environ, set())


def _hidden(node: object, folder: Path, environ: Mapping[str, str], seen: set[int]) -> Iterator[str]:
    if id(node) in seen:  # an alias, perhaps one of a billion
        return
    if isinstance(node, list | dict):
        seen.add(id(node))
    if isinstance(node, list):
        for item in node:
            yield from _hidden(item, folder, environ, seen)
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield from _told(str(key), value, folder, environ)
            elif key == "basic_auth_users" or (key == "headers" and "url" in node):
                yield from (word for word in getattr(value, "values", tuple)() if isinstance(word, str))
            yield from _hidden(value, folder, environ, seen)


def _told(key: str, value: str, folder: Path, environ: Mapping[str, str]) -> Iterable[str]:
    """The secrets that an option of a configuration leads to."""
    if key == "secret":
        return (value,)
    if key == "url":
        return (word for _, word in parse_qsl(urlsplit(value).query))
    if key in {"secret_env", "env"}:
        return (environ.get(value, ""),)
    if key == "file" or (key.endswith("_file") and key not in {"cert_file", "client_ca_file"}):
        try:
            return ((folder / value).read_text(),)
        except (OSError, ValueError):
            return ()
    return ()


def files(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path, name)
            if file.is_file() and not file.is_symlink():
                yield file

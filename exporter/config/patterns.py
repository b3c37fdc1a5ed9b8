"""Which files a pattern such as ``apps.d/**/*.yaml`` names: like glob, but links cannot make it endless.

glob follows links in ``**`` and visits a directory once for every path that leads to it: two links to ``.`` are 2^40
paths. Here each directory is visited once, and a file that is reached twice is one file.
"""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WILDCARDS = frozenset("*?[")
_RECURSIVE = "**"

Identity = tuple[int, int]


def matching_files(patterns: Iterable[str], folder: Path) -> set[Path]:
    """Return the files that patterns name now, each once, under the first of its names in alphabetical order.

    Args:
        patterns: file names, or patterns with ``*``, ``?``, ``[...]`` and ``**``; hidden names need a dot of their own.
        folder: where relative ones begin.
    """
    found: dict[object, Path] = {}
    matches = {path for pattern in patterns for path in _matches(folder, _parts(pattern), set())}
    for path in sorted(matches, key=str):
        if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for a folder that is closed to us)
            found.setdefault(identity(path) or path, path)
    return set(found.values())


def identity(path: Path) -> Identity | None:
    """Which file is at a path, whatever its name; links are followed. None if there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _parts(pattern: str) -> tuple[str, ...]:
    """The parts of a pattern; several ``**`` in a row are one."""
    parts = Path(pattern).parts
    return tuple(
        part for place, part in enumerate(parts) if part != _RECURSIVE or parts[place + 1 : place + 2] != (_RECURSIVE,)
    )


def _matches(start: Path, parts: tuple[str, ...], seen: set[tuple[object, tuple[str, ...]]]) -> Iterator[Path]:
    """Every existing path below ``start`` that the rest of a pattern matches; ``seen`` is where it was tried."""
    if not parts:
        yield start
        return
    if (place := (identity(start), parts)) in seen:
        return
    seen.add(place)
    part, rest = parts[0], parts[1:]
    if part == _RECURSIVE:
        for directory in _directories(start):
            yield from _matches(directory, rest or ("*",), seen)
    elif WILDCARDS.isdisjoint(part):
        if os.path.lexists(start / part):
            yield from _matches(start / part, rest, seen)
    else:
        for name in sorted(_names(start)):
            if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
                yield from _matches(start / name, rest, seen)


def _directories(start: Path) -> Iterator[Path]:
    """A directory and all below it, each once, nearer ones first; hidden ones are left out."""
    seen: set[Identity] = set()
    waiting = [start]
    while waiting:
        directory = waiting.pop(0)
        which = identity(directory)
        if which is None or which in seen or not os.path.isdir(directory):  # noqa: PTH112 (as above)
            continue
        seen.add(which)
        yield directory
        waiting += (directory / name for name in sorted(_names(directory)) if not name.startswith("."))


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 (names alone)
    except OSError:
        return []

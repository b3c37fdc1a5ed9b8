"""Find the files that match a pattern such as ``apps.d/**/*.yaml``: like glob, but safe with links in a loop.

glob follows links in ``**`` and visits a directory once for every path that leads to it: two links to ``.`` make 2^40
paths. Here each directory is visited once, and a file that is reached by two paths is one file.
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


def matching_files(patterns: Iterable[str], directory: Path) -> set[Path]:
    """Return the files that match now, each once, under the first of its names in alphabetical order.

    Args:
        patterns: file names, or patterns with ``*``, ``?``, ``[...]`` and ``**``; a leading dot must be written.
        directory: where relative patterns start.
    """
    found: dict[object, Path] = {}
    matches = {path for pattern in patterns for path in _matches(directory, _parts(pattern), set())}
    for path in sorted(matches, key=str):
        if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises without permission)
            found.setdefault(identity(path) or path, path)
    return set(found.values())


def identity(path: Path) -> Identity | None:
    """Return device and inode of the file at a path; links are followed. None if there is no file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _parts(pattern: str) -> tuple[str, ...]:
    """Return the parts of a pattern; several ``**`` in a row are one."""
    parts = Path(pattern).parts
    return tuple(
        part for place, part in enumerate(parts) if part != _RECURSIVE or parts[place + 1 : place + 2] != (_RECURSIVE,)
    )


def _matches(start: Path, parts: tuple[str, ...], seen: set[tuple[object, tuple[str, ...]]]) -> Iterator[Path]:
    """Yield every existing path below ``start`` that matches the remaining parts; ``seen`` avoids trying one twice."""
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
    """Yield a directory and all below it, each once, breadth first; hidden ones are skipped."""
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
        return os.listdir(directory)  # noqa: PTH208 (only the names)
    except OSError:
        return []

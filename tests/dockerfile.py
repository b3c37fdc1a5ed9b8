"""Reads a Dockerfile and its .dockerignore as far as the project's own use them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Stage:
    """One ``FROM`` and what follows it."""

    base: str
    name: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """What stands behind every use of an instruction."""
        return [words for found, words in self.steps if found == instruction]

    def one(self, instruction: str) -> str:
        """The same for an instruction that is used once."""
        (words,) = self.all(instruction)
        return words

    def exec_form(self, instruction: str) -> list[str]:
        """The program and its arguments; fails for the shell form, which puts a shell before the program."""
        words = json.loads(self.one(instruction).rpartition("CMD ")[2])
        assert all(isinstance(word, str) for word in words)
        return list(words)


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile; comments are dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, words = line.partition(" ")
        if instruction == "FROM":
            base, _, name = words.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((instruction, words))
    return found


def ignored(path: str, patterns: list[str]) -> bool:
    """Whether a .dockerignore keeps a file out: the last pattern that fits it or a folder above decides."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    verdict = False
    for pattern in patterns:
        plain = pattern.removeprefix("!")
        wanted = plain.removeprefix("**/")
        names = [*above, *parts] if plain.startswith("**/") else above
        if any(fnmatch(name, wanted) and (name.count("/") == wanted.count("/")) for name in names):
            verdict = not pattern.startswith("!")
    return verdict


def context(root: Path) -> list[str]:
    """The files that a build sees, relative to the root."""
    lines = (root / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    hidden = (".git/", ".venv/", ".cache/")  # not worth the walk; the caller checks that the patterns hide them, too
    assert all(ignored(folder + "x", patterns) for folder in hidden)
    files = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return [path for path in files if not path.startswith(hidden) and not ignored(path, patterns)]

"""Parse the subset of Dockerfile and .dockerignore that the project uses."""

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
        """Return the arguments of every use of an instruction."""
        return [value for found, value in self.steps if found == instruction]

    def one(self, instruction: str) -> str:
        """Return the arguments of an instruction that is used once."""
        (value,) = self.all(instruction)
        return value

    def exec_form(self, instruction: str) -> list[str]:
        """Return the program and its arguments; fail for the shell form, which runs a shell before the program."""
        value = json.loads(self.one(instruction).rpartition("CMD ")[2])
        assert all(isinstance(word, str) for word in value)
        return list(value)


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile without comments; continued lines are joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        instruction, _, value = line.partition(" ")
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            found.append(Stage(base, name))
        else:
            found[-1].steps.append((instruction, value))
    return found


def ignored(path: str, patterns: list[str]) -> bool:
    """Return whether a .dockerignore excludes a file: the last pattern that matches it or a parent decides."""
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
    """Return the files of the build context, relative to the root."""
    lines = (root / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "only what the other patterns include is in the context"
    included = [path for pattern in patterns if pattern.startswith("!") for path in root.glob(pattern[1:])]
    files = (path for top in included for path in (top, *top.rglob("*")) if path.is_file())
    return [path for file in files if not ignored(path := str(file.relative_to(root)), patterns)]

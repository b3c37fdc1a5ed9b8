"""What can be wrong with a configuration: said with file, line and field, never with a value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a person should mend; ``str`` gives ``FILE:LINE: FIELD: MESSAGE``."""

    file: str
    line: int | None
    """Counted from 1; ``None`` when the whole file is meant."""
    field: str
    """Where in the file: ``apps[1].secret_file``; empty when the whole file is meant."""
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (place, self.field, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used. ``str`` gives one line for each problem of all files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Findings:
    """Collects what is found in one file while it is read."""

    def __init__(self, file: Path) -> None:
        # A name on disk may be any bytes; in messages, labels and pages it is text.
        self.file = os.fsencode(file).decode("utf-8", "backslashreplace")
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What makes the file unusable, by line."""
        return tuple(sorted(self._problems, key=_line))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What should be mended but does no harm to the run, by line."""
        return tuple(sorted(self._warnings, key=_line))

    def problem(self, line: int | None, field: str, message: str) -> None:
        """Notes something that makes the file unusable."""
        self._problems.append(Problem(self.file, line, field, message))

    def warning(self, line: int | None, field: str, message: str) -> None:
        """Notes something that a person should know."""
        self._warnings.append(Problem(self.file, line, field, message))


def _line(problem: Problem) -> int:
    return problem.line or 0

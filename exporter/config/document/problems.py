"""Problems of a configuration, with file, line and field. Its values could be secrets, so only paths are shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem to fix; ``str`` gives ``FILE:LINE: FIELD: MESSAGE``."""

    file: str
    line: int | None
    """From 1; None if the problem concerns the entire file."""
    field: str
    """Path of the option: ``apps[1].secret_file``; empty if the problem concerns the entire file."""
    message: str

    def __str__(self) -> str:
        location = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(part for part in (location, self.field, self.message) if part)


class ConfigError(Exception):
    """An invalid configuration. ``str`` gives one line per problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Findings:
    """Collects the problems and warnings of one file while it is read."""

    def __init__(self, file: Path) -> None:
        # A file name on disk can be any bytes; messages, labels and pages need valid text.
        self.file = os.fsencode(file).decode("utf-8", "backslashreplace")
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Reasons why the file is invalid, sorted by line."""
        return tuple(sorted(self._problems, key=_line))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Findings that do not make the file invalid, sorted by line."""
        return tuple(sorted(self._warnings, key=_line))

    def problem(self, line: int | None, field: str, message: str) -> None:
        """Add a reason why the file is invalid."""
        self._problems.append(Problem(self.file, line, field, message))

    def warning(self, line: int | None, field: str, message: str) -> None:
        """Add a finding that does not make the file invalid."""
        self._warnings.append(Problem(self.file, line, field, message))


def _line(problem: Problem) -> int:
    return problem.line or 0

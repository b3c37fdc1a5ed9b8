"""Measurements of tests, printed as tables at the end of the run, not only compared with a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xdist.workermanage import WorkerController

    Measured = Callable[[str, Mapping[str, object]], None]

_TABLES = pytest.StashKey[dict[str, list[dict[str, str]]]]()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> Measured:
    """Add a row, value by column, to the table of a title; rows of one title have the same columns."""
    tables = pytestconfig.stash.setdefault(_TABLES, {})

    def add(title: str, row: Mapping[str, object]) -> None:
        tables.setdefault(title, []).append({column: _words(value) for column, value in row.items()})

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:  # one of several processes
        output["measured"] = session.config.stash.get(_TABLES, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    tables = node.config.stash.setdefault(_TABLES, {})
    for title, rows in getattr(node, "workeroutput", {}).get("measured", {}).items():
        tables.setdefault(title, []).extend(rows)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, rows in config.stash.get(_TABLES, {}).items():
        terminalreporter.section(title)
        for line in _aligned(rows):
            terminalreporter.write_line(line)


def _words(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _aligned(rows: list[dict[str, str]]) -> list[str]:
    """Return one line for the head and one for each row; the first column is left-aligned, figures right-aligned."""
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" if n == 0 else f"{cell:>{width}}" for n, (cell, width) in enumerate(pairs))
        for pairs in (zip(line, widths, strict=True) for line in table)
    ]

"""An argument parser that suggests the nearest known flag or command for an unknown one, which argparse does not."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FLAG = re.compile(r"--?[A-Za-z][A-Za-z0-9._-]{1,60}")
_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class SuggestingParser(argparse.ArgumentParser):
    """Adds a suggestion to its errors."""

    def refuse_unknown_flags(self, argv: Sequence[str]) -> None:
        """Exit with a message at the first flag that no command has."""
        known = {option for parser in self._all() for option in parser._option_string_actions}  # noqa: SLF001 (there is no public list)
        for argument in argv:
            name = argument.partition("=")[0]
            if argument == "--":
                return
            if _FLAG.fullmatch(name) and name not in known:
                self.error(f"unknown flag {name}{_guess('--' + name.lstrip('-'), known)}")

    def error(self, message: str) -> NoReturn:
        """Exit with the message, and a suggestion for an invalid choice."""
        choice = _INVALID_CHOICE.search(message)
        hint = _guess(choice[1], re.findall(r"'([^']+)'", choice[2])) if choice else ""
        super().error(f"{message}{hint}")

    def _all(self) -> list[argparse.ArgumentParser]:
        commands = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001 (the same)
        return [self, *(parser for action in commands for parser in action.choices.values())]


def _guess(text: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(text, [*known], 1)
    return f"; did you mean {close[0]}?" if close else ""

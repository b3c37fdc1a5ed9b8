"""Read one mapping of a configuration file: its allowed options, their values, and every problem with its line."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, TypeVar

from exporter.config.document.documents import DocumentError, MappingNode, Node, ScalarNode, SequenceNode, read_document
from exporter.config.document.problems import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from exporter.config.document.problems import Findings

T = TypeVar("T")

_OPTION_NAME = re.compile("[a-z_]{1,30}")
"""Keys that messages may repeat; anything else could be a secret in the wrong place."""
_MAX_GUESSED_LENGTH = 40
"""Comparing keys takes quadratic time, and a longer key is not a misspelling of an option."""
_KINDS = {SequenceNode: "a list", MappingNode: "a mapping"}


class Section:
    """Options by name, each with its line. Problems are added to the findings instead of being raised."""

    def __init__(self, node: Node | None, line: int, field: str, options: Collection[str], findings: Findings) -> None:
        self.line = line
        """Where the mapping starts; a missing option is reported here."""
        self.usable = node is None or isinstance(node, MappingNode)
        """False if it is not a mapping, which has been reported."""
        self._field = field
        self._options = options
        self._findings = findings
        self._values: dict[str, tuple[int, Node]] = {}
        self._guesses: set[str] = set()
        """Options that an unknown key resembles."""
        if isinstance(node, MappingNode):
            for key, value in node.pairs:
                self._add(key, value)
        if not self.usable and node is not None:
            findings.problem(line, field, f"must be a mapping, not {kind(node)}")

    def __contains__(self, option: str) -> bool:
        return option in self._values

    def is_misspelt(self, *options: str) -> bool:
        """Return whether an unknown key resembles one of these options, which is then not reported as missing too."""
        return not self._guesses.isdisjoint(options)

    def line_of(self, option: str) -> int:
        """Return the option's line, or the mapping's if the option is absent."""
        return self._values[option][0] if option in self._values else self.line

    def path(self, option: str) -> str:
        """Return the option's full name: ``fetch.interval``; for an empty option that of the mapping."""
        return ".".join(filter(None, (self._field, option)))

    def problem(self, option: str, message: str) -> None:
        """Report a problem of an option."""
        self._findings.problem(self.line_of(option), self.path(option), message)

    def problem_at(self, line: int, option: str, message: str) -> None:
        """Report a problem of an option at a given line."""
        self._findings.problem(line, self.path(option), message)

    def warning(self, option: str, message: str) -> None:
        """Report a warning about an option."""
        self._findings.warning(self.line_of(option), self.path(option), message)

    def value(self, option: str, parse: Callable[[str], T]) -> T | None:
        """Return the option's value; None if it is absent or invalid.

        Args:
            option: its name.
            parse: converts the text; the message of a ``ValueError`` becomes the problem.
        """
        if option not in self._values:
            return None
        node = self._values[option][1]
        if not isinstance(node, ScalarNode):
            self.problem(option, f"must be a single value, not {kind(node)}")
            return None
        try:
            return parse("" if node.is_null else node.value)
        except ValueError as error:
            self.problem(option, str(error))
            return None

    def required(self, option: str, parse: Callable[[str], T]) -> T | None:
        """Return the option's value; a missing option is a problem."""
        if option not in self._values and not self.is_misspelt(option):
            self.problem(option, "is missing")
        return self.value(option, parse)

    def free_form(self, option: str, options: Collection[str]) -> Iterator[tuple[int, str, str | Section]]:
        """Yield line, key and value of a mapping with arbitrary keys; values are texts or sections with ``options``."""
        line, node = self._given(option)
        if node is not None and not isinstance(node, MappingNode):
            self.problem_at(line, option, f"must be a mapping, not {kind(node)}")
            return
        for key, value in node.pairs if node else ():
            if not isinstance(key, ScalarNode) or isinstance(value, SequenceNode):
                self.problem_at(key.line, option, "each key must be a string, each value a string or a mapping")
            elif isinstance(value, ScalarNode):
                yield key.line, key.value, "" if value.is_null else value.value
            else:
                yield key.line, key.value, Section(value, value.line, self.path(option), options, self._findings)

    def section(self, option: str, options: Collection[str]) -> Section:
        """Return the mapping of an option; without options if it is absent, empty or not a mapping."""
        line, node = self._given(option)
        return Section(node, line, self.path(option), options, self._findings)

    def items(self, option: str) -> tuple[Node, ...]:
        """Return the list of an option; empty if it is absent, empty or not a list."""
        node = self._given(option)[1]
        if node is None or isinstance(node, SequenceNode):
            return node.items if node else ()
        self.problem(option, f"must be a list, not {kind(node)}")
        return ()

    def is_empty(self, option: str) -> bool:
        """Return whether an option is present without a value or items."""
        node = self._given(option)[1]
        return option in self._values and (node is None or (isinstance(node, SequenceNode) and not node.items))

    def texts(self, option: str) -> tuple[tuple[int, str], ...]:
        """Return the list of texts of an option, each with its line."""
        found = []
        for index, node in enumerate(self.items(option)):
            if isinstance(node, ScalarNode) and not node.is_null:
                found.append((node.line, node.value))
            else:
                self.problem_at(node.line, f"{option}[{index}]", f"must be a single value, not {kind(node)}")
        return tuple(found)

    def _given(self, option: str) -> tuple[int, Node | None]:
        line, node = self._values.get(option, (self.line, None))
        return line, None if isinstance(node, ScalarNode) and node.is_null else node

    def _add(self, key: Node, value: Node) -> None:
        if not isinstance(key, ScalarNode):
            self._findings.problem(key.line, self._field, f"a key must be a string, not {kind(key)}")
        elif key.value not in self._options:
            self._report_unknown(key)
        elif key.value in self._values:
            # YAML libraries keep the last of duplicate keys, so one of the two values would be ignored without notice.
            message = f"duplicate option; first set in line {self._values[key.value][0]}"
            self._findings.problem(key.line, self.path(key.value), message)
        else:
            self._values[key.value] = key.line, value

    def _report_unknown(self, key: ScalarNode) -> None:
        if key.value == "<<":
            self._findings.problem(key.line, self._field, "merge keys (<<) are not supported; write the options out")
        elif _OPTION_NAME.fullmatch(key.value):
            self._findings.problem(key.line, self.path(key.value), f"unknown option; {self._hint(key.value)}")
        else:
            self._findings.problem(key.line, self._field, f"unknown option; {self._hint(key.value)}")

    def _hint(self, key: str) -> str:
        guess = difflib.get_close_matches(key.lower(), self._options, 1) if len(key) <= _MAX_GUESSED_LENGTH else []
        self._guesses |= set(guess)
        return f"did you mean {guess[0]}?" if guess else f"valid options: {', '.join(self._options)}"


def open_mapping(path: Path, options: Collection[str], findings: Findings) -> Section:
    """Return the mapping at the root of a file.

    Raises:
        ConfigError: it cannot be read or is not a mapping.
    """
    try:
        tree = read_document(path)
    except DocumentError as error:
        findings.problem(error.line, "", str(error))
        raise ConfigError(findings.problems) from None
    if not isinstance(tree, MappingNode):
        findings.problem(tree.line, "", f"must be a mapping ({', '.join(options)}), not {kind(tree)}")
        raise ConfigError(findings.problems)
    return Section(tree, tree.line, "", options, findings)


def required(text: str) -> str:
    """Return a text that is not empty.

    Raises:
        ValueError: it is empty.
    """
    if not text:
        raise ValueError("is empty")
    return text


def parse_identifier(text: str) -> str:
    """Return a name without white space: an appid, an environment, a function.

    Raises:
        ValueError: it is empty or contains white space or non-printable characters.
    """
    if not required(text).isprintable() or any(map(str.isspace, text)):
        raise ValueError("must not contain white space or non-printable characters")
    return text


def parse_bool(text: str) -> bool:
    """Return the value of ``true`` or ``false``.

    Raises:
        ValueError: it is neither.
    """
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text == "true"


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts only these values."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(filter(None, (', '.join(choices[:-1]), choices[-1])))}")
        return text

    return parse


def kind(node: Node) -> str:
    """Return what a node is, in YAML's terms."""
    if isinstance(node, ScalarNode):
        return "empty" if node.is_null else "text"
    return _KINDS[type(node)]

"""YAML text becomes a checked tree of texts, lists and mappings that know their lines.

All scalars stay text: YAML's own guesses (1:30 is 90, 0123 is 83) never happen. The tree is built from
events, not by PyYAML's composer: nesting and aliases are counted before they can explode, and nothing
recurses. No word of the file is ever repeated in a message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import yaml

from exporter.config.document.syntax import syntax_error
from exporter.config.files import FileUnreadableError, read_text

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 32 << 20
MAX_NODES = 1_000_000
"""Keys, values, lists and mappings, counted again at each alias. Ten thousand apps need 70,000."""
MAX_DEPTH = 20

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SYNTAX = (yaml.YAMLError, ValueError, OverflowError)
"""PyYAML converts the numbers of escapes and of %YAML unchecked."""
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOTHING = {"", "~", "null", "Null", "NULL"}
_DEFAULT_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One scalar, as it was written; ``nothing`` if it is unquoted and empty or null."""

    line: int
    value: str = field(repr=False)
    is_null: bool = False
    size: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """One YAML list. ``size`` and ``depth`` are those of the whole branch, counted through aliases."""

    line: int
    items: tuple[Node, ...] = field(repr=False)
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class MappingNode:
    """One YAML mapping in the order of the file; equal keys are still side by side."""

    line: int
    pairs: tuple[tuple[Node, Node], ...] = field(repr=False)
    size: int
    depth: int


Node = ScalarNode | SequenceNode | MappingNode


class DocumentError(Exception):
    """A file gives no tree; the words say why."""

    def __init__(self, line: int | None, words: str) -> None:
        super().__init__(words)
        self.line = line


def read_document(path: Path) -> Node:
    """Reads one YAML file.

    Raises:
        DocumentError: the file cannot be read, or it is not one YAML document of ordinary size.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except FileUnreadableError as error:
        raise DocumentError(error.line, f"the file {error}") from None
    return parse_document(text)


def parse_document(text: str) -> Node:
    """Reads one YAML document.

    Raises:
        DocumentError: it is not one YAML document of ordinary size.
    """
    foreign = _NOT_YAML.search(text)
    if foreign:
        line = text.count("\n", 0, foreign.start()) + 1
        raise DocumentError(line, "a control character that YAML does not allow")
    try:
        tree = _build(_LOADER(text))
    except _SYNTAX:
        tree = _build_slowly(text)
    if tree is None or (isinstance(tree, ScalarNode) and tree.is_null):
        raise DocumentError(None, "the file is empty")
    return tree


def _build_slowly(text: str) -> Node | None:
    """The pure-Python parser has the last word: messages and lines are then the same on every machine."""
    loader = yaml.BaseLoader(text)
    try:
        return _build(loader)
    except yaml.YAMLError as error:
        raise DocumentError(*syntax_error(error)) from None
    except _SYNTAX:
        words = "not valid YAML: the number in an escape (\\U) or a directive (%) is out of range"
        raise DocumentError(loader.line + 1, words) from None


def _build(loader: yaml.BaseLoader) -> Node | None:
    builder = _Builder()
    try:
        while loader.check_event():
            builder.take(loader.get_event())  # type: ignore[no-untyped-call] # the stubs lack its type
    finally:
        loader.dispose()
    return builder.root


@dataclass(slots=True)
class _Branch:
    """A list or mapping whose end has not come yet."""

    line: int
    anchor: str | None
    children: list[Node] = field(default_factory=list)
    size: int = 1
    depth: int = 0

    def add(self, node: Node) -> None:
        self.children.append(node)
        self.size += node.size
        self.depth = max(self.depth, node.depth)

    def items(self) -> SequenceNode:
        return SequenceNode(self.line, tuple(self.children), self.size, self.depth + 1)

    def entries(self) -> MappingNode:
        children = iter(self.children)
        pairs = tuple(zip(children, children, strict=True))
        return MappingNode(self.line, pairs, self.size, self.depth + 1)


class _Builder:
    """Makes the tree from PyYAML's events."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._documents = 0
        self._open: list[_Branch] = []
        self._anchors: dict[str | None, Node | None] = {}
        self._size = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.ScalarEvent():
                self._close(_text(event, line), event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event, line)
            case yaml.SequenceEndEvent():
                branch = self._open.pop()
                self._close(branch.items(), branch.anchor)
            case yaml.MappingEndEvent():
                branch = self._open.pop()
                self._close(branch.entries(), branch.anchor)
            case yaml.AliasEvent():
                self._attach(self._aliased(event.anchor, line))
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise DocumentError(line, "a second YAML document begins here (---); keep one in a file")

    def _begin(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, line: int) -> None:
        _require_plain_tag(event.tag, line)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Branch(line, event.anchor))
        self._check_depth(0, line)

    def _close(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        self._attach(node, new=1)

    def _attach(self, node: Node, new: int | None = None) -> None:
        """Hangs a node where it belongs; an alias counts with all that it stands for."""
        self._size += node.size if new is None else new
        if self._size > MAX_NODES:
            raise DocumentError(node.line, f"more than {MAX_NODES:,} values, aliases counted; split the file")
        self._check_depth(node.depth, node.line)
        if self._open:
            self._open[-1].add(node)
        else:
            self.root = node

    def _aliased(self, anchor: str | None, line: int) -> Node:
        if anchor not in self._anchors:
            raise DocumentError(line, "an alias (*) without its anchor (&); text that begins with * goes in quotes")
        node = self._anchors[anchor]
        if node is None:
            raise DocumentError(line, "an alias (*) that contains itself")
        return replace(node, line=line)

    def _check_depth(self, depth: int, line: int) -> None:
        if len(self._open) + depth > MAX_DEPTH:
            raise DocumentError(line, f"nested more than {MAX_DEPTH} deep")


def _text(event: yaml.ScalarEvent, line: int) -> ScalarNode:
    _require_plain_tag(event.tag, line)
    value: str = event.value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DocumentError(line, "an escape that is half a character (\\ud800 to \\udfff)") from None
    return ScalarNode(line, value, is_null=not event.style and value in _NOTHING)


def _require_plain_tag(tag: str | None, line: int) -> None:
    if tag not in _DEFAULT_TAGS:
        raise DocumentError(line, "a tag (!) is not supported; text that begins with ! goes in quotes")

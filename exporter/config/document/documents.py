"""Parse YAML into a tree of nodes with line numbers, with limits for size and depth.

All scalars stay text: YAML's own conversions (1:30 is 90, 0123 is 83) never happen; each option parses its own text.

The tree is built from PyYAML's events, not by its composer. The composer has no limits: nested aliases in a
file of a few hundred bytes ("billion laughs") expand to billions of values, and 100,000 opening brackets exceed its
recursion limit. Here size and depth are counted at each event, an alias counts as much as all nodes that it expands to,
and nothing recurses.

libyaml parses five times as fast as pure Python, but the two report errors with different texts and lines.
Whatever libyaml rejects is parsed again in pure Python, whose errors are then reported on every machine. No message
repeats text of the file, which may be a secret in the wrong place.
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
"""Keys, values, lists and mappings, counted again for each alias. 10,000 apps need 70,000."""
MAX_DEPTH = 20

_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SYNTAX = (yaml.YAMLError, ValueError, OverflowError)
"""PyYAML converts the numbers in escapes and in %YAML without a check, hence ValueError and OverflowError."""
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULLS = {"", "~", "null", "Null", "NULL"}
_DEFAULT_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One scalar as written; ``is_null`` if it is unquoted and empty or null."""

    line: int
    value: str = field(repr=False)
    is_null: bool = False
    size: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """One YAML list. ``size`` and ``depth`` include all nodes below, counted through aliases."""

    line: int
    items: tuple[Node, ...] = field(repr=False)
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class MappingNode:
    """One YAML mapping in the order of the file; duplicate keys are still present."""

    line: int
    pairs: tuple[tuple[Node, Node], ...] = field(repr=False)
    size: int
    depth: int


Node = ScalarNode | SequenceNode | MappingNode


class DocumentError(Exception):
    """A file that cannot be parsed; the message is the reason."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_document(path: Path) -> Node:
    """Return the root node of a YAML file.

    Raises:
        DocumentError: it cannot be read, or is not a single YAML document within the limits.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except FileUnreadableError as error:
        raise DocumentError(error.line, f"the file {error}") from None
    return parse_document(text)


def parse_document(text: str) -> Node:
    """Return the root node of a YAML document.

    Raises:
        DocumentError: it is not a single YAML document within the limits.
    """
    invalid = _NOT_YAML.search(text)
    if invalid:
        line = text.count("\n", 0, invalid.start()) + 1
        raise DocumentError(line, "control character, which YAML does not allow")
    try:
        tree = _build(_LOADER(text))
    except _SYNTAX:
        tree = _build_in_python(text)
    if tree is None or (isinstance(tree, ScalarNode) and tree.is_null):
        raise DocumentError(None, "the file is empty")
    return tree


def _build_in_python(text: str) -> Node | None:
    """Parse again in pure Python, so that messages and lines are the same on every machine."""
    loader = yaml.BaseLoader(text)
    try:
        return _build(loader)
    except yaml.YAMLError as error:
        raise DocumentError(*syntax_error(error)) from None
    except _SYNTAX:
        message = "invalid YAML: number out of range in an escape (\\U) or a directive (%)"
        raise DocumentError(loader.line + 1, message) from None


def _build(loader: yaml.BaseLoader) -> Node | None:
    builder = _Builder()
    try:
        while loader.check_event():
            builder.handle(loader.get_event())  # type: ignore[no-untyped-call] # the stubs lack its type
    finally:
        loader.dispose()
    return builder.root


@dataclass(slots=True)
class _Branch:
    """A list or mapping whose end event has not been read yet."""

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
    """Builds the tree from PyYAML's events."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._documents = 0
        self._open: list[_Branch] = []
        self._anchors: dict[str | None, Node | None] = {}
        self._size = 0

    def handle(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.ScalarEvent():
                self._close(_text(event, line), event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open_branch(event, line)
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
                    raise DocumentError(line, "second YAML document (---); only one per file is supported")

    def _open_branch(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, line: int) -> None:
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
        """Add a node to the innermost open list or mapping; an alias counts with all nodes that it expands to."""
        self._size += node.size if new is None else new
        if self._size > MAX_NODES:
            raise DocumentError(node.line, f"more than {MAX_NODES:,} values, aliases included; split the file")
        self._check_depth(node.depth, node.line)
        if self._open:
            self._open[-1].add(node)
        else:
            self.root = node

    def _aliased(self, anchor: str | None, line: int) -> Node:
        if anchor not in self._anchors:
            raise DocumentError(line, "alias (*) without an anchor (&); text that starts with * must be quoted")
        node = self._anchors[anchor]
        if node is None:
            raise DocumentError(line, "alias (*) that contains itself")
        return replace(node, line=line)

    def _check_depth(self, depth: int, line: int) -> None:
        if len(self._open) + depth > MAX_DEPTH:
            raise DocumentError(line, f"nested more than {MAX_DEPTH} levels deep")


def _text(event: yaml.ScalarEvent, line: int) -> ScalarNode:
    _require_plain_tag(event.tag, line)
    value: str = event.value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DocumentError(line, "escape of half a surrogate pair (\\ud800 to \\udfff)") from None
    return ScalarNode(line, value, is_null=not event.style and value in _NULLS)


def _require_plain_tag(tag: str | None, line: int) -> None:
    if tag not in _DEFAULT_TAGS:
        raise DocumentError(line, "tags (!) are not supported; text that starts with ! must be quoted")

"""Explain PyYAML's syntax errors. PyYAML's own messages quote the file, and with it perhaps a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

_UNKNOWN = "check the indentation, quotes and brackets in this line and the one above"
# The start of PyYAML's text, our message, and whether the error is where the construct starts (its context mark): for
# an unclosed quote PyYAML otherwise reports the end of the file.
_MESSAGES = (
    (
        "mapping values are not allowed",
        "unexpected ': '; quote text that contains ': ', or fix the indentation",
        False,
    ),
    ("could not find expected ':'", "expected 'key: value' or '- item'", True),
    ("found character '\\t'", "tab character; indent with spaces", False),
    ("found character", "text that starts with @, ` or % must be quoted", False),
    ("expected <block end>", "the indentation does not match the lines above", False),
    ("found unexpected end of stream", "unclosed quote", True),
    ("found unexpected document separator", "unclosed quote", True),
    ("expected ',' or", "unclosed bracket or missing comma", True),
    (
        "found unknown escape",
        "unknown escape (\\) in double quotes; use single quotes or write \\\\",
        False,
    ),
    ("found undefined tag handle", "text that starts with ! must be quoted", False),
)


def syntax_error(error: yaml.YAMLError) -> tuple[int | None, str]:
    """Return line (from 1) and message of a syntax error, without any text of the file."""
    problem = str(getattr(error, "problem", None) or "")
    message, at_start = _explain(problem)
    marks = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
    mark = next(filter(None, reversed(marks) if at_start else marks), None)
    return (mark.line + 1 if mark else None), f"invalid YAML: {message}"


def _explain(problem: str) -> tuple[str, bool]:
    for start, message, at_start in _MESSAGES:
        if problem.startswith(start):
            return message, at_start
    return _UNKNOWN, False

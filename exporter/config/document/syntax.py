"""PyYAML's syntax errors in our words: its own quote the file, and with it perhaps a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

_UNKNOWN = "look at the indentation, quotes and brackets here and in the line above"
# What PyYAML's text begins with, our words, and whether the fault lies where the construct begins.
_WORDS = (
    (
        "mapping values are not allowed",
        "a ': ' where no value can begin; quote text that holds ': ', or mend the indentation",
        False,
    ),
    ("could not find expected ':'", "neither 'key: value' nor '- item'", True),
    ("found character '\\t'", "a tab; indent with spaces", False),
    ("found character", "text that begins with @, ` or % goes in quotes", False),
    ("expected <block end>", "the indentation does not fit the lines above", False),
    ("found unexpected end of stream", "a quote that is never closed", True),
    ("found unexpected document separator", "a quote that is never closed", True),
    ("expected ',' or", "a bracket that is never closed, or a comma that is missing", True),
    (
        "found unknown escape",
        "an unknown escape (\\) in \"double quotes\"; use 'single quotes' or write \\\\",
        False,
    ),
    ("found undefined tag handle", "text that begins with ! goes in quotes", False),
)


def syntax_error(error: yaml.YAMLError) -> tuple[int | None, str]:
    """Where the error is (lines count from 1) and what it means, without a word of the file."""
    problem = str(getattr(error, "problem", None) or "")
    words, at_begin = _in_words(problem)
    marks = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
    mark = next(filter(None, reversed(marks) if at_begin else marks), None)
    return (mark.line + 1 if mark else None), f"not valid YAML: {words}"


def _in_words(problem: str) -> tuple[str, bool]:
    for begin, words, at_begin in _WORDS:
        if problem.startswith(begin):
            return words, at_begin
    return _UNKNOWN, False

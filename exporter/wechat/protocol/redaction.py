"""Remove secrets from texts of other systems.

WeChat and proxies repeat parts of a request in their error texts: complete, shortened or escaped. Therefore the
beginnings and ends of secrets are removed, too. A text must be redacted before it is shortened, because a cut through a
token may leave a part that is too short to be recognized.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARK: Final = "<SECRET>"
SHORTEST: Final = 8
"""Minimum characters of a secret, or of its beginning or end, to be removed; shorter ones may be ordinary words."""

_LONGEST = 4096
"""Characters that are searched: many more than are shown, few enough for a hostile text to cost little time."""
_LAYERS = 3  # of percent-encoding

_QUOTED = re.compile(r'\\([/"\\])')
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def redact(text: str, secrets: Iterable[str]) -> str:
    r"""Replace each secret in a text, and each beginning or end of one, with ``<SECRET>``.

    ``\uXXXX`` escapes are decoded first, percent-encoding only where that reveals a secret.
    """
    known = {secret for secret in secrets if len(secret) >= SHORTEST}
    text = unquoted = _decoded(text[:_LONGEST])
    # A URL that is quoted within a URL is encoded twice. Only if it reveals a secret is the decoded text used: decoding
    # would change other texts ("100%25").
    for _ in range(_LAYERS):
        unquoted = unquote(unquoted)
        if any(True for _ in _spans(unquoted, known)):
            text = unquoted
    # Spans overlap where secrets have parts in common; each overlap is replaced by one mark.
    shown, end = "", 0
    for start, stop in sorted(_spans(text, known)):
        if start >= end:
            shown += text[end:start] + MARK
        end = max(end, stop)
    return shown + text[end:]


def _decoded(text: str) -> str:
    r"""Decode JSON's escapes: ``\uXXXX``, and ``\/``, ``\"`` and ``\\`` of JSON within JSON."""
    return _QUOTED.sub(r"\1", _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text))


def _spans(text: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield where the secrets and their beginnings and ends are, as start and stop."""
    for secret in secrets:
        # From each occurrence of its first characters, as far as the secret continues; then the same from its end.
        for start in _places(text, secret[:SHORTEST]):
            length = SHORTEST
            while length < len(secret) and text[start + length : start + length + 1] == secret[length]:
                length += 1
            yield start, start + length
        for start in _places(text, secret[-SHORTEST:]):
            length = SHORTEST
            stop = start + SHORTEST
            while length < min(len(secret), stop) and text[stop - length - 1] == secret[-length - 1]:
                length += 1
            yield stop - length, stop


def _places(text: str, part: str) -> Iterator[int]:
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)

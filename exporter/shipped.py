"""Files delivered with the program that are not code: the documentation, the example configuration, the systemd units.

They have one place in the repository. A built wheel carries them in ``exporter/files``, under the same relative paths
(pyproject.toml, ``force-include``); a checkout, editable installation included, reads the repository's own files.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_IN_WHEEL = _PACKAGE / "files"


def shipped(path: str) -> Path:
    """Return where a file or directory is, given its path relative to the repository."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent) / path

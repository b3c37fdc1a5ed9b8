"""The size of a test: by default enough to notice a bug, in `make soak` as much as is documented."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

T = TypeVar("T")
SOAK = "SOAK" in os.environ


def scaled(default: T, soak: T) -> T:
    """Return the number of this run."""
    return soak if SOAK else default


only_in_soak = pytest.mark.skipif(not SOAK, reason="runs in `make soak`")

"""`make soak` runs every test whose size it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

SCALED = [file for file in Path(__file__).parent.glob("test_*.py") if "import scaled" in file.read_text()]


@pytest.mark.parametrize("file", SCALED, ids=lambda file: file.name)
def test_scaled_tests_have_the_mark_of_the_soak(file: Path) -> None:
    assert "mark.soak" in file.read_text()

"""systemd's own tool, from the machine or unpacked from Debian's packages."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Systemd:
    """``systemd-analyze``."""

    program: str
    unpacked: Path | None = None
    """The directory of its unpacked packages, with their libraries and units."""

    def analyze(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        environ = dict(os.environ)
        if self.unpacked is not None:
            libraries = [str(path.parent) for path in self.unpacked.rglob("*.so*")]
            units = [self.unpacked / top / "systemd" / "system" for top in ("lib", "usr/lib")]
            environ["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(libraries))
            environ["SYSTEMD_UNIT_PATH"] = ":".join(map(str, units))
        return subprocess.run(
            [self.program, *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def version(self) -> str:
        """Return its major version, as text."""
        return self.analyze("--version").stdout.split()[1]

    def calls(self, names: Iterable[str]) -> set[str]:
        """Return the system calls of these names; a name that starts with @ is a set."""
        found: set[str] = set()
        for name in names:
            if name.startswith("@"):
                lines = self.analyze("syscall-filter", "--no-pager", name).stdout.splitlines()[1:]
                found |= self.calls(line.strip() for line in lines if not line.strip().startswith("#") and line.strip())
            else:
                found.add(name)
        return found

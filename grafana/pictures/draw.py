"""Draw pictures of the dashboard: twelve weeks of the demo in a real Prometheus, Grafana's components in Chromium.

The pictures are not screenshots of a Grafana server: Grafana is in no package registry, but its data engine and panel
components are on npm. The bar charts are drawn by this project. Each picture shows some rows, in light and dark.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import history
from grafana_fixture import Prometheus

from exporter import logs

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / ".cache" / "pictures" / "page"
WIDTH = 1880
PICTURES = {"weeks": ("0,1,2", 1636), "why": ("3", 1690), "days": ("4,5,6", 1494), "exporter": ("7", 1228)}
"""Successive rows of the dashboard, and the height in pixels, by name of the picture."""


class QuietHandler(SimpleHTTPRequestHandler):
    """A request handler that does not log."""

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def screenshot(address: str, picture: Path, height: int) -> None:
    """Save the page as PNG after it has been drawn."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={profile}", f"--window-size={WIDTH},{height}", "--virtual-time-budget=15000"),
                *("--enable-logging=stderr", f"--screenshot={picture}", address),
            ],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    errors = [line for line in done.stderr.splitlines() if "Uncaught" in line]
    if errors:
        sys.exit("\n".join(errors))


def main() -> None:
    """Draw all pictures into the directory ``grafana``."""
    logs.configure("error", "logfmt")  # the demo logs every failing app as a warning
    now = int(time.time()) // history.STEP * history.STEP
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=PAGE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history.write(folder, now)
        database = Prometheus("prometheus", folder, ())
        database.start()
        try:
            for theme in ("light", "dark"):
                for picture, (rows, height) in PICTURES.items():
                    times = {"from": now - history.SPAN, "to": now, "step": history.STEP}
                    shown = {
                        "theme": theme,
                        "rows": rows,
                        "app": "wx0000000000000002",
                        "name": "Travel Buddy",
                        "width": WIDTH,
                    }
                    address = f"http://127.0.0.1:{server.server_port}/?" + urlencode(
                        {**times, **shown, "prometheus": database.url}
                    )
                    screenshot(address, HERE.parent / f"{picture}-{theme}.png", height)
                    print(f"grafana/{picture}-{theme}.png")
        finally:
            database.stop()
    server.shutdown()


if __name__ == "__main__":
    main()

"""Draws the dashboard from twelve weeks of the demo in a real Prometheus: Grafana's engine and components, in Chromium.

These are no screenshots of a Grafana server. Some rows of the dashboard become one picture each, light and dark.
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
from stage import Prometheus

from exporter import logs

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / ".cache" / "pictures" / "page"
WIDTH = 1760
PICTURES = {"weeks": ("0,1,2", 1560), "days": ("3,4", 1114), "exporter": ("5", 1228)}
"""Rows of the dashboard, which must follow each other, and the height in pixels."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves the page, and says nothing about it."""

    def log_message(self, *_: object) -> None:
        """Not a word."""


def photograph(address: str, picture: Path, height: int) -> None:
    """Waits until the page is drawn, and keeps it as PNG."""
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
    faults = [line for line in done.stderr.splitlines() if "Uncaught" in line]
    if faults:
        sys.exit("\n".join(faults))


def main() -> None:
    """Draws all pictures into the folder above."""
    logs.configure("error", "logfmt")  # what becomes of the demo's apps is drawn
    now = int(time.time()) // history.STEP * history.STEP
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=PAGE))
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
                    photograph(address, HERE.parent / f"{picture}-{theme}.png", height)
                    print(f"grafana/{picture}-{theme}.png")
        finally:
            database.stop()
    server.shutdown()


if __name__ == "__main__":
    main()

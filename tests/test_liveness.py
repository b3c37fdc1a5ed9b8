from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import requests
from harness import running, served
from structlog.testing import capture_logs

from exporter.liveness import STALL_SECONDS, StallDetector
from exporter.store import Lock
from exporter.store.files import DATABASE, open_database
from exporter.wechat.access.sources import STABLE_TOKEN
from exporter.wechat.simulator import InjectedFault, SimulatedApp

if TYPE_CHECKING:
    from pathlib import Path

APPS = tuple(SimulatedApp(f"wx{number:016x}", f"secret-of-app-{number}") for number in (1, 2))
REFUSED = tuple(
    SimulatedApp(f"wx{number:016x}", f"secret-of-app-{number}", faults=(InjectedFault("40164", STABLE_TOKEN),))
    for number in range(400)
)


def write_configuration(folder: Path, base_url: str, simulated: tuple[SimulatedApp, ...] = APPS) -> None:
    apps = [{"appid": app.appid, "secret": app.secret} for app in simulated]
    (folder / "config.yaml").write_text(json.dumps({"api": {"base_url": base_url}, "apps": apps}))
    (folder / "config.yaml").chmod(0o600)


def test_a_thread_without_progress_ends_the_process() -> None:
    left: list[int] = []
    beats = iter(range(10**6))
    detector = StallDetector({"busy": lambda: next(beats), "stuck": lambda: 7}, seconds=0.12, leave=left.append)
    with capture_logs() as logs:
        detector.run(threading.Event())
    assert left == [1]
    assert [(line["event"], line["thread"]) for line in logs] == [("thread stalled, exiting", "stuck")]
    assert "test_liveness.py" in logs[0]["stack"]


def test_threads_with_progress_do_not_end_the_process() -> None:
    left: list[int] = []
    beats = iter(range(10**6))
    detector = StallDetector(
        {"busy": lambda: next(beats) // 10}, seconds=0.12, leave=left.append
    )  # one iteration in ten checks
    stopping = threading.Event()
    thread = threading.Thread(target=detector.run, args=(stopping,))
    thread.start()
    time.sleep(0.6)
    stopping.set()
    thread.join(1)
    assert not thread.is_alive()
    assert left == []
    assert next(beats) > 20


SHORTER = """
import sys
from exporter import cli, liveness
liveness.StallDetector.__init__.__kwdefaults__["seconds"] = 2.0
liveness._LOG_SECONDS = 0.5
sys.exit(cli.main(sys.argv[1:]))
"""


def test_an_exporter_whose_log_hangs_ends_with_exit_code_1(tmp_path: Path) -> None:
    """The log is not read: after 64 KiB the poller blocks, and so does the message about it."""
    assert STALL_SECONDS == 60
    with served(REFUSED) as (_, base_url):
        write_configuration(tmp_path, base_url, REFUSED)
        command = [sys.executable, "-c", SHORTER, "--web.listen-address=127.0.0.1:0"]
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
        try:
            assert process.wait(60) == 1
        finally:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_a_locked_store_does_not_delay_listening(tmp_path: Path) -> None:
    Lock(tmp_path / "data").close()
    holder = open_database(tmp_path / "data")
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with served(APPS) as (_, base_url):
        write_configuration(tmp_path, base_url)
        log: list[str] = []
        answers: dict[str, int] = {}

        def probe() -> None:
            """Send requests as a supervisor does, from the start on."""
            while not (line := next((line for line in list(log) if "listening" in line), "")):
                time.sleep(0.01)
            address = line.split("addresses=")[1].split()[0]
            for path in ("/-/healthy", "/-/ready", "/metrics", "/"):
                answers[path] = requests.get(f"http://{address}{path}", timeout=2).status_code
            answers["problems"] = sum("store unavailable" in line for line in list(log))

        thread = threading.Thread(target=probe)
        thread.start()
        with running(tmp_path, log=log) as exporter:
            thread.join()
            assert answers == {"/-/healthy": 200, "/-/ready": 503, "/metrics": 503, "/": 503, "problems": 0}
            assert "locked" in exporter.logged("store unavailable", 20)
            exporter.scrape_until(lambda samples: ("fetch_state", APPS[0].appid, "weekly", "ok") in samples)
            exporter.stop()
    holder.close()
    assert (tmp_path / "data" / DATABASE).exists()

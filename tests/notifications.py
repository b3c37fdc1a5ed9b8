"""A real Alertmanager with our file, and what it sends: to a webhook, and as a message of WeCom."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml
from grafana_fixture import free_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROMETHEUS_FILES = Path(__file__).parent.parent / "prometheus"
PREFIX = "WeChatMiniProgram"
TEXT = '{{ template "wechat_miniprogram.text" . }}'

Labels = dict[str, str]
Sent = tuple[str, str, str]
"""Status, alert name without the prefix, appid."""


@dataclass
class Receiver:
    """Takes what Alertmanager sends."""

    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    """Every alert of every notification to the webhook."""
    causes: dict[tuple[str, str], str] = field(default_factory=dict)
    """The annotation `cause` that was last sent, by alert name and appid."""
    texts: list[str] = field(default_factory=list)
    """The messages of WeCom."""

    def wait_for(self, holds: Callable[[Receiver], object], seconds: float) -> None:
        """Return when something holds of what was sent."""
        deadline = time.monotonic() + seconds
        while not holds(self):
            assert time.monotonic() < deadline, (self.sent, self.texts)
            time.sleep(0.1)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive notifications: POST / from the webhook; /gettoken and /message/send as WeCom's API has them."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._respond({"errcode": 0, "access_token": "token", "expires_in": 7200})

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path.startswith("/message/send"):
                receiver.texts.append(message["text"]["content"])
            else:
                for each in message["alerts"]:
                    name, appid = each["labels"]["alertname"].removeprefix(PREFIX), each["labels"].get("appid", "")
                    receiver.sent.append((each["status"], name, appid))
                    receiver.causes[name, appid] = each["annotations"].get("cause", "")
            self._respond({"errcode": 0})

        def _respond(self, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def seconds(duration: str) -> float:
    """A duration of Alertmanager in seconds."""
    return float(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


@contextmanager
def alertmanager_with(program: str, folder: Path, receiver: Receiver, scale: float) -> Iterator[str]:
    """Run Alertmanager with our routes, in which an hour takes ``3600 * scale`` seconds; gives its address."""
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS_FILES / "alertmanager.yml").read_text())
    config["templates"] = [str(PROMETHEUS_FILES / "templates" / "*.tmpl")]
    for route in (config["route"], *config["route"]["routes"]):
        for wait in {"group_wait", "group_interval"} & set(route):
            route[wait] = f"{round(1000 * scale * seconds(route[wait]))}ms"
    wecom = {"api_url": receiver.url, "corp_id": "corp", "agent_id": "1", "api_secret": "x", "to_user": "@all"}
    for each in config["receivers"]:
        resolved = each["name"] != "growth"
        each["wechat_configs"] = [wecom | {"message": TEXT, "send_resolved": resolved}]
        each["webhook_configs"] = [{"url": receiver.url, "send_resolved": resolved}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    address = free_address()
    command = (
        program,
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--data.retention=240h",
        "--log.level=error",
    )
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while not _responds(f"http://{address}/-/ready"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def post(address: str, alerts: Sequence[dict[str, Labels]]) -> None:
    """Give alerts to Alertmanager, as Prometheus does: labels and annotations of each."""
    posted = requests.post(f"http://{address}/api/v2/alerts", json=alerts, timeout=10)
    assert posted.ok, posted.text

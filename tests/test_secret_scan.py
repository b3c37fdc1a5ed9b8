"""The search for secrets finds planted ones in every form and every kind of place."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests
import secret_scan
from certificates import Authority
from harness import Running, command, marked_hash, running, served
from secret_scan import MARKERS, record, require_markers

from exporter.cli import EXIT_FAILED
from exporter.wechat.simulator import SimulatedApp
from exporter.wechat.simulator.access_methods import SimulatedServices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMS: dict[str, Callable[[str], str | bytes]] = {
    "plain": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "as HTML": html.escape,
    "as JSON": json.dumps,
    "hexadecimal": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of a user and a password": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "gzipped": lambda text: gzip.compress(text.encode()),
}


@pytest.fixture(autouse=True)
def own_search(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Isolate what these tests find from the scan of the whole run."""
    found: set[str] = set()
    monkeypatch.setattr(secret_scan, "found", found)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("marker", MARKERS)
def test_a_secret_is_found_in_every_form_and_not_shown(form: str, marker: str, own_search: set[str]) -> None:
    for before in ("", "a", "ab", 'a"<é', " \n"):
        own_search.clear()
        record("log", FORMS[form](f"{before}{marker}horse+battery/staple"))
        (found,) = own_search
        assert found.startswith("log: ")
        assert found.endswith("<SECRET>")
        assert marker not in found


def test_text_before_a_secret_is_shown(own_search: set[str]) -> None:
    record("log", "far away " * 9 + "\nlevel=info\nmessage=secret-of-app")
    assert own_search == {r"log: b' far away \nlevel=info\nmessage='<SECRET>"}


def test_text_that_is_no_secret_is_not_found(own_search: set[str]) -> None:
    record("log", "secret of an app, secret_of_, secretof, Secret-of-, simulated, c2VjcmV0 -----BEGIN PRIVATE KEY-----")
    assert not own_search


def test_secret_without_a_marker_is_rejected() -> None:
    require_markers("secret-of-app", "my SIMULATED_token", "")
    with pytest.raises(AssertionError, match=r"add one of .*hunter2"):
        require_markers("secret-of-app", "hunter2")


OPTIONS = {
    "secret": "secret: hunter2",
    "quoted": "- {name: shop, secret: 'hunter2'}",
    "JSON": '[{"secret": "hunter2"}, {"secret": "secret-of-app"}]',
    "second": "[{secret: secret-of-app}, {secret: hunter2}]",
    "variable": "secret_env: APP",
    "file": "secret_file: hunter",
    "token": "refresh_token_file: hunter",
    "header in a file": "headers: {X-Key: {file: hunter}}",
    "header in a variable": "headers: {X-Key: {env: APP}}",
    "hash": f"hunter2: {marked_hash('x').replace('SIMULATED', 'Simulated')}",
}


def start(folder: Path, **environ: str) -> None:
    with running(folder, **environ):
        pass


@pytest.mark.parametrize("run", [command, start])
@pytest.mark.parametrize("place", ["config.yaml", "web.yml", "apps.d/one.yaml"])
@pytest.mark.parametrize("option", OPTIONS)
def test_configured_secret_without_a_marker_is_rejected(
    option: str, place: str, run: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / "apps.d").mkdir()
    (tmp_path / place).write_text(OPTIONS[option])
    (tmp_path / place).with_name("hunter").write_text("hunter2\n")
    with pytest.raises(AssertionError, match=r"add one of .*(hunter2|Simulated)"):
        run(tmp_path, APP="hunter2")


def test_configuration_with_markers_is_accepted(tmp_path: Path) -> None:
    signed = Authority(tmp_path).sign("server", "localhost")
    (tmp_path / "token").write_text("secret-of-app\n")
    (tmp_path / "config.yaml").symlink_to("nowhere")
    (tmp_path / "web.yml").write_text(
        f"secret: secret-of-app\nsecret: |\n  x\nsecret: x\nsecret_env: APP\ntoken_file: token\nfile: nowhere\n"
        f"key_file: {signed.key}\ncert_file: {signed.cert}\nusers: {marked_hash('x')}\n"
    )
    assert command(tmp_path, "check", APP="secret-of-app").returncode == EXIT_FAILED


def test_secret_without_a_marker_is_rejected_after_a_reload(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"add one of .*hunter2"), running(tmp_path, "demo"):
        (tmp_path / "config.yaml").write_text("secret: hunter2")


def test_simulated_secret_without_a_marker_is_rejected() -> None:
    with pytest.raises(AssertionError, match=r"add one of .*hunter2"), served([SimulatedApp("wx1", "hunter2")]):
        pass
    services = SimulatedServices(key="hunter2")
    with pytest.raises(AssertionError, match=r"add one of .*hunter2"), served([], services=services):
        pass


def test_password_without_a_marker_is_rejected() -> None:
    with pytest.raises(AssertionError, match=r"add one of .*hunter2"):
        Running(None, [], requests.Session()).get(auth=("reader", "hunter2"))


def test_each_secret_line_of_a_key_is_found(tmp_path: Path, own_search: set[str]) -> None:
    """The last line contains only the public key."""
    lines = Authority(tmp_path).sign("server").key.read_text().splitlines()
    assert len(lines) == 5
    for number, line in enumerate(lines):
        record(f"line {number}", line)
    assert {place.partition(":")[0] for place in own_search} == {"line 1", "line 2"}


def test_the_hash_of_a_password_is_found(own_search: set[str]) -> None:
    record("log", marked_hash("secret-of-a-reader"))
    assert own_search == {"log: b'$2b$04$'<SECRET>"}


PLANTED = "a-secret-of-the-plant"
TOKEN = "SIMULATED_0123456789abcdef"
RUN_WITH_PLANTS = """
import requests, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from harness import Running, running

def python(folder, script):
    subprocess.run([sys.executable, "-c", f"if True: {script}"], cwd=folder, check=True, capture_output=True)


def test_given(tmp_path):
    (tmp_path / "input").write_text("PLANTED PRETENDED")
    (tmp_path / "input").rename(tmp_path / "renamed")
    (tmp_path / "link").symlink_to("renamed")


def test_exporter(tmp_path):
    (tmp_path / "PLANTED.yaml").write_text("broken")
    (tmp_path / "config.yaml").write_text(
        "{apps: [{appid: wx0123456789abcdef, name: PRETENDED, secret: secret-of-the-app}],"
        " api: {base_url: 'http://127.0.0.1:9'}, app_config_files: ['*-plant.yaml']}"
    )
    with running(tmp_path) as exporter:
        exporter.get("/metrics")
        exporter.get("/")
        exporter.stop()


def test_header(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("X-Planted", "PLANTED")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request).start()
        Running(None, [], requests.Session(), "127.0.0.1:%d" % server.server_port).get("/header")


def test_store(tmp_path):
    python(tmp_path, '''
        import os, sqlite3
        db = sqlite3.connect("store.sqlite3")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE answer (message)")
        db.execute("INSERT INTO answer VALUES ('PLANTED')")
        db.commit()
        os._exit(0)''')


def test_output(tmp_path):
    python(tmp_path, '''
        import gzip, pathlib
        pathlib.Path("wechat.prom").write_text("written: PLANTED")
        pathlib.Path("page.gz").write_bytes(gzip.compress(b"gzipped: PLANTED"))''')
    (tmp_path / "wechat.prom").read_text()


def test_process(tmp_path):
    python(tmp_path, "print('output: PLANTED')")
    python(tmp_path, "import sys; print('complained: PLANTED', file=sys.stderr)")


def test_printed():
    print("printed: PLANTED")
""".replace("PLANTED", PLANTED).replace("PRETENDED", TOKEN)
PLACES = {
    "test_exporter: log",
    "test_exporter: /",
    "test_exporter: /metrics",
    "test_header: /header",
    "test_store0/store.sqlite3-wal",
    "test_output0/wechat.prom",
    "test_output0/page.gz",
    "test_process: standard output",
    "test_process: standard error",
    "test_printed: Captured stdout call",
}


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Files of another run are not searched."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run_with(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Start a test run with the search."""
    test = folder / "test_planted.py"
    test.write_text(RUN_WITH_PLANTS)
    plugins = ("-psecret_scan", "-pno:cacheprovider")
    own = (f"-c{os.devnull}", *plugins, f"--basetemp={folder / 'left'}", "--show-capture=no", "-q")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *own, test, *flags],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )


PROCESSES = pytest.mark.parametrize("flags", [(), ("--numprocesses=2",)], ids=["one process", "two processes"])


@PROCESSES
def test_run_fails_for_a_leaked_secret_without_showing_it(elsewhere: Path, flags: tuple[str, ...]) -> None:
    """Every kind of place is searched and named."""
    result = run_with(elsewhere, *flags)
    found = {line.partition("::")[2] or line for line in result.stdout.splitlines() if "<SECRET>" in line}
    assert {place for place in PLACES if any(line.startswith(place) for line in found)} == PLACES, result.stdout
    assert not [line for line in found if "test_given" in line]
    assert PLANTED not in result.stdout
    assert TOKEN not in result.stdout
    assert "7 passed" in result.stdout
    assert result.returncode == pytest.ExitCode.TESTS_FAILED


@PROCESSES
def test_run_without_a_leaked_secret_succeeds(elsewhere: Path, flags: tuple[str, ...]) -> None:
    result = run_with(elsewhere, "-k", "given", *flags)
    assert "1 passed" in result.stdout
    assert result.returncode == pytest.ExitCode.OK

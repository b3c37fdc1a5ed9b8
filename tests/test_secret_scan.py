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
import secret_scan
from secret_scan import SHORTEST, add_configured_secrets, add_secrets, matches, record

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = 'correct"horse+battery/staple <é'
FORMS = {
    "plain": SECRET,
    "in a token of something longer": f"x{SECRET}y",
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded in small letters": quote(SECRET, safe="").lower(),
    "as HTML": html.escape(SECRET),
    "as JSON": json.dumps({"key": SECRET}),
    "as JSON that is UTF-8": json.dumps({"key": SECRET}, ensure_ascii=False),
    "hexadecimal": SECRET.encode().hex(),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 after one byte": base64.b64encode(f"x{SECRET}y".encode()).decode(),
    "base64 after two bytes": base64.b64encode(f"xx{SECRET}".encode()).decode(),
    "base64 of a user and a password": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "gzipped": gzip.compress(SECRET.encode()),
}


@pytest.fixture(autouse=True)
def own_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Isolate the secrets of these tests from the scan of the whole run."""
    monkeypatch.setattr(secret_scan, "secrets", set())
    monkeypatch.setattr(secret_scan, "recorded", {})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", [SHORTEST, len(SECRET)])
def test_a_secret_is_found_in_every_form_and_not_shown(form: str, length: int) -> None:
    for number in range(4):  # at every position in its line
        record(str(number), FORMS[form] if form == "gzipped" else f"line\n{'-' * number}{FORMS[form]}\nline")
    found = list(matches({SECRET[:length]}, secret_scan.recorded))
    assert {find[:3] for find in found} == ({"0: "} if form == "gzipped" else {"0: ", "1: ", "2: ", "3: "})
    assert all("horse" not in find and "<SECRET>" in find for find in found)


def test_text_that_is_no_secret_is_not_found() -> None:
    add_secrets(SECRET, "too short", "-----BEGIN PRIVATE KEY-----")
    record("log", f"{SECRET[1:]} {SECRET[:-1]} too short -----BEGIN PRIVATE KEY-----")
    assert secret_scan.secrets == {SECRET}
    assert list(matches({SECRET}, secret_scan.recorded)) == []


CONFIGURATION = """
apps:
- {secret: literal-secret-of-a}
- {secret_file: folder/secret}
- {secret_env: APP_SECRET}
- {token_file: token}
- token_url: {url: "https://h/p?key=key-in-an-address&x=1", headers: {X-A: header-of-a-server, X-B: {env: HEADER}}}
- http_function: {url: "https://h/", headers: {X-C: {file: header}}}
- authorizer: {component_token_file: component, refresh_token_file: refresh}
- {cloud_hosting: {cloudbase_token_file: cloudbase}}
"""
WEB = """
tls_server_config: {cert_file: cert, key_file: key}
http_server_config: {headers: {X-Frame-Options: no-secret-at-all}}
basic_auth_users: {prometheus: $2b$12$hash-of-a-password}
"""
SECRET_FILES = ("folder/secret", "token", "header", "component", "refresh", "cloudbase", "key")


def test_every_secret_of_a_configuration_is_searched(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in SECRET_FILES:
        (tmp_path / name).write_text(f"content of {name}\n")
    (tmp_path / "cert").write_text("everybody may read a certificate")
    (tmp_path / "config.yaml").write_text(CONFIGURATION)
    (tmp_path / "web.yml").write_text(WEB)
    add_configured_secrets(tmp_path, {"APP_SECRET": "secret-in-a-variable", "HEADER": "header-in-a-variable"})
    assert secret_scan.secrets == {
        *(f"content of {name}" for name in SECRET_FILES),
        *("literal-secret-of-a", "secret-in-a-variable", "header-in-a-variable"),
        *("key-in-an-address", "header-of-a-server", "$2b$12$hash-of-a-password"),
    }


PLANTED = "a-secret-that-was-planted"
TOKEN = "SIMULATED_0123456789abcdef"
RUN_WITH_PLANTS = """
import requests, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from harness import Running, running
from secret_scan import add_secrets

add_secrets("PLANTED")


def python(folder, script):
    subprocess.run([sys.executable, "-c", f"if True: {script}"], cwd=folder, check=True, capture_output=True)


def test_given(tmp_path):
    (tmp_path / "input").write_text("PLANTED PRETENDED")
    (tmp_path / "input").rename(tmp_path / "renamed")


def test_exporter(tmp_path):
    (tmp_path / "PLANTED.yaml").write_text("broken")
    (tmp_path / "config.yaml").write_text(
        "{apps: [{appid: wx0123456789abcdef, name: PRETENDED, secret: xxxxxxxxxxxx}],"
        " api: {base_url: 'http://127.0.0.1:9'}, app_config_files: ['*-planted.yaml']}"
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

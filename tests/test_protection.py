"""End-to-end tests of ``--web.config.file``: the command as a process, real certificates and passwords."""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import bcrypt
import pytest
import requests
import structlog.testing
from certificates import Authority, Pair
from grafana_fixture import JOB, Prometheus
from harness import Running, command, marked_hash, running

from exporter.config import load_web
from exporter.httpd import Request, Response
from exporter.web import Protection, protection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = "secret-of-prometheus"
ENCODED = base64.b64encode(f"prometheus:{PASSWORD}".encode()).decode()
HASH = marked_hash(PASSWORD)
USERS = f"basic_auth_users:\n  prometheus: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = f"{TLS}  client_ca_file: authority.crt\n  client_auth_type: RequireAndVerifyClientCert\n"
WEB = "--web.config.file=web.yml"
FLAGS = ("--log.level=debug", WEB)
DEMO = ("demo", *FLAGS)
APP = "apps: [{appid: wx0123456789abcdef, secret: 'secret-of-the-app'}]\n"


@dataclass(frozen=True)
class WebSetup:
    """A directory with a CA, a certificate of the server, a web configuration, and an app whose API is unreachable."""

    folder: Path
    authority: Authority
    server: Pair

    def web(self, text: str) -> None:
        file = self.folder / "web.yml"
        file.write_text(text)
        file.chmod(0o600)

    def session(self, pair: Pair | None = None, *, user: str = "prometheus", password: str = PASSWORD) -> Session:
        return Session(self, pair, user, password)


class Session(requests.Session):
    """Return a client that trusts the CA and sends a password."""

    def __init__(self, web_setup: WebSetup, pair: Pair | None, user: str, password: str) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = str(web_setup.authority.cert)
        self.cert = (str(pair.cert), str(pair.key)) if pair else None
        self.auth = (user, password) if user else None
        self.headers["Connection"] = "close"  # each request is a handshake


@pytest.fixture
def web_setup(tmp_path: Path) -> WebSetup:
    authority = Authority(tmp_path, "authority")
    server = authority.sign("server", "localhost", "127.0.0.1")
    server.key.chmod(0o600)
    (tmp_path / "config.yaml").write_text(f"{APP}api: {{base_url: 'http://127.0.0.1:9'}}\n")
    (tmp_path / "config.yaml").chmod(0o600)
    return WebSetup(tmp_path, authority, server)


def status(run: Running, path: str = "/-/healthy", method: str = "GET", **options: object) -> int:
    url = f"{run.scheme}://{run.address}{path}"
    return run.session.request(method, url, timeout=10, **options).status_code  # type: ignore[arg-type]


def shown(run: Running, web_setup: WebSetup) -> int:
    """Return the serial number of the certificate of a new connection."""
    context = ssl.create_default_context(cafile=str(web_setup.authority.cert))
    host, port = run.address.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as client,
    ):
        certificate = client.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def noticed(run: Running, message: str) -> bool:
    """Return whether a text is logged while clients connect; their connections trigger the check of the files."""

    def poke() -> bool:
        with socket.create_connection(tuple(run.address.split(":"))) as client:  # type: ignore[arg-type]
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.recv(1)
        return any(message in line for line in run.log)

    return eventually(poke)


def eventually(truth: Callable[[], bool], seconds: float = 6) -> bool:
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


PAGE = "/apps/wx0000000000000001"
WEEKS = f"/api/v1{PAGE}/reports/weekly"
PATHS = (
    *("/", "/metrics", "/-/healthy", "/-/ready", PAGE, WEEKS, f"{WEEKS}.csv"),
    *("/-/reload", "/favicon.ico", "/%00", "/apps/none"),
)


def test_every_path_requires_the_password_over_tls(web_setup: WebSetup) -> None:
    web_setup.web(TLS + USERS)
    with running(web_setup.folder, *DEMO, session=web_setup.session()) as run:
        assert run.scheme == "https"
        for path in PATHS:
            for method in ("GET", "HEAD", "POST", "BREW"):
                run.session.auth = None
                assert status(run, path, method) == 401
        run.session.auth = ("prometheus", "wrong")
        assert status(run) == 401
        run.session.auth = ("prometheus", PASSWORD)
        assert [status(run, path) for path in PATHS] == [*[200] * 7, 405, 404, 404, 404]
        assert run.stop() == 0
        assert run.process.stdout is not None
        output = run.process.stdout.read()
    assert output.splitlines()[0] == f"status page: https://{run.address}/"
    everything = output + "".join(run.log)
    assert "Traceback" not in everything
    assert [secret for secret in (HASH[7:], "wrong", ENCODED.rstrip("=")) if secret in everything] == []


def test_clients_need_a_trusted_certificate_for_an_allowed_name(web_setup: WebSetup, tmp_path: Path) -> None:
    web_setup.web(f"{CLIENTS}  client_allowed_sans: [prometheus.example]\n")
    good = web_setup.authority.sign("good", "prometheus.example")
    (tmp_path / "elsewhere").mkdir()
    stranger = Authority(tmp_path / "elsewhere", "stranger").sign("other", "prometheus.example")
    with running(web_setup.folder, *FLAGS, session=web_setup.session(good)) as run:
        assert status(run) == 200
        for refused in (None, stranger, web_setup.authority.sign("unnamed", "grafana.example")):
            with web_setup.session(refused) as session, pytest.raises(requests.ConnectionError):
                session.get(f"https://{run.address}/-/healthy", timeout=10)
        assert status(run) == 200
        assert "client certificate without an allowed name" in run.logged("allowed")


def test_intermediate_authority_may_be_the_trust_anchor(web_setup: WebSetup, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    below = Authority(tmp_path / "below", "intermediate", above=web_setup.authority)
    web_setup.web(f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {below.cert}\n")
    with running(web_setup.folder, *FLAGS, session=web_setup.session(below.sign("good", "prometheus.example"))) as run:
        assert status(run) == 200
        with web_setup.session(web_setup.authority.sign("above")) as session, pytest.raises(requests.ConnectionError):
            session.get(f"https://{run.address}/", timeout=10)


VERSIONS = [
    ("min_version: TLS13", {"tls1_2": False, "tls1_3": True}),
    ("max_version: TLS12", {"tls1_2": True, "tls1_3": False}),
    ("cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]", {"tls1_2": True, "tls1_3": True}),
    ("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", {"tls1_2": False, "tls1_3": True}),
]


@pytest.mark.parametrize(("option", "spoken"), VERSIONS, ids=[row[0] for row in VERSIONS])
def test_only_allowed_tls_versions_and_suites_are_accepted(
    web_setup: WebSetup, option: str, spoken: dict[str, bool]
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not on this machine")
    web_setup.web(f"{TLS}  {option}\n")
    with running(web_setup.folder, *FLAGS, session=web_setup.session()) as run:
        for version, allowed in spoken.items():
            done = subprocess.run(
                ["openssl", "s_client", "-connect", run.address, f"-{version}", "-CAfile", web_setup.authority.cert],
                input=b"",
                capture_output=True,
                timeout=20,
                check=False,
            )
            assert (done.returncode == 0) is allowed
            if allowed and "CHACHA20" in option and version == "tls1_2":
                assert b"Cipher is ECDHE-ECDSA-CHACHA20-POLY1305" in done.stdout


def test_configured_headers_replace_those_of_the_exporter(web_setup: WebSetup) -> None:
    web_setup.web(
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        "    Content-Security-Policy: default-src 'self'\n" + USERS
    )
    with running(web_setup.folder, *FLAGS, session=web_setup.session()) as run:
        assert run.scheme == "http"
        for path, auth in (("/", None), ("/nothing", run.session.auth), ("/", run.session.auth)):
            run.session.auth = auth
            headers = run.get(path).headers
            assert headers["X-Frame-Options"] == "deny"
            assert headers["Content-Security-Policy"] == "default-src 'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"  # the status page's own stays
        assert run.stop() == 0


def test_renewed_certificate_is_used_without_a_restart(web_setup: WebSetup) -> None:
    """An invalid certificate is ignored and the previous one stays in use."""
    web_setup.web(TLS)
    with running(web_setup.folder, *FLAGS, session=web_setup.session()) as run:
        assert shown(run, web_setup) == web_setup.server.number
        renewed = web_setup.authority.sign("renewed", "localhost")
        renewed.key.chmod(0o600)
        # The certificate first, its key after a while: in between they do not match, and the old ones stay in use.
        shutil.move(renewed.cert, web_setup.server.cert)
        old = shown(run, web_setup)
        assert noticed(run, "web configuration reload failed")
        for _ in range(20):
            assert shown(run, web_setup) == old != renewed_number(web_setup)
            time.sleep(0.1)
        broken = [line for line in run.log if "reload failed" in line]
        assert len(broken) == 1
        assert "web.yml:3: tls_server_config.key_file: the key does not match the certificate" in broken[0]
        shutil.move(renewed.key, web_setup.server.key)
        assert eventually(lambda: shown(run, web_setup) == renewed_number(web_setup))
        assert noticed(run, "web configuration reloaded")
        web_setup.server.key.unlink()
        assert noticed(run, "tls_server_config.key_file: no such file")
        assert shown(run, web_setup) == renewed_number(web_setup)
        assert run.stop() == 0
    assert "Traceback" not in "".join(run.log)


def renewed_number(web_setup: WebSetup) -> int:
    return web_setup.server.number  # of the file as it is now


def test_passwords_and_tls_follow_the_web_configuration(web_setup: WebSetup) -> None:
    web_setup.web("{}")
    with running(web_setup.folder, *FLAGS, session=web_setup.session(user="")) as run:
        assert (run.scheme, status(run)) == ("http", 200)
        web_setup.web(USERS)
        assert eventually(lambda: status(run) == 401)
        web_setup.web(USERS.replace("prometheus", "promotheus").replace(HASH, "oops"))
        assert noticed(run, "reload failed")
        run.session.auth = ("prometheus", PASSWORD)
        assert status(run) == 200
        web_setup.web("")  # as some editors leave it for a moment: passwords stay required
        assert noticed(run, "the file is empty")
        run.session.auth = None
        assert status(run) == 401
        web_setup.web(TLS)
        assert eventually(lambda: status(run) == 400)  # plain HTTP to HTTPS
        run.scheme = "https"
        assert status(run) == 200
        assert noticed(run, 'web configuration reloaded" scheme=https')
        web_setup.web("{}")
        run.scheme = "http"
        assert eventually(lambda: _plain(run) == 200)
        assert run.stop() == 0


def _plain(run: Running) -> int:
    try:
        return status(run)
    except requests.ConnectionError:
        return 0


def test_removed_user_is_denied_and_cached_passwords_are_kept(
    web_setup: WebSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewed certificate causes no new password check."""
    monkeypatch.setattr(protection, "CHECK_INTERVAL", 0.0)
    request = Request("GET", "/", headers=_headers(ENCODED))
    checks: list[object] = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *args: checks.append(args) or check(*args))
    web_setup.web(TLS + USERS)
    web = web_setup.folder / "web.yml"
    guard = Protection(web, load_web(web))
    site = guard.authenticated(lambda _request: Response(200))
    checks.clear()
    assert [site(request).status for _ in range(3)] == [200] * 3
    assert len(checks) == 1
    before = guard.tls()
    with structlog.testing.capture_logs() as logged:
        web_setup.authority.sign("server", "localhost").key.chmod(0o600)
        assert site(request).status == 200
        assert guard.tls() is not before
        tries = [password for password, _ in checks if password]  # each reading tries the hashes with an empty one
        assert tries == [PASSWORD.encode()]
        web_setup.web(TLS + USERS.replace("prometheus:", "other:"))
        assert site(request).status == 401
    again = {"event": "web configuration reloaded", "scheme": "https", "users": 1, "log_level": "info"}
    assert logged == [again, again]


def _headers(encoded: str) -> dict[str, str]:
    return {"Authorization": f"Basic {encoded}"}


def test_invalid_web_configuration_exits_2_and_check_exits_1(web_setup: WebSetup) -> None:
    """Both print the same messages."""
    (web_setup.folder / "config.yaml").write_text("fetch: {timeout: 0s}\n" + APP)
    web_setup.web(f"{TLS}  min_version: TLS11\nrate_limit: {{}}\n{USERS}  bob: {HASH[:-1]}\n")
    run, check = command(web_setup.folder, WEB), command(web_setup.folder, "check", WEB)
    lines = check.stdout.splitlines()
    assert (run.returncode, check.returncode) == (2, 1)
    assert run.stderr == check.stdout
    assert [line.split(": ")[0] for line in lines] == ["config.yaml:1", "web.yml:4", "web.yml:5", "web.yml:8"]
    (web_setup.folder / "config.yaml").write_text(APP)
    assert command(web_setup.folder, "check", WEB).stdout.splitlines() == lines[1:]
    assert command(web_setup.folder, "demo", WEB).returncode == 2
    assert command(web_setup.folder, "check", "--web.config.file=nowhere.yml").stdout == (
        "nowhere.yml: the file does not exist\n"
    )


def test_check_warns_of_a_world_readable_key(web_setup: WebSetup) -> None:
    web_setup.web(TLS + USERS)
    assert command(web_setup.folder, "check", WEB).stdout == "SUCCESS: 1 apps\n"
    web_setup.server.key.chmod(0o644)
    done = command(web_setup.folder, "check", WEB)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("warning: web.yml:3: tls_server_config.key_file: the file is")


WAYS_IN = {
    "TLS": TLS,
    "TLS and passwords": TLS + USERS,
    "client certificates": CLIENTS,
    "passwords": USERS,
    "none": "{}",
}


@pytest.mark.parametrize("text", WAYS_IN.values(), ids=WAYS_IN)
def test_healthcheck_works_with_a_protected_exporter(web_setup: WebSetup, text: str) -> None:
    web_setup.web(text)
    session = web_setup.session(web_setup.authority.sign("client", "localhost"))
    with running(web_setup.folder, *FLAGS, session=session) as run:
        healthcheck = ("healthcheck", f"--web.listen-address={run.address}")
        assert command(web_setup.folder, *healthcheck, WEB).returncode == 0
        assert command(web_setup.folder, *healthcheck).returncode == 0
        web_setup.web("[")  # which breaks the configuration for healthcheck, not the exporter
        assert command(web_setup.folder, *healthcheck, WEB).returncode == 0
    assert command(web_setup.folder, *healthcheck, WEB).returncode == 1


def test_prometheus_scrapes_with_password_and_certificate(web_setup: WebSetup, prometheus: str) -> None:
    web_setup.web(CLIENTS + USERS)
    client = web_setup.authority.sign("client", "prometheus.example")
    scrape = {
        "job_name": JOB,
        "scheme": "https",
        "basic_auth": {"username": "prometheus", "password": PASSWORD},
        "tls_config": {
            "ca_file": str(web_setup.authority.cert),
            "cert_file": str(client.cert),
            "key_file": str(client.key),
        },
    }
    with running(web_setup.folder, *FLAGS, session=web_setup.session(client)) as run:
        job = scrape | {"static_configs": [{"targets": [run.address]}]}
        server = Prometheus(prometheus, web_setup.folder, [], {"scrape_configs": [job]})
        server.start()
        try:
            server.wait_for_scrapes()
            (apps,) = server.query("query", query="count(wechat_miniprogram_app_info)")
        finally:
            server.stop()
    assert apps["value"][1] == "1"

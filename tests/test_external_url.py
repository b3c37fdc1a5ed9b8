"""The exporter behind a reverse proxy under a path, one that strips its path and one that does not, over real HTTP."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

import pytest
import requests
import yaml
from harness import command, running, served
from test_documentation import Read

from exporter.reports import REPORTS
from exporter.wechat.simulator import SimulatedApp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "/tools/wechat"
DASHBOARD = "https://grafana.example.com/d/wechat-miniprogram?orgId=1"
APPID, SECRET = "wx0000000000000001", "secret-of-the-app"


@dataclass
class Proxy:
    """A small reverse proxy that passes requests below its prefix to the exporter."""

    strips: bool
    backend: str = ""
    url: str = ""


@contextmanager
def proxy(*, strips: bool) -> Iterator[Proxy]:
    self = Proxy(strips)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self_) -> None:  # noqa: N805 (http.server's name; the proxy is in a closure)
            inside = self_.path == PREFIX or self_.path.startswith((f"{PREFIX}/", f"{PREFIX}?"))
            if not inside:
                self_.send_error(404, "not below the prefix of the proxy")
                return
            connection = http.client.HTTPConnection(self.backend, timeout=10)
            path = self_.path.removeprefix(PREFIX) if self.strips else self_.path
            connection.request("GET", path, headers={"Host": self.backend})
            response = connection.getresponse()
            body = response.read()
            connection.close()
            self_.send_response(response.status)
            for name in ("Content-Type", "Location", "Content-Security-Policy"):
                if value := response.getheader(name):
                    self_.send_header(name, value)
            self_.send_header("Content-Length", str(len(body)))
            self_.end_headers()
            self_.wfile.write(body)

        def log_message(self_, *_arguments: object) -> None:  # noqa: N805 (the same)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    self.url = f"http://127.0.0.1:{server.server_port}{PREFIX}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield self
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module", params=["stripped", "stripped, no external URL", "passed on"])
def outside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Yield a proxy with an exporter behind it, whose external URL is set to that of the proxy, or not set."""
    folder = tmp_path_factory.mktemp("proxied")
    with served([SimulatedApp(APPID, SECRET)]) as (_, url), proxy(strips=request.param != "passed on") as through:
        app = f"{{appid: {APPID}, secret: {SECRET}, reports: [{', '.join(REPORTS)}]}}"
        (folder / "config.yaml").write_text(f"apps: [{app}]\nfetch: {{history_weeks: 2}}\napi: {{base_url: '{url}'}}\n")
        flags = () if "no external" in request.param else (f"--web.external-url={through.url}",)
        with running(folder, f"--dashboard.url={DASHBOARD}", *flags) as exporter:
            exporter.scrape_until(lambda samples: any(name == "weekly_visitors" for name, *_ in samples))
            through.backend = exporter.address
            yield through


def test_every_link_works_through_the_proxy(outside: Proxy) -> None:
    found: dict[str, requests.Response] = {}
    waiting = [f"{outside.url}/"]
    while waiting:
        url = waiting.pop()
        found[url] = page = requests.get(url, timeout=10)
        if page.headers["Content-Type"].startswith("text/html"):
            targets = (urldefrag(urljoin(url, link))[0] for link in Read(page.text).links)
            waiting += {each for each in targets if each.startswith("http://127.0.0.1:")} - {*found, *waiting}
    assert {url: page.status_code for url, page in found.items() if page.status_code != 200} == {}
    paths = {url.removeprefix(outside.url) for url in found}
    assert paths >= {"/", "/metrics", "/api/v1/apps", "/?report=daily", "/docs/", "/docs/alerts", "/-/healthy"}
    reports = (f"/api/v1/apps/{APPID}/reports/{name}" for name in REPORTS)
    assert paths >= {f"/apps/{APPID}", *(path + form for path in reports for form in ("", ".csv"))}


def test_pages_link_to_the_dashboard(outside: Proxy) -> None:
    def links(path: str) -> list[str]:
        return [link for link in Read(requests.get(outside.url + path, timeout=10).text).links if "grafana" in link]

    assert links("/") == [DASHBOARD, f"{DASHBOARD}&var-appid={APPID}"]
    assert links(f"/apps/{APPID}") == [f"{DASHBOARD}&var-appid={APPID}"]


def test_paths_without_their_slash_are_redirected(outside: Proxy) -> None:
    assert requests.get(f"{outside.url}/docs", timeout=10).url == f"{outside.url}/docs/"
    if not outside.strips:  # one that strips has nothing to pass on
        page = requests.get(f"{outside.url}?report=daily", timeout=10)
        assert (page.status_code, page.url) == (200, f"{outside.url}/?report=daily")


def test_exporter_is_reachable_without_the_proxy(outside: Proxy) -> None:
    for path in ("/metrics", "/-/ready", "/-/healthy", "/", "/docs/alerts"):
        assert requests.get(f"http://{outside.backend}{path}", timeout=10).status_code == 200
    assert requests.get(f"http://{outside.backend}/tools/", timeout=10).status_code == 404
    assert requests.get(f"http://{outside.backend}{PREFIX}x/", timeout=10).status_code == 404


def test_every_runbook_leads_through_the_proxy_to_its_heading(outside: Proxy, tmp_path: Path) -> None:
    printed = command(tmp_path, "rules", f"--web.external-url={outside.url}/")
    assert (printed.returncode, printed.stderr) == (0, "")
    rules = [rule for group in yaml.safe_load(printed.stdout)["groups"] for rule in group["rules"]]
    runbooks = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert runbooks == {name: f"{outside.url}/docs/alerts#{name.lower()}" for name in runbooks}
    anchors = Read(requests.get(f"{outside.url}/docs/alerts", timeout=10).text).ids
    assert runbooks
    assert [url for url in runbooks.values() if urldefrag(url)[1] not in anchors] == []


def test_a_runbook_of_your_own_is_kept(tmp_path: Path) -> None:
    printed = command(
        tmp_path, "rules", "--web.external-url=https://a.example", "--runbook.url=https://w.example/r"
    ).stdout
    assert "https://w.example/r#wechat" in printed
    assert "a.example" not in printed
    assert "runbook_url: http://localhost:10717/docs/alerts#" in command(tmp_path, "rules").stdout


def test_prefix_below_the_pages_of_apps_is_allowed(tmp_path: Path) -> None:
    assert command(tmp_path, "rules", "--web.external-url=https://a.example/apps/wechat").returncode == 0


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/metrics", "/metrics"),
        ("/-/healthy", "/-"),
        ("/docs/alerts", "/docs"),
        ("/api", "/api/v1/apps"),
        ("/apps", "/apps"),
    ],
)
def test_prefix_that_hides_a_page_is_a_usage_error(path: str, page: str, tmp_path: Path) -> None:
    result = command(tmp_path, f"--web.external-url=https://a.example{path}")
    assert result.returncode == 2
    assert result.stderr.endswith(f"--web.external-url: its path hides the exporter's page {page}\n")

"""The documentation that the exporter serves; the exporter is a real process."""

from __future__ import annotations

import http.client
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import requests
from harness import marked_hash, running

from exporter.alerts.model import AlertingRule
from exporter.alerts.rule_files import rules
from exporter.httpd import Request
from exporter.web.documentation import Documentation
from exporter.web.markdown import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Running

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("docs"), "demo") as exporter:
        yield exporter


class Read(HTMLParser):
    """The ids and links of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src", "srcset"}:
                self.links.append(value or "")


def authorized() -> requests.Session:
    session = requests.Session()
    session.auth = ("reader", "secret-of-a-reader")
    return session


def path_of(page: str) -> str:
    return "/docs/" if page == "README" else f"/docs/{page}"


def raw_status(exporter: Running, method: str, path: str) -> tuple[int, bytes]:
    """Return the response to a path that no client library has normalized."""
    connection = http.client.HTTPConnection(exporter.address, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_every_page_is_served_and_every_link_leads_somewhere(exporter: Running) -> None:
    assert {"README", "alerts", "api"} <= set(PAGES)
    pages = {path_of(page): exporter.get(path_of(page)) for page in PAGES}
    read = {path: Read(response.text) for path, response in pages.items()}
    dead = []
    for path, response in pages.items():
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8"), path
        assert len(read[path].ids) == len(set(read[path].ids)), path
        assert "<h1 id=" in response.text
        for link in read[path].links:
            target = urlsplit(urljoin(f"http://{exporter.address}{path}", link))
            if target.netloc != exporter.address or target.path == "/":
                continue
            if target.path in read:
                if target.fragment and unquote(target.fragment) not in read[target.path].ids:
                    dead.append((path, link))
            elif exporter.get(target.path).headers["Content-Type"] != "image/png":
                dead.append((path, link))
    assert dead == []


def test_every_alert_has_its_anchor(exporter: Running) -> None:
    anchors = Read(exporter.get("/docs/alerts").text).ids
    groups = rules().values()
    names = [rule.full_name.lower() for group in groups for rule in group if isinstance(rule, AlertingRule)]
    assert names
    assert [name for name in names if name not in anchors] == []


def test_documentation_has_the_headers_of_the_status_page(exporter: Running) -> None:
    for path in ("/docs/", "/docs/alerts"):
        for encoding in ("gzip", "identity"):
            page = exporter.get(path, headers={"Accept-Encoding": encoding})
            assert page.headers.get("Content-Encoding", "identity") == encoding
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Referrer-Policy"] == "no-referrer"
            assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
            assert "<script" not in page.text
            assert " style=" not in page.text


def test_docs_without_a_slash_redirects_relatively(exporter: Running) -> None:
    first = exporter.get("/docs", allow_redirects=False)
    assert (first.status_code, first.headers["Location"]) == (302, "docs/")
    assert exporter.get("/docs").url.endswith("/docs/")


ABSENT = (
    *("/docs/nonsense", "/docs/README", "/docs/alerts.md", "/docs/alerts/", "/docs//alerts", "/docsx"),
    *("/docs/../pyproject.toml", "/docs/../README", "/docs/%2e%2e/README", "/docs/..%2fREADME", "/docs/./alerts"),
    *("/docs/pictures", "/docs/pictures/", "/docs/pictures/statuspage.py", "/docs/pictures/../alerts.md"),
)


@pytest.mark.parametrize("path", ABSENT)
def test_unknown_pages_are_not_found(exporter: Running, path: str) -> None:
    assert raw_status(exporter, "GET", path)[0] == 404


def test_documentation_is_only_read(exporter: Running) -> None:
    for path in ("/docs", "/docs/", "/docs/alerts", "/docs/nonsense"):
        assert {raw_status(exporter, method, path)[0] for method in ("POST", "PUT", "DELETE")} == {405}
    assert raw_status(exporter, "HEAD", "/docs/alerts") == (200, b"")


def test_status_page_links_to_it(exporter: Running) -> None:
    links = Read(exporter.get("/").text).links
    found = [link for link in links if link.startswith("docs/")]
    assert found == ["docs/", "docs/alerts", "docs/api"]
    assert {exporter.get(f"/{link}").status_code for link in found} == {200}


def test_pictures_are_served(exporter: Running) -> None:
    for picture in sorted(DOCS.glob("pictures/*.png")):
        served = exporter.get(f"/docs/pictures/{picture.name}")
        assert (served.headers["Content-Type"], served.content) == ("image/png", picture.read_bytes())


def test_documentation_requires_the_password(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{reader: '{marked_hash('secret-of-a-reader')}'}}\n")
    with running(tmp_path, "demo", "--web.config.file=web.yml", session=authorized()) as exporter:
        assert exporter.get("/docs/alerts").status_code == 200
        exporter.session.auth = None
        for path in ("/docs", "/docs/", "/docs/alerts", "/docs/nonsense"):
            assert exporter.get(path, allow_redirects=False).status_code == 401


# --- Markdown ------------------------------------------------------------------------------------


def html(source: str, **links: str) -> str:
    return render(source, lambda link: links.get(link.partition(".")[0])).html.strip()


ANCHORS = [
    ("# WeChatMiniProgramRefused", "wechatminiprogramrefused"),
    ("# `/api/v1/apps`, and more", "apiv1apps-and-more"),
    ("# What alerts do *not* see", "what-alerts-do-not-see"),
    ("# snake_case - and-hyphens", "snake_case---and-hyphens"),
    ("# 访问方式：云函数", "访问方式云函数"),
]


@pytest.mark.parametrize(("source", "anchor"), ANCHORS)
def test_headings_have_the_anchors_of_github(source: str, anchor: str) -> None:
    assert Read(html(source)).ids == [anchor]


def test_repeated_headings_are_numbered() -> None:
    assert Read(html("# A\n\n# A\n\n# A")).ids == ["a", "a-1", "a-2"]


MARKDOWN = [
    ("[x](alerts.md)", '<p><a href="alerts">x</a></p>'),
    ("[x](https://a.example/)", '<p><a href="https://a.example/">x</a></p>'),
    ("[x](#y)", '<p><a href="#y">x</a></p>'),
    ("[`x`](../outside.yml) [y](alerts.md)", '<p><span><code>x</code></span> <a href="alerts">y</a></p>'),
    ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
    ("![the page](../no.png)", "<p>the page</p>"),
    ("a <b>c</b> & d", "<p>a &lt;b&gt;c&lt;/b&gt; &amp; d</p>"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("<!-- begin -->\n\ntext", "<p>text</p>"),
    ("| a |\n|-:|\n| 1 |", '<td class="right">1</td>'),
    (
        '<picture>\n<source media="m" srcset="dark.png">\n<img src="light.png" alt="a &quot;b" onclick="">\n</picture>',
        '<source media="m" srcset="pictures/dark.png">\n<img src="pictures/light.png" alt="a &quot;b">',
    ),
    ('<picture>\n<source srcset="no.png">\n<img alt="the page" src="no.png">\n</picture>', "the page\n</picture>"),
]


@pytest.mark.parametrize(("source", "expected"), MARKDOWN)
def test_markdown_becomes_html_without_foreign_tags(source: str, expected: str) -> None:
    links = {"alerts": "alerts", "dark": "pictures/dark.png", "light": "pictures/light.png"}
    assert expected in html(source, **links)


def test_links_out_of_the_documentation_lead_to_the_repository(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "# Top\n\n[rules](../prometheus/rules.yml#L1) [b](b.md#c) [i](README.md) [top](../README.md)\n"
    )
    (tmp_path / "b.md").write_text("# B\n\n[top](README.md#top)\n")
    blob = "https://r.example/p/blob/HEAD"
    outside = ([f"{blob}/prometheus/rules.yml#L1"], [f"{blob}/README.md"])
    for repository, (before, after) in (("", ([], [])), ("https://r.example/p", outside)):
        documentation = Documentation(tmp_path, repository)
        index, other = (documentation(Request("GET", path)) for path in ("/docs/", "/docs/b"))
        assert index is not None
        assert other is not None
        assert Read(index.body.decode()).links[3:] == [*before, "b#c", "./", *after]
        assert Read(other.body.decode()).links[3:] == ["./#top"]


def test_chinese_pages_say_so(tmp_path: Path) -> None:
    (tmp_path / "alerts.zh-CN.md").write_text("# 告警\n")
    page = Documentation(tmp_path, "")(Request("GET", "/docs/alerts.zh-CN"))
    assert page is not None
    assert '<html lang="zh-CN">' in page.body.decode()
    assert "<title>告警 - " in page.body.decode()

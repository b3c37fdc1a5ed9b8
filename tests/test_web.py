from __future__ import annotations

import base64
import gzip
import hashlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from statuses import EVERY, FULL, NEW

from exporter.guard import Guard
from exporter.httpd import Request, Server
from exporter.metrics import Format
from exporter.reports import REPORTS
from exporter.web import PageContext, Pages, Site
from exporter.web.negotiation import accepts_gzip, preferred_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.apps import AppStatus
    from exporter.reports import StoredReading


TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS
CONTEXT = PageContext("/metrics", (), 1_795_500_000.0)


def nothing_stored(*_: object) -> tuple[StoredReading, ...]:
    return ()


# --- negotiation -----------------------------------------------------------------------------------

ACCEPT = [
    ("", TEXT),
    ("*/*", TEXT),
    ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
    ("text/plain", TEXT),
    ("text/plain;version=0.0.4", TEXT),
    ("application/openmetrics-text", OPENMETRICS),
    ("application/openmetrics-text; version=1.0.0", OPENMETRICS),
    ('application/openmetrics-text; version="1.0.0"; charset=utf-8', OPENMETRICS),
    ("Application/OpenMetrics-Text;Version=1.0.0", OPENMETRICS),
    ("application/openmetrics-text;version=0.0.1", TEXT),
    ("application/openmetrics-text;version=x.y", TEXT),
    ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", TEXT),
    ("application/openmetrics-text;q=0", TEXT),
    ("application/openmetrics-text;q=0,*/*;q=1", TEXT),
    ("application/openmetrics-text;q=0.5,text/plain;q=0.9", TEXT),
    ("application/openmetrics-text;q=0.9,text/plain;q=0.5", OPENMETRICS),
    ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OPENMETRICS),
    ("application/openmetrics-text;q=high", TEXT),
    ("application/openmetrics-text;q=1.0000", TEXT),
    (",;=,;;q=,/,", TEXT),
    # Prometheus 2.42 and 3.x
    (
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ),
        OPENMETRICS,
    ),
    (
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        ),
        OPENMETRICS,
    ),
    ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT),
]


@pytest.mark.parametrize(("accept", "format_"), ACCEPT)
def test_format_is_the_one_that_the_client_prefers(accept: str, format_: Format) -> None:
    assert preferred_format(accept) is format_


ENCODINGS = [
    ("", False),
    ("identity", False),
    ("gzip", True),
    ("GZIP", True),
    ("x-gzip", True),
    ("gzip, deflate, br", True),
    ("gzip;q=0", False),
    ("gzip;q=0.0", False),
    ("gzip;q=0.001", True),
    ("*", True),
    ("*;q=0", False),
    ("gzip;q=0, *", False),
    ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
    ("gzip;q=nonsense", False),
]


@pytest.mark.parametrize(("accept_encoding", "allowed"), ENCODINGS)
def test_gzip_is_used_where_the_client_allows_it(accept_encoding: str, allowed: bool) -> None:
    assert accepts_gzip(accept_encoding) is allowed


# --- routes ----------------------------------------------------------------------------------------


@pytest.fixture
def pages() -> Pages:
    return Pages(Guard(lambda _: None), (FULL, NEW, EVERY))


@pytest.fixture
def url(pages: Pages) -> Iterator[str]:
    live = CollectorRegistry()
    Gauge("live", "Alive.", registry=live).set(1)
    server = Server(["127.0.0.1:0"], Site("/metrics", pages, live, lambda: CONTEXT, nothing_stored))
    server.start()
    yield f"http://{server.addresses[0]}"
    server.stop()


READ = {"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405, "OPTIONS": 405, "BREW": 405}
ROUTES = [
    ("/metrics", READ),
    ("/", READ),
    ("/api/v1/apps", READ),
    ("/-/healthy", READ),
    ("/-/ready", READ),
    ("/metrics?name[]=x", READ),
    ("/-/reload", {"GET": 405, "HEAD": 405, "POST": 403, "PUT": 403, "DELETE": 405}),
    ("/?report=daily", READ),
    ("/?report=monthly", READ),
    ("/?report=yearly", {"GET": 404, "HEAD": 404, "POST": 405}),
    ("/nowhere", {"GET": 404, "HEAD": 404, "POST": 404}),
    ("/metrics/", {"GET": 404}),
    ("/%2e%2e/etc/passwd", {"GET": 404}),
]


@pytest.mark.parametrize(("path", "answers"), ROUTES, ids=[row[0] for row in ROUTES])
def test_each_path_accepts_its_methods_only(url: str, pages: Pages, path: str, answers: dict[str, int]) -> None:
    pages.render()
    found = {method: requests.request(method, url + path, timeout=5) for method in answers}
    assert {method: answer.status_code for method, answer in found.items()} == answers
    for answer in found.values():
        assert ("Allow" in answer.headers) == (answer.status_code == 405)
    if "HEAD" in found:
        assert found["HEAD"].content == b""
        assert int(found["HEAD"].headers["Content-Length"]) > 0


def test_before_the_first_page_it_is_healthy_and_not_ready(url: str, pages: Pages) -> None:
    codes = {
        path: requests.get(url + path, timeout=5).status_code
        for path in ("/-/healthy", "/-/ready", "/metrics", "/", "/api/v1/apps")
    }
    assert codes == {"/-/healthy": 200, "/-/ready": 503, "/metrics": 503, "/": 503, "/api/v1/apps": 503}
    not_yet = requests.get(f"{url}/api/v1/apps", timeout=5)
    assert not_yet.json()["status"] == "error"
    assert (not_yet.headers["Cache-Control"], not_yet.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    pages.render()
    assert requests.get(f"{url}/-/ready", timeout=5).status_code == 200


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(("accept", "format_"), [("*/*", TEXT), ("application/openmetrics-text", OPENMETRICS)])
def test_metrics_have_the_requested_format_and_encoding(
    url: str, pages: Pages, accept: str, format_: Format, encoding: str
) -> None:
    pages.render()
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    with requests.get(f"{url}/metrics", headers=headers, timeout=5, stream=True) as answer:
        raw = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Type"] == format_.value
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert answer.headers.get("Content-Encoding") == ("gzip" if encoding == "gzip" else None)
    body = gzip.decompress(raw) if encoding == "gzip" else raw
    parse = parse_text if format_ is TEXT else parse_openmetrics
    names = {family.name for family in parse(body.decode())}
    assert {"live", "wechat_miniprogram_weekly_visitors"} <= names


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("path", "begin"),
    [("/", b"<!doctype html>"), ("/?report=daily", b"<!doctype html>"), ("/api/v1/apps", b'{"status":"success"')],
)
def test_page_and_json_are_encoded_as_requested_and_not_cached(
    url: str, pages: Pages, path: str, begin: bytes, encoding: str
) -> None:
    pages.render()
    with requests.get(url + path, headers={"Accept-Encoding": encoding}, timeout=5, stream=True) as answer:
        raw = answer.raw.read(decode_content=False)
    assert answer.headers.get("Content-Encoding") == ("gzip" if encoding == "gzip" else None)
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept-Encoding", "no-store")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (gzip.decompress(raw) if encoding == "gzip" else raw).startswith(begin)


VIEWS = {"": "Week", "?report=weekly": "Week", "?report=daily": "Day", "?report=monthly": "Month", "?report=": "Week"}


@pytest.mark.parametrize(("query", "kind"), VIEWS.items())
def test_each_report_has_a_view_with_its_own_policy(url: str, pages: Pages, query: str, kind: str) -> None:
    """The style differs from view to view, and so does the hash that the policy allows."""
    pages.render()
    response = requests.get(f"{url}/{query}", timeout=5)
    assert f'<th scope="col" data-key="period">{kind}</th>' in response.text
    style = response.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in response.headers["Content-Security-Policy"]


def test_unknown_report_is_answered_with_the_known_ones(url: str, pages: Pages) -> None:
    pages.render()
    for query in ("yearly", "DAILY", "%3Cscript%3E", "weekly%00"):
        response = requests.get(f"{url}/?report={query}", timeout=5)
        expected = f"unknown report, use one of: {', '.join(REPORTS)}\n"
        assert (response.status_code, response.text) == (404, expected)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), {"": 200, "weekly": 200, "daily": 404}),
        ((FULL,), {"": 200, "weekly": 200, "daily": 404}),
        ((replace(EVERY, reports=EVERY.reports[1:]),), {"": 200, "weekly": 404, "daily": 200, "monthly": 200}),
    ],
    ids=["no apps", "weekly", "daily and monthly"],
)
def test_views_are_those_of_reports_that_apps_fetch(statuses: tuple[AppStatus, ...], expected: dict[str, int]) -> None:
    pages = Pages(Guard(lambda _: None), statuses)
    pages.render()
    site = Site("/metrics", pages, CollectorRegistry(), lambda: CONTEXT, nothing_stored)
    found = {name: site(Request("GET", "/", f"report={name}" if name else "")).status for name in expected}
    assert found == expected


def test_several_accept_headers_are_one_list(url: str, pages: Pages) -> None:
    pages.render()
    import http.client  # noqa: PLC0415 (requests cannot send a header twice)

    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.putrequest("GET", "/metrics")
    connection.putheader("Accept", "text/plain;q=0.1")
    connection.putheader("Accept", "application/openmetrics-text;q=0.9")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == OPENMETRICS.value
    connection.close()


# --- pages -----------------------------------------------------------------------------------------


def test_changes_in_quick_succession_are_rendered_together() -> None:
    rendered: list[float] = []
    pages = Pages(Guard(lambda _: None))
    render = pages.render

    def record_rendering() -> None:
        rendered.append(time.monotonic())
        render()

    pages.render = record_rendering  # type: ignore[method-assign]
    stopping = threading.Event()
    thread = threading.Thread(target=pages.run, args=(stopping,))
    thread.start()
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        pages.publish((FULL,))
        time.sleep(0.005)
    stopping.set()
    pages.wake()
    thread.join(5)
    assert not thread.is_alive()
    assert 2 <= len(rendered) <= 4
    assert rendered[0] - began < 2


def test_error_in_one_rendering_does_not_stop_the_next() -> None:
    counted: list[str] = []

    def count(component: str) -> None:
        counted.append(component)
        pages.publish((FULL,))

    pages = Pages(Guard(count))
    stopping = threading.Event()
    thread = threading.Thread(target=pages.run, args=(stopping,))
    thread.start()
    pages.publish((None,))  # type: ignore[arg-type]  # an internal error
    deadline = time.monotonic() + 10
    while pages.current is None and time.monotonic() < deadline:
        time.sleep(0.01)
    stopping.set()
    pages.wake()
    thread.join(5)
    assert counted == ["pages"]
    assert pages.current is not None


def test_generation_is_not_changed_by_the_next_one() -> None:
    pages = Pages(Guard(lambda _: None), (FULL,))
    pages.render()
    first = pages.current
    pages.publish((NEW,))
    pages.render()
    assert first is not None
    assert first.statuses == (FULL,)
    assert pages.current is not None
    assert pages.current.statuses == (NEW,)

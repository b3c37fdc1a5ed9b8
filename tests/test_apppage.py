"""The page of an app: two years of figures, over real HTTP and in Chromium, and the cache of such documents."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
import requests
from browser import opened, served
from harness import FakeClock
from playwright.sync_api import expect
from sockets import eventually
from statuses import HOSTILE, NEW
from two_years import APP, DROP, NAME, NOW, STATUS, STORE, fill, newest, open_store

from exporter.apps import LastResult, State
from exporter.holidays import public_holidays
from exporter.periods import Day, Month, Week, format_beijing_minute
from exporter.reports import REPORTS, WEEKLY, Reading, StoredReading
from exporter.reports.catalogue import DAILY_SOURCES, DAILY_SUMMARY, WEEKLY_RETENTION
from exporter.store import Change
from exporter.web import Issue, apppage
from exporter.web.formats import format_change, format_figure, format_points
from exporter.web.recent import CompressedDocument, RecentDocuments, TooManyRequests
from exporter.wechat.simulator import Audience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from exporter.apps import AppStatus
    from exporter.reports import Field, Report
    from exporter.store import Store

PAGE = f"/apps/{STATUS.appid}"
REFUSED = LastResult(
    newest(DAILY_SUMMARY), State.REFUSED, NOW, NOW - 9000, "40164", "40164 <add> the IP", succeeded=NOW - 1e5
)


def with_last(status: AppStatus, **changes: object) -> AppStatus:
    """Return the app with its last report changed."""
    *others, last = status.reports
    return replace(status, reports=(*others, replace(last, **changes)))  # type: ignore[arg-type]


SHOWN = with_last(STATUS, state=State.REFUSED, last_result=REFUSED)
ODD = replace(HOSTILE, appid="../a?b=c#d%41&é", name="=1+1<script>alert(1)</script>")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(
        (SHOWN, NEW, ODD), Issue("The disk is full.", ("<b>",)), clock=lambda: NOW, read_periods=STORE.periods
    ) as address:
        yield address


def get(address: str, path: str, encoding: str = "identity") -> requests.Response:
    return requests.get(address + path, headers={"Accept-Encoding": encoding}, timeout=30)


# --- the page --------------------------------------------------------------------------------------


def test_page_shows_state_error_and_fetches(address: str) -> None:
    page = get(address, PAGE).text
    for text in (
        f"<h1>{NAME}</h1>",
        STATUS.appid,
        *(f'<h2 id="{report.name}">{report.title}</h2>' for report in REPORTS.values()),
        State.OK.text,
        State.REFUSED.text,
        "40164 &lt;add&gt; the IP",
        format_beijing_minute(NOW - 9000),
        format_beijing_minute(NOW - 1e5),
        format_beijing_minute(NOW + 5 * 3600),
        "Wed 2026-11-25 12:00 Beijing",
        "The disk is full.",
        "&lt;b&gt;",
        'href="../"',
        *(f'href="../api/v1{PAGE}/reports/{name}{form}"' for name in REPORTS for form in ("", ".csv")),
    ):
        assert text in page, text
    assert len(page.encode()) < 750_000


def section(page: str, report: Report) -> str:
    return page.partition(f'<section aria-labelledby="{report.name}">')[2].partition("</section>")[0]


def table(page: str, report: Report) -> list[list[str]]:
    """Return the rows of the table of all periods, without the notes; a cell with a change has it after a blank."""
    body = section(page, report).rpartition("<tbody>")[2]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
    return [[re.sub(r"<[^>]+>", " ", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


GAPS = {
    Week: [["3-9 Nov 2025 to 10-16 Nov 2025", "2 weeks not stored"]],
    Day: [
        ["Tue 28 Jul 2026", "1 day not stored"],
        ["Mon 6 Jul 2026 to Sat 25 Jul 2026", "20 days not stored"],
    ],
    Month: [],
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_table_has_every_period_newest_first(address: str, report: Report) -> None:
    rows, stored = table(get(address, PAGE).text, report), APP.stored[report.name]
    gaps = [row for row in rows if len(row) == 2]
    assert gaps == GAPS[report.period]
    shown = [row[0] for row in rows if row not in gaps]
    assert shown == [each.period.display_name for each in reversed(stored)]


@pytest.mark.parametrize("name", [name for name, report in REPORTS.items() if report.plain_fields])
def test_table_has_the_figures_and_changes(address: str, name: str) -> None:
    report = REPORTS[name]
    newest, earlier = APP.stored[name][-1].reading, APP.stored[name][-8 if report.period is Day else -2].reading
    row = table(get(address, PAGE).text, report)[0]
    for cell, field in zip(row[1:], report.plain_fields, strict=False):
        now, before = newest.value(field), earlier.value(field)
        assert now is not None
        assert before
        is_compared = any(each.applies_to(field) for each in report.comparisons)
        change = format_change(now / before - 1)
        assert cell == " ".join([format_figure(now, field.unit), *([change] if is_compared else [])])


def test_retention_shows_the_share_of_each_cohort(address: str) -> None:
    rows = table(get(address, PAGE).text, WEEKLY_RETENTION)
    everyone, newcomers = WEEKLY_RETENTION.fields
    stored = {each.period.display_name: each.reading for each in APP.stored["weekly_retention"]}
    for row in (row for row in rows if len(row) > 2):
        reading, cells = stored[row[0]], iter(row[1:])
        for field in (newcomers, everyone):
            size = reading.value(field)
            assert next(cells) == f"{size:,}"
            for later in "1234":
                came_back = reading.part(field, later)
                expected = "–" if came_back is None or not size else f"{came_back / size:.1%}"
                assert next(cells).split()[0] == expected
    dropped = next(row for row in rows if row[0] == DROP.display_name)
    now, before = (stored[each.display_name] for each in (DROP, DROP.before()))
    shares = [(each.part(newcomers, "1") or 0) / (each.value(newcomers) or 1) for each in (now, before)]
    assert dropped[2].partition(" ")[2] == format_points(shares[0] - shares[1])
    assert dropped[-1].startswith("RetentionDropped")
    page = section(get(address, PAGE).text, WEEKLY_RETENTION)
    assert page.count('<td class="fall">') == page.count('class="alert"') == 1
    charts = re.findall(r"<figcaption[^>]*><b>([^<]+)", page)
    assert charts == [
        "New visitors back after 1 week",
        "New visitors back after 4 weeks",
        "Visitors back after 1 week",
        "Visitors back after 4 weeks",
    ]


def test_entrances_show_the_main_ones_and_the_others(address: str) -> None:
    page = section(get(address, PAGE).text, DAILY_SOURCES)
    sessions, stored = DAILY_SOURCES.primary_field, APP.stored["daily_sources"]
    assert sessions
    sums: Counter[str] = Counter()
    for each in stored:
        sums.update({key: int(value) for name, key, value in each.reading.by_dimension if name == sessions.wechat})
    assert sessions.dimension
    main = [key for key, _ in sums.most_common(6)]
    titles = [sessions.dimension.name(key).replace("_", " ").capitalize() for key in main]
    assert re.findall(r"<figcaption[^>]*><b>([^<]+)", page) == ["Sessions", *titles]
    heads = re.findall(r'<th scope="col">([^<]+)', page.rpartition("<thead>")[2])
    assert heads == ["Day", "Sessions", *titles, "Others", "Notes"]
    reading = stored[-1].reading
    parts = [reading.part(sessions, key) for key in main]
    total = reading.value(sessions)
    others = (total or 0) - sum(part or 0 for part in parts)
    row = table(get(address, PAGE).text, DAILY_SOURCES)[0]
    assert row[1:9] == [f"{value:,}" for value in (total, *parts, others)]


def test_entrances_show_the_largest_loss_first() -> None:
    week, store = Week.of(date(2026, 11, 16)), open_store()
    fallen = fill(store, Audience(2000, drops_in=week, drops_through="2"))
    with served((fallen.status,), clock=lambda: NOW, read_periods=store.periods) as address:
        page = section(get(address, PAGE).text, DAILY_SOURCES)
    tables = dict(re.findall(r'<table aria-label="([^"]+) of two weeks">(.*?)</table>', page, re.DOTALL))
    assert list(tables) == ["Sessions by entrance", "Sessions by stay", "Sessions by depth"]
    days = {each.period: each.reading for each in fallen.stored["daily_sources"]}

    def expected(field: Field, key: str, share: Callable[[float, float], str]) -> list[str]:
        assert field.dimension
        before, now = (
            sum(days[Day.of(day)].part(field, key) or 0 for day in each.days) for each in (week.before(), week)
        )
        cells = (f"{before:,}", f"{now:,}", format_change(now / before - 1), share(before, now))
        return [field.dimension.name(key).replace("_", " "), *cells]

    sessions, _, stay, _ = DAILY_SOURCES.fields
    keys = {key for day in days.values() for name, key, _ in day.by_dimension if name == sessions.wechat}
    lost = sum(max(0, before - now) for before, now in (numbers(expected(sessions, key, no_share)) for key in keys))
    rows = [expected(sessions, key, lambda before, now: f"{(before - now) / lost:.0%}") for key in keys]
    assert cells(tables["Sessions by entrance"]) == sorted(rows, key=lambda row: int.__sub__(*numbers(row)[::-1]))
    assert cells(tables["Sessions by entrance"])[0][0] == "search"
    total = sum(numbers(expected(stay, str(key), no_share))[1] for key in range(1, 9))
    assert cells(tables["Sessions by stay"]) == [
        expected(stay, str(key), lambda _, now: f"{now / total:.0%}") for key in range(1, 9)
    ]


def no_share(*_: float) -> str:
    return ""


def numbers(row: list[str]) -> tuple[int, int]:
    """Return the figures of both weeks in a row."""
    before, now = (int(cell.replace(",", "")) for cell in row[1:3])
    return before, now


def cells(markup: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", markup.partition("<tbody>")[2], re.DOTALL)
    return [[unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_table_marks_holidays_and_alerts(address: str) -> None:
    body = section(get(address, PAGE).text, WEEKLY).partition("<tbody>")[2]
    row = next(line for line in body.splitlines() if f">{DROP.display_name}<" in line)
    assert row.count('<td class="fall">') == 4
    assert re.findall(r'href="../docs/alerts#(\w+)">(\w+)</a> ([^<]+)', row)[0] == (
        "wechatminiprogramvisitorsbelownormal",
        "VisitorsBelowNormal",
        "43% of the typical week",
    )
    assert body.count('class="fall"') == 4
    holidays = [each.period for each in APP.stored["weekly"] if public_holidays(each.period)]  # type: ignore[arg-type]
    assert body.count('class="holiday"') == len(holidays)


def test_chart_draws_every_period_and_gaps(address: str) -> None:
    page = section(get(address, PAGE).text, WEEKLY)
    charts = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)
    titles = [re.findall(r"<b>([^<]+)</b>", chart)[0] for chart in charts]
    assert titles == ["Visitors", *(field.title for field in WEEKLY.fields if not field.is_primary)]
    (area,) = re.findall(r'class="area" d="([^"]+)"', charts[0])
    stored = APP.stored["weekly"]
    assert area.count("M") == area.count("Z") == 2  # one gap
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", area)]
    values = [each.reading.values[2] for each in stored]
    top = max(value for value in values if value is not None)
    assert heights == [pytest.approx(100 - 100 * (value or 0) / top, abs=0.06) for value in values]
    (stay,) = (chart for chart in charts if "Stay per visitor" in chart)
    assert re.findall(r'class="area" d="([^"]+)"', stay)[0].count("M") == 3  # the week without this figure
    (alerts,) = re.findall(r'class="alert" d="([^"]+)"', charts[0])
    assert alerts.count("M") == 1
    assert 'class="alert"' not in stay
    (holidays,) = re.findall(r'class="holiday" d="([^"]+)"', charts[0])
    weeks = [stored[-1].period.before(n) for n in range(104)]
    assert holidays.count("M") == sum(bool(public_holidays(week)) for week in weeks)  # type: ignore[arg-type]
    assert re.findall(r"<desc[^>]*>([^<]+)<", charts[0])[0] == (
        f"102 weeks, first {values[0]:,} (25 Nov-1 Dec 2024), last {values[-1]:,} (16-22 Nov 2026),"
        f" lowest {min(values):,} (16-22 Mar 2026), highest {top:,} (16-22 Nov 2026), 2 unknown, 1 with an alert"
    )
    assert re.findall(r'class="axis" aria-hidden="true"><span>([^<]+)</span><span>([^<]+)<', charts[0]) == [
        ("25 Nov-1 Dec 2024", "16-22 Nov 2026")
    ]


def test_app_without_figures_has_a_page(address: str) -> None:
    page = get(address, "/apps/wx2").text
    assert "Nothing is stored yet." in page
    assert State.PENDING.text in page
    assert "<h1>wx2</h1>" in page
    assert get(address, "/api/v1/apps/wx2/reports/weekly").json()["data"]["periods"] == []
    assert get(address, "/api/v1/apps/wx2/reports/weekly.csv").content.count(b"\r\n") == 1


@pytest.mark.parametrize("weeks", [1, 2, 13])
def test_young_app_has_narrow_columns(weeks: int) -> None:
    with open_app(weeks=weeks) as (_, address, _):
        page = get(address, PAGE).text
        (area,) = re.findall(r'class="area" d="([^"]+)"', section(page, WEEKLY))[:1]
        assert float(area[1:].split()[0]) == pytest.approx(1000 * max(0, 12 - weeks) / max(12, weeks), abs=0.1)
        assert area.endswith("H1000V100Z")


def test_zero_is_drawn_and_differs_from_a_gap() -> None:
    with open_app() as (store, address, _):
        store.save([week(Week.of(date(2026, 11, 16)), 0), week(Week.of(date(2026, 11, 2)), 0)])
        page = section(get(address, PAGE).text, WEEKLY)
        (area,) = re.findall(r'class="area" d="([^"]+)"', page)[:1]
        assert re.findall(r"V([\d.]+)H", area) == ["99", "99"]
        assert area.count("Z") == 2


def test_report_with_unknown_figures_has_rows_without_charts() -> None:
    store, cohort = open_store(), newest(WEEKLY_RETENTION)
    sizes = StoredReading(Reading(WEEKLY_RETENTION, cohort, (1300, None)), NOW)
    store.save([Change(STATUS.appid, WEEKLY_RETENTION, sizes)])
    (known,) = (each for each in STATUS.reports if each.report is WEEKLY_RETENTION)
    history = store.read(STATUS.appid, WEEKLY_RETENTION, 1).history
    app = replace(STATUS, reports=(replace(known, history=history),))
    with served((app,), clock=lambda: NOW, read_periods=store.periods) as address:
        page = get(address, PAGE).text
    (row,) = table(page, WEEKLY_RETENTION)
    assert [row[0], row[6], row[-1]] == [cohort.display_name, "1,300", ""]
    assert set("".join([*row[1:6], *row[7:-1]])) == {"–", " "}
    assert "<figure>" not in page


def periods(address: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = get(address, f"/api/v1{PAGE}/reports/weekly").json()["data"]["periods"]
    return found


def week(period: Week, visitors: float) -> Change:
    values = (visitors * 3, visitors * 9, visitors, visitors // 3, 70.5, 30.25, 2.5)
    return Change(STATUS.appid, WEEKLY, StoredReading(Reading(WEEKLY, period, values), NOW))


@contextmanager
def open_app(weeks: int = 0) -> Iterator[tuple[Store, str, FakeClock]]:
    """Serve the app with a store that has a number of weeks."""
    store, clock = open_store(), FakeClock(NOW)
    store.save(week(Week.of(date(2026, 11, 16) - timedelta(weeks=n)), 1000 + n) for n in range(weeks))
    weekly = replace(STATUS.reports[0], history=store.read(STATUS.appid, WEEKLY, 1).history)
    with served((replace(STATUS, reports=(weekly,)),), clock=clock, read_periods=store.periods) as address:
        yield store, address, clock


def test_hostile_name_and_appid_are_escaped_and_linked(address: str) -> None:
    (link,) = re.findall(r'href="(apps/[^"]+)">=1\+1&lt;script', get(address, "/").text)
    assert link == "apps/..%2Fa%3Fb%3Dc%23d%2541%26%C3%A9"
    response = get(address, f"/{link}")
    page = response.text
    assert response.status_code == 200
    assert "<script" not in page
    assert "=1+1&lt;script&gt;" in page
    (table_link, json_link) = re.findall(r'href="(\.\./api/[^"]+)"', page)
    assert get(address, table_link.removeprefix("..")).status_code == 200
    assert get(address, json_link.removeprefix("..")).json()["data"]["appid"] == ODD.appid


def test_policy_allows_only_the_style_of_the_page(address: str) -> None:
    response = get(address, PAGE)
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert response.headers["Content-Security-Policy"] == apppage.content_security_policy()
    assert response.headers["Content-Security-Policy"].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "script" not in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "no-referrer"


# --- what is kept ----------------------------------------------------------------------------------


def test_periods_added_by_another_process_appear_within_a_minute() -> None:
    with open_app(weeks=3) as (store, address, clock):
        assert len(periods(address)) == 3
        store.save([week(Week.of(date(2025, 11, 17)), 7)])
        assert len(periods(address)) == 3
        clock.now += 60
        assert len(periods(address)) == 4


def test_document_is_rendered_once_per_version() -> None:
    documents, rendered = RecentDocuments[int](), []

    def render(version: int) -> bytes:
        rendered.append(version)
        return b"%d" % version

    for version in (1, 1, 2, 2, 1):
        found = documents.get("key", lambda version=version: version, render)
        assert b"".join(found.plain()) == gzip.decompress(found.gzipped) == b"%d" % version
    assert rendered == [1, 2, 1]
    for number in range(100):
        documents.get(number, lambda: 1, render)
    assert len(documents._documents) == 32
    documents.get(99, lambda: 1, render)
    assert len(rendered) == 103


def test_one_document_is_rendered_at_a_time_and_few_wait() -> None:
    documents, release, running, refused = RecentDocuments[int](), threading.Event(), [0], []
    most = []

    def render(_: int) -> bytes:
        running[0] += 1
        most.append(running[0])
        release.wait(10)
        running[0] -= 1
        return b"x" * 200_000

    def request(key: int) -> None:
        try:
            documents.get(key, lambda: 1, render)
        except TooManyRequests:
            refused.append(key)

    threads = [threading.Thread(target=request, args=(key,)) for key in range(40)]
    for thread in threads:
        thread.start()
    while sum(thread.is_alive() for thread in threads) > 16:
        threads[0].join(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(most) == 16
    assert len(refused) == 24
    assert documents.get(99, lambda: 1, lambda _: b"y").length == 1  # the places are free again


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
def test_plain_form_is_produced_in_chunks(size: int) -> None:
    plain = bytes(number % 251 for number in range(size))
    chunks = list(CompressedDocument.of(plain).plain())
    assert b"".join(chunks) == plain
    assert max(map(len, chunks), default=0) <= 65_536


def test_scrape_and_status_page_do_not_wait_for_the_store() -> None:
    reading, release = threading.Event(), threading.Event()

    def blocked(*_: object) -> tuple[StoredReading, ...]:
        reading.set()
        release.wait(10)
        return ()

    with served((STATUS,), read_periods=blocked) as address:
        client = threading.Thread(target=get, args=(address, PAGE))
        client.start()
        assert reading.wait(10)
        assert [get(address, path).status_code for path in ("/metrics", "/", "/api/v1/apps")] == [200] * 3
        assert client.is_alive()
        release.set()
        client.join()


# --- in Chromium -----------------------------------------------------------------------------------


@pytest.fixture
def shown(browser: Browser, address: str) -> Callable[..., Any]:
    """Yield a function that opens the page without scripts; fail on console errors and on further requests."""

    @contextmanager
    def show(**context: object) -> Iterator[Page]:
        with opened(browser, f"{address}{PAGE}", java_script_enabled=False, **context) as (page, events):
            yield page
            assert events.errors == []
            assert events.requests == [f"{address}{PAGE}"]

    return show


WIDTHS = """() => {
  for (const figure of document.querySelectorAll("figure")) {
    const [box, drawing] = [figure, figure.querySelector("svg")].map(each => each.getBoundingClientRect());
    if (drawing.width < 150 || drawing.right > box.right + 1 || figure.scrollWidth > figure.clientWidth + 1)
      return figure.outerHTML;
  }
  return [...document.querySelectorAll("section > .scroll")].map(region => {
    const box = region.getBoundingClientRect();
    return box.left >= 0 && box.right <= innerWidth && region.querySelectorAll("tbody tr:not(.gap)").length;
  });
}"""
"""Return the first chart that is too narrow or too wide, else the number of rows of each table."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_is_complete_without_scripts(shown: Callable[..., Any], width: int, scheme: str) -> None:
    with shown(color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        expect(page.get_by_role("img")).to_have_count(3 * 7 + 4 + 7 + 3)
        expect(page.get_by_role("img", name="Visitors by week", exact=True)).to_be_visible()
        assert page.evaluate(WIDTHS) == [len(APP.stored[name]) for name in REPORTS]


def test_table_scrolls_with_the_keyboard_below_its_heading(shown: Callable[..., Any]) -> None:
    with shown(viewport={"width": 360, "height": 800}) as page:
        region = page.get_by_role("region", name=re.compile("^Days 707 stored days, 21 missing between them"))
        region.focus()
        head, first = region.locator("thead th").first, region.locator("tbody th").first
        top, left = head.bounding_box()["y"], first.bounding_box()["x"]
        for _ in range(20):
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowRight")
        assert eventually(lambda: region.evaluate("each => Math.min(each.scrollTop, each.scrollLeft)") > 100)
        assert head.bounding_box()["y"] == pytest.approx(top, abs=1)
        assert first.bounding_box()["x"] == pytest.approx(left, abs=1)


def test_print_has_every_row_and_no_navigation(shown: Callable[..., Any]) -> None:
    with shown(viewport={"width": 1046, "height": 720}) as page:
        page.emulate_media(media="print")
        for region in page.locator(".scroll").all():
            assert region.evaluate("each => each.scrollHeight - each.clientHeight") <= 1
            assert region.evaluate("each => each.scrollWidth - each.clientWidth") <= 1
        assert page.locator("nav:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1046


def test_links_lead_to_the_status_page_and_back(browser: Browser, address: str) -> None:
    with opened(browser, f"{address}/") as (page, events):
        page.get_by_role("link", name=NAME).click()
        page.wait_for_url(f"**{PAGE}")
        page.get_by_role("link", name="Days").first.click()
        assert page.url.endswith("#daily")
        with page.expect_download() as download:
            page.locator("section[aria-labelledby=daily]").get_by_role("link", name="CSV").click()
        assert download.value.suggested_filename == f"{STATUS.appid}-daily.csv"
        links = page.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
        assert {page.request.get(link).status for link in links} == {200}
        page.get_by_role("link", name="All apps").click()
        page.wait_for_url(f"{address}/")
        assert events.errors == []

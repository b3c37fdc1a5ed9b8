from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from browser import opened, served
from harness import fetched_demo
from playwright.sync_api import expect
from scale import scaled

from exporter.apps import SEVERITY, AppStatus, Counters, LastResult, ReportStatus, State
from exporter.periods import Week, format_beijing_minute, newest_wanted
from exporter.reports import DAILY, MONTHLY, REPORTS, WEEKLY, History, Reading, Shape, StoredReading, Thresholds
from exporter.web import Issue
from exporter.web.columns import columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from measured import Measured
    from playwright.sync_api import Browser, Locator, Page

    from exporter.periods import Period
    from exporter.reports import Report

NOW = 1_795_500_000.0  # Tue 2026-11-24 14:00 Beijing
WEEK = Week.containing(NOW).before()
HOUR = 3600.0
NAMES = (
    "Corner Bakery",
    "<script>alert(1)</script>",
    "\"quoted\" 'twice' & <b>bold</b>",
    "مطعم \u202eעברית",
    "x" * 200,
    "店" * 200,
)


CARDS_TO = 1278
"""Pixels up to which every app is a card."""
SCROLL_BAR = 15
"""Pixels of the scroll bar of a desktop browser."""
EIGHT = (12_345_678, 12_345_678, 12_345_678, 12_345_678, 1_234_567.8, 1_234_567.8, 123_456.78)
"""Figures of eight digits, in the order of the report."""


VISITORS = WEEKLY.fields[2]


def app(number: int, name: str, state: State, level: float | None, change: float = 1.0) -> AppStatus:
    """Return an app whose figures all differ from those of the others; without a level it has none."""
    history = History(WEEKLY)
    if level is not None:
        for weeks, factor in ((6, 1.1), (1, 1.0), (0, change)):
            visitors = round(level * factor)
            values = (visitors * 3, visitors * 9 + number, visitors, visitors // 3, 70.5 - number, 30.25 + number, 2.5)
            history = history.with_reading(StoredReading(Reading(WEEKLY, WEEK.before(weeks + number % 2), values), NOW))
    message = "" if state is State.OK else f"40164 do something about <i>{name[:9]}</i>"
    succeeded = NOW - number * HOUR if level else None
    result = LastResult(WEEK, state, NOW, NOW - 30 * HOUR, "40164", message, succeeded=succeeded)
    known = None if state is State.PENDING else result
    of = ReportStatus(WEEKLY, state, known, history, NOW + 600 * (9 - number), Counters())
    return AppStatus(f"wx{number:016x}", name, (of,), Thresholds())


APPS = (
    app(1, NAMES[0], State.OK, 12_400, 0.98),
    app(2, NAMES[1], State.OK, 960, 0.5),
    app(3, NAMES[2], State.REFUSED, None),
    app(4, NAMES[3], State.FAILED, 5_100, 1.3),
    app(5, NAMES[4], State.NOT_READY, 88, 1.01),
    app(6, NAMES[5], State.QUOTA_SPENT, 1_234_567, 0.69),
    app(7, "", State.PENDING, None),
    app(8, "Tea House", State.OK, 310, 2.0),
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(
        APPS, Issue("App files are broken.", ("apps.d/a.yaml:2: <b>broken</b>",)), clock=lambda: NOW
    ) as address:
        yield address


@pytest.fixture
def shown(browser: Browser, address: str) -> Callable[..., Any]:
    """Yield a function that opens the page; fail on console errors and on requests to other hosts."""

    @contextmanager
    def show(fragment: str = "", **context: object) -> Iterator[Page]:
        with opened(browser, f"{address}/{fragment}", **context) as (page, events):
            yield page
            assert events.requests, "the page was loaded"
            assert events.errors == []
            assert {url for url in events.requests if not url.startswith(f"{address}/")} == set()

    return show


def names(page: Page) -> list[str]:
    """Return the numbers of the visible apps, from top to bottom."""
    texts = page.locator("tbody:not([hidden]) th").all_text_contents()
    return [number_of(text) for text in texts]


def number_of(text: str) -> str:
    return re.findall(r"wx0*([1-9a-f][0-9a-f]*)", text)[-1]


def test_browser_requests_only_the_page(browser: Browser, address: str) -> None:
    with opened(browser, address) as (_, events):
        assert events.requests == [f"{address}/"]


def test_content_security_policy_is_enforced(browser: Browser, address: str) -> None:
    """A violation is logged to the console, which the other tests check."""
    with opened(browser, address) as (page, events):
        page.evaluate(
            "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
            "document.body.append(script); document.body.setAttribute('style', 'color: red')"
        )
        assert page.evaluate("window.ran") is None
        page.wait_for_timeout(50)
        assert len([error for error in events.errors if "Content Security Policy" in error]) == 2


def test_hostile_names_are_shown_as_text(shown: Callable[..., Any]) -> None:
    with shown() as page:
        texts = page.locator("tbody th").evaluate_all("heads => heads.map(head => head.firstChild.textContent)")
        assert set(NAMES) < set(texts)
        assert page.locator("tbody :is(script, i)").count() == 0
        expect(page.locator(".problem p").last).to_have_text("apps.d/a.yaml:2: <b>broken</b>")


# --- filter and sort -----------------------------------------------------------------------------------

FILTERS = [
    ("bakery", ["1"]),
    ("  BAKERY ", ["1"]),
    ("<script>", ["2"]),
    ("עברית", ["4"]),
    ("wx0000000000000007", ["7"]),
    ("no such app", []),
]


def test_text_filters_by_name_and_appid(shown: Callable[..., Any]) -> None:
    with shown() as page:
        box = page.get_by_role("searchbox", name="Filter")
        for query, found in FILTERS:
            box.fill(query)
            expect(page.locator("output")).to_have_text(f"{len(found)} of 8 apps")
            assert names(page) == found, query
        box.fill("")
        expect(page.locator("output")).to_have_text("")
        assert len(names(page)) == 8


@pytest.mark.parametrize("state", State)
def test_total_filters_by_state_until_it_is_pressed_again(shown: Callable[..., Any], state: State) -> None:
    with shown() as page:
        everything = names(page)
        total = page.get_by_role("button", name=state.text)
        total.click()
        assert sorted(names(page)) == [number_of(app.appid) for app in APPS if app.state is state]
        expect(total).to_have_attribute("aria-pressed", "true")
        total.click()
        assert names(page) == everything
        expect(page.get_by_role("button", name="8 apps")).to_have_attribute("aria-pressed", "true")


def test_total_filters_apps_that_fell_beyond_their_limit(shown: Callable[..., Any]) -> None:
    with shown() as page:
        page.get_by_role("button", name="2 below alert threshold").click()
        assert names(page) == ["6", "2"]
    with shown("#state=fell") as page:
        assert names(page) == ["6", "2"]


def figure(place: int) -> Callable[[AppStatus], float | None]:
    def value(status: AppStatus) -> float | None:
        return weekly(status).history.live_value(WEEKLY.fields[place])

    return value


def weekly(status: AppStatus) -> ReportStatus:
    return status.reports[0]


def share(status: AppStatus) -> float | None:
    known = [value for value in weekly(status).history.recent_values(VISITORS, 26) if value is not None]
    return round(known[-1] / max(known), 4) if known else None


COLUMNS: list[tuple[str, Callable[[AppStatus], Any], bool]] = [
    ("App", lambda status: ((status.name or "") + status.appid).lower(), False),
    ("State", lambda status: -SEVERITY.index(status.state), False),
    ("Week", lambda status: weekly(status).history.live, True),
    ("Visitors, 26 weeks", share, True),
    *((field.title, figure(place), True) for place, field in enumerate(WEEKLY.fields)),
    ("Last success", lambda status: (last := weekly(status).last_result) and last.succeeded, True),
    ("Next fetch", lambda status: weekly(status).next_fetch, True),
]


def in_order(status_key: Callable[[AppStatus], Any], before: list[str], *, descending: bool) -> list[str]:
    """Return the expected order of a stable sort; apps without a value come last in both directions."""
    by_number = {number_of(app.appid): status_key(app) for app in APPS}
    known = [number for number in before if by_number[number] is not None]
    known.sort(key=lambda number: by_number[number])
    if descending:
        known.sort(key=lambda number: by_number[number], reverse=True)
    return known + [number for number in before if by_number[number] is None]


def test_columns_sort_both_ways_and_restore_the_first_order(shown: Callable[..., Any]) -> None:
    with shown() as page:
        first = names(page)
        for title, key, descending in COLUMNS:
            head = page.get_by_role("columnheader", name=title, exact=True)
            button = head.get_by_role("button")
            for turned in (descending, not descending):
                button.click()
                assert names(page) == in_order(key, first, descending=turned), (title, turned)
                expect(head).to_have_attribute("aria-sort", "descending" if turned else "ascending")
            button.click()
            assert names(page) == first
            expect(head).to_have_attribute("aria-sort", "none")


def test_figures_can_be_sorted_by_their_change(shown: Callable[..., Any]) -> None:
    with shown() as page:
        page.get_by_label("sort by change").check()
        page.get_by_role("button", name="Visitors", exact=True).click()
        assert names(page)[:6] == ["8", "4", "5", "1", "6", "2"]


def test_filters_and_sorting_work_with_the_keyboard(shown: Callable[..., Any]) -> None:
    with shown() as page:
        page.get_by_role("link", name="Docs").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert names(page) == ["3"]
        page.keyboard.press("Space")
        assert len(names(page)) == 8
        page.get_by_role("searchbox", name="Filter").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("columnheader", name="App", exact=True)).to_have_attribute("aria-sort", "ascending")


def test_filters_and_order_are_kept_in_the_link(shown: Callable[..., Any]) -> None:
    with shown() as page:
        page.get_by_label("sort by change").check()
        page.get_by_role("button", name="Sessions", exact=True).click()
        page.get_by_role("button", name=State.OK.text).click()
        page.get_by_role("searchbox", name="Filter").fill("er")
        expect(page.locator("output")).to_have_text("2 of 8 apps")
        fragment, found = page.evaluate("location.hash"), names(page)
    assert fragment == "#q=er&state=ok&sort=sessions&dir=desc&by=change"
    with shown(fragment) as page:
        assert names(page) == found == ["1", "2"]
        expect(page.get_by_role("searchbox")).to_have_value("er")
        page.get_by_role("link", name="Docs").click()
        page.wait_for_url("**/docs/")
        page.go_back()
        assert names(page) == found
    with shown("#state=nonsense&sort=__proto__&q=%3Cscript%3E") as page:
        assert names(page) == ["2"]


# --- text and semantics ----------------------------------------------------------------------------------------


def cell_of(page: Page, number: int, title: str) -> Locator:
    """Return the cell of an app in the column with this heading."""
    place = [known for known, _, _ in COLUMNS].index(title)
    return page.locator(f"tbody:has-text('wx{number:016x}') td:nth-child({place + 1})")


def test_relative_times_are_updated(shown: Callable[..., Any]) -> None:
    with shown(clock=NOW) as page:
        success, following = cell_of(page, 2, "Last success"), cell_of(page, 2, "Next fetch")
        expect(success.locator("span")).to_have_text("2 h ago")
        expect(success.locator("time")).to_have_text(format_beijing_minute(NOW - 2 * HOUR))
        expect(following.locator("span")).to_have_text("in 70 min")
        expect(page.locator("td[colspan] span").first).to_have_text("30 h ago")
        page.clock.fast_forward("02:00:00")
        expect(success.locator("span")).to_have_text("4 h ago")
        expect(following.locator("span")).to_have_text("due")


@pytest.mark.parametrize("hours", [-48, 0, 48], ids=["behind", "right", "ahead"])
def test_relative_times_use_the_clock_of_the_exporter(shown: Callable[..., Any], hours: int) -> None:
    with shown(clock=NOW + hours * HOUR) as page:
        expect(page.locator("#age > span").first).to_have_text("now")
        expect(page.locator("#age")).not_to_have_class("problem")
        expect(cell_of(page, 2, "Last success").locator("span")).to_have_text("2 h ago")
        expect(cell_of(page, 2, "Next fetch").locator("span")).to_have_text("in 70 min")


def test_open_page_shows_its_age_and_due_fetches(shown: Callable[..., Any]) -> None:
    with shown(clock=NOW) as page:
        page.clock.run_for("09:30")
        expect(page.locator("#age")).not_to_have_class("problem")
        page.clock.run_for("00:45")
        expect(page.locator("#age")).to_have_class("problem")
        expect(page.locator("#age > span").first).to_have_text("10 min ago")
        expect(cell_of(page, 8, "Next fetch").locator("span")).to_have_text("due")
        expect(cell_of(page, 2, "Next fetch").locator("span")).to_have_text("in 60 min")
        with page.expect_navigation():
            page.get_by_role("button", name="reload").click()


def test_chart_is_an_image_with_a_text_alternative(shown: Callable[..., Any]) -> None:
    with shown() as page:
        expect(page.get_by_role("img", name=re.compile(r"^Visitors, 7 weeks to .*; 4 unknown$"))).to_have_count(6)


def test_every_link_of_the_page_works(shown: Callable[..., Any], address: str) -> None:
    with shown() as page:
        links = page.get_by_role("link").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        pages = [link for link in links if link.startswith("apps/")]
        others = [link for link in links if link not in pages]
        assert others == ["metrics", "api/v1/apps", "-/healthy", "-/ready", "docs/", "docs/alerts", "docs/api"]
        assert sorted(pages) == sorted(f"apps/{app.appid}" for app in APPS)
        assert {page.request.get(f"{address}/{link}").status for link in links} == {200}


def test_table_is_complete_without_scripts(shown: Callable[..., Any]) -> None:
    with shown(java_script_enabled=False) as page:
        assert len(names(page)) == 8
        expect(page.get_by_role("button")).to_have_count(0)
        expect(page.get_by_role("searchbox")).to_have_count(0)
        text = page.locator("body").inner_text()
        assert [state for state in State if state.text not in text] == []
        assert format_beijing_minute(NOW - 2 * HOUR) in text
        assert "Beijing" in text
        assert " ago" not in text


# --- layout ----------------------------------------------------------------------------------------

CONTRASTS = """() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => numbers(color).slice(0, 3).map(value => value / 255)
    .map(value => value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [.2126, .7152, .0722][place], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (numbers(color)[3] !== 0) return color;
    }
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + .05) / (low + .05);
  };
  const seen = element => element.checkVisibility();
  const all = [...document.body.querySelectorAll("*")].filter(seen);
  const texts = all.filter(e => [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return {
    texts: texts.map(e => [e.tagName, e.className, e.textContent, ratio(getComputedStyle(e).color, ground(e))]),
    marks: all.filter(e => e.matches("path[d^=M]")).map(e => ratio(getComputedStyle(e).stroke, ground(e))),
    ground: light(ground(document.body)),
  };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_every_text_has_enough_contrast(shown: Callable[..., Any], measured: Measured, scheme: str, width: int) -> None:
    with shown(color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        found = page.evaluate(CONTRASTS)
        page.locator("tbody").first.hover()
        hovered = page.evaluate(CONTRASTS)
    assert (found["ground"] < 0.05) == (scheme == "dark")
    texts = found["texts"] + hovered["texts"]
    assert {"fall"} <= {classes for _, classes, _, _ in texts}
    assert [text for text in texts if text[3] < 4.5] == []
    assert min(found["marks"]) >= 3
    measured(
        "contrast of the status page",
        {"scheme": scheme, "width": width, "least of text": round(min(text[3] for text in texts), 2)},
    )


def wide(app: AppStatus) -> AppStatus:
    """Return the app with every report and the widest figures."""
    first = weekly(app)
    return replace(
        app, reports=tuple(replace(first, report=each, history=wide_history(each)) for each in REPORTS.values())
    )


def wide_history(report: Report) -> History:
    live = newest_wanted(report.period, NOW, 36_000.0)
    number = max(report.chart_periods, 9)
    return History.of(report, (StoredReading(wide_reading(report, live.before(n), n), NOW) for n in range(number)))


LONG_SOURCES = ("26", "53", "24")
"""Keys of the entrances with the longest names."""


def wide_reading(report: Report, period: Period, age: int) -> Reading:
    """Return the widest figures, changes and names; those of cohorts change by almost 100 points."""
    values = tuple(value / 100 if age else value for value in EIGHT)[: len(report.fields)]
    parts: dict[tuple[str, str], float] = {}
    if report.shape is Shape.COHORT:
        back = [value // 100 if age % 2 else value for value in values]
        keys = [str(later) for later in range(1, report.later + 1)]
        parts = {(field.wechat, key): each for field, each in zip(report.fields, back, strict=True) for key in keys}
    elif report.shape is Shape.DISTRIBUTION:
        falling = 4_000_000 if age > 14 else 1_000_000
        parts = {(report.fields[0].wechat, key): falling - 10_000 * age for key in LONG_SOURCES}
    return Reading(report, period, values, tuple((*key, value) for key, value in sorted(parts.items())))


@pytest.fixture(scope="module")
def wide_address() -> Iterator[str]:
    """The apps have the widest possible figures, with their changes."""
    with served(tuple(map(wide, APPS)), clock=lambda: NOW) as address:
        yield address


RIGHTMOST = """() => Math.max(...[...document.querySelectorAll("table, tbody, tbody *")]
  .filter(e => e.checkVisibility()).map(e => e.getBoundingClientRect().right))"""


WIDTHS = (320, 390, 600, 768, 844, 1024, CARDS_TO, CARDS_TO + 1, 1366, 1440, 1920)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("report", REPORTS)
def test_page_never_scrolls_horizontally(browser: Browser, wide_address: str, scripts: bool, report: str) -> None:
    with opened(browser, f"{wide_address}/?report={report}", java_script_enabled=scripts) as (page, events):
        page.evaluate(f"document.body.style.borderRight = '{SCROLL_BAR}px solid'")
        for width in WIDTHS:  # the layout depends on styles only, not on the script
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(RIGHTMOST) <= width - SCROLL_BAR - 12
            assert page.locator("tbody").first.evaluate("body => getComputedStyle(body).display") == (
                "grid" if width <= CARDS_TO else "table-row-group"
            )
        assert events.errors == []


def test_phone_shows_each_app_as_a_card_with_labels(shown: Callable[..., Any]) -> None:
    with shown(viewport={"width": 390, "height": 800}) as page:
        labels = page.locator("tbody:has-text('Corner Bakery') td").evaluate_all(
            "cells => cells.map(cell => getComputedStyle(cell, '::before').content.replaceAll('\"', ''))"
        )
        assert labels[1:] == [title for title, _, _ in COLUMNS[2:]]
        page.get_by_role("button", name="Visitors", exact=True).click()
        assert names(page)[0] == "6"


LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
}"""
PAPER = [("A4", 297), ("Letter", 279.4)]
"""Landscape paper sizes, with their width in millimetres."""
CUT = """() => [...document.querySelectorAll("main *")].filter(e => e.checkVisibility() && e.tagName !== "SMALL")
  .filter(e => getComputedStyle(e).overflowX !== "visible" && e.tagName !== "svg").length"""


@pytest.mark.parametrize(("name", "width"), PAPER)
@pytest.mark.parametrize("report", REPORTS)
def test_print_shows_every_column_completely(
    browser: Browser, wide_address: str, name: str, width: float, report: str
) -> None:
    inside = int((width - 20) / 25.4 * 96)
    with opened(browser, f"{wide_address}/?report={report}", viewport={"width": inside, "height": 700}) as (page, _):
        page.emulate_media(media="print")
        last = page.locator("thead th").last
        expect(last).to_have_text("Next fetch")
        expect(last).to_be_visible()
        assert inside - 20 < page.evaluate(RIGHTMOST) <= inside
        assert page.evaluate(CUT) == 0
        assert page.locator("tbody").first.evaluate("body => getComputedStyle(body).breakInside") == "avoid"
        for selector in ("nav", "#tools", "#age button", "td span:has(+ time)"):
            expect(page.locator(selector).first).to_be_hidden()
        paper = page.pdf(format=name, prefer_css_page_size=True)
    ((across, down),) = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper))
    assert float(across) > float(down)


def test_print_shows_filtered_apps_or_all_of_many(browser: Browser) -> None:
    """Without a filter all apps are printed, also those beyond the first 500."""
    many = tuple(replace(APPS[0], appid=f"wx{number:016x}") for number in range(1, 602))
    with served((*many, APPS[2])) as address, opened(browser, address) as (page, _):
        expect(page.locator("tbody:not([hidden])")).to_have_count(500)
        page.pdf()
        expect(page.locator("tbody:not([hidden])")).to_have_count(602)
        page.get_by_role("button", name=State.REFUSED.text).click()
        page.pdf()
        assert names(page) == ["3"]


def test_forced_colours_keep_dots_and_pressed_buttons_visible(shown: Callable[..., Any]) -> None:
    with shown(forced_colors="active") as page:
        page.get_by_role("button", name=State.FAILED.text).click()
        lines = page.locator("#totals button").evaluate_all(
            "all => all.map(e => [e.getAttribute('aria-pressed'), getComputedStyle(e).textDecorationLine])"
        )
        assert {tuple(line) for line in lines} == {("true", "underline"), ("false", "none")}
        dots = page.locator("tbody b").evaluate_all(
            "all => all.map(e => getComputedStyle(e, '::before').backgroundColor)"
        )
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert len(set(dots)) == len(State)
        assert ground not in dots


def test_long_or_missing_name_keeps_the_row_layout(shown: Callable[..., Any]) -> None:
    with shown(viewport={"width": 1280, "height": 800}) as page:
        named = page.locator("tbody:has-text('wx0000000000000006')")
        name, state, error = (named.locator(cell).first.bounding_box() for cell in ("th", "td", "[colspan]"))
        assert name["height"] > 150
        assert error["y"] - state["y"] < 90
        unnamed = page.locator("tbody:has-text('wx0000000000000007') th")
        assert unnamed.locator("small").count() == 0
        assert unnamed.locator("a").evaluate(LINES) == 1


# --- views -----------------------------------------------------------------------------------------------

HEADS = {
    "weekly": ("Week", "Visitors, 26 weeks"),
    "daily": ("Day", "Visitors, 56 days"),
    "monthly": ("Month", "Visitors, 13 months"),
    "weekly_retention": ("Week",),
    "daily_sources": ("Day", "Sessions, 56 days"),
    "daily_summary": ("Day", "Shares, 56 days"),
}
STRUCTURE = """() => ({
  lang: document.documentElement.lang,
  titles: document.title,
  once: ["h1", "main", "header", "footer", "caption"].map(name => document.querySelectorAll(name).length),
  navs: [...document.querySelectorAll("nav")].map(e => e.getAttribute("aria-label")),
  ids: [...document.querySelectorAll("[id]")].map(e => e.id),
  unnamed: [...document.querySelectorAll("a, button, [role=img], input")].filter(e => e.checkVisibility())
    .filter(e => !(e.textContent.trim() || e.closest("label")?.textContent.trim())).length,
  heads: [...document.querySelectorAll("th")].filter(e => !["col", "row"].includes(e.scope)).length,
  small: [...document.querySelectorAll("nav a")].map(e => e.getBoundingClientRect().height).filter(high => high < 20),
})"""


@pytest.fixture(scope="module")
def demo_address() -> Iterator[str]:
    with fetched_demo(NOW) as engine, served(engine.poller.statuses(), clock=lambda: NOW) as address:
        yield address


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_views_are_reached_by_links(browser: Browser, demo_address: str, scripts: bool) -> None:
    with opened(browser, demo_address, java_script_enabled=scripts) as (page, events):
        views = page.get_by_role("navigation", name="Reports")
        for report, apps in (("daily", 3), ("weekly_retention", 3), ("daily_sources", 3), ("weekly", 8)):
            title = REPORTS[report].title
            views.get_by_role("link", name=title).click()
            page.wait_for_url(f"{demo_address}/?report={report}")
            assert page.title() == f"WeChat Mini Programs: {title.lower()}"
            expect(views.locator("[aria-current=page]")).to_have_text(title)
            for head in HEADS[report]:
                expect(page.get_by_role("columnheader", name=head, exact=True)).to_have_count(1)
            assert len(names(page)) == apps
        assert events.errors == []
        assert {url for url in events.requests if not url.startswith(f"{demo_address}/")} == set()


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("width", [390, 1440])
def test_a_view_of_the_demo_is_accessible(browser: Browser, demo_address: str, report: str, width: int) -> None:
    size = {"width": width, "height": 800}
    with opened(browser, f"{demo_address}/?report={report}", viewport=size) as (page, events):
        found = page.evaluate(STRUCTURE)
        contrasts = page.evaluate(CONTRASTS)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        drawn = page.get_by_role("img", name=re.compile(rf"^\w+, \d+ {HEADS[report][0].lower()}s to "))
        expect(drawn).to_have_count(page.locator("svg").count())
        assert events.errors == []
    assert (found["lang"], found["once"], found["unnamed"], found["heads"]) == ("en", [1] * 5, 0, 0)
    assert found["navs"] == ["Exporter", "Reports"]
    assert len(found["ids"]) == len(set(found["ids"]))
    assert found["small"] == []
    assert [text for text in contrasts["texts"] if text[3] < 4.5] == []
    assert bool(contrasts["marks"]) == bool(REPORTS[report].primary_field)
    assert [mark for mark in contrasts["marks"] if mark < 3] == []


@pytest.mark.parametrize("report", REPORTS)
def test_phone_cards_of_a_view_are_labelled_with_its_periods(browser: Browser, demo_address: str, report: str) -> None:
    size = {"width": 390, "height": 800}
    with opened(browser, f"{demo_address}/?report={report}", viewport=size) as (page, _):
        labels = page.locator("tbody:has-text('Corner Bakery') td").evaluate_all(
            "cells => cells.map(cell => getComputedStyle(cell, '::before').content.replaceAll('\"', ''))"
        )
    titles = [column.title for column in columns(REPORTS[report])]
    assert labels[1:] == [*HEADS[report], *titles, "Last success", "Next fetch"]


def test_columns_of_words_are_sorted_by_what_was_lost(browser: Browser, demo_address: str) -> None:
    """Relative to the app: the one that lost half of its sessions through one entrance comes first."""
    with opened(browser, f"{demo_address}/?report=daily_sources") as (page, events):
        for title, first in (("Largest loss", "2"), ("Sessions of the week", "2"), ("Sessions", "2")):
            page.get_by_role("button", name=title, exact=True).click()
            assert names(page)[0] == first
        page.get_by_label("sort by change").check()
        page.get_by_role("button", name="Sessions of the week", exact=True).click()
        assert names(page)[-1] == "2"
        assert events.errors == []


def test_a_view_is_sorted_and_shared_like_the_weekly_one(browser: Browser, demo_address: str) -> None:
    with opened(browser, f"{demo_address}/?report=daily") as (page, _):
        page.get_by_role("button", name="Day", exact=True).click()
        page.get_by_role("searchbox", name="Filter").fill("books")
        expect(page.locator("output")).to_have_text("1 of 3 apps")
        assert page.url == f"{demo_address}/?report=daily#q=books&sort=period&dir=desc"
        page.get_by_role("searchbox", name="Filter").fill("")
        page.get_by_role("button", name="Day", exact=True).click()
        page.get_by_role("button", name="Day", exact=True).click()
        page.wait_for_url(f"{demo_address}/?report=daily")


@pytest.mark.parametrize("report", [DAILY, MONTHLY], ids=["daily", "monthly"])
def test_columns_of_a_chart_do_not_touch(browser: Browser, wide_address: str, report: Report) -> None:
    with opened(browser, f"{wide_address}/?report={report.name}", viewport={"width": 1440, "height": 800}) as (page, _):
        drawn = page.locator("svg").first.evaluate(
            "svg => ({columns: svg.innerHTML.match(/M[\\d.]+ /g).map(place => Number(place.slice(1))),"
            " stroke: parseFloat(getComputedStyle(svg.querySelector('path')).strokeWidth)})"
        )
    columns = drawn["columns"]
    gaps = [after - before for before, after in pairwise(columns)]
    assert len(columns) == report.chart_periods
    assert 1 < drawn["stroke"] < min(gaps)


# --- many apps -------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_five_thousand_apps_are_filtered_and_sorted(browser: Browser, measured: Measured) -> None:
    first, count = APPS[0], scaled(600, 5000)
    many = tuple(replace(first, appid=f"wx{number:016x}", name=f"App {number}") for number in range(1, count))
    with (
        served((*many, replace(APPS[2], appid="wx9999", name="Needle"))) as address,
        opened(browser, address) as (page, events),
    ):
        times = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
        expect(page.locator("tbody:not([hidden])")).to_have_count(500)
        expect(page.locator("tbody th").first).to_contain_text("Needle")
        began = time.monotonic()
        page.get_by_role("searchbox").fill("app 49")
        found = sum(str(number).startswith("49") for number in range(1, count))
        expect(page.locator("output")).to_have_text(f"{found} of {count} apps")
        filtered = time.monotonic() - began
        assert len(names(page)) == found
        page.get_by_role("searchbox").fill("")
        expect(page.locator("output")).to_have_text("")
        page.get_by_role("button", name=f"Show {count - 500} more").click()
        expect(page.locator("tbody:not([hidden])")).to_have_count(count)
        began = time.monotonic()
        page.get_by_role("button", name=State.REFUSED.text).click()
        expect(page.locator("tbody:not([hidden])")).to_have_count(1)
        chosen = time.monotonic() - began
        assert events.errors == []
    measured(
        "the status page of many apps in Chromium",
        {
            "apps": count,
            "bytes": times["decodedBodySize"],
            "gzipped": times["encodedBodySize"],
            "interactive in s": round(times["domInteractive"] / 1000, 2),
            "loaded in s": round(times["loadEventEnd"] / 1000, 2),
            "filtered in s": round(filtered, 2),
            "state chosen in s": round(chosen, 2),
        },
    )

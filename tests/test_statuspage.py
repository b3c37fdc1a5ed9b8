"""The status page: its views, rows and charts, and the cache of documents."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from harness import fetched_demo
from statuses import (
    DAY,
    EVERY,
    FULL,
    HOSTILE,
    LIVE,
    MONTH,
    NEW,
    W1,
    W2,
    figures,
    filled,
    history,
    stored,
    with_report,
)

from exporter import __version__, demo
from exporter.apps import SEVERITY, AppStatus, Counters, LastResult, ReportStatus, State
from exporter.periods import Week
from exporter.reports import (
    DAILY,
    DAILY_SOURCES,
    DAILY_SUMMARY,
    MONTHLY,
    REPORTS,
    WEEKLY,
    WEEKLY_RETENTION,
    History,
    Thresholds,
)
from exporter.web import Issue, PageContext
from exporter.web.documents import CachedDocument
from exporter.web.sparkline import column_width, sparkline
from exporter.web.statuspage import StatusPage, content_security_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.reports import Report, StoredReading

NOW = W2.end + 2.5 * 86_400
CONTEXT = PageContext("/metrics", (), NOW)


def written(*statuses: AppStatus, report: Report = WEEKLY, context: PageContext = CONTEXT) -> str:
    return CachedDocument(StatusPage(report)).body(lambda: (statuses, context)).decode()


def visitors(*values: float | None, newest: Week = W2) -> History:
    """Return a history of visitors alone, the newest week first."""
    return history(*(stored(newest.before(n), None, None, value, *[None] * 4) for n, value in enumerate(values)))


def with_visitors(now: float | None, before: float | None, appid: str = "wx1", state: State = State.OK) -> AppStatus:
    weekly = ReportStatus(WEEKLY, state, None, visitors(now, before), 1.0, Counters())
    return AppStatus(appid, "", (weekly,), Thresholds())


def test_page_shows_figures_changes_state_error_and_next_fetch() -> None:
    refused = LastResult(W2, State.REFUSED, 5.0, 5.0, "40164", "40164 add the IP")
    broken = with_report(replace(FULL, appid="wx3"), state=State.REFUSED, last_result=refused)
    page = written(FULL, NEW, broken)
    for text in (
        "Shop",
        "wx1",
        "wx2",
        '<time datetime="2026-W47">16-22 Nov 2026</time>',
        "2,470",
        "8,913",
        "226.5 s",
        "1.98",
        "+37600.0%",
        State.REFUSED.text,
        "40164 add the IP",
        '<time datetime="1970-01-01T08:00:05+08:00">1970-01-01 08:00</time>',
        f"wechat-miniprogram-exporter {__version__}",
        "Wed 2026-11-25 12:00 Beijing",
        'href="metrics"',
        'href="api/v1/apps"',
        'href="-/healthy"',
        'href="-/ready"',
        ">3 apps<",
        f">1 {State.PENDING.text}<",
        ">1 up to date<",
        f">1 {State.REFUSED.text}<",
    ):
        assert text in page, text
    assert ">0 " not in page


def test_page_explains_every_state() -> None:
    page = written(NEW)
    assert [state for state in State if state.text not in page or state.meaning not in page] == []


def test_the_worst_state_comes_first_then_the_largest_fall() -> None:
    calm = [
        with_visitors(now, before, f"app{now}")
        for now, before in ((99, 100), (500, 1000), (150, 100), (7, 20), (100, 1000))
    ]
    failing = [with_visitors(100, 100, state.value, state) for state in State]
    page = written(*calm, *failing)
    order = [name.strip() for name in re.findall(r'<th scope="row"><a[^>]*>([^<]+)', page)]
    assert order == [
        *(state.value for state in reversed(SEVERITY[1:])),
        "app100",
        "app500",
        "app99",
        "app150",
        "app7",
        "ok",
    ]
    assert ">2 below alert threshold<" in page
    assert page.count(' fell">') == 2


def test_last_success_names_the_week_that_is_missing() -> None:
    awaited = LastResult(W2, State.NOT_READY, 5.0, 5.0, "61503", "not published")
    older = with_report(FULL, state=State.NOT_READY, last_result=awaited, history=visitors(100, newest=W2.before()))
    assert "<td>not yet<small>for 16-22 Nov 2026</small></td>" in written(older)
    assert "<td>not yet</td>" in written(NEW)
    assert "<td>not yet" not in written(FULL)


def test_a_hostile_name_or_message_is_escaped() -> None:
    failed = LastResult(W2, State.FAILED, 5.0, 5.0, "other", "<img src=x onerror=alert(1)></thead>")
    page = written(with_report(HOSTILE, state=State.FAILED, last_result=failed), replace(FULL, name="\ud800"))
    assert "&lt;script&gt;" in page
    assert "<img" not in page
    assert page.count("</thead>") == page.count("<script>") == 1


def test_page_without_a_dashboard_has_no_link_to_one() -> None:
    assert "Dashboard" not in written(FULL)
    assert "var-appid" not in written(FULL)


def test_page_reports_problems_of_store_and_configuration() -> None:
    context = PageContext("/m", (Issue("The disk is full.", ("apps.d/a.yaml:2: <b>",)),), NOW)
    page = written(context=context)
    assert "The disk is full." in page
    assert "apps.d/a.yaml:2: &lt;b&gt;" in page
    assert 'href="m"' in page
    assert ">0 apps<" in page


def test_policy_allows_the_pages_own_style_and_script_only() -> None:
    page = written(FULL, HOSTILE)
    allowed = content_security_policy(WEEKLY)
    for element in ("style", "script"):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in allowed
    assert allowed.startswith("default-src 'none';")
    assert "unsafe" not in allowed
    assert (
        re.findall(r"<[^>]* (?:style|on\w+|src)=", page.replace(re.findall(r"<script>.*", page, re.DOTALL)[0], ""))
        == []
    )
    assert "http://" not in page
    assert "https://" not in page


CHANGES = [
    (100, 50, "+100.0%"),
    (90, 100, "−10.0%"),
    (0, 10, "−100.0%"),
    (1010, 1000, "+1.0%"),
    (1009, 1000, "+0.9%"),
    (991, 1000, "−0.9%"),
    (10_004, 10_000, "0.0%"),
    (9_996, 10_000, "0.0%"),
    (10, 10, "0.0%"),
    (5, 0, ""),
    (5, None, ""),
    (None, 5, ""),
]


@pytest.mark.parametrize(("now", "before", "expected"), CHANGES)
def test_change_has_its_sign_and_requires_a_base(now: float | None, before: float | None, expected: str) -> None:
    page = written(with_visitors(now, before))
    found = re.findall(r"<small>([^<]*%)</small>", page)
    assert found == ([expected] if expected else [])


def test_a_fall_below_the_threshold_is_marked_with_its_baselines() -> None:
    status = with_report(with_visitors(500, 1000), history=visitors(500, 1000, 900, 900, 900))
    page = written(status)
    title = "56% of the typical week"
    assert f'<td class="fall" title="{title}">500<small>−50.0%</small></td>' in page
    assert '<tbody class="ok fell">' in page
    assert '<li class="fell" data-state="fell">1 below alert threshold</li>' in page
    allowed = written(replace(status, thresholds=Thresholds().with_ratios({("weekly", "visitors_min_ratio"): 0.4})))
    assert "fall" not in re.findall(r"<tbody.*</tbody>", allowed, re.DOTALL)[0]
    assert 'data-state="fell"' not in allowed


HOLIDAY_WEEKS = [
    (date(2026, 10, 5), ["3 holidays", "previous week: 2 holidays"]),
    (date(2026, 10, 12), ["previous week: 3 holidays"]),
    (date(2026, 4, 6), ["1 holiday"]),
    (date(2026, 11, 16), []),
    (date(2003, 10, 13), []),
]


@pytest.mark.parametrize(("monday", "expected"), HOLIDAY_WEEKS)
def test_week_shows_its_public_holidays(monday: date, expected: list[str]) -> None:
    page = written(with_report(with_visitors(500, 1000), history=visitors(500, 1000, newest=Week.of(monday))))
    assert re.findall(r"<small>([^<]*holidays?)</small>", page) == expected
    assert ('class="fall"' in page) == (expected == [])


# --- a document --------------------------------------------------------------------------------------


def rendered(
    document: CachedDocument,
    statuses: Sequence[AppStatus],
    context: PageContext = CONTEXT,
    *,
    gzipped: bool = False,
) -> bytes:
    return document.body(lambda: (statuses, context), gzipped=gzipped)


@dataclass
class Counting:
    rendered: list[str] = field(default_factory=list)

    def render_app(self, status: AppStatus) -> bytes:
        self.rendered.append(status.appid)
        return f"{status.appid}\n".encode()

    def render_document(
        self, _: Sequence[AppStatus], fragments: Sequence[bytes], context: PageContext
    ) -> Sequence[bytes]:
        return [f"{context.now:.0f} {context.issues}\n".encode(), *fragments]


def test_only_changed_apps_are_rendered_again() -> None:
    form = Counting()
    document = CachedDocument(form)
    assert rendered(document, (FULL, NEW)).endswith(b"wx1\nwx2\n")
    assert rendered(document, (FULL, with_report(NEW, next_fetch=8.0))).endswith(b"wx1\nwx2\n")
    assert rendered(document, (FULL,)).endswith(b"\nwx1\n")
    rendered(document, (FULL, NEW))
    assert form.rendered == ["wx1", "wx2", "wx2", "wx2"]


def test_document_is_rendered_again_after_a_change_or_a_minute() -> None:
    document = CachedDocument(Counting())
    statuses = (FULL, NEW)
    first = rendered(document, statuses)
    assert rendered(document, statuses, replace(CONTEXT, now=NOW + 59)) is first
    assert rendered(document, statuses, replace(CONTEXT, now=NOW + 60)).startswith(f"{NOW + 60:.0f} ".encode())
    assert b"full" in rendered(document, statuses, replace(CONTEXT, now=NOW + 60, issues=(Issue("full", ()),)))


def test_gzipped_document_is_the_same_and_made_once() -> None:
    document = CachedDocument(StatusPage(WEEKLY))
    statuses = (FULL, NEW)
    packed = rendered(document, statuses, gzipped=True)
    assert gzip.decompress(packed) == rendered(document, statuses)
    assert rendered(document, statuses, gzipped=True) is packed


def test_a_reader_that_waited_gets_the_newest_document() -> None:
    form, held, answers = Counting(), threading.Event(), []
    document, newest = CachedDocument(form), [(FULL,)]

    def slow() -> tuple[Sequence[AppStatus], PageContext]:
        held.wait(10)
        return newest[0], CONTEXT

    first = threading.Thread(target=document.body, args=(slow,))
    second = threading.Thread(target=lambda: answers.append(document.body(lambda: (newest[0], CONTEXT))))
    first.start()
    second.start()
    newest[0] = (FULL, NEW)
    held.set()
    first.join()
    second.join()
    assert answers[0].endswith(b"wx1\nwx2\n")
    assert form.rendered == ["wx1", "wx2"]


# --- sparklines --------------------------------------------------------------------------------------

DRAWN = [
    ("one week is at the right end", [5], ("", "M102 28v-28", 1.0), "first 5, last 5, lowest 5, highest 5"),
    ("columns begin at zero", [100, 50], ("M98 28v-28", "M102 28v-14", 0.5), "first 100, last 50, lowest 50"),
    ("zero is a figure and is visible", [0, 0], ("M98 28v-1", "M102 28v-1", 0.0), "lowest 0, highest 0"),
    ("an unknown week is a gap", [4, None, 4], ("M94 28v-28", "M102 28v-28", 1.0), "highest 4; 1 unknown"),
    ("so is the live one", [4, None], ("M98 28v-28", "", None), "2 weeks to 16-22 Nov 2026: first 4, last 4"),
]


@pytest.mark.parametrize(("why", "values", "drawn", "expected"), DRAWN, ids=[row[0] for row in DRAWN])
def test_history_is_drawn_as_columns_with_a_text(
    why: str, values: list[float | None], drawn: tuple[str, str, float | None], expected: str
) -> None:
    assert why
    live = stored(W2, 1, None, values[-1], *[None] * 4)
    earlier = (stored(W2.before(n), None, None, value, *[None] * 4) for n, value in enumerate(values[-2::-1], 1))
    chart = sparkline(history(*earlier, live))
    assert chart is not None
    assert (chart.earlier, chart.live, chart.share) == drawn
    assert chart.description.startswith("Visitors, ")
    assert expected in chart.description


def test_history_without_a_known_figure_has_no_chart() -> None:
    assert sparkline(History(WEEKLY)) is None
    assert sparkline(history(stored(W2, 1, *[None] * 6))) is None


CHARTS = [
    (WEEKLY, 26, 3, "Visitors, 26 weeks to 16-22 Nov 2026: "),
    (DAILY, 56, 1.39, "Visitors, 56 days to Tue 24 Nov 2026: "),
    (MONTHLY, 13, 6, "Visitors, 13 months to October 2026: "),
    (DAILY_SOURCES, 56, 1.39, "Sessions, 56 days to Tue 24 Nov 2026: "),
    (DAILY_SUMMARY, 56, 1.39, "Shares, 56 days to Tue 24 Nov 2026: "),
]


@pytest.mark.parametrize(("report", "length", "width", "expected"), CHARTS, ids=[row[0].name for row in CHARTS])
def test_chart_of_each_report_covers_its_full_width(report: Report, length: int, width: float, expected: str) -> None:
    """More periods than the chart has are not drawn, and columns do not touch each other."""
    live = LIVE[report.name]
    readings = [filled(report, live.before(n)) for n in range(report.lookback + 3)]
    chart = sparkline(history(*readings, report=report))
    assert chart is not None
    places = [float(x) for x in re.findall(r"M([\d.]+) ", chart.earlier + chart.live)]
    step = 104 / length
    assert (len(places), report.chart_periods) == (length, length)
    assert places == pytest.approx([step * (n + 0.5) for n in range(length)], abs=0.051)
    assert chart.description.startswith(expected)
    assert column_width(report) == width < step - 0.05
    page = written(EVERY, report=report)
    assert f"stroke-width: {width}; " in page
    assert [row[0] for row in CHARTS] == [each for each in REPORTS.values() if each.primary_field]


# --- views -------------------------------------------------------------------------------------------

FIGURES = [field.title for field in WEEKLY.fields]
HEADS = {
    "weekly": ["Week", "Visitors, 26 weeks", *FIGURES],
    "daily": ["Day", "Visitors, 56 days", *FIGURES],
    "monthly": ["Month", "Visitors, 13 months", *FIGURES],
    "weekly_retention": [
        "Week",
        "New visitors back after 1 week",
        *(f"New visitors back after {weeks} weeks" for weeks in (2, 3, 4)),
        "Visitors back after 1 week",
        *(f"Visitors back after {weeks} weeks" for weeks in (2, 3, 4)),
    ],
    "daily_sources": [
        "Day",
        "Sessions, 56 days",
        *("Sessions", "Sessions of the week", "Largest loss", "Second largest", "Third largest"),
    ],
    "daily_summary": ["Day", "Shares, 56 days", "Shares", "Sharers", "Total visitors"],
}
CAPTIONS = {
    "weekly": "Figures of complete weeks, Monday to Sunday, each with its change against the previous week.",
    "daily": "Figures of complete days, each with its change against the same weekday of the previous week.",
    "monthly": "Figures of complete months, each with its change against the previous month.",
    "weekly_retention": (
        "Visitors of complete weeks, Monday to Sunday, who came back, as a share of the week's visitors, each with its"
        " change in percentage points (pp) against those of the previous week."
    ),
    "daily_sources": (
        "Sessions of complete days, and the entrances that lost most in the newest complete week, each with its change"
        " against the previous week."
    ),
    "daily_summary": "Figures of complete days, each with its change against the same weekday of the previous week.",
}
NEWEST = {
    "weekly": '<time datetime="2026-W47">16-22 Nov 2026</time>',
    "daily": '<time datetime="2026-11-24">Tue 24 Nov 2026</time>',
    "monthly": '<time datetime="2026-10">October 2026</time>',
    "weekly_retention": '<time datetime="2026-W46">9-15 Nov 2026</time>',
    "daily_sources": '<time datetime="2026-11-24">Tue 24 Nov 2026</time>',
    "daily_summary": '<time datetime="2026-11-24">Tue 24 Nov 2026</time>',
}


@pytest.mark.parametrize("name", REPORTS)
def test_view_names_its_own_periods(name: str) -> None:
    report = REPORTS[name]
    kind = report.period.NAME
    page = written(EVERY, FULL, report=report)
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', page)
    assert heads == ["App", "State", *HEADS[name], "Last success", "Next fetch"]
    (row,) = re.findall(r'<tr>(?:(?!</tr>).)*<th scope="row"><a[^>]*>Everything.*?</tr>', page, re.DOTALL)
    assert row.count("<td") == len(heads) - 1
    assert f'title="when the newest finished {kind} last arrived"' in page
    assert f"<caption>{CAPTIONS[name]} All times are Beijing time (UTC+8).</caption>" in page
    assert NEWEST[name] in page
    assert f"<title>WeChat Mini Programs: {report.title.lower()}</title>" in page
    assert f'td:nth-child(3)::before {{ content: "{kind.capitalize()}"; }}' in page
    footer = " ".join(page.partition("<footer>")[2].split())
    assert f"is when the newest finished {kind} last arrived" in footer
    assert (f"an unknown {kind} is a gap" in footer) == bool(report.primary_field)
    others = {each.period.NAME for each in REPORTS.values()} - {kind}
    if name == "weekly":
        assert "below the app's alert threshold (<code>alerts.weekly</code>)" in footer
        assert "against the typical week or the previous week, by" in footer
        assert "weekdays off for a public holiday of mainland China in the live week; weekdays" in footer
    else:
        assert (f"<code>alerts.{name}</code>" in footer) == ("bold" in footer)
        assert [other for other in others - {"week"} if re.search(rf"\b{other}\b", footer)] == []
    assert ("Notes below a" in footer) == bool(report.calendar)


@pytest.mark.parametrize("name", REPORTS)
def test_views_link_to_each_other_weekly_first(name: str) -> None:
    page = written(EVERY, FULL, report=REPORTS[name])
    links = re.findall(r'<a href="\?report=(\w+)"( aria-current="page")?>(\w+)</a>', page)
    assert [(report, title) for report, _, title in links] == [
        ("weekly", "Weeks"),
        ("daily", "Days"),
        ("monthly", "Months"),
        ("weekly_retention", "Retention"),
        ("daily_sources", "Entrances"),
        ("daily_summary", "Shares"),
    ]
    assert [report for report, current, _ in links if current] == [name]


def test_without_a_second_report_there_are_no_links_to_views() -> None:
    page = written(FULL, NEW)
    assert "?report=" not in page
    assert "<title>WeChat Mini Programs</title>" in page


def test_a_view_has_only_apps_that_fetch_its_report() -> None:
    page = written(EVERY, FULL, NEW, report=DAILY)
    assert re.findall(r'<th scope="row"[^>]*><a[^>]*>([^<]+)', page) == ["Everything"]
    assert ">1 app<" in page
    assert ">1 up to date<" in page
    assert f"{State.PENDING.text}</li>" not in page


def test_a_view_shows_figures_and_changes_of_its_report() -> None:
    for report, live, back in ((WEEKLY, W2, 1), (DAILY, DAY, 7), (MONTHLY, MONTH, 1)):
        page = written(EVERY, report=report)
        now, before = figures(live), figures(live.before(back))
        change = f"{now[2] / before[2] - 1:+.1%}".replace("-", "−")
        assert re.search(rf">{now[2]:,}<small[^>]*>{re.escape(change)}</small>", page), report.name


# --- reports in parts --------------------------------------------------------------------------------


def cells_of(page: str, name: str = "Everything") -> list[str]:
    """Return the cells of an app beside its name, its markup reduced to ``figure|change|detail``."""
    (row,) = re.findall(rf'<th scope="row"[^>]*><a[^>]*>{name}.*?</tr>', page, re.DOTALL)
    return [re.sub(r"</?small>", "|", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]


def with_cohorts(*readings: StoredReading) -> AppStatus:
    of = replace(EVERY.reports[3], history=history(*readings, report=WEEKLY_RETENTION))
    return replace(EVERY, reports=(of,))


def test_retention_is_a_share_with_its_change_in_points() -> None:
    sizes = ((800, 200), (500, 100))
    newest = stored(W1, *sizes[0], report=WEEKLY_RETENTION, parts={"visit_uv": {1: 400}, "visit_uv_new": {1: 30}})
    before = stored(
        W1.before(),
        *sizes[1],
        report=WEEKLY_RETENTION,
        parts={"visit_uv": {1: 250, 2: 240}, "visit_uv_new": {1: 25, 2: 0}},
    )
    page = written(with_cohorts(newest, before), report=WEEKLY_RETENTION)
    assert cells_of(page)[2:6] == ["15.0%|−10.0 pp|", "0.0%", "–", "–"]
    assert cells_of(page)[6:10] == ["50.0%|0.0 pp|", "48.0%", "–", "–"]
    assert 'title="30 of 200 new visitors of 9-15 Nov 2026"' in page
    assert 'title="240 of 500 visitors of 2-8 Nov 2026"' in page


@pytest.mark.parametrize("size", [None, 0])
def test_retention_of_a_cohort_without_a_size_is_unknown(size: int | None) -> None:
    newest = stored(W1, 800, size, report=WEEKLY_RETENTION, parts={"visit_uv": {1: 400}, "visit_uv_new": {1: 30}})
    page = written(with_cohorts(newest), report=WEEKLY_RETENTION)
    assert cells_of(page)[2:10] == [*"––––", "50.0%", *"–––"]


def with_sources(*days: dict[int, int]) -> AppStatus:
    """Return an app whose sessions by entrance are these, the newest day first; the newest is a Sunday."""
    newest = DAY.of(W2.last)
    readings = (
        stored(newest.before(n), sum(each.values()), None, None, None, report=DAILY_SOURCES, parts={SOURCE: each})
        for n, each in enumerate(days)
        if each
    )
    of = replace(EVERY.reports[4], history=history(*readings, report=DAILY_SOURCES))
    return replace(EVERY, reports=(of,))


SOURCE = "access_source_session_cnt"
CALM = {2: 100, 18: 50, 63: 10, 1: 40}


def test_entrances_that_lost_most_are_shown_with_their_share() -> None:
    """The share is that of all losses: what one entrance gained does not make the others' exceed 100 %."""
    fallen = {2: 39, 18: 40, 63: 9, 1: 60}
    page = written(with_sources(*[fallen] * 7, *[CALM] * 7), report=DAILY_SOURCES)
    assert cells_of(page)[3:8] == [
        "148",
        "1,036|−26.0%||16-22 Nov 2026|",
        "search|−61.0%||85% of the losses|",
        "official account article|−20.0%||14% of the losses|",
        "key 63|−10.0%||1% of the losses|",
    ]
    assert 'title="273 in 16-22 Nov 2026, 700 in the previous week" data-share="0.305">search' in page


def test_an_entrance_that_disappeared_lost_everything() -> None:
    gone = {key: number for key, number in CALM.items() if key != 1}
    page = written(with_sources(*[gone] * 7, *[CALM] * 7), report=DAILY_SOURCES)
    assert cells_of(page)[4:8] == [
        "1,120|−20.0%||16-22 Nov 2026|",
        "history list|−100.0%||100% of the losses|",
        "–",
        "–",
    ]


def test_losses_need_every_day_of_two_weeks() -> None:
    """Until the newest week is complete, the one before is compared; with one day unknown, nothing is."""
    running = written(with_sources(CALM, {}, *[CALM] * 5, *[CALM] * 14), report=DAILY_SOURCES)
    assert cells_of(running)[4:8] == ["1,400|0.0%||9-15 Nov 2026|", "–", "–", "–"]
    gap = written(with_sources(*[CALM] * 9, {}, *[CALM] * 4), report=DAILY_SOURCES)
    assert cells_of(gap)[3:8] == ["200", "–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("day", "notes"),
    [
        (date(2026, 10, 1), ["holiday or make-up day"]),
        (date(2026, 10, 8), ["previous week: holiday or make-up day"]),
        (date(2026, 11, 24), []),
    ],
)
def test_day_shows_its_public_holiday(day: date, notes: list[str]) -> None:
    live = DAY.of(day)
    daily = replace(EVERY.reports[1], history=history(stored(live, *(1,) * 7, report=DAILY), report=DAILY))
    page = written(replace(EVERY, reports=(daily,)), report=DAILY)
    assert re.findall(r"<small>([^<]*day)</small>", page) == notes


def test_a_report_without_a_leading_figure_has_no_chart() -> None:
    report = replace(
        DAILY, name="made_up", fields=tuple(replace(field, is_primary=False) for field in DAILY.fields[:3])
    )
    live = replace(EVERY.reports[1], report=report, history=history(stored(DAY, 1, 2, 3, report=report), report=report))
    page = written(replace(EVERY, reports=(replace(live, state=State.FAILED),)), report=report)
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', page)
    assert heads == ["App", "State", "Day", "Sessions", "Visits", "Visitors", "Last success", "Next fetch"]
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*<th scope=\"row\".*?</tr>", page, re.DOTALL)
    assert row.count("<td") == len(heads) - 1
    assert 'colspan="7"' in page
    assert 'td:nth-child(4)::before { content: "Sessions"; }' in page
    assert 'td:nth-child(8)::before { content: "Next fetch"; }' in page
    assert "chart" not in page.partition("<footer>")[2].partition("<script>")[0]


# --- the demo ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo_apps() -> Iterator[tuple[AppStatus, ...]]:
    with fetched_demo(NOW) as engine:
        yield engine.poller.statuses()


def test_demo_fetches_as_many_weeks_as_are_drawn() -> None:
    assert demo.FETCH.history_weeks == WEEKLY.chart_periods


def test_each_view_of_the_demo(demo_apps: tuple[AppStatus, ...]) -> None:
    everything = {status.name for status in demo_apps if len(status.reports) == len(REPORTS)}
    assert len(everything) == 3
    for name, report in REPORTS.items():
        page = written(*demo_apps, report=report)
        apps = set(re.findall(r'<th scope="row"[^>]*><a[^>]*>([^<]+)', page))
        assert apps == (everything if name != "weekly" else {status.name for status in demo_apps})
        shown = [
            row for row in re.findall(r"<tbody.*?</tbody>", page, re.DOTALL) if any(app in row for app in everything)
        ]
        assert len(shown) == 3
        assert all(row.count("<svg") == bool(report.primary_field) for row in shown)
        assert all(re.search("(%| pp)</small>", row) for row in shown)
        kind = report.period.NAME
        if report.primary_field:
            title = report.primary_field.total_title
            lengths = {int(number) for number in re.findall(rf"<title>{title}, (\d+) {kind}s to", "".join(shown))}
            assert lengths == {{"week": 9, "day": 56, "month": 3}[kind]}


def test_the_demo_shows_through_which_entrance_an_app_fell(demo_apps: tuple[AppStatus, ...]) -> None:
    page = written(*demo_apps, report=DAILY_SOURCES)
    assert cells_of(page, "Travel Buddy")[5].startswith("search|−")
    assert cells_of(page, "Second-hand Books")[5].startswith("official account article|−")
    new_visitors = cells_of(written(*demo_apps, report=WEEKLY_RETENTION), "Travel Buddy")[2]
    assert re.fullmatch(r"1[23]\.\d%\|−1\d\.\d pp\|", new_visitors)

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
from test_metrics import FULL, HOSTILE, NEW, W2

from exporter import __version__
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading, Thresholds
from exporter.status import SEVERITY, TRAIL_WEEKS, Answer, Counters, Kept, Recent, State, Status, Trail
from exporter.web import Surroundings, Trouble
from exporter.web.documents import Document
from exporter.web.sparkline import sparkline
from exporter.web.statuspage import StatusPage, policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.reports import Report

NOW = W2.end + 2.5 * 86_400
SURROUNDINGS = Surroundings(WEEKLY, "/metrics", (), NOW)


def written(*statuses: Status, surroundings: Surroundings = SURROUNDINGS) -> str:
    return Document(StatusPage()).body(lambda: (statuses, surroundings)).decode()


def with_visitors(now: float | None, before: float | None, appid: str = "wx1", state: State = State.OK) -> Status:
    def kept(value: float | None, week: Week) -> Kept:
        return Kept(Reading(WEEKLY, week, (None, None, value, None, None, None, None)), 1.0)

    recent = Recent((kept(now, W2), kept(before, W2.before())))
    return Status(appid, "", state, None, recent, 1.0, Counters(), Thresholds())


def test_the_page_shows_every_app_with_week_figures_change_state_error_and_next_look() -> None:
    broken = replace(
        FULL, appid="wx3", state=State.REFUSED, answer=Answer(W2, State.REFUSED, 5.0, 5.0, "40164", "40164 add the IP")
    )
    page = written(FULL, NEW, broken)
    for words in (
        "Shop",
        "wx1",
        "wx2",
        '<time datetime="2026-W47">16-22 Nov 2026</time>',
        "2,470",
        "8,913",
        "226.5 s",
        "1.98",
        "+37600.0%",
        "refused: a person must act",
        "40164 add the IP",
        '<time datetime="1970-01-01T08:00:05+08:00">1970-01-01 08:00</time>',
        f"wechat-miniprogram-exporter {__version__}",
        "Wed 2026-11-25 12:00 Beijing",
        'href="/metrics"',
        'href="/api/v1/apps"',
        'href="/-/healthy"',
        'href="/-/ready"',
        ">3 apps<",
        ">1 not asked yet<",
        ">1 up to date<",
        ">1 refused: a person must act<",
    ):
        assert words in page, words
    assert ">0 " not in page


def test_what_every_state_means_is_said_on_the_page() -> None:
    page = written(NEW)
    assert [state for state in State if state.words not in page or state.meaning not in page] == []


def test_the_worst_state_comes_first_and_then_the_largest_fall_beyond_a_limit() -> None:
    calm = [
        with_visitors(now, before, f"app{now}")
        for now, before in ((99, 100), (500, 1000), (150, 100), (7, 20), (100, 1000))
    ]
    troubled = [with_visitors(100, 100, state.value, state) for state in State]
    page = written(*calm, *troubled)
    order = [name.strip() for name in re.findall(r'<th scope="row">([^<]+)', page)]
    assert order == [
        *(state.value for state in reversed(SEVERITY[1:])),
        "app100",
        "app500",
        "app99",
        "app150",
        "app7",
        "ok",
    ]
    assert ">2 fell beyond their limit<" in page
    assert page.count(' fell">') == 2


def test_a_hostile_name_or_message_is_escaped() -> None:
    answer = Answer(W2, State.FAILED, 5.0, 5.0, "other", "<img src=x onerror=alert(1)></thead>")
    page = written(replace(HOSTILE, state=State.FAILED, answer=answer), replace(FULL, name="\ud800"))
    assert "&lt;script&gt;" in page
    assert "<img" not in page
    assert page.count("</thead>") == page.count("<script>") == 1


def test_the_page_says_what_is_wrong_with_store_and_configuration() -> None:
    surroundings = Surroundings(WEEKLY, "/m", (Trouble("The disk is full.", ("apps.d/a.yaml:2: <b>",)),), NOW)
    page = written(surroundings=surroundings)
    assert "The disk is full." in page
    assert "apps.d/a.yaml:2: &lt;b&gt;" in page
    assert 'href="/m"' in page
    assert ">0 apps<" in page


def test_the_policy_allows_the_pages_own_style_and_script_by_their_hashes_and_nothing_else() -> None:
    page = written(FULL, HOSTILE)
    allowed = policy(WEEKLY)
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
    (100, 50, "+100.0%", "up"),
    (90, 100, "−10.0%", "down"),
    (0, 10, "−100.0%", "down"),
    (1010, 1000, "+1.0%", "up"),
    (1009, 1000, "+0.9%", ""),
    (991, 1000, "−0.9%", ""),
    (10_004, 10_000, "0.0%", ""),
    (9_996, 10_000, "0.0%", ""),
    (10, 10, "0.0%", ""),
    (5, 0, "", ""),
    (5, None, "", ""),
    (None, 5, "", ""),
]


@pytest.mark.parametrize(("now", "before", "words", "trend"), CHANGES)
def test_a_change_has_its_sign_and_needs_a_base(
    now: float | None, before: float | None, words: str, trend: str
) -> None:
    page = written(with_visitors(now, before))
    assert re.findall(r"<small(?: class=\"(\w+)\")?>([^<]*%)</small>", page) == ([(trend, words)] if words else [])
    assert len(CHANGES) == 12


def test_a_fall_beyond_what_the_app_may_fall_is_marked_and_says_from_where() -> None:
    weeks = [with_visitors(500, before).recent.weeks[1] for before in (1000, 900, 900, 900)]
    course = tuple(replace(kept, reading=replace(kept.reading, week=W2.before(n))) for n, kept in enumerate(weeks, 1))
    status = with_visitors(500, 1000)
    page = written(replace(status, recent=Recent((status.recent.weeks[0], *course))))
    words = "50% of the week before, 56% of the median of the four weeks before"
    assert f'<td class="fall" title="{words}">500<small class="down">−50.0%</small></td>' in page
    assert '<tbody class="ok fell">' in page
    assert '<li class="fell" data-state="fell">1 fell beyond its limit</li>' in page
    allowed = written(replace(status, thresholds=Thresholds(visitors_min_ratio=0.4)))
    assert "fall" not in re.findall(r"<tbody.*</tbody>", allowed, re.DOTALL)[0]
    assert 'data-state="fell"' not in allowed


HOLIDAY_WEEKS = [
    (date(2026, 10, 5), ["3 holidays", "before: 2 holidays"]),
    (date(2026, 10, 12), ["before: 3 holidays"]),
    (date(2026, 4, 6), ["1 holiday"]),
    (date(2026, 11, 16), []),
    (date(2003, 10, 13), []),
]


@pytest.mark.parametrize(("monday", "words"), HOLIDAY_WEEKS)
def test_a_week_says_which_holidays_explain_its_figures(monday: date, words: list[str]) -> None:
    status = with_visitors(500, 1000)
    moved = tuple(
        replace(kept, reading=replace(kept.reading, week=Week(monday).before(n)))
        for n, kept in enumerate(status.recent.weeks)
    )
    page = written(replace(status, recent=Recent(moved)))
    assert re.findall(r"<small>([^<]*holidays?)</small>", page) == words
    assert ('class="fall"' in page) == (words == [])
    assert len(HOLIDAY_WEEKS) == 5


# --- a document --------------------------------------------------------------------------------------


def told(
    document: Document, statuses: Sequence[Status], surroundings: Surroundings = SURROUNDINGS, *, gzipped: bool = False
) -> bytes:
    return document.body(lambda: (statuses, surroundings), gzipped=gzipped)


@dataclass
class Counting:
    asked: list[str] = field(default_factory=list)

    def piece(self, status: Status, _report: Report) -> bytes:
        self.asked.append(status.appid)
        return f"{status.appid}\n".encode()

    def whole(self, _: Sequence[Status], pieces: Sequence[bytes], surroundings: Surroundings) -> Sequence[bytes]:
        return [f"{surroundings.now:.0f} {surroundings.troubles}\n".encode(), *pieces]


def test_only_apps_that_changed_are_written_anew_and_those_that_left_are_forgotten() -> None:
    form = Counting()
    document = Document(form)
    assert told(document, (FULL, NEW)).endswith(b"wx1\nwx2\n")
    assert told(document, (FULL, replace(NEW, next_fetch=8.0))).endswith(b"wx1\nwx2\n")
    assert told(document, (FULL,)).endswith(b"\nwx1\n")
    told(document, (FULL, NEW))
    assert form.asked == ["wx1", "wx2", "wx2", "wx2"]


def test_a_document_is_made_anew_after_a_change_or_a_minute_and_only_then() -> None:
    document = Document(Counting())
    statuses = (FULL, NEW)
    first = told(document, statuses)
    assert told(document, statuses, replace(SURROUNDINGS, now=NOW + 59)) is first
    assert told(document, statuses, replace(SURROUNDINGS, now=NOW + 60)).startswith(f"{NOW + 60:.0f} ".encode())
    assert b"full" in told(document, statuses, replace(SURROUNDINGS, now=NOW + 60, troubles=(Trouble("full", ()),)))


def test_gzipped_it_is_the_same_document_made_once() -> None:
    document = Document(StatusPage())
    statuses = (FULL, NEW)
    packed = told(document, statuses, gzipped=True)
    assert gzip.decompress(packed) == told(document, statuses)
    assert told(document, statuses, gzipped=True) is packed


def test_who_waited_for_another_reader_is_told_what_is_newest_then() -> None:
    form, held, answers = Counting(), threading.Event(), []
    document, newest = Document(form), [(FULL,)]

    def slow() -> tuple[Sequence[Status], Surroundings]:
        held.wait(10)
        return newest[0], SURROUNDINGS

    first = threading.Thread(target=document.body, args=(slow,))
    second = threading.Thread(target=lambda: answers.append(document.body(lambda: (newest[0], SURROUNDINGS))))
    first.start()
    second.start()
    newest[0] = (FULL, NEW)
    held.set()
    first.join()
    second.join()
    assert answers[0].endswith(b"wx1\nwx2\n")
    assert form.asked == ["wx1", "wx2"]


# --- sparklines --------------------------------------------------------------------------------------

VISITORS = WEEKLY.leading
DRAWN = [
    ("one week stands at the right end", [5], ("", "M102 28v-28", 1.0), "first 5, last 5, lowest 5, highest 5"),
    ("columns begin at zero", [100, 50], ("M98 28v-28", "M102 28v-14", 0.5), "first 100, last 50, lowest 50"),
    ("zero is a figure and is seen", [0, 0], ("M98 28v-1", "M102 28v-1", 0.0), "lowest 0, highest 0"),
    ("an unknown week is a gap", [4, None, 4], ("M94 28v-28", "M102 28v-28", 1.0), "highest 4; 1 not known"),
    ("so is the live one", [4, None], ("M98 28v-28", "", None), "2 weeks to 16-22 Nov 2026: first 4, last 4"),
]


@pytest.mark.parametrize(("why", "figures", "drawn", "words"), DRAWN, ids=[row[0] for row in DRAWN])
def test_a_trail_becomes_columns_and_words(
    why: str, figures: list[float | None], drawn: tuple[str, str, float | None], words: str
) -> None:
    assert why
    assert len(DRAWN) == 5
    chart = sparkline(Trail.of({W2.before(n): figure for n, figure in enumerate(reversed(figures))}), VISITORS)
    assert chart is not None
    assert (chart.earlier, chart.live, chart.share) == drawn
    assert chart.words.startswith("Visitors, ")
    assert words in chart.words


def test_without_a_known_figure_there_is_nothing_to_draw() -> None:
    assert sparkline(Trail(), VISITORS) is None
    assert sparkline(Trail.of({W2: None}), VISITORS) is None


def test_half_a_year_fits_and_its_oldest_week_stands_at_the_left() -> None:
    trail = Trail.of({Week(date(2026, 11, 16)).before(n): 1.0 for n in range(TRAIL_WEEKS)})
    chart = sparkline(trail, VISITORS)
    assert chart is not None
    assert chart.earlier.startswith("M2 28v-28M6 28")
    status = replace(FULL, recent=replace(FULL.recent, trail=trail))
    assert f"<title>{chart.words}</title>" in written(status)

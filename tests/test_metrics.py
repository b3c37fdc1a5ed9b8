from __future__ import annotations

import gzip
import subprocess
import zlib
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import chinese_calendar
import pytest
from prometheus_client.exposition import generate_latest as text_exposition
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.holidays import public_holidays
from exporter.metrics import Format, Meters, Renderer, catalogue, compose
from exporter.metrics.catalogue import of_report
from exporter.metrics.families import families
from exporter.periods import Week
from exporter.reports import WEEKLY, Reading, Thresholds
from exporter.status import Answer, Counters, Kept, Recent, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

W2 = Week(date(2026, 11, 16))
W1 = W2.before()
LABEL = "20261116-20261122"


def kept(week: Week, *values: float | None) -> Kept:
    return Kept(Reading(WEEKLY, week, values), 100.5)


FULL = Status(
    appid="wx1",
    name="Shop",
    state=State.OK,
    answer=Answer(W2, State.OK, 5.0, 5.0, succeeded=4.0),
    recent=Recent((kept(W2, 2470, 8913, 754, 248, 226.4748, 69.1344, 1.9798), kept(W1, 0, 1, 2, 3, 4.5, None, 0))),
    next_fetch=9.0,
    counters=Counters(3, 1, 2, (("45009", 1), ("timeout", 2))),
    thresholds=Thresholds(),
)
NEW = Status("wx2", "", State.PENDING, None, Recent(), 7.0, Counters(), Thresholds(visitors_min_ratio=0.5))
HOSTILE = replace(FULL, appid='wx"\\\n{}', name='<script>"\\\n\u2028', recent=Recent(FULL.recent.weeks[:1]))


def samples(*statuses: Status) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(WEEKLY, statuses)
        for sample in family.samples
    }


def meters(*, up: bool = True, process: bool = True) -> Meters:
    made = Meters(lambda: up, process=process)
    made.config_taken(12.0, ["stable_token", "weekly"], ())
    return made


def test_every_figure_stands_beside_the_figure_of_the_week_before_under_the_same_labels() -> None:
    prefix = "wechat_miniprogram_"
    figures = {key: value for key, value in samples(FULL).items() if "week" in key[0] and len(key) == 3}
    assert figures == {
        (f"{prefix}weekly_sessions", "wx1", LABEL): 2470,
        (f"{prefix}weekly_visits", "wx1", LABEL): 8913,
        (f"{prefix}weekly_visitors", "wx1", LABEL): 754,
        (f"{prefix}weekly_new_visitors", "wx1", LABEL): 248,
        (f"{prefix}weekly_stay_per_visitor_seconds", "wx1", LABEL): 226.4748,
        (f"{prefix}weekly_stay_per_session_seconds", "wx1", LABEL): 69.1344,
        (f"{prefix}weekly_visit_depth_pages", "wx1", LABEL): 1.9798,
        (f"{prefix}previous_week_sessions", "wx1", LABEL): 0,
        (f"{prefix}previous_week_visits", "wx1", LABEL): 1,
        (f"{prefix}previous_week_visitors", "wx1", LABEL): 2,
        (f"{prefix}previous_week_new_visitors", "wx1", LABEL): 3,
        (f"{prefix}previous_week_stay_per_visitor_seconds", "wx1", LABEL): 4.5,
        (f"{prefix}previous_week_visit_depth_pages", "wx1", LABEL): 0,
        (f"{prefix}week_end_timestamp_seconds", "wx1", LABEL): W2.end,
        (f"{prefix}week_first_seen_timestamp_seconds", "wx1", LABEL): 100.5,
        (f"{prefix}week_public_holidays", "wx1", LABEL): 0,
        (f"{prefix}previous_week_public_holidays", "wx1", LABEL): 0,
    }


def test_the_median_of_the_four_weeks_before_stands_under_the_same_labels_where_it_is_known() -> None:
    weeks = (kept(W2, *(1,) * 7), *(kept(W2.before(n), *(n,) * 6, None if n == 3 else n) for n in range(1, 5)))
    found = samples(replace(FULL, recent=Recent(weeks)))
    medians = {key: value for key, value in found.items() if "median_week" in key[0]}
    assert medians == {(WEEKLY.median_metric(field), "wx1", LABEL): 2.5 for field in WEEKLY.fields[:-1]}


HOLIDAYS = {
    date(2026, 10, 5): (3, 2),  # National Day, 1 to 7 October 2026
    date(2026, 10, 12): (0, 3),
    date(2026, 12, 28): (None, 0),  # the schedule of 2027 is not out
    date(2003, 12, 29): (None, None),  # before the package's first year
}


@pytest.mark.parametrize(("monday", "expected"), HOLIDAYS.items())
def test_public_holidays_of_both_weeks_are_told_where_the_schedule_is_known(
    monday: date, expected: tuple[int | None, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {day: name for day, name in chinese_calendar.holidays.items() if day.year <= 2026}
    monkeypatch.setattr("chinese_calendar.utils.holidays", known)
    public_holidays.cache_clear()
    week = Week(monday)
    found = samples(replace(FULL, recent=Recent((kept(week, *(1,) * 7),))))
    names = ("week_public_holidays", "previous_week_public_holidays")
    assert tuple(found.get((f"wechat_miniprogram_{name}", "wx1", week.label)) for name in names) == expected
    public_holidays.cache_clear()


def test_an_app_never_asked_has_its_state_and_counters_at_zero_and_nothing_else() -> None:
    assert samples(NEW) == {
        ("wechat_miniprogram_app_info", "wx2", ""): 1,
        ("wechat_miniprogram_fetch_state", "wx2", "pending"): 1,
        ("wechat_miniprogram_next_fetch_timestamp_seconds", "wx2"): 7.0,
        ("wechat_miniprogram_fetches_total", "wx2"): 0,
        ("wechat_miniprogram_fetch_failures_total", "wx2"): 0,
        ("wechat_miniprogram_revisions_total", "wx2"): 0,
        ("wechat_miniprogram_alert_visitors_min_ratio", "wx2"): 0.5,
        ("wechat_miniprogram_alert_sessions_min_ratio", "wx2"): 0.7,
        ("wechat_miniprogram_alert_stay_per_visitor_min_ratio", "wx2"): 0.7,
        ("wechat_miniprogram_alert_visit_depth_min_ratio", "wx2"): 0.7,
    }


UP = {
    State.PENDING: None,
    State.OK: 1,
    State.NOT_READY: 1,
    State.QUOTA_SPENT: 0,
    State.REFUSED: 0,
    State.FAILED: 0,
}


@pytest.mark.parametrize(("state", "up"), UP.items())
def test_up_follows_from_the_state_of_which_exactly_one_holds(state: State, up: int | None) -> None:
    found = samples(replace(FULL, state=state))
    assert found.get(("wechat_miniprogram_up", "wx1")) == up
    states = {key: value for key, value in found.items() if key[0] == "wechat_miniprogram_fetch_state"}
    assert states == {("wechat_miniprogram_fetch_state", "wx1", state.value): 1}


def test_the_table_of_states_is_whole() -> None:
    assert set(UP) == set(State)


def test_errors_are_counted_by_code() -> None:
    found = samples(FULL)
    assert found["wechat_miniprogram_api_errors_total", "wx1", "45009"] == 1
    assert found["wechat_miniprogram_api_errors_total", "wx1", "timeout"] == 2
    assert found["wechat_miniprogram_last_success_timestamp_seconds", "wx1"] == 4.0


def parsed(body: bytes, format_: Format) -> list[Metric]:
    parse = parse_text if format_ is Format.TEXT else parse_openmetrics
    return list(parse(body.decode()))


@pytest.mark.parametrize("format_", Format)
def test_the_page_is_read_back_by_both_parsers_with_every_family_of_the_catalogue(format_: Format) -> None:
    page = Renderer(WEEKLY).render([FULL, NEW, HOSTILE])
    found = parsed(compose(page, meters().registry, format_, gzip=False), format_)
    names = {family.name for family in found if family.name.startswith("wechat_miniprogram_")}
    infos = [*of_report(WEEKLY), *catalogue.OF_APPS, *catalogue.OF_EXPORTER]
    assert names == {info.name.removesuffix("_total") for info in infos}
    assert {(family.name, family.type, family.documentation) for family in found} >= {
        (info.name.removesuffix("_total"), info.kind, info.help) for info in infos
    }
    all_samples = [sample for family in found for sample in family.samples]
    assert not [sample for sample in all_samples if sample.name.endswith("_created") or sample.timestamp]
    names_of_apps = {sample.labels["name"] for sample in all_samples if "name" in sample.labels}
    assert names_of_apps == {"Shop", "", HOSTILE.name}


@pytest.mark.parametrize("format_", Format)
def test_gzip_is_one_member_that_holds_the_same_bytes(format_: Format) -> None:
    live = meters(process=False).registry
    for statuses in ([], [FULL, NEW]):
        page = Renderer(WEEKLY).render(statuses)
        plain = compose(page, live, format_, gzip=False)
        zipped = compose(page, live, format_, gzip=True)
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        assert stream.decompress(zipped) == plain
        assert stream.eof
        assert stream.unused_data == b""
        assert gzip.decompress(zipped) == plain


class Everything:
    """What prometheus_client would render at once."""

    def __init__(self, statuses: list[Status]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterable[Metric]:
        return families(WEEKLY, self._statuses)


def test_a_page_rendered_in_shards_is_byte_for_byte_what_prometheus_client_renders_at_once() -> None:
    renderer = Renderer(WEEKLY)
    fleet = [replace(status, appid=f"wx{n}") for n in range(130) for status in (FULL, NEW, HOSTILE)]
    revised = [*fleet[:250], replace(FULL, appid="wx-revised", name="Other"), *fleet[251:]]
    for statuses in (fleet, revised, revised[:-150], [], fleet):
        page = renderer.render(statuses)
        assert page.parts[Format.TEXT].plain == text_exposition(Everything(statuses))  # type: ignore[arg-type]
        assert page.parts[Format.OPENMETRICS].plain + b"# EOF\n" == openmetrics_exposition(Everything(statuses))


def test_only_the_shard_of_an_app_that_changed_is_rendered_anew() -> None:
    renderer = Renderer(WEEKLY)
    fleet = [replace(FULL, appid=f"wx{n}") for n in range(300)]
    renderer.render(fleet)
    before = list(renderer._shards)
    fleet[150] = replace(FULL, appid="wx150", name="Other")
    renderer.render(fleet)
    anew = [number for number, shard in enumerate(renderer._shards) if shard is not before[number]]
    assert len(before) > 2
    assert [150 in range(number * 20, number * 20 + 20) for number in anew] == [True]


def test_families_with_an_appid_belong_to_the_cached_page_and_the_others_to_the_scrape() -> None:
    assert all("appid" in info.labels for info in (*of_report(WEEKLY), *catalogue.OF_APPS))
    assert not any("appid" in info.labels for info in catalogue.OF_EXPORTER)
    cached = Renderer(WEEKLY).render([FULL]).parts[Format.TEXT].plain
    assert b"exporter_" not in cached
    assert b'appid="wx1"' in cached


def test_the_exporter_measures_itself_at_the_moment_of_the_scrape() -> None:
    measured = meters(process=False)
    page = Renderer(WEEKLY).render([])

    def value(name: str, **labels: str) -> float:
        body = compose(page, measured.registry, Format.TEXT, gzip=False)
        found = [
            sample.value
            for family in parsed(body, Format.TEXT)
            for sample in family.samples
            if sample.name == f"wechat_miniprogram_exporter_{name}" and sample.labels == labels
        ]
        assert len(found) == 1, name
        return found[0]

    assert value("api_request_duration_seconds_count", endpoint="weekly") == 0
    measured.observe("weekly", 0.3)
    measured.beat(123.0)
    measured.stumbled()
    measured.config_taken(45.0, (), ["apps.d/a.yaml"])
    assert value("api_request_duration_seconds_count", endpoint="weekly") == 1
    assert value("poller_last_run_timestamp_seconds") == 123.0
    assert value("poller_errors_total") == 1
    assert value("config_last_reload_successful") == 1
    assert value("config_last_reload_success_timestamp_seconds") == 45.0
    assert value("config_file_errors", file="apps.d/a.yaml") == 1
    assert value("store_up") == 1


def test_a_store_out_of_order_shows() -> None:
    page = Renderer(WEEKLY).render([])
    body = compose(page, meters(up=False, process=False).registry, Format.TEXT, gzip=False)
    assert b"\nwechat_miniprogram_exporter_store_up 0.0\n" in body


def test_promtool_has_nothing_to_say_about_the_page(promtool: str) -> None:
    page = Renderer(WEEKLY).render([FULL, NEW, HOSTILE])
    body = compose(page, meters().registry, Format.TEXT, gzip=False)
    result = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_the_help_of_every_figure_names_wechats_field_and_the_slow_interval() -> None:
    for field in WEEKLY.fields:
        texts = [info.help for info in of_report(WEEKLY) if info.name.endswith(f"week_{field.metric}")]
        texts += [info.help for info in of_report(WEEKLY) if info.name.endswith(f"weekly_{field.metric}")]
        assert len(texts) == 3
        assert all(f"({field.wechat} of {WEEKLY.api}; fetched on a slow interval)" in text for text in texts)

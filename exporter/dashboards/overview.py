"""The dashboard: this week, the weeks of one app, everything as it was published, and the exporter itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from exporter.dashboards import exporters, promql
from exporter.dashboards.looks import COLOURED_TEXT, fixed, pattern, state, thresholds
from exporter.dashboards.panels import DATASOURCE, WIDTH, Column, Label, Panel, Row, arranged, bars, lines, table
from exporter.dashboards.promql import APPS, FIGURES, JOB
from exporter.metrics import catalogue
from exporter.periods import DAY
from exporter.reports import WEEKLY, Unit

if TYPE_CHECKING:
    from exporter.dashboards.looks import Json
    from exporter.reports import Field

UID = "wechat-miniprogram"
DOCUMENTATION = (
    "https://developers.weixin.qq.com/miniprogram/en/dev/api-backend/open-api/data-analysis/visit-trend"
    f"/{WEEKLY.api}.html"
)

UNITS = {Unit.COUNT: ("none", 0), Unit.SECONDS: ("s", 1), Unit.PAGES: ("none", 2)}
"""Grafana's unit and the decimals of a figure (``short`` would print 57.0 K)."""

VISITORS, SESSIONS = FIGURES["visitors"], FIGURES["sessions"]

_WEEK = r"^(\d{4})(\d\d)(\d\d)-\d{4}(\d\d)(\d\d)$"
_BY_WEEK = Label("week", "Week", {"mappings": pattern(_WEEK, "$2-$3")})
_BY_MONDAY = " A week is named by its Monday."
_GREY = "#8e8e8e"
_CHANGES = {
    "thresholds": thresholds("red", (-0.3, "orange"), (-0.1, "text"), (0.1, "green")),
    "custom.cellOptions": COLOURED_TEXT,
}
_LATE = 8.5 * DAY
"""The age of data on Tuesday noon in Beijing, when the week before last is still the newest."""
_AGES = {
    "thresholds": thresholds("text", (_LATE, "orange"), (_LATE + 7 * DAY, "red")),
    "custom.cellOptions": COLOURED_TEXT,
}


def dashboard() -> str:
    """The dashboard in Grafana's classic JSON, for Grafana 10 and later, to be imported or provisioned as it is."""
    content = {
        "id": None,
        "uid": UID,
        "title": "WeChat Mini Programs",
        "description": "Weekly visit figures of WeChat Mini Programs, and how it stands with fetching them.",
        "tags": ["wechat", "mini-program"],
        "editable": False,
        "schemaVersion": 38,
        "version": 1,
        "timezone": "Asia/Shanghai",  # a week begins on Monday in Beijing, wherever it is looked at
        "weekStart": "monday",
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "time": {"from": "now-12w", "to": "now"},
        "refresh": "5m",
        "links": [{"title": "WeChat's documentation", "type": "link", "url": DOCUMENTATION, "targetBlank": True}],
        "templating": {"list": _variables()},
        "annotations": {"list": [_new_weeks()]},
        "panels": arranged((_this_week(), _weeks(), _as_published(), exporters.row())),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _this_week() -> Row:
    columns = (
        Column("State", promql.named(promql.severity()), looks=state()),
        *(_figure(field) for field in WEEKLY.fields),
        _change("vs 1 week", WEEKLY.previous_metric(VISITORS)),
        _change("vs 4 weeks", WEEKLY.median_metric(VISITORS)),
        Column("Days off", promql.live(promql.weekly(catalogue.WEEK_HOLIDAYS.name))),
        Column("Data age", f"time() - max by (appid) ({promql.selected(catalogue.WEEK_END.name)})", "s", 1, _AGES),
    )
    labels = (
        Label("app", "App", {"links": [{"title": "Weeks of this app", "url": _drill_down()}], "custom.width": 170}),
        Label("week", "Week", {"mappings": pattern(_WEEK, "$1-$2-$3 to $4-$5"), "custom.width": 165}),
        Label("appid", "AppID", {"custom.hidden": True}),
    )
    description = (
        "The newest week that WeChat has published of each app, the worst first: apps in trouble, then by the change"
        " of visitors. Changes are those of visitors, against the week before and against the median of the four weeks"
        " before. Days off: weekdays that were a public holiday. Data age: since the week ended."
    )
    content = table("This week", description, labels, columns, promql.rank(VISITORS))
    return Row("This week", (Panel(WIDTH, 11, content),))


def _weeks() -> Row:
    stays = [FIGURES[name] for name in ("stay_per_visitor_seconds", "stay_per_session_seconds")]
    return Row(
        "Weeks of ${app:text}",
        (
            Panel(12, 9, _beside_median(VISITORS)),
            Panel(12, 9, _beside_median(SESSIONS)),
            Panel(8, 8, _new_and_returning()),
            Panel(8, 8, _figures("Stay", "How long a visitor stayed in a whole week, and one session lasted.", stays)),
            Panel(8, 8, _figures("Visit depth", "Pages of one session.", [FIGURES["visit_depth_pages"]])),
        ),
    )


def _as_published() -> Row:
    def published(field: Field) -> Panel:
        description = (
            f"{field.title} of each app's live week, over time: a line steps when WeChat publishes a week (marked)"
            " or revises one."
        )
        looks = {"unit": "none", "decimals": 0}
        return Panel(12, 9, lines(f"{field.title} as published", description, {"{{app}}": promql.line(field)}, looks))

    return Row("As published", (published(VISITORS), published(SESSIONS)))


def _beside_median(field: Field) -> Json:
    columns = (
        Column(field.title, promql.bar(WEEKLY.metric(field)), looks={"color": fixed("blue")}),
        Column("Median of the 4 weeks before", promql.bar(WEEKLY.median_metric(field)), looks={"color": fixed(_GREY)}),
    )
    description = (
        f"{field.title} of each week that Prometheus has seen in the time range, beside the median of the four weeks"
        " before it (where all four are known)."
    )
    return bars(field.title, description + _BY_MONDAY, _BY_WEEK, columns)


def _new_and_returning() -> Json:
    new, everybody = (promql.bar(WEEKLY.metric(FIGURES[name])) for name in ("new_visitors", "visitors"))
    columns = (
        Column("New", new, looks={"color": fixed("green")}),
        Column("Returning", f"{everybody} - {new}", looks={"color": fixed("blue")}),
    )
    description = "Visitors who came for the first time, and all others."
    return bars("New and returning visitors", description + _BY_MONDAY, _BY_WEEK, columns, "normal")


def _figures(title: str, description: str, fields: list[Field]) -> Json:
    columns = [
        Column(field.title, promql.bar(WEEKLY.metric(field)), *UNITS[field.unit], {"color": fixed(colour)})
        for field, colour in zip(fields, ("blue", "purple"), strict=False)
    ]
    return bars(title, f"{description} Averages.{_BY_MONDAY}", _BY_WEEK, columns)


def _figure(field: Field) -> Column:
    width = {} if field.unit is Unit.COUNT else {"custom.width": 130 if field.unit is Unit.SECONDS else 100}
    return Column(field.title, promql.figure(field), *UNITS[field.unit], width)


def _change(title: str, base: str) -> Column:
    return Column(title, promql.change(VISITORS, base), "percentunit", 1, _CHANGES)


def _variables() -> list[Json]:
    of_app = {"regex": '/app="(?<text>.*)",appid="(?<value>[^"]*)"/'}
    anybody = promql.names(JOB)
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "hide": 0,
        },
        _variable("job", "Job", f"label_values({catalogue.APP_INFO.name}, job)"),
        _variable("appid", "Apps", f"query_result({anybody})") | of_app,
        _variable("app", "App in detail", f"query_result({promql.names(APPS)})", several=False) | of_app,
    ]


def _variable(name: str, label: str, query: str, *, several: bool = True) -> Json:
    every = {"multi": True, "includeAll": True, "allValue": ".+", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    } | (every if several else {})


def _new_weeks() -> Json:
    """Marks the moment at which each week was first had of any app: the value is the time, in milliseconds."""
    return {
        "name": "New weeks",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"1000 * {promql.newest_week_seen()}",
        "useValueForTime": True,
        "titleFormat": "Week {{week}}",
        "step": "1h",
    }


def _drill_down() -> str:
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "appid"))
    return f"/d/{UID}?var-app=${{__data.fields.AppID}}&{kept}&${{__url_time_range}}"

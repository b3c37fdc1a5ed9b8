"""The dashboard: this week, the periods of one app, figures as they were published, and the exporter itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from exporter import promql
from exporter.dashboards import charts, exporters, queries
from exporter.dashboards.charts import UNITS, WEEK
from exporter.dashboards.panels import DATASOURCE, WIDTH, Column, Label, Panel, PanelRow, arranged, lines, table
from exporter.dashboards.queries import APPS, FIGURES, JOB
from exporter.dashboards.styles import COLOURED_TEXT, pattern, state, thresholds
from exporter.metrics import catalogue
from exporter.periods import DAY
from exporter.reports import PREFIX, Unit
from exporter.reports.catalogue import WEEKLY

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json
    from exporter.reports import Field

UID = "wechat-miniprogram"
DOCUMENTATION = (
    "https://developers.weixin.qq.com/miniprogram/en/dev/api-backend/open-api/data-analysis/visit-trend"
    f"/{WEEKLY.api}.html"
)

VISITORS, SESSIONS = FIGURES["visitors"], FIGURES["sessions"]

_CHANGES = {
    "thresholds": thresholds("red", (-0.3, "orange"), (-0.1, "text"), (0.1, "green")),
    "custom.cellOptions": COLOURED_TEXT,
}
_LATE = promql.late_age(WEEKLY)
_AGES = {
    "thresholds": thresholds("text", (_LATE, "orange"), (_LATE + 7 * DAY, "red")),
    "custom.cellOptions": COLOURED_TEXT,
}


def dashboard() -> str:
    """Return the dashboard in Grafana's classic JSON, for Grafana 10 and later, to import or provision unchanged."""
    content = {
        "id": None,
        "uid": UID,
        "title": "WeChat Mini Programs",
        "description": "Visit figures of WeChat Mini Programs by week, month and day, and the state of fetching them.",
        "tags": ["wechat", "mini-program"],
        "editable": False,
        "schemaVersion": 38,
        "version": 1,
        "timezone": "Asia/Shanghai",  # weeks begin on Monday in Beijing, whatever the zone of the browser
        "weekStart": "monday",
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "time": {"from": "now-12w", "to": "now"},
        "refresh": "5m",
        "links": [{"title": "WeChat's documentation", "type": "link", "url": DOCUMENTATION, "targetBlank": True}],
        "templating": {"list": _variables()},
        "annotations": {"list": [_new_weeks()]},
        "panels": arranged((_this_week(), *charts.rows(), _as_published(), exporters.row())),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _this_week() -> PanelRow:
    columns = (
        Column("State", queries.named(queries.severity(WEEKLY)), looks=state()),
        *(_figure(field) for field in WEEKLY.fields),
        _change("vs 1 week", queries.base(WEEKLY, "previous_week", VISITORS)),
        _change("vs typical", queries.base(WEEKLY, "typical_week", VISITORS)),
        Column("Days off", queries.live(queries.weekly(PREFIX + WEEKLY.calendar[0].metric))),
        Column(
            "Data age", f"time() - max by (appid) ({queries.selected(catalogue.end_metric(WEEKLY))})", "s", 1, _AGES
        ),
    )
    labels = (
        Label("app", "App", {"links": [{"title": "Weeks of this app", "url": _drill_down()}], "custom.width": 170}),
        Label("week", "Week", {"mappings": pattern(WEEK, "$1-$2-$3 to $4-$5"), "custom.width": 165}),
        Label("appid", "AppID", {"custom.hidden": True}),
    )
    description = (
        "The newest week that WeChat has published of each app, the worst first: failing apps, then by the change"
        " of visitors. Changes are those of visitors, against the week before and against the typical week"
        " (median of the last four ordinary weeks). Days off: weekdays that were a public"
        " holiday. Data age: since the week ended."
    )
    content = table("This week", description, labels, columns, queries.rank(VISITORS))
    return PanelRow("This week", (Panel(WIDTH, 11, content),))


def _as_published() -> PanelRow:
    def published(field: Field) -> Panel:
        description = (
            f"{field.title} of each app's live week, over time: a line steps when WeChat publishes a week (marked)"
            " or revises one."
        )
        looks = {"unit": "none", "decimals": 0}
        return Panel(12, 9, lines(f"{field.title} as published", description, {"{{app}}": queries.line(field)}, looks))

    return PanelRow("As published", (published(VISITORS), published(SESSIONS)))


def _figure(field: Field) -> Column:
    width = {} if field.unit is Unit.COUNT else {"custom.width": 130 if field.unit is Unit.SECONDS else 100}
    return Column(field.title, queries.figure(field), *UNITS[field.unit], width)


def _change(title: str, base: str) -> Column:
    return Column(title, queries.change(VISITORS, base), "percentunit", 1, _CHANGES)


def _variables() -> list[Json]:
    of_app = {"regex": '/app="(?<text>.*)",appid="(?<value>[^"]*)"/'}
    anybody = queries.names(JOB)
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
        _variable("app", "App in detail", f"query_result({queries.names(APPS)})", several=False) | of_app,
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
        "expr": f"1000 * {queries.newest_week_seen()}",
        "useValueForTime": True,
        "titleFormat": "Week {{week}}",
        "step": "1h",
    }


def _drill_down() -> str:
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", "job", "appid"))
    return f"/d/{UID}?var-app=${{__data.fields.AppID}}&{kept}&${{__url_time_range}}"

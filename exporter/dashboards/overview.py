"""The dashboard: all apps, the periods of one app, figures at the time of publication, and the exporter itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from exporter import promql
from exporter.dashboards import charts, exporters, headline, judgement, queries, why
from exporter.dashboards.charts import UNITS, WEEK_PATTERN
from exporter.dashboards.graphs import time_series
from exporter.dashboards.panels import (
    DATASOURCE,
    WIDTH,
    Column,
    LabelColumn,
    Panel,
    PanelRow,
    layout,
    table,
)
from exporter.dashboards.queries import APPS, FIGURES, JOB
from exporter.dashboards.styles import (
    COLOURED_TEXT,
    UID,
    app_links,
    regex_mapping,
    state_column,
    text_column,
    thresholds,
)
from exporter.metrics import catalogue
from exporter.periods import DAY
from exporter.reports import PREFIX
from exporter.reports.catalogue import WEEKLY

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json
    from exporter.reports import Field

DOCUMENTATION = (
    "https://developers.weixin.qq.com/miniprogram/en/dev/api-backend/open-api/data-analysis/visit-trend"
    f"/{WEEKLY.api}.html"
)

VISITORS, SESSIONS = FIGURES["visitors"], FIGURES["sessions"]

# The condition of the alert PeriodLate.
_AGE_STYLE = {
    "thresholds": thresholds("text", (promql.late_age(WEEKLY) / DAY, "orange")),
    "custom.cellOptions": COLOURED_TEXT,
}


def dashboard() -> str:
    """Return the dashboard as JSON for Grafana 10 or newer, for import and for provisioning."""
    content = {
        # No id and a fixed uid: importing a newer version replaces the dashboard, and links to it stay valid.
        "id": None,
        "uid": UID,
        "title": "WeChat Mini Programs",
        "description": "Visit figures of WeChat Mini Programs by week, month and day, and the state of their exporter.",
        "tags": ["wechat", "mini-program"],
        # Changes belong into the code; a user who wants to edit it makes a copy.
        "editable": False,
        "schemaVersion": 38,
        "version": 1,
        "timezone": "Asia/Shanghai",  # periods are Beijing days, in any time zone of the browser
        "weekStart": "monday",
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "time": {"from": "now-12w", "to": "now"},
        "refresh": "5m",
        "links": [{"title": "WeChat's documentation", "type": "link", "url": DOCUMENTATION, "targetBlank": True}],
        "templating": {"list": _variables()},
        "annotations": {"list": [_new_weeks(), _holidays()]},
        "panels": layout(_rows()),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _rows() -> tuple[PanelRow, ...]:
    weeks, *other_periods = charts.rows()
    return headline.row(), _this_week(), weeks, why.row(), *other_periods, _as_published(), exporters.row()


def _this_week() -> PanelRow:
    # The rows without a fall have a text, too: a column without any value would vanish from the table.
    fallen = f"{judgement.falls()} or 0 * {queries.severity(WEEKLY)}"
    falls = {"0": ("no", "text")} | {index: (text, "red") for index, text in judgement.fall_texts().items()}
    columns = (
        Column("State", queries.with_app_links(f"({queries.severity(WEEKLY)})"), style=state_column()),
        Column("Fallen", fallen, style=text_column(falls) | {"custom.width": 200}),
        Column("Visitors lost", judgement.visitors_lost(), style=_width("Visitors lost")),
        *(_figure(field) for field in WEEKLY.fields),
        _change("vs previous", queries.comparison_metric(WEEKLY, "previous_week", VISITORS)),
        _change("vs typical", queries.comparison_metric(WEEKLY, "typical_week", VISITORS)),
        Column(
            "Days off",
            queries.live(queries.weekly(PREFIX + WEEKLY.calendar[0].metric)),
            style=_width("Days off"),
        ),
        Column("Data age", queries.age_in_days(), "suffix:days", 1, _AGE_STYLE | _width("Data age")),
    )
    labels = (
        LabelColumn("app", "App", {"links": app_links(), "custom.width": 170}),
        LabelColumn("week", "Week", {"mappings": regex_mapping(WEEK_PATTERN, "$2-$3 to $4-$5"), "custom.width": 122}),
        # Hidden, but needed: the links of the app name read them.
        LabelColumn("appid", "AppID", {"custom.hidden": True}),
        LabelColumn("instance", "Exporter", {"custom.hidden": True}),
    )
    description = (
        "The newest published week of each app: those that fell first, then apps with a problem, then by visitors lost."
        " Fallen: the most severe weekly alert rule that holds, by the app's own threshold, beyond chance, without a"
        " holiday. Visitors lost: against the typical week (median of the last four ordinary weeks), else against the"
        " previous week. Changes are those of visitors. Days off: weekdays off for a holiday. Data age: since the end"
        " of the week."
    )
    content = table("This week", description, labels, columns, judgement.rank())
    return PanelRow("This week", (Panel(WIDTH, 11, content), headline.alerts()))


def _as_published() -> PanelRow:
    def published(field: Field) -> Panel:
        description = (
            f"{field.title} of each app's newest published week over time. A line steps when WeChat publishes a week"
            " (annotated) or revises it."
        )
        style = {"unit": "none", "decimals": 0}
        lines = {"{{app}}": queries.line(field)}
        return Panel(12, 9, time_series(f"{field.title} as published", description, lines, style))

    return PanelRow("As published", (published(VISITORS), published(SESSIONS)))


def _figure(field: Field) -> Column:
    return Column(field.title, queries.figure(field), *UNITS[field.unit], _width(field.title))


def _change(title: str, baseline: str) -> Column:
    return Column(title, queries.change(VISITORS, baseline), "percentunit", 1, _width(title))


def _width(title: str) -> Json:
    """Return the width that shows a title and a number of six digits; Grafana would cut titles to fit the panel."""
    return {"custom.width": max(76, 20 + 7 * len(title))}


def _variables() -> list[Json]:
    # Shows the name of an app, selects its AppID: names may change and need not be unique.
    by_app_name = {"regex": '/app="(?<text>.*)",appid="(?<value>[^"]*)"/'}
    return [
        # A variable and not `__inputs`, which Grafana resolves on import but never when provisioning.
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "refresh": 1,
            "hide": 0,
        },
        _variable("job", "Job", f"label_values({catalogue.APP_INFO.name}, job)"),
        _variable("appid", "Apps", f"query_result({queries.all_app_names(JOB)})") | by_app_name,
        _variable("app", "App in detail", f"query_result({queries.all_app_names(APPS)})", multi=False) | by_app_name,
    ]


def _variable(name: str, label: str, query: str, *, multi: bool = True) -> Json:
    # `.+` instead of a list of all AppIDs, which would make each query of a large installation kilobytes long.
    all_values = {
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "refresh": 2,  # on each change of the time range, so that apps that exist only in the past can be selected
        "sort": 1,
        "hide": 0,
    } | (all_values if multi else {})


def _new_weeks() -> Json:
    """Return an annotation at the time (milliseconds) at which an exporter first received each week."""
    return {
        "name": "New weeks",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": f"1000 * {queries.newest_week_seen()}",
        # Otherwise the annotation would be at a step of the query, up to an hour after the publication.
        "useValueForTime": True,
        "titleFormat": "Week {{week}}",
        "step": "1h",
    }


def _holidays() -> Json:
    """Return an annotation at the Monday (milliseconds) of each week with a public holiday."""
    return {
        "name": "Holidays",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "orange",
        "expr": f"1000 * {queries.holiday_weeks()}",
        "useValueForTime": True,
        "titleFormat": "Public holidays in week {{week}}",
        "step": "1h",
    }

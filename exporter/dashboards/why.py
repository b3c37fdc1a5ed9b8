"""The row about causes: entrances that lost, visitors who came back, stays, depths and shares of the app in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.dashboards import bars, charts, cohorts, entrances
from exporter.dashboards.graphs import Parts, bar_chart, dated_lines, stacked_bars
from exporter.dashboards.panels import WIDTH, Column, LabelColumn, Panel, PanelRow, table, with_empty_text
from exporter.dashboards.styles import fixed_colour, regex_mapping, thresholds
from exporter.dashboards.transformations import rename
from exporter.periods import Day
from exporter.reports import PREFIX
from exporter.reports.catalogue import DAILY_SOURCES, DAILY_SUMMARY, WEEKLY_RETENTION
from exporter.reports.fields import COHORT_FIELDS, DEPTH_SESSIONS, SHARES, STAY_SESSIONS

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json
    from exporter.reports import Field, Report

_VISITORS, _NEW_VISITORS = COHORT_FIELDS
_HALF = WIDTH // 2
_BLUE, _GREEN, _GREY = (fixed_colour(colour) for colour in ("blue", "green", "#8e8e8e"))
_DATES = {"mappings": regex_mapping(charts.WEEK_PATTERN, "$2-$3 to $4-$5"), "custom.width": 118}
_ENTRANCE = {"mappings": regex_mapping(*entrances.WORDS)}
_SHOWN_ENTRANCES = 12
_FULL_WEEK = "a full week (Monday to Sunday)"
_TWO_WEEKS = "two weeks"
# The weaker ones are transparent, so that they suit both themes, and below 0.3, so that Grafana keeps the text colour
# of the theme. On the stronger ones it writes in white.
_BLUES = (
    "rgba(10, 95, 255, 0.03)",
    (0.05, "rgba(10, 95, 255, 0.08)"),
    (0.1, "rgba(10, 95, 255, 0.13)"),
    (0.15, "rgba(10, 95, 255, 0.18)"),
    (0.2, "rgba(10, 95, 255, 0.23)"),
    (0.25, "rgba(10, 95, 255, 0.29)"),
    (0.3, "#1F60C4"),
    (0.4, "#184E9F"),
    (0.5, "#123C7A"),
)
"""Colours of the share of a cohort that came back."""


def row() -> PanelRow:
    """Return the row about why the figures of the selected app changed."""
    return PanelRow(
        "Why: entrances, retention and shares of ${app:text}",
        (
            Panel(_HALF, 11, _fetched(_losses(), DAILY_SOURCES, _FULL_WEEK)),
            Panel(_HALF, 11, _fetched(_two_weeks(), DAILY_SOURCES, _FULL_WEEK)),
            Panel(_HALF, 10, _fetched(_entrances_by_week(), DAILY_SOURCES, _FULL_WEEK)),
            Panel(_HALF, 10, _fetched(_shares(), DAILY_SUMMARY, "a day")),
            Panel(_HALF, 14, _fetched(_cohorts(), WEEKLY_RETENTION, _TWO_WEEKS)),
            Panel(_HALF, 14, _fetched(_came_back(), WEEKLY_RETENTION, _TWO_WEEKS)),
            Panel(_HALF, 8, _fetched(_distribution(STAY_SESSIONS, "Length of stay"), DAILY_SOURCES, "a day")),
            Panel(_HALF, 8, _fetched(_distribution(DEPTH_SESSIONS, "Pages per session"), DAILY_SOURCES, "a day")),
        ),
    )


def _fetched(content: Json, report: Report, first: str) -> Json:
    """Return a panel that says what to do when it is empty."""
    setting = f"reports: [.., {report.name}]"
    described = content | {
        "description": f"{content['description']} Empty unless the app is configured with {setting}."
    }
    text = f"No data. The app needs {setting}; figures appear when WeChat has published {first}."
    return with_empty_text(described, text)


def _losses() -> Json:
    columns = (
        Column("Sessions", entrances.sessions_with_exporter()),
        Column("Week before", entrances.sessions_before(), style={"custom.width": 115}),
        Column("Change", entrances.change()),
        Column("Change %", entrances.relative_change(), "percentunit", 1, {"custom.width": 88}),
        Column(
            "Share of loss",
            entrances.share_of_loss(),
            "percentunit",
            1,
            {
                "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
                "min": 0,
                "max": 1,
                "color": fixed_colour("orange"),
                "custom.width": 148,
            },
        ),
    )
    labels = (
        LabelColumn("source", "Entrance", _ENTRANCE | {"links": _links(DAILY_SOURCES), "custom.width": 220}),
        LabelColumn("week", "Week", _DATES),
        LabelColumn("appid", "AppID", {"custom.hidden": True}),
        LabelColumn("instance", "Exporter", {"custom.hidden": True}),
    )
    description = (
        "How often the app was opened through each entrance (search, a chat, a code, ..) in the newest week of which"
        " WeChat has published every day, against the previous week; the entrance that lost most comes first. Share of"
        " loss: its part of the sum of all losses; a dash for an entrance that did not lose."
    )
    return table(
        "Entrances this week, largest loss first", description, labels, columns, entrances.largest_loss_first()
    )


def _two_weeks() -> Json:
    columns = (
        Column("This week", _without_week(entrances.sessions()), style={"color": _BLUE}),
        Column("Week before", _without_week(entrances.sessions_before()), style={"color": _GREY}),
    )
    order = _without_week(entrances.largest_loss_first())
    x = LabelColumn("source", "Entrance", _ENTRANCE, order=order, rows=_SHOWN_ENTRANCES)
    description = (
        f"The same as bars: sessions by entrance, the largest loss at the top, up to {_SHOWN_ENTRANCES} entrances. A"
        " blue bar that is shorter than the grey one is a loss."
    )
    return bar_chart("Entrances this week and the week before", description, x, columns)


def _without_week(values: str) -> str:
    return f"max by (source) ({values})"


def _entrances_by_week() -> Json:
    week = LabelColumn("week", "Week", {"mappings": regex_mapping(charts.WEEK_PATTERN, "$2-$3")})
    parts = Parts("source", entrances.largest_first(), entrances.colours(), (rename(*entrances.WORDS),))
    description = (
        f"Sessions of each full week, stacked by entrance: the {entrances.LARGEST} largest of the time range, and the"
        " sum of the remaining ones. An entrance has the same colour in every app. Weeks are labelled with their"
        " Monday; a week of which a day is unknown leaves a gap."
    )
    return stacked_bars("Sessions per week by entrance", description, week, parts, entrances.by_week())


def _shares() -> Json:
    return charts.with_comparison(charts.of_days(DAILY_SUMMARY, _HALF), SHARES)


def _cohorts() -> Json:
    shares = (
        Column(
            f"{weeks} week{'s' if weeks > 1 else ''} later",
            cohorts.came_back(_NEW_VISITORS, weeks),
            "percentunit",
            1,
            {
                "custom.cellOptions": {"type": "color-background", "mode": "basic"},
                "thresholds": thresholds(*_BLUES),
                "color": {"mode": "thresholds"},
            },
        )
        for weeks in range(1, WEEKLY_RETENTION.later + 1)
    )
    labels = (
        LabelColumn("week", "Week", _DATES | {"links": _links(WEEKLY_RETENTION), "custom.width": 145}),
        LabelColumn("appid", "AppID", {"custom.hidden": True}),
        LabelColumn("instance", "Exporter", {"custom.hidden": True}),
    )
    description = (
        "New visitors by the week of their first visit, the newest first, and the share of them who came back one to"
        " four weeks later; a stronger colour is a larger share. A pale row is a week whose new visitors did not stay;"
        " a pale diagonal, a week in which earlier visitors stayed away. Each new week adds one diagonal; a dash"
        " means not published yet."
    )
    columns = (Column("New visitors", cohorts.size(_NEW_VISITORS)), *shares)
    return table("New visitors who came back", description, labels, columns, f"-1 * {cohorts.starts(_NEW_VISITORS)}")


def _came_back() -> Json:
    columns = (
        Column("New visitors", cohorts.came_back(_NEW_VISITORS, 1), "percentunit", 1, {"color": _GREEN}),
        Column("All visitors", cohorts.came_back(_VISITORS, 1), "percentunit", 1, {"color": _BLUE}),
    )
    description = (
        "Share of a week's visitors who came back in the following week: of the new visitors, and of all visitors. A"
        " point is at the Monday of the first of the two weeks."
    )
    week = LabelColumn("week", "Week", order=f"1000 * {cohorts.starts(_VISITORS, cohorts.lag(1))}")
    return dated_lines("Visitors who came back a week later", description, week, columns, "percentunit")


def _distribution(field: Field, title: str) -> Json:
    dimension = field.dimension
    if dimension is None:
        raise ValueError(field.metric)
    label = dimension.label
    metric = f"{PREFIX}daily_{field.metric}"
    values = bars.in_range(metric)
    exporter = "job, instance, day"
    share = f"({values} / on ({exporter}) group_left () (sum by ({exporter}) ({values}) > 0))"
    every_day = bars.latest(values, values, DAILY_SOURCES, "day", label)
    columns = (
        Column(
            "Newest day",
            f"sum by ({label}) ({bars.latest(share, values, DAILY_SOURCES, 'day', label)}"
            f" and on (day) {bars.newest(Day, values)})",
            "percentunit",
            1,
            {"color": _BLUE},
        ),
        Column(
            "All days of the time range",
            f"sum by ({label}) ({every_day}) / on () group_left () (sum({every_day}) > 0)",
            "percentunit",
            1,
            {"color": _GREY},
        ),
    )
    order = " or ".join(
        f"{place} + 0 * max by ({label}) ({bars.in_range(metric, matcher)})"
        for place, matcher in enumerate(f'{label}="{name}"' for name in dimension.names.values())
    )
    description = (
        f"{field.meaning} on the newest published day, as shares of all sessions of the day, beside the average of the"
        " time range."
    )
    # Otherwise "1" page would have the unit of the bars, and be shown as 100 %.
    return bar_chart(title, description, LabelColumn(label, title, {"unit": "string"}, order=order), columns)


def _links(report: Report) -> list[Json]:
    """Return links to a report on the exporter's status page; the table has AppID and Exporter columns."""
    exporter = "http://${__data.fields.Exporter}"
    return [
        {
            "title": f"{report.title} on the status page",
            "url": f"{exporter}/?report={report.name}#q=${{__data.fields.AppID}}",
            "targetBlank": True,
        },
        {"title": "About this report", "url": f"{exporter}/docs/reports", "targetBlank": True},
    ]

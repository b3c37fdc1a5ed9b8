"""The first row: how many apps have the new week, fell, rose or are refused, and which alerts fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.alerts.model import PREFIX
from exporter.apps import State
from exporter.dashboards import judgement, queries
from exporter.dashboards.panels import Column, LabelColumn, Panel, PanelRow, stat, table
from exporter.dashboards.queries import FIGURES
from exporter.dashboards.styles import app_links, regex_mapping, text_column, thresholds
from exporter.reports.catalogue import WEEKLY

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json

# Alerts about the exporter have no label `appid`, which an empty alternative of the regular expression matches.
_ALERTS = f'alertname=~"{PREFIX}.+", appid=~"$appid|"'
_FIRING = f'{_ALERTS}, alertstate="firing"'
_SEVERITIES = {"critical": "red", "warning": "orange", "info": "text"}
_ROW = "alertname, appid, report, figure"
"""What names an alert; alerts about exporters have the label ``instance``, too."""


def row() -> PanelRow:
    """Return the row of numbers about all selected apps."""
    fallen = Column("Fallen", judgement.number_of_fallen(), style=_from_one("red"))
    refused = Column("Refused", queries.in_state(State.REFUSED), style=_from_one("red"))
    return PanelRow(
        "Overview",
        (
            Panel(4, 4, _new_week()),
            Panel(3, 4, stat("Fallen", "Apps for which a weekly alert rule holds.", (fallen,))),
            Panel(3, 4, _risen()),
            Panel(3, 4, stat("Refused", "Apps with a report that WeChat refuses: action required.", (refused,))),
            Panel(5, 4, _firing()),
            Panel(3, 4, _total("sessions")),
            Panel(3, 4, _total("visits")),
        ),
    )


def alerts() -> Panel:
    """Return the list of the alerts that fire."""
    by_severity = " or ".join(
        f'0 * max by ({_ROW}, instance) (ALERTS{{{_FIRING}, severity="{severity}"}}) + {index}'
        for index, severity in enumerate(_SEVERITIES)
    )
    firing = f"({by_severity})"
    named = f"{queries.with_app_links(firing)} or on ({_ROW}) {firing}"
    # Without the exporter, so that Grafana merges these columns into the rows above.
    since = f"1000 * max by ({_ROW}) (ALERTS_FOR_STATE{{{_ALERTS}}})"
    columns = (
        Column(
            "Severity",
            named,
            style=text_column({str(index): (name, _SEVERITIES[name]) for index, name in enumerate(_SEVERITIES)}),
        ),
        Column("Since", f"{since} and on ({_ROW}) {firing}", "dateTimeFromNow"),
    )
    labels = (
        LabelColumn("alertname", "Alert", {"mappings": regex_mapping(f"^{PREFIX}(.*)$", "$1"), "custom.width": 260}),
        LabelColumn("app", "App", {"links": app_links(), "custom.width": 220}),
        LabelColumn("report", "Report"),
        LabelColumn("figure", "Figure"),
        LabelColumn("appid", "AppID", {"custom.hidden": True}),
        LabelColumn("instance", "Exporter", {"links": [_status_page()], "custom.width": 220}),
    )
    description = (
        "Alerts of this exporter that fire in Prometheus at the end of the time range, the most severe first (series"
        " ALERTS). Empty while none fires, or if Prometheus does not evaluate the rules. The page /docs/alerts of the"
        " exporter says what to do about each."
    )
    return Panel(24, 7, table("Alerts", description, labels, columns, f"max by ({_ROW}) ({firing})"))


def _status_page() -> Json:
    return {"title": "Status page", "url": "http://${__value.raw}/", "targetBlank": True}


def _new_week() -> Json:
    columns = (
        Column("have it", queries.with_new_week()),
        Column("apps", queries.number_of_apps()),
    )
    description = "Apps of which WeChat has published the week that ended last, and all apps."
    return stat("New week", description, columns)


def _risen() -> Json:
    description = (
        f"Apps with more than {judgement.RISEN} times the visitors of their typical week, by more than chance explains."
    )
    return stat("Risen", description, (Column("Risen", judgement.number_of_risen()),))


def _firing() -> Json:
    columns = [
        Column(severity, f'count(ALERTS{{{_FIRING}, severity="{severity}"}}) or vector(0)', style=_from_one(colour))
        for severity, colour in _SEVERITIES.items()
    ]
    description = "Alerts of this exporter that fire in Prometheus, by severity: the series ALERTS."
    return stat("Alerts firing", description, columns)


def _total(name: str) -> Json:
    figure = FIGURES[name]
    typical = queries.comparison_metric(WEEKLY, "typical_week", figure)
    columns = (
        Column("of all apps", queries.total(figure)),
        Column("vs typical", queries.total_change(figure, typical), "percentunit", 1),
    )
    description = (
        f"Sum of {figure.title.lower()} in the newest published week of each app, and its change against the"
        " typical weeks of the apps that have one. Visitors are not added, because one person can use several apps."
    )
    return stat(figure.title, description, columns)


def _from_one(colour: str) -> Json:
    return {"thresholds": thresholds("text", (1, colour))}

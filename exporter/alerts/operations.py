"""Alerts about fetching: late periods, apps that fail, the exporter itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.annotations import APP
from exporter.alerts.conditions import compared, live
from exporter.alerts.model import AlertingRule
from exporter.apps import State
from exporter.metrics import catalogue
from exporter.promql import per_app_and_report
from exporter.reports import PREFIX
from exporter.reports.catalogue import DAILY, WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.model import Severity

JOB = "wechat-miniprogram"
"""Prometheus' job name in all examples and rules."""

_FIRST_PERIOD_WITHIN = "36h"
"""How long a report may be fetched without any published period before it is late."""
# The end of a period is midnight in Beijing, 16:00 UTC of its last day. Prometheus' templates format times in UTC only,
# so adding this shows the last day: 23:59:59 UTC.
_LAST_DAY_IN_UTC = 8 * 3600 - 1
_MIN_FAILED_CALLS = 3
"""A single failing app makes one or two failing calls in half an hour; that is no outage."""
_INSTANCE = "{{ $labels.instance }}"


def alerts() -> Iterator[AlertingRule]:
    """Yield every alert that is not about a drop of a figure."""
    yield from _periods()
    yield from _apps()
    yield from _exporter()


def _periods() -> Iterator[AlertingRule]:
    end, fetches = catalogue.PERIOD_END.name, catalogue.FETCHES.name
    # `last_over_time(..[1h] offset ..)` proves that the report was already fetched then; without the window a gap in
    # the scrapes 36 hours ago would hide the alert. `and` drops reports that have left the configuration since.
    never_published = (
        f"{per_app_and_report(f'last_over_time({fetches}[1h] offset {_FIRST_PERIOD_WITHIN})')} * 0\n"
        f"and on (appid, report)\n{per_app_and_report(fetches)}\n"
        f"unless on (appid, report)\n{per_app_and_report(end)}"
    )
    newest = f'"max({end}{{appid=%q,report=%q}}) + {_LAST_DAY_IN_UTC}" $labels.appid $labels.report'
    last_day = '{{ . | first | value | humanizeTimestamp | reReplaceAll " .*" "" }}'
    yield AlertingRule(
        name="PeriodLate",
        severity="warning",
        expr=f"{promql.late()}\nor\n{never_published}",
        summary=f"{APP}: {{{{ $labels.report }}}} figures are late",
        description=(
            f"{{{{ with printf {newest} | query }}}}The newest {{{{ $labels.report }}}} period of {APP} ended on"
            f" {last_day}; the next period should have been published by now.{{{{ else }}}}The exporter has requested"
            f" {{{{ $labels.report }}}} figures of {APP} for a day and a half and has received none.{{{{ end }}}}"
        ),
    )
    yield _field_missing()


def _field_missing() -> AlertingRule:
    # Only a field that the previous period had can be missing: an app that never had one must not alert.
    missing = "\nor\n".join(
        f"label_replace(label_replace(max by (appid) (\n  {compared(report, previous, field).promql}\n"
        f"  unless on (appid, {report.period.NAME})\n  {live(report, field).promql}\n),"
        f' "field", "{field.short_name}", "", ""), "report", "{report.name}", "", "")'
        for report, previous in ((WEEKLY, "previous_week"), (DAILY, "previous_day"))
        for field in report.fields
    )
    return AlertingRule(
        name="FieldMissing",
        severity="info",
        expr=missing,
        summary=f"{APP}: WeChat no longer sends {{{{ $labels.field }}}} ({{{{ $labels.report }}}})",
        description=(
            "WeChat sent no {{ $labels.field }} for the newest {{ $labels.report }} period, but did for the previous"
            " one."
        ),
    )


def _apps() -> Iterator[AlertingRule]:
    yield _of_app(
        "Refused",
        _in_state(State.REFUSED),
        "WeChat refuses requests, action required",
        f"WeChat refuses requests for {APP} ({_reports_in(State.REFUSED)}): check the credentials, the IP allow list"
        " and the permissions. The exporter's status page and log have WeChat's error and what to do. Figures are not"
        " updated until this is fixed.",
    )
    yield _of_app(
        "Failed",
        _failing(),
        "requests to WeChat keep failing",
        f"Requests for {APP} keep failing ({_reports_in(State.FAILED)}): network, proxy or invalid responses. The"
        " exporter retries automatically; its status page and log have the error.",
    )
    yield _of_app(
        "QuotaSpent",
        _in_state(State.QUOTA_SPENT),
        "WeChat's call quota is used up",
        f"WeChat allows no more calls for {APP} ({_reports_in(State.QUOTA_SPENT)}). The exporter needs about four calls"
        " a day for each report, so another client of this AppID uses up the quota.",
        severity="info",
    )
    yield _unreachable()


def _unreachable() -> AlertingRule:
    """Most calls fail, of whichever apps.

    Each app is requested every six hours, so counting apps that fail took 2.4 to 4.4 hours to notice an outage, and up
    to seven apps alerted before. The calls of all apps tell within minutes.
    """
    failed = f"sum(increase({catalogue.REQUEST_FAILURES.name}[30m]))"
    calls = f"sum(increase({catalogue.REQUEST_DURATION.name}_count[30m]))"
    return AlertingRule(
        name="WeChatUnreachable",
        severity="warning",
        expr=f"({failed} >= {_MIN_FAILED_CALLS})\n/\n({calls} > 0)\n> 0.5",
        summary="WeChat is unreachable: {{ $value | humanizePercentage }} of the requests fail",
        description=(
            "Most requests of the last half hour failed: check the network, the proxy and whether WeChat is down. The"
            " exporter retries automatically."
        ),
        is_per_app=False,
        wait="5m",
        # The last app is retried up to `interval` and its jitter (6.6 hours) after WeChat responds again. Until then
        # this alert must inhibit the alert of that app.
        keep_firing_for="7h",
    )


def _exporter() -> Iterator[AlertingRule]:
    yield from _liveness()
    yield from _degraded()


def _liveness() -> Iterator[AlertingRule]:
    up = f'up{{job="{JOB}"}}'
    # `up == 0` has no series when the job has no target, which is what a typo in the scrape configuration causes.
    yield _of_exporter(
        "ExporterDown",
        f"{up} == 0\nor\nabsent({up})",
        "Prometheus cannot scrape the exporter",
        f"{{{{ if $labels.instance }}}}Prometheus cannot scrape {_INSTANCE}."
        f"{{{{ else }}}}Prometheus has no target in the job {JOB}.{{{{ end }}}}",
        severity="critical",
    )
    yield _of_exporter(
        "PollerStalled",
        f"{promql.seconds_since_poller_run('job, instance')} > {promql.STALLED_AFTER}",
        "The exporter no longer fetches figures from WeChat",
        f"The poller of {_INSTANCE} last ran {{{{ $value | humanizeDuration }}}} ago. Scrapes still succeed, but"
        " figures are no longer updated.",
        severity="critical",
    )


def _degraded() -> Iterator[AlertingRule]:
    yield _of_exporter(
        "ReloadFailed",
        f"{_per_instance(catalogue.RELOAD_SUCCESSFUL.name)} == 0",
        "Configuration reload failed",
        f"{_INSTANCE} keeps running with the previous configuration. Its log and the command `check` list the"
        " problems.",
    )
    yield _of_exporter(
        "ConfigFileBroken",
        f"max by (job, instance, file) ({catalogue.CONFIG_FILE_ERRORS.name}) > 0",
        "{{ $labels.file }} is invalid",
        f"{_INSTANCE} keeps the last valid apps of this file, if there are any. The command `check` lists the"
        " problems.",
    )
    yield _of_exporter(
        "StoreBroken",
        f"{_per_instance(catalogue.STORE_UP.name)} == 0",
        "The store is unavailable",
        f"{_INSTANCE} keeps data in memory only: figures fetched now are lost on restart and fetched again. Its status"
        " page has the error.",
    )
    # By week and not by app: the calendar is that of the installation, so one alert is enough for all apps.
    unknown = "\nor\n".join(
        f"label_replace(count(\n  {promql.per_app_and_period(report, catalogue.end_metric(report))}\n"
        f"  unless on (appid, {report.period.NAME})\n"
        f"  {promql.per_app_and_period(report, PREFIX + report.calendar[0].metric)}\n),"
        f' "report", "{report.name}", "", "")'
        for report in (WEEKLY, DAILY)
    )
    yield _of_exporter(
        "HolidayCalendarOutdated",
        unknown,
        "The calendar of public holidays is outdated",
        "The public holidays in the newest {{ $labels.report }} periods are unknown, so a holiday may raise false"
        " alerts about figures. Upgrade the package chinesecalendar.",
        severity="info",
    )


def _of_app(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> AlertingRule:
    return AlertingRule(name, severity, expr, f"{APP}: {summary}", description)


def _of_exporter(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> AlertingRule:
    return AlertingRule(name, severity, expr, summary, description, is_per_app=False)


def _per_instance(metric: str) -> str:
    return f"max by (job, instance) ({metric})"


def _in_state(state: State) -> str:
    """Return the apps that have a report in a state: one alert per app, since most causes affect all its reports."""
    return f'max by (appid) ({catalogue.FETCH_STATE.name}{{state="{state.value}"}})'


def _failing() -> str:
    """Return the apps that have a failing report with at least two failures within a day."""
    state = per_app_and_report(f'{catalogue.FETCH_STATE.name}{{state="{State.FAILED.value}"}}')
    # `changes` and not `increase`, which extrapolates: a single failure can become 1.01, and so more than 1.
    failures = per_app_and_report(f"changes({catalogue.FETCH_FAILURES.name}[1d])")
    return f"max by (appid) (\n  {state}\n  and on (appid, report)\n  {failures} > 1\n)"


def _reports_in(state: State) -> str:
    """Return a template of the app's reports in a state: ``reports: daily weekly``."""
    query = f'"group by (report) ({catalogue.FETCH_STATE.name}{{appid=%q,state=\\"{state.value}\\"}})" $labels.appid'
    return (
        f'reports:{{{{ range printf {query} | query | sortByLabel "report" }}}} {{{{ .Labels.report }}}}{{{{ end }}}}'
    )

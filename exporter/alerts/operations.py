"""Alerts about fetching: late periods, apps that fail, the exporter itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.conditions import Baseline
from exporter.alerts.figures import APP, HOLIDAYS, WEEK, per_app_and_week, with_app_name
from exporter.alerts.model import AlertingRule
from exporter.apps import State
from exporter.metrics import catalogue
from exporter.promql import per_app_and_report
from exporter.reports.catalogue import WEEKLY

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
        expr=with_app_name(f"{promql.late()}\nor\n{never_published}"),
        summary=f"{APP}: {{{{ $labels.report }}}} figures are late",
        description=(
            f"{{{{ with printf {newest} | query }}}}The newest {{{{ $labels.report }}}} period of {APP} ended on"
            f" {last_day}; the next period should have been published by now.{{{{ else }}}}The exporter has requested"
            f" {{{{ $labels.report }}}} figures of {APP} for a day and a half and has received none.{{{{ end }}}}"
        ),
    )
    yield _field_missing()


def _field_missing() -> AlertingRule:
    # Only a field that the previous week had can be missing: an app that never had one must not alert.
    missing = "\nor\n".join(
        f"label_replace(\n  {per_app_and_week(Baseline.PREVIOUS_WEEK.metric(field))}\n  unless on (appid, week)\n"
        f'  {per_app_and_week(WEEKLY.metric(field))},\n  "figure", "{field.short_name}", "", ""\n)'
        for field in WEEKLY.fields
    )
    return AlertingRule(
        name="FieldMissing",
        severity="info",
        expr=with_app_name(missing),
        summary=f"{APP}: WeChat no longer sends {{{{ $labels.figure }}}}",
        description=(
            f"WeChat sent no {{{{ $labels.figure }}}} of {APP} for the week {WEEK}, but did for the previous week."
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
    # A single app is never "most apps": its own alert says more. `_failing` already needs a second failure, so one
    # failed round of requests is no outage.
    yield AlertingRule(
        name="WeChatUnreachable",
        severity="warning",
        expr=f"(count({_failing()}) > 1)\n/\ncount(max by (appid) ({catalogue.APP_INFO.name}))\n> 0.5",
        summary="WeChat is unreachable: requests fail for {{ $value | humanizePercentage }} of the apps",
        description=(
            "Requests for most apps fail at the same time: check the network, the proxy and whether WeChat is down."
            " The exporter retries automatically."
        ),
        is_per_app=False,
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
    yield _of_exporter(
        "HolidayCalendarOutdated",
        f"count by (week) (\n  {per_app_and_week(catalogue.end_metric(WEEKLY))}\n  unless on (appid, week)\n"
        f"  {per_app_and_week(HOLIDAYS)}\n)",
        "The calendar of public holidays is outdated",
        f"The public holidays in the week {WEEK} are unknown, so a holiday may raise false alerts about figures."
        " Upgrade the package chinesecalendar.",
        severity="info",
    )


def _of_app(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> AlertingRule:
    return AlertingRule(name, severity, with_app_name(expr), f"{APP}: {summary}", description)


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

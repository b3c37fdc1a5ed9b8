"""Alerts about fetching: periods that are late, apps that fail, the exporter itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter import promql
from exporter.alerts.figures import APP, HOLIDAYS, PREVIOUS_WEEK, WEEK, named, per_app_and_week
from exporter.alerts.model import Alert
from exporter.apps import State
from exporter.metrics import catalogue
from exporter.promql import per_app_and_report
from exporter.reports.catalogue import WEEKLY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.alerts.model import Severity

JOB = "wechat-miniprogram"
"""Prometheus' job."""

_KNOWN_FOR = "36h"
"""How long an app's report is fetched before it is late without any period."""
_BEIJING_LAST_SECOND = 8 * 3600 - 1
"""From the end of a period to a moment whose date by UTC is the period's last day in Beijing."""
_INSTANCE = "{{ $labels.instance }}"


def alerts() -> Iterator[Alert]:
    """Return every alert that is not about a fall of a figure."""
    yield from _periods()
    yield from _apps()
    yield from _exporter()


def _periods() -> Iterator[Alert]:
    end, fetches = catalogue.PERIOD_END.name, catalogue.FETCHES.name
    never_published = (
        f"{per_app_and_report(f'last_over_time({fetches}[1h] offset {_KNOWN_FOR})')} * 0\n"
        f"and on (appid, report)\n{per_app_and_report(fetches)}\n"
        f"unless on (appid, report)\n{per_app_and_report(end)}"
    )
    newest = f'"max({end}{{appid=%q,report=%q}}) + {_BEIJING_LAST_SECOND}" $labels.appid $labels.report'
    last_day = '{{ . | first | value | humanizeTimestamp | reReplaceAll " .*" "" }}'
    yield Alert(
        name="PeriodLate",
        severity="warning",
        expr=named(f"{promql.late()}\nor\n{never_published}"),
        summary=f"{APP}: the next {{{{ $labels.report }}}} figures are late",
        description=(
            f"{{{{ with printf {newest} | query }}}}The newest {{{{ $labels.report }}}} period of {APP} ended on"
            f" {last_day}; the next one should have been published.{{{{ else }}}}The exporter has fetched"
            f" {{{{ $labels.report }}}} figures of {APP} for a day and a half and has none.{{{{ end }}}}"
        ),
    )
    yield _field_missing()


def _field_missing() -> Alert:
    missing = "\nor\n".join(
        f"label_replace(\n  {per_app_and_week(PREVIOUS_WEEK.metric(field))}\n  unless on (appid, week)\n"
        f'  {per_app_and_week(WEEKLY.metric(field))},\n  "figure", "{field.short_name}", "", ""\n)'
        for field in WEEKLY.fields
    )
    return Alert(
        name="FieldMissing",
        severity="info",
        expr=named(missing),
        summary=f"{APP}: WeChat no longer sends {{{{ $labels.figure }}}}",
        description=(f"The week from {WEEK} of {APP} has no {{{{ $labels.figure }}}}; the week before had."),
    )


def _apps() -> Iterator[Alert]:
    yield _of_app(
        "Refused",
        _in_state(State.REFUSED),
        "WeChat refuses requests, action required",
        f"Credentials, IP allow list or permission of {APP}, {_reports_in(State.REFUSED)}: the exporter's status page"
        " and log say what WeChat responds and what to do. Until then its figures do not change.",
    )
    yield _of_app(
        "Failed",
        _failing(),
        "requests to WeChat keep failing",
        f"Network, proxy or invalid responses, {_reports_in(State.FAILED)}: the exporter retries {APP} automatically."
        " Its status page and log have the error.",
    )
    yield _of_app(
        "QuotaSpent",
        _in_state(State.QUOTA_SPENT),
        "WeChat's quota of calls is spent",
        f"Other callers use up the calls that WeChat allows {APP}, {_reports_in(State.QUOTA_SPENT)}; the exporter needs"
        " about four a day for each report.",
        severity="info",
    )
    yield Alert(
        name="WeChatUnreachable",
        severity="warning",
        expr=f"(count({_failing()}) > 1)\n/\ncount(max by (appid) ({catalogue.APP_INFO.name}))\n> 0.5",
        summary="WeChat is unreachable: {{ $value | humanizePercentage }} of the apps fail",
        description="Most apps fail at once: the network, a proxy, or WeChat itself. The exporter continues to retry.",
        of_app=False,
    )


def _exporter() -> Iterator[Alert]:
    yield from _liveness()
    yield from _degraded()


def _liveness() -> Iterator[Alert]:
    up = f'up{{job="{JOB}"}}'
    yield _of_exporter(
        "ExporterDown",
        f"{up} == 0\nor\nabsent({up})",
        "The exporter cannot be scraped",
        f"{{{{ if $labels.instance }}}}Prometheus gets no metrics from {_INSTANCE}."
        f"{{{{ else }}}}Prometheus knows no target of the job {JOB}.{{{{ end }}}}",
        severity="critical",
    )
    yield _of_exporter(
        "PollerStalled",
        f"{promql.seconds_since_poller_run('job, instance')} > {promql.STALLED_AFTER}",
        "The exporter no longer requests figures from WeChat",
        f"The poller of {_INSTANCE} has not run for {{{{ $value | humanizeDuration }}}}: scrapes are answered,"
        " figures no longer change.",
        severity="critical",
    )


def _degraded() -> Iterator[Alert]:
    yield _of_exporter(
        "ReloadFailed",
        f"{_per_instance(catalogue.RELOAD_SUCCESSFUL.name)} == 0",
        "Configuration reload failed",
        f"{_INSTANCE} continues with the previous configuration; its log and `check` say what is wrong with the new"
        " one.",
    )
    yield _of_exporter(
        "ConfigFileBroken",
        f"max by (job, instance, file) ({catalogue.CONFIG_FILE_ERRORS.name}) > 0",
        "{{ $labels.file }} is invalid",
        f"The last valid apps of that file stay configured on {_INSTANCE}, if there were any; `check` says what is"
        " wrong with it.",
    )
    yield _of_exporter(
        "StoreBroken",
        f"{_per_instance(catalogue.STORE_UP.name)} == 0",
        "The store is unavailable",
        f"{_INSTANCE} continues in memory: figures that it fetches now are lost when it restarts, and fetched again."
        " Its status page has the error.",
    )
    yield _of_exporter(
        "HolidayCalendarOutdated",
        f"count by (week) (\n  {per_app_and_week(catalogue.end_metric(WEEKLY))}\n  unless on (appid, week)\n"
        f"  {per_app_and_week(HOLIDAYS)}\n)",
        "The calendar of public holidays is outdated",
        f"Public holidays in the week from {WEEK} are unknown: alerts about falls cannot exclude holidays."
        " Upgrade the package chinesecalendar.",
        severity="info",
    )


def _of_app(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> Alert:
    return Alert(name, severity, named(expr), f"{APP}: {summary}", description)


def _of_exporter(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> Alert:
    return Alert(name, severity, expr, summary, description, of_app=False)


def _per_instance(metric: str) -> str:
    return f"max by (job, instance) ({metric})"


def _in_state(state: State) -> str:
    """The apps with a report in a state: one alert for each app, since most reasons hold for all of its reports."""
    return f'max by (appid) ({catalogue.FETCH_STATE.name}{{state="{state.value}"}})'


def _failing() -> str:
    """The apps with a report that has failed, and failed at least twice within a day."""
    state = per_app_and_report(f'{catalogue.FETCH_STATE.name}{{state="{State.FAILED.value}"}}')
    failures = per_app_and_report(f"changes({catalogue.FETCH_FAILURES.name}[1d])")
    return f"max by (appid) (\n  {state}\n  and on (appid, report)\n  {failures} > 1\n)"


def _reports_in(state: State) -> str:
    """A template of the app's reports in a state: ``reports: daily weekly``."""
    query = f'"group by (report) ({catalogue.FETCH_STATE.name}{{appid=%q,state=\\"{state.value}\\"}})" $labels.appid'
    return (
        f'reports:{{{{ range printf {query} | query | sortByLabel "report" }}}} {{{{ .Labels.report }}}}{{{{ end }}}}'
    )

"""Alerts about the way to the figures: weeks that do not come, apps in trouble, the exporter itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.metrics import catalogue
from exporter.reports import WEEKLY
from exporter.rules.figures import APP, WEEK, figure_label, named, per_app_and_week
from exporter.rules.model import Alert
from exporter.status import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.rules.model import Severity

JOB = "wechat-miniprogram"
"""Prometheus' job."""

_LATE = "7 * 86400 + 36 * 3600"
"""Seconds from the end of the newest week to Tuesday noon in Beijing, when the next one should long be there."""
_STALLED = 300
"""Seconds without a heartbeat; it beats each second."""
_INSTANCE = "{{ $labels.instance }}"


def alerts() -> Iterator[Alert]:
    """Every alert that is not about a fall of a figure."""
    yield from _weeks()
    yield from _apps()
    yield from _exporter()


def _weeks() -> Iterator[Alert]:
    end = catalogue.WEEK_END.name
    info = catalogue.APP_INFO.name
    newest = f"({per_app_and_week(end)} == on (appid) group_left () max by (appid) ({end}))"
    known_for_long = f"max by (appid) (last_over_time({info}[1h] offset 36h))\nand on (appid)\nmax by (appid) ({info})"
    yield Alert(
        name="WeekLate",
        severity="warning",
        expr=named(f"time() - {newest}\n> {_LATE}\nor\n{known_for_long}\nunless on (appid)\nmax by (appid) ({end})"),
        summary=f"{APP}: last week's figures are still missing",
        description=(
            f"{{{{ if $labels.week }}}}It is past Tuesday noon in Beijing, and the newest week of {APP} is still that"
            f" from {WEEK}.{{{{ else }}}}The exporter has known {APP} for a day and a half and has not one week of it."
            "{{ end }}"
        ),
    )
    missing = "\nor\n".join(
        f"label_replace(\n  {per_app_and_week(WEEKLY.previous_metric(field))}\n  unless on (appid, week)\n"
        f'  {per_app_and_week(WEEKLY.metric(field))},\n  "figure", "{figure_label(field)}", "", ""\n)'
        for field in WEEKLY.fields
    )
    yield Alert(
        name="FieldMissing",
        severity="info",
        expr=named(missing),
        summary=f"{APP}: WeChat no longer sends {{{{ $labels.figure }}}}",
        description=f"The week from {WEEK} of {APP} has no {{{{ $labels.figure }}}}; the week before had.",
    )


def _apps() -> Iterator[Alert]:
    failing = (
        f"{_in_state(State.FAILED)}\nand on (appid)\nmax by (appid) (changes({catalogue.FETCH_FAILURES.name}[1d])) > 1"
    )
    yield Alert(
        name="Refused",
        severity="warning",
        expr=named(_in_state(State.REFUSED)),
        summary=f"{APP}: WeChat refuses, and a person must act",
        description=(
            f"Credentials, IP allow list or permission of {APP}: the exporter's status page and log say what WeChat"
            " says and what to do. Until then its figures stand still."
        ),
    )
    yield Alert(
        name="Failed",
        severity="warning",
        expr=named(failing),
        summary=f"{APP}: asking WeChat fails again and again",
        description=(
            f"Network, proxy or nonsense answers: the exporter goes on trying for {APP} by itself."
            " Its status page and log say what happens."
        ),
    )
    yield Alert(
        name="QuotaSpent",
        severity="info",
        expr=named(_in_state(State.QUOTA_SPENT)),
        summary=f"{APP}: WeChat's quota of calls is spent",
        description=f"Something uses up the calls that WeChat allows {APP}; the exporter needs about four a day.",
    )
    yield Alert(
        name="WeChatUnreachable",
        severity="warning",
        expr=f"(count({failing}) > 1)\n/\ncount(max by (appid) ({catalogue.APP_INFO.name}))\n> 0.5",
        summary="WeChat cannot be reached: {{ $value | humanizePercentage }} of the apps fail",
        description="Most apps fail at once: the network, a proxy, or WeChat itself. The exporter goes on trying.",
        of_app=False,
    )


def _exporter() -> Iterator[Alert]:
    yield from _liveness()
    yield from _surroundings()


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
        f"time() - {_per_instance(catalogue.POLLER_LAST_RUN.name)} > {_STALLED}",
        "The exporter no longer asks WeChat",
        f"The poller of {_INSTANCE} has stood still for {{{{ $value | humanizeDuration }}}}: scrapes are answered,"
        " figures no longer change.",
        severity="critical",
    )


def _surroundings() -> Iterator[Alert]:
    yield _of_exporter(
        "ReloadFailed",
        f"{_per_instance(catalogue.RELOAD_SUCCESSFUL.name)} == 0",
        "A new configuration was refused",
        f"{_INSTANCE} goes on with the old configuration; its log and `check` say what is wrong with the new one.",
    )
    yield _of_exporter(
        "ConfigFileBroken",
        f"max by (job, instance, file) ({catalogue.CONFIG_FILE_ERRORS.name}) > 0",
        "{{ $labels.file }} is broken",
        f"The apps of that file are as they were on {_INSTANCE}, or missing; `check` says what is wrong with it.",
    )
    yield _of_exporter(
        "StoreBroken",
        f"{_per_instance(catalogue.STORE_UP.name)} == 0",
        "The store takes no writes",
        f"{_INSTANCE} goes on from memory: what it fetches now is lost at a restart. Its status page says why.",
    )
    yield _of_exporter(
        "HolidayCalendarOutdated",
        f"count by (week) (\n  {per_app_and_week(catalogue.WEEK_END.name)}\n  unless on (appid, week)\n"
        f"  {per_app_and_week(catalogue.WEEK_HOLIDAYS.name)}\n)",
        "The calendar of public holidays ends",
        f"Nothing is known of public holidays in the week from {WEEK}: alerts about falls go on without that gate."
        " Upgrade the package chinesecalendar.",
        severity="info",
    )


def _of_exporter(name: str, expr: str, summary: str, description: str, severity: Severity = "warning") -> Alert:
    return Alert(name, severity, expr, summary, description, of_app=False)


def _per_instance(metric: str) -> str:
    return f"max by (job, instance) ({metric})"


def _in_state(state: State) -> str:
    return f'max by (appid) ({catalogue.FETCH_STATE.name}{{state="{state.value}"}})'

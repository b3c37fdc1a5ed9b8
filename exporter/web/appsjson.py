"""The facts of the status page as JSON. docs/api.md describes it; its field names are part of the public contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter import __version__
from exporter.apps import State
from exporter.metrics import catalogue
from exporter.reports import PREFIX, REPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.apps import AppStatus, ReportStatus
    from exporter.metrics.catalogue import MetricInfo
    from exporter.periods import Period
    from exporter.reports import History
    from exporter.web.documents import PageContext

Facts = dict[str, object]

MEDIA_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class AppsJson:
    """Renders one object with the list of all apps, in the order of the configuration."""

    def render_app(self, status: AppStatus) -> bytes:
        """Return one element of the list."""
        return _encode(app(status))

    def render_document(
        self, statuses: Sequence[AppStatus], fragments: Sequence[bytes], context: PageContext
    ) -> list[bytes]:
        """Return the object, in the envelope of Prometheus' own API.

        The apps come last and are already encoded, so that a change of one app does not encode all of them again.
        """
        head = _encode({"status": "success", "data": exporter(statuses, context)}).removesuffix(b"}}")
        return [head + b',"apps":[', b",\n".join(fragments), b"]}}\n"]


def document(data: Facts) -> bytes:
    """Return the body of a response, in the envelope of Prometheus' own API."""
    return _encode({"status": "success", "data": data}) + b"\n"


def error(kind: str, message: str) -> bytes:
    """Return the body of an error response; the kinds are those of Prometheus' own API, such as ``not_found``."""
    return _encode({"status": "error", "errorType": kind, "error": message}) + b"\n"


def exporter(statuses: Sequence[AppStatus], context: PageContext) -> Facts:
    """Return the facts about the exporter itself."""
    return {
        "version": __version__,
        "made_timestamp_seconds": context.now,
        "issues": [{"summary": issue.summary, "details": issue.details} for issue in context.issues],
        "states": {
            name: {state: sum(of.state is state for of in found) for state in State}
            for name, report in REPORTS.items()
            if (found := [of for status in statuses if (of := status.of(report)) is not None])
        },
    }


def app(status: AppStatus) -> Facts:
    """Return the facts about one app. Names are those of labels and metrics, without the common prefix."""
    return {
        "appid": status.appid,
        "name": status.name,
        "reports": {of.report.name: report_facts(of) for of in status.reports},
    }


def report_facts(status: ReportStatus) -> Facts:
    """Return the facts about one report of an app."""
    history, report = status.history, status.report
    live = history.live
    return {
        **state_facts(status),
        report.period.NAME: live.label if live else None,
        _key(catalogue.PERIOD_END): live.end if live else None,
        _key(catalogue.PERIOD_FIRST_SEEN): history.first_seen if live else None,
        "figures": _figures(history, live),
        "comparison": {
            comparison.name: {
                field.metric: comparison.value(history, field)
                for field in report.plain_fields
                if comparison.applies_to(field)
            }
            for comparison in report.comparisons
        },
        "derived": _derived(history),
        "calendar": {fact.metric: fact.value(live) if live else None for fact in report.calendar},
        "history": _recent_values(history),
    }


def state_facts(status: ReportStatus) -> Facts:
    """Return the facts about the state of one report of an app."""
    last = status.last_result
    return {
        "state": status.state,
        "state_text": status.state.text,
        _key(catalogue.UP): None if status.state is State.PENDING else status.state.up,
        "state_since_timestamp_seconds": last.since if last else None,
        "errcode": (last.errcode or None) if last else None,
        "error": (last.message or None) if last else None,
        _key(catalogue.LAST_SUCCESS): last.succeeded if last else None,
        _key(catalogue.NEXT_FETCH): status.next_fetch,
    }


def _figures(history: History, period: Period | None) -> Mapping[str, float | None]:
    return {field.metric: history.value(period, field) for field in history.report.plain_fields}


def _derived(history: History) -> Facts:
    """Return each derived figure as a list of samples, each with its labels and value; empty if unknown."""
    report = history.report
    return {
        derived.metric.format(field.metric): [
            {period.NAME: period.label, **dict(zip(derived.labels, labels, strict=True)), "value": value}
            for period, labels, value in derived.values(history, field)
        ]
        for derived in report.derived
        for field in report.fields
        if field.wechat in derived.fields
    }


def _recent_values(history: History) -> Facts:
    """Return the primary figure period by period, the live one last."""
    primary = history.report.primary_field
    return {} if primary is None else {primary.metric: history.recent_values(primary, history.report.chart_periods)}


def _key(info: MetricInfo) -> str:
    return info.name.removeprefix(PREFIX)


def _encode(facts: Facts) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode()

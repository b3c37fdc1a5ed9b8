"""Statuses of apps to metric families. Pure: all series of an app's report come from one status, so they never mix."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.apps import State
from exporter.metrics import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from exporter.apps import AppStatus, ReportStatus
    from exporter.metrics.catalogue import MetricInfo
    from exporter.reports import CalendarFact, Comparison, DerivedFigure, Field, History, Report

    Sample = tuple[tuple[str, ...], float]
    Samples = Callable[[ReportStatus], Iterable[Sample]]
    """Label values without the appid, and a value."""


def families(
    reports: Sequence[Report], statuses: Sequence[AppStatus], of_state: Sequence[MetricInfo] = catalogue.OF_STATE
) -> Iterator[Metric]:
    """Return every family with an ``appid`` label, in the order of the catalogue.

    ``of_state`` are the families about the state of apps.
    """
    # OpenMetrics forbids a family to occur twice, so reports that share one are merged first.
    shared: dict[MetricInfo, list[tuple[Report, Samples]]] = {}
    for report in reports:
        for info, samples in zip(catalogue.of_report(report), _samples_of(report), strict=True):
            shared.setdefault(info, []).append((report, samples))
    for info, sources in shared.items():
        yield _family(info, _of_reports(sources, statuses))
    for info in of_state:
        yield _family(info, (sample for status in statuses for sample in _SAMPLES[info](status)))
    for option, info in catalogue.thresholds(reports).items():
        yield _family(info, (sample for status in statuses for sample in _thresholds(option, status)))


def _of_reports(sources: Sequence[tuple[Report, Samples]], statuses: Sequence[AppStatus]) -> Iterable[Sample]:
    """Samples of one family. Reports of one kind of period share some; a series must not occur twice in a scrape."""
    found = (
        ((status.appid, *labels), value)
        for status in statuses
        for report, samples in sources
        if (of := status.of(report)) is not None
        for labels, value in samples(of)
    )
    return found if len(sources) == 1 else dict(found).items()


def _samples_of(report: Report) -> Iterator[Samples]:
    """Yield what fills the families of a report, in the order of ``catalogue.of_report``."""
    for field in report.plain_fields:
        yield _live(partial(_figure, field))
        for comparison in report.comparisons:
            if comparison.applies_to(field):
                yield _live(partial(_compared, comparison, field))
    if report.has_end_metric:
        yield _live(lambda history: None if history.live is None else history.live.end)
    for derived in report.derived:
        for field in report.fields:
            if field.wechat in derived.fields:
                yield _derived(derived, field)
    for fact in report.calendar:
        yield _calendar(fact)


def _live(value: Callable[[History], float | None]) -> Samples:
    """Return samples of a value under the label of the live period; none if it is missing."""

    def samples(status: ReportStatus) -> Iterator[Sample]:
        if status.history.live is not None and (number := value(status.history)) is not None:
            yield (status.history.live.label,), number

    return samples


def _figure(field: Field, history: History) -> float | None:
    return history.live_value(field)


def _compared(comparison: Comparison, field: Field, history: History) -> float | None:
    return comparison.value(history, field)


def _derived(derived: DerivedFigure, field: Field) -> Samples:
    def samples(status: ReportStatus) -> Iterator[Sample]:
        for period, labels, number in derived.values(status.history, field):
            yield (period.label, *labels), number

    return samples


def _calendar(fact: CalendarFact) -> Samples:
    return _live(lambda history: None if history.live is None else fact.value(history.live))


def _family(info: MetricInfo, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if info.kind == "counter" else GaugeMetricFamily
    family = kind(info.name, info.help, labels=info.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _of_each(value: Callable[[ReportStatus], float | None]) -> Callable[[AppStatus], Iterator[Sample]]:
    """Return samples of a value of each report of an app; none where it is missing."""

    def samples(status: AppStatus) -> Iterator[Sample]:
        for of in status.reports:
            number = value(of)
            if number is not None:
                yield (status.appid, of.report.name), number

    return samples


def _states(status: AppStatus) -> Iterator[Sample]:
    for of in status.reports:
        yield (status.appid, of.report.name, of.state.value), 1


def _errors(status: AppStatus) -> Iterator[Sample]:
    for of in status.reports:
        for label, number in of.counters.errors:
            yield (status.appid, of.report.name, label), number


def _thresholds(option: str, status: AppStatus) -> Iterator[Sample]:
    for of in status.reports:
        for threshold in of.report.alert_thresholds:
            if threshold.option == option:
                yield (status.appid, of.report.name), status.thresholds.of(of.report, threshold)


_SAMPLES: dict[MetricInfo, Callable[[AppStatus], Iterable[Sample]]] = {
    catalogue.PERIOD_END: _of_each(lambda of: of.history.live.end if of.history.live else None),
    catalogue.PERIOD_FIRST_SEEN: _of_each(lambda of: of.history.first_seen if of.history.live else None),
    catalogue.APP_INFO: lambda status: [((status.appid, status.name), 1)],
    catalogue.UP: _of_each(lambda of: None if of.state is State.PENDING else of.state.up),
    catalogue.FETCH_STATE: _states,
    catalogue.LAST_SUCCESS: _of_each(lambda of: of.last_result.succeeded if of.last_result else None),
    catalogue.NEXT_FETCH: _of_each(lambda of: of.next_fetch),
    catalogue.FETCHES: _of_each(lambda of: of.counters.fetches),
    catalogue.FETCH_FAILURES: _of_each(lambda of: of.counters.failures),
    catalogue.REVISIONS: _of_each(lambda of: of.counters.revisions),
    catalogue.API_ERRORS: _errors,
}

"""Statuses of apps become metric families. Pure; an app's series all come from one status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from exporter.holidays import public_holidays
from exporter.metrics import catalogue
from exporter.status import Recent, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from exporter.metrics.catalogue import MetricInfo
    from exporter.reports import Field, Report
    from exporter.status import Kept, Status

    Sample = tuple[Sequence[str], float]


def families(report: Report, statuses: Sequence[Status]) -> Iterator[Metric]:
    """Every family with an ``appid`` label, in the order of the catalogue."""
    infos = catalogue.of_report(report)
    for field in report.fields:
        for figure in (
            _of_kept(lambda recent: recent.current),
            _of_kept(lambda recent: recent.previous),
            Recent.median,
        ):
            yield _family(next(infos), _figures(statuses, field, figure))
    for info in catalogue.OF_APPS:
        yield _family(info, (sample for status in statuses for sample in _SAMPLES[info](status)))


def _family(info: MetricInfo, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if info.kind == "counter" else GaugeMetricFamily
    family = kind(info.name, info.help, labels=info.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _figures(
    statuses: Sequence[Status], field: Field, figure: Callable[[Recent, Field], float | None]
) -> Iterator[Sample]:
    """A figure of each app that has it, always under the label of the live week."""
    for status in statuses:
        value = figure(status.recent, field)
        if value is not None and status.recent.current is not None:
            yield (status.appid, status.recent.current.week.label), value


def _of_kept(which: Callable[[Recent], Kept | None]) -> Callable[[Recent, Field], float | None]:
    def figure(recent: Recent, field: Field) -> float | None:
        kept = which(recent)
        return None if kept is None else kept.reading.value(field)

    return figure


def _of_week(value: Callable[[Kept], float | None]) -> Callable[[Status], Iterator[Sample]]:
    def samples(status: Status) -> Iterator[Sample]:
        live = status.recent.current
        number = None if live is None else value(live)
        if live is not None and number is not None:
            yield (status.appid, live.week.label), number

    return samples


def _of_app(value: Callable[[Status], float | None]) -> Callable[[Status], Iterator[Sample]]:
    def samples(status: Status) -> Iterator[Sample]:
        number = value(status)
        if number is not None:
            yield (status.appid,), number

    return samples


def _threshold(name: str) -> Callable[[Status], Iterator[Sample]]:
    return _of_app(lambda status: getattr(status.thresholds, name))


_SAMPLES: dict[MetricInfo, Callable[[Status], Iterable[Sample]]] = {
    catalogue.WEEK_END: _of_week(lambda kept: kept.week.end),
    catalogue.WEEK_FIRST_SEEN: _of_week(lambda kept: kept.first_seen),
    catalogue.WEEK_HOLIDAYS: _of_week(lambda kept: public_holidays(kept.week)),
    catalogue.PREVIOUS_WEEK_HOLIDAYS: _of_week(lambda kept: public_holidays(kept.week.before())),
    catalogue.APP_INFO: lambda status: [((status.appid, status.name), 1)],
    catalogue.UP: _of_app(lambda status: None if status.state is State.PENDING else status.state.up),
    catalogue.FETCH_STATE: lambda status: [((status.appid, status.state.value), 1)],
    catalogue.LAST_SUCCESS: _of_app(lambda status: status.answer.succeeded if status.answer else None),
    catalogue.NEXT_FETCH: _of_app(lambda status: status.next_fetch),
    catalogue.FETCHES: _of_app(lambda status: status.counters.fetches),
    catalogue.FETCH_FAILURES: _of_app(lambda status: status.counters.failures),
    catalogue.REVISIONS: _of_app(lambda status: status.counters.revisions),
    catalogue.API_ERRORS: lambda status: [((status.appid, label), number) for label, number in status.counters.errors],
    **{info: _threshold(name) for name, info in catalogue.THRESHOLDS.items()},
}

"""The series of one app as in a scrape, as bytes, for files with many instants."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.utils import floatToGoString

from exporter.metrics import catalogue
from exporter.metrics.families import families
from exporter.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

    from exporter.apps import AppStatus
    from exporter.reports import Report


class SeriesValue(NamedTuple):
    """A series and its value."""

    family: int
    """Index in ``SeriesRenderer.families``."""
    series: bytes
    """Name and labels: ``wechat_miniprogram_weekly_visitors{appid="wx1",week="20261116-20261122"}``."""
    value: bytes


@dataclass(frozen=True, slots=True)
class FamilyHead:
    """The lines before the samples of a family."""

    lines: bytes
    """The HELP and TYPE lines in OpenMetrics, each with its line end."""
    of_period: bool
    """Whether its series have the label of a period."""
    is_shared: bool
    """Whether several reports have its series, so that one can expose a period after another has ended it."""


class SeriesRenderer:
    """Renders the series of one app with exactly the names, labels and values of a scrape.

    Of the families about the state of apps it has ``catalogue.KNOWN_OF_PAST`` only.

    Args:
        reports: the reports whose families exist.
        labels: labels to add to every series, such as ``job``.
    """

    def __init__(self, reports: Sequence[Report], labels: Mapping[str, str]) -> None:
        self._reports = reports
        self._labels = "".join(f',{name}="{_escaped(value)}"' for name, value in labels.items())
        periods = {report.period.NAME for report in REPORTS.values()}
        infos = Counter(info for report in reports for info in catalogue.of_report(report))
        of_period = {info.name for info in infos if periods & {*info.labels}}
        shared = {info.name for info, number in infos.items() if number > 1}
        self.families = tuple(
            FamilyHead(
                f"# HELP {family.name} {_escaped(family.documentation)}\n# TYPE {family.name} gauge\n".encode(),
                family.name in of_period,
                family.name in shared,
            )
            for family in self._metrics(())
        )
        """Every family, in the order of a scrape."""

    def series(self, status: AppStatus) -> Iterator[SeriesValue]:
        """Yield every series of an app, family by family."""
        # Not prometheus_client's generate_latest(), which took two thirds of the time: it checks each character of each
        # label value. A test compares the series with those of a scrape.
        for number, family in enumerate(self._metrics((status,))):
            for sample in family.samples:
                labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
                series = f"{sample.name}{{{labels}{self._labels}}}"
                value: str = floatToGoString(sample.value)  # type: ignore[no-untyped-call]  # the library has no type here
                yield SeriesValue(number, series.encode(), value.encode())

    def _metrics(self, statuses: Sequence[AppStatus]) -> Iterator[Metric]:
        return families(self._reports, statuses, catalogue.KNOWN_OF_PAST)


def label_names() -> frozenset[str]:
    """Return the names of all labels of series with an ``appid`` label."""
    infos = [info for report in REPORTS.values() for info in catalogue.of_report(report)]
    return frozenset(label for info in (*infos, *catalogue.OF_APPS) for label in info.labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

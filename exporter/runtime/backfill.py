"""Composes a backfill: the store beside a running exporter, a client with a limited rate, and the timelines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from exporter.backfill import (
    AppTask,
    HistoryFetcher,
    PacedSender,
    ReportTask,
    Timelines,
    missing_periods,
    stored_readings,
)
from exporter.guard import Guard
from exporter.store import Store
from exporter.wechat.client import Client
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from exporter.backfill import FetchSummary, PeriodRange, Progress, Selection
    from exporter.config import App, Config
    from exporter.periods import Period
    from exporter.reports import Report


@dataclass(frozen=True, slots=True)
class Gap:
    """Successive periods of which WeChat had no data."""

    app: App
    report: Report
    first: Period
    last: Period


class Backfill:
    """One run over the apps of a configuration.

    Args:
        config: the apps, and how to fetch.
        storage_path: the directory of the store.
        clock: the wall clock, Unix seconds.
        selection: which periods.
        names: of the reports; empty for all.
        requests_per_second: limit of the rate of requests.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (called from the composition root)
        self,
        config: Config,
        storage_path: str,
        clock: Callable[[], float],
        selection: Selection,
        names: Collection[str],
        requests_per_second: float,
    ) -> None:
        self._config = config
        self._clock = clock
        self._now = clock()
        self._requests_per_second = requests_per_second
        self.store = Store(storage_path, config.api.host, clock)
        reports = {
            report.name: report for app in config.apps for report in app.reports if not names or report.name in names
        }
        found = {
            name: selection.periods(report, self._now, config.fetch.ready_after) for name, report in reports.items()
        }
        self.chosen: Mapping[str, PeriodRange] = {name: periods for name, periods in found.items() if periods}
        """The periods of each report; none of a report without a wanted one."""

    def tasks(self) -> list[AppTask]:
        """Return what to request of each app."""
        tasks = [
            AppTask(
                app,
                tuple(
                    ReportTask(report, chosen.newest, missing_periods(self.store, app, report, chosen, self._now))
                    for report in self._reports(app)
                    for chosen in (self.chosen[report.name],)
                ),
            )
            for app in self._config.apps
        ]
        return [task for task in tasks if len(task)]

    def fetch(self, tasks: list[AppTask], progress: Progress) -> FetchSummary:
        """Fetch the tasks into the store; return at an interrupt, or when each is done or failed."""
        fetch = self._config.fetch
        transport = Transport(timeout=fetch.timeout, concurrency=fetch.concurrency)
        sender = PacedSender(transport, self._requests_per_second)
        client = Client(self._config.apps, self._config.api.base_url, sender=sender, clock=self._clock)
        fetcher = HistoryFetcher(client, sender, self.store, self._clock, guard=Guard(lambda _component: None))
        try:
            return fetcher.run(tasks, fetch.concurrency, progress)
        finally:
            transport.close()

    def timelines(self, until: float) -> Timelines:
        """Return the timelines of the stored readings, which end at an instant (Unix seconds)."""
        return Timelines(self.store, self._config.fetch.ready_after, until)

    def gaps(self) -> Iterator[Gap]:
        """Yield the chosen periods of which WeChat had no data; not those that it refused or has not published."""
        for app in self._config.apps:
            for report in self._reports(app):
                yield from self._gaps(app, report)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _reports(self, app: App) -> list[Report]:
        return [report for report in app.reports if report.name in self.chosen]

    def _gaps(self, app: App, report: Report) -> Iterator[Gap]:
        chosen = self.chosen[report.name]
        unavailable = {each.period for each in self.store.read(app.appid, report, 1).unavailable if each.final}
        unavailable -= {each.period for each in stored_readings(self.store, app, report, chosen.first, chosen.last)}
        for is_gap, periods in groupby(chosen, key=unavailable.__contains__):
            if is_gap:
                successive = tuple(periods)
                yield Gap(app, report, successive[0], successive[-1])

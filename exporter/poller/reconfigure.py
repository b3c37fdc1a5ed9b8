"""The trackers under the next configuration. Pure, except for ``read``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.poller.tracker import Key, ReportTracker, from_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.config import App, Config
    from exporter.reports import Report
    from exporter.store import StoredState

Trackers = dict[Key, ReportTracker]
"""In the order of the configuration, and of the catalogue within an app."""


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """How many apps the next configuration added, changed and removed."""

    added: int
    changed: int
    removed: int


def next_trackers(
    before: Mapping[Key, ReportTracker], previous: Config, config: Config, read: Callable[[App, Report], StoredState]
) -> tuple[Trackers, ConfigDiff]:
    """Return the trackers under the next configuration.

    Apps that stay keep their state. New apps and those with another access method or secret are fetched at once. If the
    API host changed, only the counters are kept, because readings of different hosts must not mix.

    Args:
        before: the trackers until now.
        previous: the configuration until now.
        config: the next one.
        read: reads a report of an app from the store, as far back as ``config`` wants.
    """
    known_apps = {app.appid: app for app in previous.apps}
    staying = known_apps.keys() & {app.appid for app in config.apps}
    diff = ConfigDiff(
        added=len(config.apps) - len(staying),
        changed=sum(app.appid in staying and app != known_apps[app.appid] for app in config.apps),
        removed=len(known_apps) - len(staying),
    )
    reaches_further_back = config.fetch.history_weeks > previous.fetch.history_weeks

    def tracker(app: App, report: Report) -> ReportTracker:
        known = before.get((app.appid, report.name))
        if known is None or config.api != previous.api:
            fresh = replace(from_store(app, report, read(app, report), retry=True), fetch_at_once=True)
            return fresh if known is None else replace(fresh, counters=known.counters)
        if reaches_further_back:
            known = replace(known, stored=known.stored | read(app, report).stored)
        # A name, a threshold or an added report does not change what WeChat returns.
        is_same = known.app.access == app.access
        return replace(known, app=app, fetch_at_once=known.fetch_at_once or not is_same)

    return {(app.appid, report.name): tracker(app, report) for app in config.apps for report in app.reports}, diff

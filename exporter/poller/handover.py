"""From one configuration to the next: what the ledgers become. Pure, but for what ``read`` reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from exporter.poller.ledger import Ledger, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from exporter.config import App, Config
    from exporter.store import Known

Ledgers = dict[str, Ledger]
"""By appid, in the order of the configuration."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """How many apps the next configuration added, changed and removed."""

    added: int
    changed: int
    removed: int


def next_ledgers(
    before: Mapping[str, Ledger], was: Config, config: Config, read: Callable[[App], Known]
) -> tuple[Ledgers, Turnover]:
    """The ledgers under the next configuration.

    Apps that stay keep what is known of them, those that are new or changed are asked at once. Where WeChat is asked
    elsewhere now, nothing but the counters is known any more.

    Args:
        before: the ledgers until now.
        was: the configuration until now.
        config: the next one.
        read: gives what the store knows of an app, as far back as ``config`` wants.
    """
    staying = before.keys() & {app.appid for app in config.apps}
    turnover = Turnover(
        added=len(config.apps) - len(staying),
        changed=sum(app.appid in staying and app != before[app.appid].app for app in config.apps),
        removed=len(before) - len(staying),
    )
    looks_further_back = config.fetch.history_weeks > was.fetch.history_weeks

    def ledger(app: App) -> Ledger:
        known = before.get(app.appid)
        if known is None or config.api != was.api:
            fresh = replace(opened(app, read(app), retry=True), ask_at_once=True)
            return fresh if known is None else replace(fresh, counters=known.counters)
        if looks_further_back:
            known = replace(known, held=known.held | read(app).held)
        return known if known.app == app else replace(known, app=app, ask_at_once=True)

    return {app.appid: ledger(app) for app in config.apps}, turnover

"""What WeChat says about each app and report of a configuration, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from exporter.periods import newest_wanted
from exporter.poller import STATES
from exporter.reports import Reading
from exporter.wechat.client import Client
from exporter.wechat.codes import NotReady
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import App, Config
    from exporter.reports import Report


def check_live(config: Config, clock: Callable[[], float], say: Callable[[str], object]) -> int:
    """Fetch one finished period per app and report and say a line for each; return how many apps failed."""
    transport = Transport(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
    client = Client(config.apps, config.api.base_url, sender=transport, clock=clock)

    def fetch_all(app: App) -> list[tuple[bool, str]]:
        results = []
        for report in app.reports:
            good, words, about_app = _checked_live(client, app, report, config, clock())
            results.append((good, words))
            if about_app:
                break
        return results

    failed = 0
    with ThreadPoolExecutor(config.fetch.concurrency) as pool:
        for app, results in zip(config.apps, pool.map(fetch_all, config.apps), strict=True):
            for _, words in results:
                say(f"{app.appid}{f' ({app.name})' if app.name else ''}: {words}")
            failed += not all(good for good, _ in results)
    transport.close()
    return failed


def _checked_live(client: Client, app: App, report: Report, config: Config, now: float) -> tuple[bool, str, bool]:
    """Whether WeChat gives a report of an app, what to print about it, and whether that holds for all its reports."""
    period = newest_wanted(report.period, now, config.fetch.ready_after)
    subject = f"{period.NAME} {period.label}"
    begin = f"{report.name}: "
    result = client.fetch(app, report, period).result
    if isinstance(result, Reading):
        figures = (
            f"{field.wechat} {value}"
            for field, value in zip(report.fields, result.values, strict=True)
            if value is not None
        )
        return True, f"{begin}ok: {subject}: {', '.join(figures)}", False
    if isinstance(result, NotReady):
        return True, f"{begin}ok, but {subject} is not published yet: {result}", False
    begin = "" if result.about_app else begin
    return False, f"{begin}{STATES[type(result)].value}: {result}", result.about_app

"""``check --live``: one request for each app and report of a configuration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from exporter.poller import STATES
from exporter.reports import Reading
from exporter.wechat.client import Client
from exporter.wechat.codes import NotReady
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.config import App, Config
    from exporter.reports import Report


def check_live(config: Config, clock: Callable[[], float], report_line: Callable[[str], object]) -> int:
    """Fetch one finished period per app and report, report a line for each, and return how many apps failed."""
    transport = Transport(timeout=config.fetch.timeout, concurrency=config.fetch.concurrency)
    client = Client(config.apps, config.api.base_url, sender=transport, clock=clock)

    def fetch_all(app: App) -> list[tuple[bool, str]]:
        results = []
        for report in app.reports:
            succeeded, message, about_app = _check(client, app, report, config, clock())
            results.append((succeeded, message))
            if about_app:  # the other reports would fail with the same credentials
                break
        return results

    failed = 0
    with ThreadPoolExecutor(config.fetch.concurrency) as pool:
        for app, results in zip(config.apps, pool.map(fetch_all, config.apps), strict=True):
            for _, message in results:
                report_line(f"{app.appid}{f' ({app.name})' if app.name else ''}: {message}")
            failed += not all(succeeded for succeeded, _ in results)
    transport.close()
    return failed


def _check(client: Client, app: App, report: Report, config: Config, now: float) -> tuple[bool, str, bool]:
    """Return whether a report could be fetched, what to print, and whether that concerns all reports of the app."""
    period = report.newest_wanted(now, config.fetch.ready_after)
    subject = f"{period.NAME} {period.label}"
    prefix = f"{report.name}: "
    result = client.fetch(app, report, period).result
    if isinstance(result, Reading):
        figures = (
            f"{field.wechat} {value}"
            for field, value in zip(report.fields, result.values, strict=True)
            if value is not None
        )
        return True, f"{prefix}ok: {subject}: {', '.join(figures)}", False
    if isinstance(result, NotReady):
        return True, f"{prefix}ok, but {subject} is not published yet: {result}", False
    prefix = "" if result.about_app else prefix
    return False, f"{prefix}{STATES[type(result)].value}: {result}", result.about_app

"""``check --live``: one request for each app and report of a configuration."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from exporter.poller import STATES, missing_key
from exporter.reports import Reading
from exporter.wechat.client import Client
from exporter.wechat.codes import NotReady
from exporter.wechat.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        result = missing_key(result, period) or result
    if isinstance(result, Reading):
        return True, f"{prefix}ok: {subject}: {', '.join(_figures(result))}", False
    if isinstance(result, NotReady):
        return True, f"{prefix}ok, but {subject} is not published yet: {result}", False
    prefix = "" if result.about_app else prefix
    return False, f"{prefix}{STATES[type(result)].value}: {result}", result.about_app


def _figures(reading: Reading) -> Iterator[str]:
    """Yield WeChat's name and the value of each figure, with its number of parts or those who came back later."""
    for field, value in zip(reading.report.fields, reading.values, strict=True):
        parts = [(key, part) for name, key, part in reading.by_dimension if name == field.wechat]
        if value is None and not parts:
            continue
        figure = f"{field.wechat} {'unknown' if value is None else value}"
        if field.dimension is None:
            yield figure
        elif reading.report.later:
            yield f"{figure}{''.join(f' ({part} of them {_later(reading, key)})' for key, part in parts)}"
        else:
            yield f"{figure} in {len(parts)} {'part' if len(parts) == 1 else 'parts'} ({field.dimension.label})"


def _later(reading: Reading, key: str) -> str:
    kind = reading.period.NAME
    return f"1 {kind} later" if key == "1" else f"{key} {kind}s later"

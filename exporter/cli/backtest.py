"""The output of ``backfill --evaluate``: which alerts about figures past periods would have raised."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING
from unicodedata import east_asian_width

from exporter.alerts.backtest import Backtest
from exporter.periods import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.alerts.backtest import PastAlert
    from exporter.backfill import Moment
    from exporter.config import App
    from exporter.reports import Report

_YEAR = 365.25 * DAY
_LARGE = 100


class Evaluation:
    """The past alerts of all apps, and for how long each report of them was evaluated."""

    def __init__(self) -> None:
        self.alerts: list[tuple[App, PastAlert]] = []
        """In the order of the apps, then of time."""
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, app: App, moments: Iterable[Moment]) -> None:
        """Evaluate the moments of an app."""
        backtest = Backtest()
        for moment in moments:
            backtest.add(moment.start, moment.end, moment.status)
            for of in moment.status.reports:
                self._seconds[of.report.name] += moment.end - moment.start
        self.alerts += [(app, alert) for alert in backtest.alerts()]

    def years(self, report: Report) -> float:
        """Return the evaluated time of a report, over all apps."""
        return self._seconds[report.name] / _YEAR

    def totals(self) -> Iterator[tuple[str, str, str, int, float]]:
        """Yield the name, severity, report and number of each alert that fired, and the number per app and year."""
        fired = [alert.rule for _, alert in self.alerts if not alert.reported]
        for rule in dict.fromkeys(fired):
            number = fired.count(rule)
            yield rule.name, rule.severity, rule.report.name, number, number / self.years(rule.report)


def print_table(evaluation: Evaluation) -> None:
    """Print the alerts and the totals for people."""
    head = ("app", "alert", "severity", "period", "value", "baseline", "ratio", "")
    rows = [
        (
            app.name or app.appid,
            alert.rule.name,
            alert.rule.severity,
            _period(alert),
            _number(alert.drop.now),
            _number(alert.drop.base),
            f"{alert.drop.ratio:.0%}",
            "reported by a daily alert" if alert.reported else "",
        )
        for app, alert in evaluation.alerts
    ]
    _print_columns([head, *rows] if rows else [("no alerts",)])
    totals = [(name, severity, str(number), f"{rate:.2f}") for name, severity, _, number, rate in evaluation.totals()]
    if totals:
        print()
        rates = sum(rate for *_, rate in evaluation.totals())
        number = sum(number for *_, number, _ in evaluation.totals())
        total = ("total", "", str(number), f"{rates:.2f}")
        _print_columns([("alert", "severity", "alerts", "per app and year"), *totals, total])


def print_json(evaluation: Evaluation) -> None:
    """Print the alerts and the totals as JSON."""
    alerts = [
        {
            "appid": app.appid,
            "name": app.name,
            "alert": alert.rule.name,
            "severity": alert.rule.severity,
            "report": alert.rule.report.name,
            "figure": alert.rule.figure,
            "first_period": alert.first.label,
            "last_period": alert.last.label,
            "value": alert.drop.now,
            "baseline": alert.drop.base,
            "ratio": alert.drop.ratio,
            "reported_by_daily_alert": alert.reported,
        }
        for app, alert in evaluation.alerts
    ]
    totals = [
        {"alert": name, "severity": severity, "report": report, "alerts": number, "per_app_and_year": rate}
        for name, severity, report, number, rate in evaluation.totals()
    ]
    print(json.dumps({"alerts": alerts, "totals": totals}, indent=2, ensure_ascii=False))


def _period(alert: PastAlert) -> str:
    if alert.first == alert.last:
        return alert.first.label
    return f"{alert.first.begin_date} to {alert.last.end_date}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _LARGE else f"{value:.3g}"


def _print_columns(rows: list[tuple[str, ...]]) -> None:
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Return the width on a terminal, where a Chinese character takes two columns."""
    return sum(2 if east_asian_width(character) in {"F", "W"} else 1 for character in text)

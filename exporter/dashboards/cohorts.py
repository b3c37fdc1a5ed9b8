"""PromQL of retention: the share of a week's visitors who came back in each of the weeks after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.dashboards import bars
from exporter.dashboards.bars import in_range, latest
from exporter.dashboards.entrances import with_exporter
from exporter.periods import Week
from exporter.reports import PREFIX
from exporter.reports.catalogue import WEEKLY_RETENTION

if TYPE_CHECKING:
    from exporter.reports import Field


def size(field: Field) -> str:
    """Return the number of visitors of each cohort, with the labels ``appid`` and ``instance``."""
    metric = f"{PREFIX}weekly_cohort_{field.metric}"
    values = in_range(metric)
    return with_exporter(latest(values, values, WEEKLY_RETENTION, "week", "appid"), metric)


def lag(weeks_later: int) -> str:
    """Return the matcher of one number of weeks later."""
    return f'weeks_later="{weeks_later}"'


def came_back(field: Field, weeks_later: int) -> str:
    """Return the share of each cohort that came back that many weeks later; 0.25 is a quarter."""
    matcher = lag(weeks_later)
    back, cohort = (in_range(f"{PREFIX}weekly_{name}_{field.metric}", matcher) for name in ("retained", "cohort"))
    return latest(f"({back} / ({cohort} > 0))", back, WEEKLY_RETENTION, "week")


def starts(field: Field, matcher: str = "") -> str:
    """Return the Monday of each cohort's week, Unix seconds."""
    return f"({bars.starts(Week)} and on (week) {in_range(f'{PREFIX}weekly_cohort_{field.metric}', matcher)})"

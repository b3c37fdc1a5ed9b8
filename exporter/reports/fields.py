"""The figures of WeChat's reports: WeChat's name, the name of the metric, the meaning with its unit.

The meaning is that of WeChat's documentation of the API in which the field occurs (developers.weixin.qq.com, "Data
analysis").
"""

from __future__ import annotations

from dataclasses import replace

from exporter.reports.dimensions import DEPTH, SOURCE, STAY, WEEKS_LATER
from exporter.reports.figure_types import Field, Unit

SESSIONS = Field("session_cnt", "sessions", "Sessions", "Times the Mini Program was opened", Unit.COUNT)
VISITS = Field("visit_pv", "visits", "Visits", "Page visits", Unit.COUNT)
# Deduplicated over the period: visitors must not be added over days, weeks or apps.
VISITORS = Field("visit_uv", "visitors", "Visitors", "Visitors, deduplicated", Unit.COUNT, is_primary=True)
NEW_VISITORS = Field("visit_uv_new", "new_visitors", "New visitors", "New visitors, deduplicated", Unit.COUNT)
# Optional: missing in every example of WeChat's documentation, but present in all real responses that were seen.
STAY_PER_VISITOR = Field(
    "stay_time_uv",
    "stay_per_visitor_seconds",
    "Stay per visitor",
    "Average stay per visitor in seconds",
    Unit.SECONDS,
)
STAY_PER_SESSION = Field(
    "stay_time_session",
    "stay_per_session_seconds",
    "Stay per session",
    "Average stay per session in seconds",
    Unit.SECONDS,
)
VISIT_DEPTH = Field("visit_depth", "visit_depth_pages", "Visit depth", "Average visit depth in pages", Unit.PAGES)

VISIT_FIELDS = (SESSIONS, VISITS, VISITORS, NEW_VISITORS, STAY_PER_VISITOR, STAY_PER_SESSION, VISIT_DEPTH)
"""The seven figures of the three visit trends."""
SHARES = Field("share_pv", "shares", "Shares", "Times the Mini Program was shared", Unit.COUNT, is_primary=True)
SHARERS = Field("share_uv", "sharers", "Sharers", "Visitors who shared, deduplicated", Unit.COUNT)
# A gauge and not a counter, because WeChat might correct it downwards.
TOTAL_VISITORS = Field(
    "visit_total", "total_visitors", "Total visitors", "Visitors since the launch, deduplicated", Unit.COUNT
)

COHORT_FIELDS = (
    replace(VISITORS, is_primary=False, dimension=WEEKS_LATER),
    replace(NEW_VISITORS, dimension=WEEKS_LATER),
)
SOURCE_SESSIONS = Field(
    "access_source_session_cnt",
    "source_sessions",
    "Sessions by entrance",
    "Sessions by entrance",
    Unit.COUNT,
    is_primary=True,
    dimension=SOURCE,
    total="Sessions",
)
# Not documented, and so optional; it was in every real response since 2020. A visitor counts at each entrance.
SOURCE_VISITORS = Field(
    "access_source_visit_uv",
    "source_visitors",
    "Visitors by entrance",
    "Visitors by entrance, deduplicated at each",
    Unit.COUNT,
    dimension=SOURCE,
)
STAY_SESSIONS = Field(
    "access_staytime_info",
    "stay_sessions",
    "Sessions by stay",
    "Sessions by length of stay",
    Unit.COUNT,
    dimension=STAY,
)
DEPTH_SESSIONS = Field(
    "access_depth_info",
    "depth_sessions",
    "Sessions by depth",
    "Sessions by number of distinct pages",
    Unit.COUNT,
    dimension=DEPTH,
)
DISTRIBUTION_FIELDS = (SOURCE_SESSIONS, SOURCE_VISITORS, STAY_SESSIONS, DEPTH_SESSIONS)
WATCHED_COUNTS = (VISITORS, NEW_VISITORS, SESSIONS, VISITS)

"""PromQL and colours of entrances: which of them lost most in the newest week, and all of them over the weeks."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

from exporter.dashboards.bars import in_range, latest, missing, newest
from exporter.dashboards.queries import ONE_APP, chosen
from exporter.dashboards.styles import fixed_colour
from exporter.periods import Week
from exporter.reports import PREFIX
from exporter.reports.catalogue import DAILY_SOURCES
from exporter.reports.dimensions import SOURCE
from exporter.reports.fields import SOURCE_SESSIONS

if TYPE_CHECKING:
    from exporter.dashboards.styles import Json

LARGEST = 7
"""Number of entrances that are parts of a chart of their own; all others are one part."""
REMAINING = "remaining entrances"
"""The name of that part."""
SESSIONS = f"{PREFIX}weekly_{SOURCE_SESSIONS.metric}"
SESSIONS_BEFORE = f"{PREFIX}previous_week_{SOURCE_SESSIONS.metric}"
WORDS = r"/_/g", " "
"""Pattern and replacement that turn a label value into words: ``official account article``."""

_NOW, _BEFORE = in_range(SESSIONS), in_range(SESSIONS_BEFORE)
# An entrance has the same colour in every app and at any time. Hues that colour-blind people can tell apart (by Okabe
# and Ito) are kinds of entrances; the entrances of a kind differ in lightness. The others share these colours, because
# sixty colours cannot be told apart.
_COLOURS = {
    "#0072B2": ("search",),
    "#94C5E8": ("search_box_shortcut", "channels"),
    "#009E73": ("history_list",),
    "#8ADBC1": ("taskbar_recent",),
    "#E69F00": ("chat",),
    "#F7D894": ("moments", "app_share"),
    "#D55E00": ("official_account_article",),
    "#F2B08A": ("official_account_menu", "official_account_profile", "official_account_message"),
    "#CC79A7": ("scan_code",),
    "#EBC9DC": ("long_press_code", "album_code"),
    "#7A5BB0": ("discover_my_mini_programs",),
    "#BFAEE0": ("taskbar_my_mini_programs",),
    "#8A6D3B": ("other_mini_program",),
    "#CDB78F": ("back_from_mini_program",),
    "#5F7480": ("other",),
}
_REMAINING_COLOUR = "#8e8e8e"


def sessions() -> str:
    """Return the sessions of each entrance in the newest week."""
    return _figure(_NOW)


def sessions_with_exporter() -> str:
    """Return the same with the labels ``appid`` and ``instance``."""
    by_app = _of_newest_week(latest(_NOW, _NOW, DAILY_SOURCES, "week", "appid", SOURCE.label))
    return with_exporter(by_app, SESSIONS)


def sessions_before() -> str:
    """Return the sessions of each entrance in the week before the newest one, under the labels of the newest."""
    return _figure(_BEFORE)


def change() -> str:
    """Return by how many sessions each entrance differs from the week before."""
    return _figure(f"({_NOW} - {_BEFORE})")


def relative_change() -> str:
    """Return the same as a ratio: 0.25 is 25 % more."""
    return _figure(f"({_NOW} / ({_BEFORE} > 0) - 1)")


def share_of_loss() -> str:
    """Return the loss of each entrance that lost, as a share of the sum of these losses."""
    # Not of the net loss: an entrance can have lost more than that while others rose. The alerts do the same.
    loss = f"({_BEFORE} - {_NOW} > 0)"
    exporter = "job, instance, week"
    return _figure(f"({loss} / on ({exporter}) group_left () sum by ({exporter}) ({loss}))")


def largest_loss_first() -> str:
    """Return an order of the entrances, lowest first: by loss; by sessions if the week before is unknown."""
    return f"{change()} or -1 * {sessions()}"


def by_week() -> str:
    """Return the sessions of each week and entrance; 0 for a missing week, so that a chart has a place for it."""
    place = f"{missing(Week, _NOW)} + on () group_left ({SOURCE.label}) 0 * topk(1, {_total()})"
    return f"{_largest()} or {_remaining()} or {place}"


def largest_first() -> str:
    """Return an order of the parts of ``by_week``, lowest first."""
    return f"0 * {_largest()} - on ({SOURCE.label}) group_left () {_total()} or 0 * {_remaining()}"


def colours() -> list[Json]:
    """Return overrides with the colour of each entrance."""
    named = {colour: list(names) for colour, names in _COLOURS.items()}
    known = {name for names in _COLOURS.values() for name in names}
    for colour, name in zip(cycle(named), (name for name in SOURCE.names.values() if name not in known), strict=False):
        named[colour].append(name)
    named[_REMAINING_COLOUR] = [REMAINING]
    return [
        {
            "matcher": {"id": "byRegexp", "options": f"/^({'|'.join(names)})$/".replace("_", " ")},
            "properties": [{"id": "color", "value": fixed_colour(colour)}],
        }
        for colour, names in named.items()
    ]


def with_exporter(expression: str, metric: str) -> str:
    """Return the same values with the label ``instance``: an exporter that has the metric, if possible now."""
    by_exporter = f"group by (appid, instance) ({in_range(metric)})"
    now = f"2 * group by (appid, instance) ({chosen(metric, ONE_APP)})"
    return f"{expression} + on (appid) group_left (instance) 0 * topk by (appid) (1, {now} or {by_exporter})"


def _figure(value: str) -> str:
    return _of_newest_week(latest(value, _NOW, DAILY_SOURCES, "week", SOURCE.label))


def _of_newest_week(values: str) -> str:
    return f"({values} and on (week) {newest(Week, _NOW)})"


def _weeks() -> str:
    return latest(_NOW, _NOW, DAILY_SOURCES, "week", SOURCE.label)


def _total() -> str:
    return f"sum by ({SOURCE.label}) ({_weeks()})"


def _largest() -> str:
    return f"({_weeks()} and on ({SOURCE.label}) topk({LARGEST}, {_total()}))"


def _remaining() -> str:
    others = f"sum by (week) ({_weeks()} unless on ({SOURCE.label}) topk({LARGEST}, {_total()}))"
    return f'label_replace({others}, "{SOURCE.label}", "{REMAINING}", "", "")'

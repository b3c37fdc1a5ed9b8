"""The types of a figure: its unit, the parts that it may have, its field; and what values and keys are possible."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_FIGURE: Final = 2**63 - 1
"""The largest INTEGER of SQLite, and so of the store."""
# The largest known key is 62. More digits would let a response of arbitrary keys add series and columns without limit.
_KEY: Final = re.compile(r"0|[1-9]\d{0,2}", re.ASCII)


class Unit(Enum):
    """The unit of a figure."""

    COUNT = "count"
    SECONDS = "seconds"
    PAGES = "pages"


@dataclass(frozen=True, slots=True)
class Dimension:
    """What the parts of a figure differ in: the entrance, the length of the stay, the number of weeks later."""

    label: str
    """The name of the label: ``source``."""
    names: Mapping[str, str] = field(compare=False)
    """The label values by WeChat's key."""
    absent_is_zero: bool = False
    """Whether WeChat leaves out parts with the value 0; otherwise an absent part is unknown."""
    is_bounded: bool = True
    """Whether ``names`` has every key."""

    def name(self, key: str) -> str:
        """Return the label value of a key; ``key_63`` for one that is not in the table."""
        return self.names.get(key) or f"key_{key}"


@dataclass(frozen=True, slots=True)
class Field:
    """One figure of a report."""

    wechat: str
    """WeChat's name on the wire: ``visit_uv``."""
    metric: str
    """The name in metric names, with the unit: ``visitors``, ``visit_depth_pages``."""
    title: str
    """The title in tables and charts: ``Visitors``."""
    meaning: str
    """A noun phrase with the unit, for HELP texts."""
    unit: Unit
    is_primary: bool = False
    """Whether it is the one figure to show where only one of the report fits."""
    dimension: Dimension | None = None
    """Of a figure in parts, such as sessions by entrance. Its own value is then their sum, or the cohort's size."""
    total: str = ""
    """The title of its own value where ``title`` names the parts: ``Sessions``."""

    @property
    def camel(self) -> str:
        """WeChat's name in a Cloud Call: ``visitUv``."""
        first, *rest = self.wechat.split("_")
        return first + "".join(word.capitalize() for word in rest)

    @property
    def total_title(self) -> str:
        """The title of its own value: of the sum of the parts, or of the cohort."""
        return self.total or self.title

    @property
    def short_name(self) -> str:
        """The name without the unit, in labels and options: ``stay_per_visitor``."""
        return self.metric.removesuffix(f"_{self.unit.value}")

    def is_possible(self, value: object) -> bool:
        """Return whether a value is possible for this field: finite, not negative, and an integer if it is a count."""
        return is_figure(value) and (self.unit is not Unit.COUNT or value == int(value))

    # Pages and the JSON show a count as 1000 and not as 1000.0, although a packed history has doubles only.
    def typed(self, value: float) -> float:
        """Return the value with the type of the unit: an ``int`` for a count."""
        return int(value) if self.unit is Unit.COUNT else value


def is_figure(value: object) -> TypeGuard[float]:
    """Return whether a value is possible for any field: a finite number that is not negative."""
    # bool is a subclass of int, but `true` in a response is no figure. NaN and infinity fail the comparison.
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= LARGEST_FIGURE


def is_key(text: str) -> bool:
    """Return whether a text is possible as WeChat's key of a part: up to three digits without leading zeros."""
    return _KEY.fullmatch(text) is not None

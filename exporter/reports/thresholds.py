"""How far the figures of an app may fall before it alerts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.reports.model import AlertThreshold, Report


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Ratios to a baseline, below which a figure alerts; 0 disables the alert."""

    configured: frozenset[tuple[str, str, float]] = frozenset()
    """Those that differ from the catalogue's: report, option, ratio."""

    def of(self, report: Report, threshold: AlertThreshold) -> float:
        """Return the ratio of one field of one report."""
        return self.as_mapping().get((report.name, threshold.option), threshold.min_ratio)

    def with_ratios(self, ratios: Mapping[tuple[str, str], float]) -> Thresholds:
        """Return the thresholds with other ratios, by report and option."""
        merged = self.as_mapping() | dict(ratios)
        return Thresholds(frozenset((report, option, ratio) for (report, option), ratio in merged.items()))

    def as_mapping(self) -> dict[tuple[str, str], float]:
        """Return what is configured, by report and option."""
        return {(report, option): ratio for report, option, ratio in self.configured}

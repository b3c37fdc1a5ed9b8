"""The alert thresholds of an app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.reports.model import AlertThreshold, Report


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Ratios of figures to their baselines below which an app alerts; 0 disables an alert."""

    # A frozenset and not a dict, so that thresholds are immutable and hashable like the status that contains them.
    configured: frozenset[tuple[str, str, float]] = frozenset()
    """The ratios that were configured: report, option, ratio."""

    def of(self, report: Report, threshold: AlertThreshold) -> float:
        """Return the ratio of a threshold: the configured one, or else the catalogue's default."""
        return self.as_mapping().get((report.name, threshold.option), threshold.min_ratio)

    def with_ratios(self, ratios: Mapping[tuple[str, str], float]) -> Thresholds:
        """Return the thresholds with further ratios, by report and option."""
        merged = self.as_mapping() | dict(ratios)
        return Thresholds(frozenset((report, option, ratio) for (report, option), ratio in merged.items()))

    def as_mapping(self) -> dict[tuple[str, str], float]:
        """Return the configured ratios by report and option."""
        return {(report, option): ratio for report, option, ratio in self.configured}

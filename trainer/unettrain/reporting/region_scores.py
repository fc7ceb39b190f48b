"""Scores and errors of one region of a held-out image: a slice, or a volume."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from unettrain.metrics.cell_errors import ErrorCounts
from unettrain.metrics.scores import Scores
from unettrain.reporting.regions import Region


@dataclass(frozen=True)
class RegionScores:
    """Scores of the trained network in one region, and the kinds of errors behind AP at IoU 0.5."""

    region: Region
    num_slices: int  # of the image
    scores: Scores
    errors: ErrorCounts

    @property
    def title(self) -> str:
        """The image, and the slice of an image that has several."""
        region = self.region
        if self.num_slices == 1:
            return region.name
        last = region.z1 - 1
        return f"{region.name}, slice{'s' if last > region.z0 else ''} {_range(region.z0, last)}"

    @property
    def is_empty(self) -> bool:
        """Whether it has neither true nor proposed cells, so that nothing is scored."""
        found = self.scores.cells[0]
        return not found.tp + found.fp + found.fn

    @property
    def has_errors(self) -> bool:
        """Whether a true cell was not found at IoU 0.5, or a proposal is false."""
        return self.scores.cells[0].fp + self.scores.cells[0].fn > 0

    @property
    def merit(self) -> tuple[float, ...]:
        """The order of regions, worst first: AP at 0.5, mean AP, IoU; those without cells last."""
        return float(self.is_empty), self.scores.ap[0.5], self.scores.mean_ap, self.scores.pixels.iou

    def as_dict(self) -> dict[str, Any]:
        """The place, scores and errors as plain values, for JSON."""
        region = self.region
        place = {axis: [getattr(region, f"{axis}0"), getattr(region, f"{axis}1")] for axis in "zyx"}
        return {"image": region.name, **place, "scores": self.scores.as_dict(), "errors": self.errors.as_dict()}


def worst_first(regions: Iterable[RegionScores]) -> list[RegionScores]:
    """Regions in the order of their scores, of equal ones in the given order."""
    return sorted(regions, key=lambda found: found.merit)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

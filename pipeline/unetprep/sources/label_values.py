"""Values of a label image: its cells, the labels in use, and whether values change gradually.

A label image whose values change gradually was interpolated, saved as JPEG, or holds probabilities.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_scan import Ints, Survey

BOUNDARY_BETWEEN = 0.9  # least share of its pixels that lie between a smaller and a larger value
BOUNDARY_SHARE = 0.1  # least share of boundary components in all outlines
BOUNDARY_PX = 20  # least number of pixels in boundary components


@dataclass(frozen=True)
class Labels:
    """A label image after one reading, as `unetprep.sources.label_scan.survey` describes it."""

    survey: Survey
    dims: int
    dtype: str

    @cached_property
    def cell(self) -> Ints:
        """The cell of every component: 0, 1, ... With dims 2 each slice has cells of its own."""
        components, shape = self.survey.components, self.survey.shape
        image = components.place // (shape[1] * shape[2]) if self.dims == 2 else np.zeros_like(components.place)
        return np.unique(np.stack([image, components.value]), axis=1, return_inverse=True)[1].ravel()

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return int(self.cell.max(initial=-1)) + 1

    @cached_property
    def values(self) -> Ints:
        """The labels in use, sorted."""
        return np.unique(self.survey.components.value)


@dataclass(frozen=True)
class GradualValues:
    """Evidence that values change gradually: a count, a message, places, and arrays with a value for each place."""

    count: int
    message: str
    place: Ints
    what: dict[str, NDArray[Any]]


def gradual_values(labels: Labels) -> GradualValues | None:
    """Evidence that values change gradually; None if there is none.

    The evidence is fractions, or boundary components: components of one value that nearly everywhere lie between a
    smaller and a larger value. Interpolation creates one around every cell. Where intact cells meet, only single pixels
    are of this kind: their share in all outlines is up to 0.05 in clean labels, and 0.15 or more in interpolated ones.
    """
    if odd := labels.survey.odd.get("fraction"):
        message = f"pixels whose value is a fraction: {odd.count}, such as {odd.value[0]:g}"
        return GradualValues(odd.count, message, odd.place, {"value": odd.value})
    components = labels.survey.components
    boundary = np.flatnonzero(components.between_px >= BOUNDARY_BETWEEN * components.size_px)
    boundary_px = int(components.size_px[boundary].sum())
    if boundary_px < max(BOUNDARY_PX, BOUNDARY_SHARE * labels.survey.outline_px):
        return None
    share = boundary_px / labels.survey.outline_px
    message = f"thin boundaries of values between those on both sides: {len(boundary)}, {share:.0%} of all outlines"
    return GradualValues(
        len(boundary),
        message,
        components.place[boundary],
        {"id": components.value[boundary], "px": components.size_px[boundary]},
    )

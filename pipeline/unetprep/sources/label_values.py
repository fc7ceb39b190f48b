"""Values of a label image: its cells, the labels in use, and whether values change gradually.

A label image whose values change gradually was interpolated, saved as JPEG, or holds probabilities.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_scan import Ints, Survey

RIM_BETWEEN = 0.9  # a rim has at least this share of its pixels between a smaller and a larger value
RIM_SHARE = 0.1  # least share of rims in all outlines
RIM_PX = 20  # least number of pixels in rims


@dataclass(frozen=True)
class Labels:
    """A label image after one reading, as `unetprep.sources.label_scan.survey` describes it."""

    survey: Survey
    dims: int
    dtype: str

    @cached_property
    def cell(self) -> Ints:
        """The cell of every component: 0, 1, ... With dims 2 each slice has cells of its own."""
        pieces, shape = self.survey.pieces, self.survey.shape
        image = pieces.place // (shape[1] * shape[2]) if self.dims == 2 else np.zeros_like(pieces.place)
        return np.unique(np.stack([image, pieces.value]), axis=1, return_inverse=True)[1].ravel()

    @property
    def num_cells(self) -> int:
        """How many cells there are."""
        return int(self.cell.max(initial=-1)) + 1

    @cached_property
    def values(self) -> Ints:
        """The labels in use, without repetition."""
        return np.unique(self.survey.pieces.value)


@dataclass(frozen=True)
class GradualValues:
    """Evidence that values change gradually: a count, a message, places, and arrays with a value for each place."""

    count: int
    message: str
    place: Ints
    what: dict[str, NDArray[Any]]


def gradual_values(labels: Labels) -> GradualValues | None:
    """Evidence that values change gradually; None if there is none.

    The evidence is fractions, or rims: components of one value that nearly everywhere lie between a smaller and a
    larger value. Interpolation puts a rim around every cell. Where intact cells meet, only single pixels lie so: in
    clean labels rims have up to 0.05 of the pixels of all outlines, in interpolated ones 0.15 and more.
    """
    if odd := labels.survey.odd.get("fraction"):
        message = f"pixels whose value is a fraction: {odd.count}, such as {odd.value[0]:g}"
        return GradualValues(odd.count, message, odd.place, {"value": odd.value})
    pieces = labels.survey.pieces
    rim = np.flatnonzero(pieces.between_px >= RIM_BETWEEN * pieces.size_px)
    rim_px = int(pieces.size_px[rim].sum())
    if rim_px < max(RIM_PX, RIM_SHARE * labels.survey.outline_px):
        return None
    share = rim_px / labels.survey.outline_px
    message = f"thin rims of values between those on both sides: {len(rim)}, {share:.0%} of all outlines"
    return GradualValues(len(rim), message, pieces.place[rim], {"id": pieces.value[rim], "px": pieces.size_px[rim]})

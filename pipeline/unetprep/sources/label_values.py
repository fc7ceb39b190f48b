"""Values of a label image: its cells, the labels in use, and whether they can be numbers of cells.

A label image whose values change gradually was interpolated, saved as JPEG, or holds probabilities or an image. One
whose numbers are in several separate pieces each holds classes, or marks pixels without a label by a number.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources.label_scan import Ints, Survey
from unetprep.sources.label_screen import LEAST_MASK_TOP, UNLABELLED

BOUNDARY_BETWEEN = 0.9  # least share of its pixels that lie between a smaller and a larger value
BOUNDARY_SHARE = 0.1  # least share of boundary components in all outlines
BOUNDARY_PX = 20  # least number of pixels in boundary components

END = 0.15  # of the range of values
FEWEST_AT_AN_END = 0.002  # of the pixels
MASK_AT_ENDS = 0.8  # share of the pixels of a mask near 0 or its largest value; interpolated ones: from 0.9, images: 0

COMPARABLE = 4  # pieces of at least a quarter of the size of the largest one of their cell
FEW_PIECES = 3  # comparable pieces that a cell hardly has
CLASS_SHARE = 0.25  # of cells in so many pieces; real labels: up to 0.03, neurites in single slices; classes: from 0.5
MANY_PIECES = 10  # of a single number that make it a class
SPLIT_SHARE = 0.5  # of cells in several pieces of any size; real labels: up to 0.41, neurites in single slices
FEWEST_CLASSES = 2  # numbers
FAR_APART = 2  # times the next smaller number
LISTED = 4  # numbers in a message


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

    def share_at_ends(self) -> float:
        """Share of the pixels near 0 or near the largest value; 0 where one of both has hardly any."""
        survey = self.survey
        size, top = survey.components.size_px, int(self.values.max(initial=0))
        total, high = prod(survey.shape), int(size[survey.components.value > (1 - END) * top].sum())
        low = total - int(size[survey.components.value > END * top].sum())
        return (low + high) / total if min(low, high) > FEWEST_AT_AN_END * total else 0.0

    @cached_property
    def unlabelled(self) -> int | None:
        """The largest number, if it is one of UNLABELLED and far above all others; None if there is none."""
        if len(self.values) < FEWEST_CLASSES:
            return None
        second, largest = self.values[-2:].tolist()
        return largest if largest in UNLABELLED and FAR_APART * second <= largest else None

    @property
    def is_noisy_mask(self) -> bool:
        """Whether nearly all pixels are near 0 or the largest value, and those near it have several values."""
        top = int(self.values.max(initial=0))
        several = np.count_nonzero(self.values > (1 - END) * top) > 1
        return bool(top >= LEAST_MASK_TOP and several and self.share_at_ends() >= MASK_AT_ENDS)

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


@dataclass(frozen=True)
class ClassLike:
    """Evidence that numbers are classes: a message, the numbers and their pieces, and the first place of each.

    `unlabelled` is a number that seems to mark pixels without a label. Evidence that is not `certain` may be that of a
    few cells in several pieces.
    """

    message: str
    values: Ints
    num_pieces: Ints
    place: Ints
    unlabelled: int | None
    has_background: bool
    certain: bool


def class_like(labels: Labels) -> ClassLike | None:
    """Evidence that numbers are classes, of which each has several pieces of comparable size; None if there is none.

    A single number in pieces is a binary mask, unless a second one marks pixels without a label.
    """
    survey, num_parts, num_values = labels.survey, np.bincount(labels.cell), len(labels.values)
    if num_values < FEWEST_CLASSES:
        return None
    pieces, value = _comparable_pieces(labels), np.zeros(labels.num_cells, np.int64)
    value[labels.cell] = survey.components.value
    unlabelled = labels.unlabelled
    known, is_mask = value != unlabelled, unlabelled is not None and num_values == FEWEST_CLASSES
    in_pieces = known & (pieces >= (FEW_PIECES - 1 if is_mask else FEW_PIECES))
    is_class = np.count_nonzero(in_pieces) > CLASS_SHARE * np.count_nonzero(known)
    if not is_class:
        in_pieces = known & (num_parts > 1)
        if np.count_nonzero(in_pieces) <= SPLIT_SHARE * np.count_nonzero(known):
            return None
    values, which = np.unique(value[in_pieces], return_inverse=True)
    num_pieces = np.bincount(which, num_parts[in_pieces]).astype(np.int64)
    is_full = int(survey.components.size_px.sum()) == prod(survey.shape)
    many = len(values) > 1 or is_mask or is_full or pieces[in_pieces].max() >= MANY_PIECES
    first = np.unique(survey.components.value, return_index=True)[1]
    place = survey.components.place[first[np.searchsorted(labels.values, values)]]
    listed = ", ".join(f"{v} in {n}" for v, n in zip(values.tolist(), num_pieces.tolist()[:LISTED], strict=False))
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    message = f"numbers in several separate pieces, as classes are: {listed}{more}"
    message += f"; {unlabelled} seems to mark pixels without a label" if unlabelled is not None else ""
    return ClassLike(message, values, num_pieces, place, unlabelled, not is_full, bool(is_class and many))


def _comparable_pieces(labels: Labels) -> Ints:
    """The number of pieces of each cell that are not much smaller than its largest one."""
    cell, size = labels.cell, labels.survey.components.size_px
    largest = np.zeros(labels.num_cells, np.int64)
    np.maximum.at(largest, cell, size)
    return np.bincount(cell[COMPARABLE * size >= largest[cell]], minlength=labels.num_cells)


@dataclass(frozen=True)
class Unlabelled:
    """Evidence that a number among those of cells marks pixels without a label: a message, its pieces, the first place.

    Evidence that is not `certain` may be that of a cell.
    """

    message: str
    value: int
    num_pieces: int
    place: int
    certain: bool


def unlabelled(labels: Labels) -> Unlabelled | None:
    """Evidence that a number marks pixels without a label; None if there is none.

    It is certain if the number has several pieces, or if the others are 1, 2, ... without a gap.
    """
    if labels.unlabelled is None:
        return None
    value, components = labels.unlabelled, labels.survey.components
    pieces = np.flatnonzero(components.value == value)
    others = labels.values[:-1]
    in_turn = len(others) > 1 and int(others[-1]) == len(others)
    message = f"{value} seems to mark pixels without a label: the others are up to {others[-1]}"
    return Unlabelled(message, value, len(pieces), int(components.place[pieces[0]]), len(pieces) > 1 or in_turn)

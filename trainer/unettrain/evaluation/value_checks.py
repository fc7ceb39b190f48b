"""Checks of the values in a segmentation: whole, finite, one number or several, gradual, in several parts.

Arrays are (c, z, y, x) with a single channel unless stated otherwise. What changes gradually and what is like classes
is defined by the rules `interpolated` and `classes` of `unetprep lint`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.sources import Source
from unetprep.sources.arrays import ArraySource
from unetprep.sources.first_pass import LARGEST_LABEL
from unetprep.sources.label_scan import survey
from unetprep.sources.label_values import Labels, class_like, gradual_values, unlabelled
from unettrain.errors import InvalidInput

NEIGHBOURS = {2: 8, 3: 26}  # by dims: the connectivity of a part, as in `unetprep lint`


def check_one_channel(pixels: NDArray[Any], path: str) -> None:
    """Raise InvalidInput for several channels."""
    if len(pixels) > 1:
        raise InvalidInput(
            f"{path} has {len(pixels)} channels of {pixels.dtype}: a colour image?",
            allowed="a single channel, or floating-point class probabilities",
            hint="save instance labels as numbers, not as colours, and a mask as a grey image",
        )


def check_numbers(pixels: NDArray[Any], path: str, hint: str = "") -> None:
    """Raise InvalidInput for values that cannot be the number of an object; `hint` may name the value as {}."""
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > LARGEST_LABEL:
        wrong = low if low < 0 else high
        raise InvalidInput(f"{path} holds the number {wrong}", allowed=f"0 to {LARGEST_LABEL}", hint=hint.format(wrong))


def check_classes(values: NDArray[Any], path: str, num_classes: int) -> None:
    """Raise InvalidInput for a number that is no class."""
    if values.size and int(values.max()) >= num_classes:
        raise InvalidInput(
            f"{path} holds the number {int(values.max())} with {num_classes} classes",
            allowed=f"classes 0 (background) to {num_classes - 1}",
        )


def is_finite(pixels: NDArray[Any]) -> bool:
    """Whether there is no NaN and no infinity."""
    return bool(np.isfinite(pixels).all())


def is_whole(pixels: NDArray[Any]) -> bool:
    """Whether all values are whole numbers."""
    return pixels.dtype.kind in "bui" or (is_finite(pixels) and bool((pixels == np.rint(pixels)).all()))


def has_one_number(pixels: NDArray[Any]) -> bool:
    """Whether at most one number other than 0 occurs."""
    numbers = pixels[pixels != 0]
    return not numbers.size or bool(numbers.min() == numbers.max())


def examine(source: Source, dims: int, ignore_label: int | None = None) -> Labels:
    """The connected parts of the numbers of a source (c, z, y, x) with one channel, which is read block by block.

    With `dims` 2 each slice has objects of its own. Pixels of `ignore_label` count as background.
    """
    return Labels(survey(source, dims, NEIGHBOURS[dims], ignore_label), dims, source.dtype)


def examine_pixels(pixels: NDArray[Any], path: str, dims: int) -> Labels:
    """`examine` of pixels in memory."""
    return examine(ArraySource(path, "czyx", pixels.shape, pixels.dtype.name, path, pixels), dims)


def num_parts(found: Labels) -> NDArray[np.intp]:
    """The number of connected parts of each object."""
    return np.bincount(found.cell)


def fault_of_numbers(found: Labels, *, may_be_classes: bool = False) -> str:
    """Why values cannot be the numbers of objects, or of classes if they may be; "" if they can.

    Values that change gradually come from probabilities, interpolation or JPEG files. Values of which most have several
    parts come from an image of classes.
    """
    if gradual := gradual_values(found):
        return f"values change gradually ({gradual.message})"
    classes = None if may_be_classes else class_like(found)
    return classes.message if classes else ""


def number_of_unlabelled(labels: Labels) -> int | None:
    """A number that marks pixels without a label among those of cells; None if there is none."""
    found = unlabelled(labels)
    return found.value if found and found.certain else None

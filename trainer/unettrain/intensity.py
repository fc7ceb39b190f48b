"""Intensity normalisation: the range of an image that becomes 0 to 1 for the network.

An image is scaled as a whole, never tile by tile: per-tile ranges give seams, and the paper scales by 1/255 alone.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput

INTENSITY_RULES = ("auto", "dtype", "minmax")  # as at import; auto: dtype for 8 bits, minmax for all else
ROWS_AT_ONCE = 1024


class ArrayLike(Protocol):
    """A numpy array, or something that is cut like one and read where it is cut, such as a zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sides."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""

    def __getitem__(self, key: Any) -> Any:
        """A part of it."""


def intensity_range(image: ArrayLike, rule: str = "auto") -> tuple[float, float]:
    """(low, high) of an image (..., y, x): what becomes 0 and 1.

    dtype: the range of its integer type. minmax: its least and greatest value, read a block of rows at a time. auto:
    dtype for uint8, minmax for every other.

    A constant image gets high = low + 1. Raises InvalidInput for an empty image, and for values that are not finite.
    """
    if 0 in image.shape:
        raise InvalidInput(f"an image of shape {tuple(image.shape)} has no pixels")
    if rule not in INTENSITY_RULES:
        raise InvalidInput(f"intensity rule is {rule!r}", allowed=", ".join(INTENSITY_RULES))
    if rule == "dtype" or (rule == "auto" and image.dtype == np.uint8):
        if image.dtype.kind not in "ui":
            raise InvalidInput(f"the image has dtype {image.dtype}", allowed="integers, as the images trained on")
        return float(np.iinfo(image.dtype).min), float(np.iinfo(image.dtype).max)
    extremes = np.array([(block.min(), block.max()) for block in _blocks(image)], np.float64)
    low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    if not np.isfinite(high - low):
        raise InvalidInput(f"the image's values range from {low} to {high}", allowed="finite numbers")
    return low, high if high > low else low + 1.0


def _blocks(image: ArrayLike) -> Iterator[NDArray[Any]]:
    for index in np.ndindex(image.shape[:-2]):
        for top in range(0, image.shape[-2], ROWS_AT_ONCE):
            yield np.asarray(image[(*index, slice(top, top + ROWS_AT_ONCE))])


def scale_intensity(image: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """(image - low) / (high - low) in float32, in a new array of the same shape."""
    scaled = image.astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low) or np.float32(1)
    return scaled

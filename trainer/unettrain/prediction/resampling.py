"""Resampling of images to the pixel size of the training, and of their predictions back.

Along each axis a pixel is a weighted mean of the pixels under a triangle: linear interpolation, and if the result is
coarser, a triangle as wide as its pixels, so that no detail is skipped. The weights of a pixel have the sum 1.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.data.intensity import ArrayLike


class Resampled:
    """An image (c, z, y, x) with other numbers of rows and columns, float32, resampled where it is indexed."""

    def __init__(self, image: ArrayLike, size: tuple[int, int]) -> None:
        self._image = image
        self.shape: tuple[int, ...] = (*image.shape[:2], *size)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: tuple[slice, int, slice, slice]) -> NDArray[np.float32]:
        channels, z, rows, columns = key
        along = [
            Axis(self._image.shape[axis], self.shape[axis], *part.indices(self.shape[axis])[:2])
            for axis, part in ((2, rows), (3, columns))
        ]
        block = self._image[channels, z, along[0].source, along[1].source]
        return resample(np.asarray(block), *along)


class Axis:
    """Pixels `start` to `stop` of an axis of `new` pixels, made from an axis of `old` pixels.

    `source` are the pixels of the old axis that matter, and `weights` (new pixel, source pixel) how much each does.
    """

    def __init__(self, old: int, new: int, start: int, stop: int) -> None:
        self.source, self.weights = _weights(old, new, start, stop)


@lru_cache(maxsize=64)
def _weights(old: int, new: int, start: int, stop: int) -> tuple[slice, NDArray[np.float32]]:
    centres = (np.arange(start, stop) + 0.5) * old / new - 0.5
    reach = max(1.0, old / new)
    first, last = max(0, int(np.floor(centres[0] - reach))), min(old, int(np.ceil(centres[-1] + reach)) + 1)
    distance = abs(np.arange(first, last) - centres[:, None]) / reach
    weights = np.maximum(0, 1 - distance)
    return slice(first, last), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resample(block: NDArray[Any], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """The pixels (..., row, column) of two axes from those of their sources."""
    made: NDArray[np.float32] = rows.weights @ block.astype(np.float32, copy=False) @ columns.weights.T
    return made

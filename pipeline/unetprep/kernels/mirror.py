"""Mirroring without repeating the edge pixel, as far out as one likes (`numpy.pad(mode="reflect")`)."""

import numpy as np
from numpy.typing import NDArray


def mirror_index(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """The index inside [0, size) that position i stands for, for each i in [start, stop).

    Positions outside are folded back with period 2 (size - 1), so that neither edge pixel is repeated; along an axis of
    one pixel everything is that pixel.
    """
    if size == 1:
        return np.zeros(stop - start, np.intp)
    folded = np.arange(start, stop) % (2 * (size - 1))
    return np.minimum(folded, 2 * (size - 1) - folded).astype(np.intp)


def mirrored_tile(array: NDArray[np.generic], start: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Cut a window out of an array of any dtype, mirroring what lies outside it.

    `start` and `shape` are in pixels and go with the *last* axes of `array`; leading axes (channels) are kept whole.
    The window may lie anywhere, also wholly outside, and exceed the array by any number of pixels. Equal to cutting
    it out of `numpy.pad(array, ..., mode="reflect")` with a large enough pad (Ronneberger et al. 2015, Fig. 2).

    Raises ValueError for an empty array, which has nothing to mirror.
    """
    if array.size == 0:
        raise ValueError(f"an array of shape {array.shape} has no pixels to mirror")
    for axis, (first, length) in enumerate(zip(start, shape, strict=True), start=array.ndim - len(shape)):
        array = array.take(mirror_index(first, first + length, array.shape[axis]), axis=axis)
    return array

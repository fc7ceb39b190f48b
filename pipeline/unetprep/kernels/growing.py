"""Growth of labelled objects into the background, each pixel to the nearest object."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def grow_rows(labels: NDArray[np.int32], first: int, last: int, radius_px: int) -> NDArray[np.int32]:
    """Rows `first` to `last` (exclusive) of labels (y, x), with background pixels up to `radius_px` away labelled.

    Such a pixel gets the label of the nearest labelled pixel; of equally near ones, of the first in scan order. The
    result is that of the whole image if `labels` extends `radius_px` rows beyond `first` and `last`, or to its edge.
    """
    out = labels[first:last].copy()
    if radius_px:
        _grow(labels, first, _offsets(radius_px), out)
    return out


def _offsets(radius_px: int) -> NDArray[np.int64]:
    """Offsets (n, 2) up to a radius, the nearest first, then in scan order."""
    y, x = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1].reshape(2, -1)
    square = y**2 + x**2
    order = np.argsort(square, kind="stable")
    order = order[(square[order] <= radius_px**2) & (square[order] > 0)]
    return np.stack([y[order], x[order]], axis=1)


@njit(nogil=True, cache=True)
def _grow(labels, first, offsets, out):  # type: ignore[no-untyped-def]
    height, width = labels.shape
    radius = offsets[-1].max()
    for y in range(len(out)):
        near = np.zeros(width + 1, np.int64)  # labelled pixels of the rows in reach, summed along x
        top, bottom = max(0, first + y - radius), min(height, first + y + radius + 1)
        for at in range(top, bottom):
            for x in range(width):
                near[x + 1] += labels[at, x] > 0
        near = np.cumsum(near)
        for x in range(width):
            if out[y, x] or near[min(width, x + radius + 1)] == near[max(0, x - radius)]:
                continue
            for k in range(len(offsets)):
                i, j = first + y + offsets[k, 0], x + offsets[k, 1]
                if 0 <= i < height and 0 <= j < width and labels[i, j]:
                    out[y, x] = labels[i, j]
                    break

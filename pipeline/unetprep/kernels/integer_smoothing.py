"""Gaussian smoothing of uint16 images in integers, so that every tiling gives the same bits."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

SHIFT = 14  # the weights of a kernel add up to 2^14: with uint16 values, sums stay below 2^30


def gaussian_weights(sigma_px: float) -> NDArray[np.int32]:
    """Weights of a Gaussian up to 3 sigma, as integers that add up to 2^14. Sigma 0 gives a single weight."""
    radius = math.ceil(3 * sigma_px)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma_px**2)) if sigma_px else np.ones(1)
    whole: NDArray[np.int32] = np.round(weights / weights.sum() * 2**SHIFT).astype(np.int32)
    whole[radius] += 2**SHIFT - whole.sum()
    return whole


def smooth_rows(values: NDArray[np.uint16], first: int, last: int, weights: NDArray[np.int32]) -> NDArray[np.uint16]:
    """Smooth rows `first` to `last` (exclusive) of `values` (y, x), first along columns, then along rows.

    Both results are rounded to whole numbers. Beyond the edges of `values` its outermost pixels are repeated.
    """
    if len(weights) == 1:
        return values[first:last]
    out = np.empty((last - first, values.shape[1]), np.uint16)
    _smooth(values, first, weights, out)
    return out


@njit(nogil=True, cache=True)
def _smooth(values, first, weights, out):  # type: ignore[no-untyped-def]
    height, width = values.shape
    radius, half = len(weights) // 2, np.int32(1 << (SHIFT - 1))
    sums, padded = np.empty(width, np.int32), np.empty(width + 2 * radius, np.int32)
    for y in range(len(out)):
        sums[:] = half
        for k in range(len(weights)):
            weight, row = weights[k], values[min(max(first + y + k - radius, 0), height - 1)]
            for x in range(width):
                sums[x] += weight * np.int32(row[x])
        for x in range(width):
            padded[radius + x] = sums[x] >> SHIFT
        padded[:radius] = padded[radius]
        padded[radius + width :] = padded[radius + width - 1]
        sums[:] = half
        for k in range(len(weights)):
            weight, shifted = weights[k], padded[k : k + width]
            for x in range(width):
                sums[x] += weight * shifted[x]
        for x in range(width):
            out[y, x] = sums[x] >> SHIFT

"""Probabilities as a mask and as integers."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS = 65535  # the integer of probability 1


def foreground_mask(probabilities: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """1 where a probability is at least `threshold`, which is rounded to float32, else 0."""
    return (probabilities >= np.float32(threshold)).view(np.uint8)


def quantized(probabilities: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Probabilities from 0 to 1, clipped, as 0 to 65535."""
    values = np.empty(probabilities.shape, np.uint16)
    _quantize(probabilities, values)
    return values


@njit(nogil=True, cache=True)
def _quantize(probabilities, values):  # type: ignore[no-untyped-def]
    for y in range(probabilities.shape[0]):
        for x in range(probabilities.shape[1]):
            values[y, x] = np.uint16(min(max(probabilities[y, x], 0.0), 1.0) * LEVELS + 0.5)

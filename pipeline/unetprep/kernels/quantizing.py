"""Probabilities as a mask and as integers."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEVELS = 65535  # the integer of probability 1


def quantize(probabilities: NDArray[np.float32], threshold: float) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The mask of at least `threshold` (1 inside, 0 outside), and the values from 0 to 1 as 0 to 65535, clipped."""
    mask = (probabilities >= np.float32(threshold)).astype(np.uint8)
    values = np.empty(probabilities.shape, np.uint16)
    _quantize(probabilities, values)
    return mask, values


@njit(nogil=True, cache=True)
def _quantize(probabilities, values):  # type: ignore[no-untyped-def]
    for y in range(probabilities.shape[0]):
        for x in range(probabilities.shape[1]):
            values[y, x] = np.uint16(min(max(probabilities[y, x], 0.0), 1.0) * LEVELS + 0.5)

"""Sums over the pixels of labelled objects, from parts of an image."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def measure_part(
    labels: NDArray[np.int32], z: int, y0: int, x0: int, sums: NDArray[np.int64], boxes: NDArray[np.int64]
) -> None:
    """Add labels (rows, columns), those of slice `z` from row `y0` and column `x0` on.

    `sums` (label, 3) are area, sum of y and sum of x; `boxes` (label, 5) are z, y0, x0, y1, x1, the last two exclusive.
    Label 0 is not measured.
    """
    _measure(labels, z, y0, x0, sums, boxes)


@njit(nogil=True, cache=True)
def _measure(labels, z, y0, x0, sums, boxes):  # type: ignore[no-untyped-def]
    for row in range(labels.shape[0]):
        y = y0 + row
        for column in range(labels.shape[1]):
            label, x = labels[row, column], x0 + column
            if label:
                sums[label, 0] += 1
                sums[label, 1] += y
                sums[label, 2] += x
                boxes[label, 0] = z
                boxes[label, 1] = min(boxes[label, 1], y)
                boxes[label, 2] = min(boxes[label, 2], x)
                boxes[label, 3] = max(boxes[label, 3], y + 1)
                boxes[label, 4] = max(boxes[label, 4], x + 1)


def sum_intensity(labels: NDArray[np.int32], image: NDArray[Any], sums: NDArray[np.float64]) -> None:
    """Add the values of an image (rows, columns) to the sum of each label; label 0 is not measured."""
    if image.shape != labels.shape:
        raise ValueError(f"labels have shape {labels.shape}, the image {image.shape}")
    _sum(labels, np.ascontiguousarray(image, np.float64), sums)


@njit(nogil=True, cache=True)
def _sum(labels, image, sums):  # type: ignore[no-untyped-def]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x]:
                sums[labels[y, x]] += image[y, x]

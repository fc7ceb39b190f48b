"""Connected components of equal value, for labels in which different objects touch."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.union_find import find, union


def label_equal_values(values: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Number the 4-connected components of equal values > 0 (y, x) 1, 2, ... in scan order of their first pixels.

    Returns int32 labels, 0 elsewhere, and their number. For a mask, `label_strip` does this in a fraction of the time.
    """
    labels = np.zeros(values.shape, np.int32)
    wide = np.ascontiguousarray(values, values.dtype if values.dtype == np.uint64 else np.int64)  # compiled once
    return labels, int(_label(wide, labels))


@njit(nogil=True, cache=True)
def _label(values, labels):  # type: ignore[no-untyped-def]
    """Number pixels provisionally, and join the numbers that turn out to belong together."""
    height, width = values.shape
    parents = np.empty(height * width // 2 + 2, np.int32)
    parents[0], num = 0, 0
    for y in range(height):
        for x in range(width):
            value = values[y, x]
            if value <= 0:
                continue
            left = labels[y, x - 1] if x > 0 and values[y, x - 1] == value else 0
            above = labels[y - 1, x] if y > 0 and values[y - 1, x] == value else 0
            if left and above:
                labels[y, x] = union(parents, left, above)
            elif left or above:
                labels[y, x] = max(left, above)
            else:
                num += 1
                if num == len(parents):
                    parents = np.concatenate((parents, np.empty(num, np.int32)))
                parents[num] = labels[y, x] = num
    return _renumber(labels, parents, num)


@njit(nogil=True, cache=True)
def _renumber(labels, parents, num):  # type: ignore[no-untyped-def]
    numbers, count = np.zeros(num + 1, np.int32), 0
    for k in range(1, num + 1):
        root = find(parents, k)
        if root == k:
            count += 1
            numbers[k] = count
        numbers[k] = numbers[root]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = numbers[labels[y, x]]
    return count

"""Connected components of a strip of rows of a mask, and the contacts between the components of adjacent strips."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.union_find import find, union


def label_strip(mask: NDArray[np.uint8], value: int, diagonal: bool) -> tuple[NDArray[np.int32], int]:
    """Number the components of the pixels (y, x) that equal `value` 1, 2, ... in scan order of their first pixels.

    `diagonal`: whether diagonal neighbours are connected. Returns int32 labels, 0 elsewhere, and their number.
    """
    labels = np.empty(mask.shape, np.int32)
    return labels, _label_strip(mask, value, diagonal, labels)


def touching(
    above: NDArray[np.int32], below: NDArray[np.int32], diagonal: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs of labels that touch, of the last row of a strip and the first row of the next one; 0 touches nothing."""
    shifts = (-1, 0, 1) if diagonal else (0,)
    width, firsts, seconds = len(above), [], []
    for shift in shifts:
        a, b = above[max(0, -shift) : width - max(0, shift)], below[max(0, shift) : width - max(0, -shift)]
        both = (a > 0) & (b > 0)
        firsts.append(a[both])
        seconds.append(b[both])
    return np.concatenate(firsts), np.concatenate(seconds)


@njit(nogil=True, cache=True)
def _label_strip(mask, value, diagonal, labels):  # type: ignore[no-untyped-def]
    height, width = mask.shape
    parents = np.zeros(height * ((width + 1) // 2) + 1, np.int32)
    num = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x] != value:
                labels[y, x] = 0
                continue
            label = labels[y, x - 1] if x else np.int32(0)
            if y:
                for i in range(x - 1 if diagonal and x else x, min(width, x + 2) if diagonal else x + 1):
                    other = labels[y - 1, i]
                    if other:
                        label = union(parents, label, other) if label else other
            if not label:
                num += 1
                label = np.int32(num)
                parents[label] = label
            labels[y, x] = label
    return _renumber(labels, parents, num)


@njit(nogil=True, cache=True)
def _renumber(labels, parents, num):  # type: ignore[no-untyped-def]
    """Replace provisional labels by numbers of whole components; the smallest label of each stands for it."""
    count = 0
    numbers = np.zeros(num + 1, np.int32)
    for label in range(1, num + 1):
        root = find(parents, np.int32(label))
        if root == label:
            count += 1
            numbers[label] = count
        else:
            numbers[label] = numbers[root]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = numbers[labels[y, x]]
    return count

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


def touching(above: NDArray[np.int32], below: NDArray[np.int32], diagonal: bool) -> NDArray[np.int32]:
    """Pairs (n, 2) of labels that touch, of the last row of a strip and the first row of the next, without 0."""
    pairs, width = [], len(above)
    for shift in (-1, 0, 1) if diagonal else (0,):
        a, b = above[max(0, -shift) : width - max(0, shift)], below[max(0, shift) : width - max(0, -shift)]
        both = (a > 0) & (b > 0)
        pairs.append(np.stack([a[both], b[both]], axis=1))
    return np.concatenate(pairs)


@njit(nogil=True, cache=True)
def _label_strip(mask, value, diagonal, labels):  # type: ignore[no-untyped-def]
    """Label runs of pixels along x, which are far fewer than pixels."""
    height, width = mask.shape
    runs = np.empty((height * (width // 2 + 1), 2), np.int32)  # first column, column after the last
    parents = np.empty(len(runs), np.int32)
    ends = np.empty(height, np.int64)  # of the runs of each row
    num, first_above = 0, 0
    for y in range(height):
        first_here = num
        num = _find_runs(mask[y], value, runs, num)
        for k in range(first_here, num):
            parents[k] = k
        _join_rows(runs, parents, first_above, first_here, num, int(diagonal))
        ends[y], first_above = num, first_here
    numbers = np.empty(num, np.int32)
    count = _number_runs(parents, numbers)
    k = 0
    for y in range(height):
        labels[y] = 0
        while k < ends[y]:
            labels[y, runs[k, 0] : runs[k, 1]] = numbers[k]
            k += 1
    return count


@njit(nogil=True, cache=True)
def _find_runs(row, value, runs, num):  # type: ignore[no-untyped-def]
    """Append the runs of a row; returns the number of runs."""
    x, width = 0, len(row)
    while x < width:
        if row[x] != value:
            x += 1
            continue
        runs[num, 0] = x
        while x < width and row[x] == value:
            x += 1
        runs[num, 1] = x
        num += 1
    return num


@njit(nogil=True, cache=True)
def _join_rows(runs, parents, above, here, end, reach):  # type: ignore[no-untyped-def]
    """Join the runs here to end of a row to those above to here of the row before; reach 1: diagonally too."""
    k, stop = above, here
    while k < stop and here < end:
        if runs[k, 0] < runs[here, 1] + reach and runs[here, 0] < runs[k, 1] + reach:
            union(parents, k, here)
        if runs[k, 1] < runs[here, 1]:
            k += 1
        else:
            here += 1


@njit(nogil=True, cache=True)
def _number_runs(parents, numbers):  # type: ignore[no-untyped-def]
    """Numbers of the components of runs, in the order of their first runs; returns how many there are."""
    count = 0
    for k in range(len(numbers)):
        root = find(parents, k)
        if root == k:
            count += 1
            numbers[k] = count
        else:
            numbers[k] = numbers[root]
    return count

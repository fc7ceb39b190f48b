"""Merging of basins whose peaks do not rise far enough above the passes between them (merging by prominence)."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.union_find import find


class Peaks(NamedTuple):
    """Peaks of basins: the part of each, its height, and its place in scan order of the image."""

    parts: NDArray[np.int32]
    heights: NDArray[np.int32]
    places: NDArray[np.int64]


def merge_basins(
    basins: NDArray[np.int32], peaks: Peaks, contacts: NDArray[np.int32], min_depth: float
) -> NDArray[np.int32]:
    """For each of the parts 0, 1, ... the smallest number of its object, once basins have been merged: int32.

    `basins` is the smallest number of the parts of the basin of each part. `contacts` (n, 3) are two basins that
    touch, and the height of the pass; a pair may occur several times.

    Passes are taken from the highest to the lowest, of equal ones that between the earlier peaks first. At each pass
    two objects merge unless the lower of their peaks rises above it by at least `min_depth` of its own height, and by
    at least one unit.
    """
    owners = basins[peaks.parts][np.argsort(peaks.places, kind="stable")]  # basins in the order of their peaks
    objects, heights, ranks = basins.copy(), np.zeros(len(basins), np.int32), np.zeros(len(basins), np.int32)
    heights[basins[peaks.parts]], ranks[owners] = peaks.heights, np.arange(len(owners), dtype=np.int32)
    order, ends = _by_height(contacts[:, 2])
    _merge(contacts, order, ends, ranks, owners, heights, objects, min_depth)
    return objects


def highest_passes(contacts: NDArray[np.int32]) -> NDArray[np.int32]:
    """The highest of the contacts (n, 3) of each two different basins, the smaller basin first."""
    ends = np.sort(contacts[:, :2], axis=1)
    apart = ends[:, 0] != ends[:, 1]
    ends, heights = ends[apart], contacts[apart, 2]
    if not len(ends):
        return np.zeros((0, 3), np.int32)
    codes = ends[:, 0].astype(np.int64) << 32 | ends[:, 1]
    order = np.argsort(codes)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    highest = np.maximum.reduceat(heights[order], starts)
    return np.concatenate([ends[order[starts]], highest[:, None]], axis=1)


@njit(nogil=True, cache=True)
def _by_height(heights):  # type: ignore[no-untyped-def]
    """Indices in the order of heights, and where those of each height 0, 1, ... end: a counting sort."""
    ends = np.zeros((heights.max() if len(heights) else 0) + 1, np.int64)
    for height in heights:
        ends[height] += 1
    ends = np.cumsum(ends)
    order, nexts = np.empty(len(heights), np.int64), ends.copy()
    for k in range(len(heights)):
        nexts[heights[k]] -= 1
        order[nexts[heights[k]]] = k
    return order, ends


@njit(nogil=True, cache=True)
def _merge(contacts, order, ends, ranks, owners, heights, parents, min_depth):  # type: ignore[no-untyped-def]
    for height in range(len(ends) - 1, -1, -1):
        some = order[ends[height - 1] if height else 0 : ends[height]]
        if not len(some):
            continue
        pairs = np.empty(len(some), np.int64)  # of the ranks of peaks, the earlier first
        for k in range(len(some)):
            a, b = np.int64(ranks[contacts[some[k], 0]]), np.int64(ranks[contacts[some[k], 1]])
            pairs[k] = min(a, b) << 32 | max(a, b)
        pairs.sort()
        for pair in pairs:
            a, b = find(parents, owners[pair >> 32]), find(parents, owners[pair & 0xFFFFFFFF])
            lower = min(heights[a], heights[b])
            depth = lower - height
            if a != b and (depth < 1 or depth < min_depth * lower):
                kept, other = min(a, b), max(a, b)
                heights[kept] = max(heights[a], heights[b])
                parents[other] = kept
    for item in range(len(parents)):
        parents[item] = parents[parents[item]]  # a parent is smaller, and stands for its set already

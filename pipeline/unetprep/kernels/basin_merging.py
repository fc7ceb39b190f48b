"""Merging of basins whose peaks do not rise far enough above the passes between them (merging by prominence)."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.union_find import joined


def merge_basins(
    peaks: NDArray[np.int32],
    places: NDArray[np.int64],
    same: NDArray[np.int32],
    contacts: NDArray[np.int32],
    min_depth: float,
) -> NDArray[np.int32]:
    """For each of the parts 0, 1, ... the smallest number of its object, once parts and basins have been merged: int32.

    `peaks` are heights of the peaks, 0 for parts without one; `places` where they are, in scan order of the image;
    `same` (n, 2) are parts of one basin; `contacts` (n, 3) two parts that touch, and the height of the pass.

    Passes are taken from the highest to the lowest, of equal ones that between the earlier peaks first. At each pass
    two objects merge unless the lower of their peaks rises above it by at least `min_depth` of its own height, and by
    at least one unit.
    """
    basins = joined(len(peaks), same[:, 0], same[:, 1])
    heights, at = np.zeros(len(peaks), np.int32), np.zeros(len(peaks), np.int64)
    is_peak = peaks > 0
    heights[basins[is_peak]], at[basins[is_peak]] = peaks[is_peak], places[is_peak]
    passes = highest_passes(basins, contacts)
    first, second = np.sort(at[passes[:, :2]], axis=1).T
    passes = passes[np.lexsort((second, first, -passes[:, 2]))]
    _merge(passes, heights, basins, min_depth)
    return basins


def highest_passes(basins: NDArray[np.int32], contacts: NDArray[np.int32]) -> NDArray[np.int32]:
    """The highest pass between each two basins that touch, (passes, 3), from the contacts of their parts."""
    ends = np.sort(basins[contacts[:, :2]], axis=1)
    apart = ends[:, 0] != ends[:, 1]
    ends, heights = ends[apart], contacts[apart, 2]
    if not len(ends):
        return np.zeros((0, 3), np.int32)
    codes = ends[:, 0].astype(np.int64) * len(basins) + ends[:, 1]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    highest = np.maximum.reduceat(heights[order], starts)
    return np.concatenate([ends[order][starts], highest[:, None]], axis=1).astype(np.int32)


@njit(nogil=True, cache=True)
def _merge(passes, heights, parents, min_depth):  # type: ignore[no-untyped-def]
    for k in range(len(passes)):
        a, b = passes[k, 0], passes[k, 1]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        lower = min(heights[a], heights[b])
        depth = lower - passes[k, 2]
        if a != b and (depth < 1 or depth < min_depth * lower):
            kept, other = min(a, b), max(a, b)
            heights[kept] = max(heights[a], heights[b])
            parents[other] = kept
    for item in range(len(parents)):
        parents[item] = parents[parents[item]]

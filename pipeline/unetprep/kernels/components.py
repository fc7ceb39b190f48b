"""Connected pieces of a mask."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def _label(mask, volume, out):  # type: ignore[no-untyped-def]
    """Union-find over the pixels that come before each one: provisional numbers first, then consecutive ones."""
    parent = np.arange(mask.size // 2 + 2)
    used = 0
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            for x in range(mask.shape[2]):
                if not mask[z, y, x]:
                    continue
                found = 0
                for before in (
                    out[z, y, x - 1] if x else 0,
                    out[z, y - 1, x] if y else 0,
                    out[z - 1, y, x] if volume and z else 0,
                ):
                    if before:
                        root = _root(parent, before)
                        if found and root != found:
                            parent[max(root, found)] = min(root, found)
                            root = min(root, found)
                        found = root
                if not found:
                    used += 1
                    found = used
                out[z, y, x] = found
    number = np.zeros(used + 1, np.int32)
    count = 0
    for i in range(1, used + 1):
        root = _root(parent, i)
        if root == i:
            count += 1
            number[i] = count
        else:
            number[i] = number[root]
    for z in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            for x in range(mask.shape[2]):
                out[z, y, x] = number[out[z, y, x]]


def label_components(mask: NDArray[np.bool_], dims: int = 2) -> NDArray[np.int32]:
    """Number the connected pieces of a mask (z, y, x) from 1, in raster order; 0 where the mask is false.

    Pixels are connected through their sides: 4 neighbours within a slice for `dims` 2 (the slices of a stack are
    independent, but no number occurs in two of them), 6 for `dims` 3. Returns int32.
    """
    out = np.zeros(mask.shape, np.int32)
    _label(mask, dims == 3, out)
    return out

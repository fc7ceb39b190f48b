"""Background between touching instances (Ronneberger et al. 2015, section 3).

The paper only says "morphological operations". There are two rules:

raster      that of the authors' Fiji plugin: a pixel whose W, NW, N or NE neighbour belongs to another instance becomes
            background, which gives a line of one pixel
symmetric   a pixel with any neighbour in another instance becomes background, which gives a line of two pixels

Neighbours are taken from the original labels, so that the result at a pixel depends only on its neighbours and is the
same for any chunking.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

HALO_PX = 1
RULES = ("raster", "symmetric", "none")


@njit(nogil=True, cache=True)
def _part(here, there, target):  # type: ignore[no-untyped-def]
    """Set pixels of `target` to background where a pixel of the row `there` belongs to another cell."""
    for x in range(len(here)):
        target[x] &= np.uint8((there[x] <= 0) | (there[x] == here[x]))


@njit(nogil=True, cache=True)
def _part_by_three(here, left, middle, right, target):  # type: ignore[no-untyped-def]
    """Set pixels of `target` to background where one of three neighbours belongs to another cell."""
    for x in range(len(here)):
        a, b, c, own = left[x], middle[x], right[x], here[x]
        other = ((a > 0) & (a != own)) | ((b > 0) & (b != own)) | ((c > 0) & (c != own))  # vectorizes
        target[x] &= np.uint8(not other)


@njit(nogil=True, cache=True)
def _part_all(labels, planes, symmetric, target):  # type: ignore[no-untyped-def]
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            here, out = labels[z, y], target[z, y]
            for x in range(width):
                out[x] = here[x] > 0
            for dz in planes:
                for dy in (-1, 0, 1):
                    earlier = dz < 0 or (dz == 0 and dy < 0)
                    if 0 <= z + dz < depth and 0 <= y + dy < height and (symmetric or earlier):
                        there = labels[z + dz, y + dy]
                        _part_by_three(here[1:-1], there[:-2], there[1:-1], there[2:], out[1:-1])
                        for x in (0, width - 1):
                            for i in range(max(0, x - 1), min(width, x + 2)):
                                if there[i] > 0 and there[i] != here[x]:
                                    out[x] = 0
            if not symmetric:
                _part(here[1:], here[:-1], out[1:])


def separate_instances(labels: NDArray[np.integer], dims: int = 2, rule: str = "raster") -> NDArray[np.uint8]:
    """The target: 1 inside a cell, 0 in the background and on a line between touching cells.

    `labels` is (..., y, x) for `dims` 2 and (..., z, y, x) for `dims` 3, where values below 1 are no cell; other axes
    are independent images. In the target no two cells are 8-connected (26-connected in 3D), unless `rule` is "none". Of
    two adjacent pixels of different cells, "raster" makes the later one in raster order background, "symmetric" both.
    Raises ValueError for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"separate is {rule!r}, not one of {', '.join(RULES)}")
    if rule == "none":
        return (labels > 0).view(np.uint8)
    target = np.empty(labels.shape, np.uint8)
    volumes = np.ascontiguousarray(labels).reshape(-1, *((1,) * (3 - dims)), *labels.shape[-dims:])
    for volume, out in zip(volumes, target.reshape(volumes.shape), strict=True):
        _part_all(volume, (-1, 0, 1) if dims == 3 else (0, 0, 0), rule == "symmetric", out)
    return target

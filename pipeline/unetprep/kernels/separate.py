"""Background between touching instances (Ronneberger et al. 2015, section 3).

The paper only says "morphological operations". Two rules:

raster      the one of the authors' Fiji plugin: going through the image in raster order, a pixel whose W, NW, N or NE
            neighbour belongs to another instance becomes background: a line of one pixel
symmetric   a pixel of which any neighbour belongs to another instance becomes background: a line of two, one of each

We ask the neighbours in the labels as they were given, so that the answer at a pixel depends on nothing but its
neighbours and any chunking gives the same.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

HALO_PX = 1
RULES = ("raster", "symmetric", "none")


@njit(nogil=True, cache=True)
def _part(here, there, target):  # type: ignore[no-untyped-def]
    """Background where a pixel of the row `there` belongs to another cell."""
    for x in range(len(here)):
        target[x] &= np.uint8((there[x] <= 0) | (there[x] == here[x]))


@njit(nogil=True, cache=True)
def _part_by_three(here, left, middle, right, target):  # type: ignore[no-untyped-def]
    """The same for three neighbours at once."""
    for x in range(len(here)):
        a, b, c, own = left[x], middle[x], right[x], here[x]
        other = ((a > 0) & (a != own)) | ((b > 0) & (b != own)) | ((c > 0) & (c != own))  # no branches: it vectorizes
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
    """The target to learn: 1 inside a cell, 0 in the background and on a line between touching cells.

    `labels` is (..., y, x) for `dims` 2 and (..., z, y, x) for `dims` 3, below 1 = no cell; other axes are independent
    images. Afterwards no two cells are 8-connected (26-connected in 3D), unless `rule` is "none": with "raster", of two
    adjacent pixels of different cells the later one in raster order has become background, with "symmetric" both.
    ValueError for another rule.
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

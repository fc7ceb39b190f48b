"""Background between touching instances (Ronneberger et al. 2015, section 3).

The paper only says "morphological operations". Two rules:

raster      the one of the authors' Fiji plugin: going through the image in raster order, a pixel whose W, NW, N or NE
            neighbour belongs to another instance becomes background: a line of one pixel
symmetric   a pixel of which any neighbour belongs to another instance becomes background: a line of two, one of each

We ask the neighbours in the labels as they were given, so that the answer at a pixel depends on nothing but its
neighbours and any chunking gives the same.
"""

from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray

HALO_PX = 1
RULES = ("raster", "symmetric", "none")


@njit(nogil=True, cache=True)
def _part(here, there, target):  # type: ignore[no-untyped-def]
    for x in range(len(here)):
        other = there[x]
        target[x] = np.uint8(0) if other > 0 and other != here[x] else target[x]


@njit(nogil=True, cache=True)
def _part_all(labels, offsets, target):  # type: ignore[no-untyped-def]
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                target[z, y, x] = labels[z, y, x] > 0
            for k in range(len(offsets)):
                dz, dy, dx = offsets[k]
                if 0 <= z + dz < depth and 0 <= y + dy < height:
                    start, stop = max(0, -dx), min(width, width - dx)
                    there = labels[z + dz, y + dy, start + dx : stop + dx]
                    _part(labels[z, y, start:stop], there, target[z, y, start:stop])


def separate_instances(labels: NDArray[np.integer], dims: int = 2, rule: str = "raster") -> NDArray[np.uint8]:
    """The target to learn: 1 inside a cell, 0 in the background and on a line between touching cells.

    `labels` is (..., y, x) for `dims` 2 and (..., z, y, x) for `dims` 3, below 1 = no cell; other axes are independent
    images. Afterwards no two cells are 8-connected (26-connected in 3D), unless `rule` is "none": with "raster", of two
    adjacent pixels of different cells the later one in raster order has become background, with "symmetric" both.
    ValueError for another rule.
    """
    if rule not in RULES:
        raise ValueError(f"separate is {rule!r}, not one of {', '.join(RULES)}")
    offsets = [o for o in product((-1, 0, 1) if dims == 3 else (0,), (-1, 0, 1), (-1, 0, 1)) if any(o)]
    chosen = {"raster": [o for o in offsets if o < (0, 0, 0)], "symmetric": offsets, "none": []}[rule]
    target = np.empty(labels.shape, np.uint8)
    volumes = np.ascontiguousarray(labels).reshape(-1, *((1,) * (3 - dims)), *labels.shape[-dims:])
    for volume, out in zip(volumes, target.reshape(volumes.shape), strict=True):
        _part_all(volume, np.array(chosen, np.int64).reshape(-1, 3), out)
    return target

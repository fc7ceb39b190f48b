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

from unetprep.kernels.simd import item, pointer, put

HALO_PX = 1
RULES = ("raster", "symmetric", "none")


@njit(nogil=True, cache=True, forceinline=True)
def _differs(other, own):  # type: ignore[no-untyped-def]
    return (other > 0) & (other != own)


@njit(nogil=True, cache=True)
def _separate_row(labels, here, there, width, target):  # type: ignore[no-untyped-def]
    """Set pixels of a row to background where one of their three neighbours in another row is in another cell."""
    for x in range(1, width - 1):
        own, left, right = item(labels, here + x), item(labels, there + x - 1), item(labels, there + x + 1)
        other = _differs(left, own) | _differs(item(labels, there + x), own) | _differs(right, own)  # vectorizes
        put(target, here + x, item(target, here + x) & (not other))
    for x in (0, width - 1):
        for i in range(max(0, x - 1), min(width, x + 2)):
            if _differs(item(labels, there + i), item(labels, here + x)):
                put(target, here + x, 0)


@njit(nogil=True, cache=True)
def _separate(volumes, across, symmetric, out):  # type: ignore[no-untyped-def]
    """The target of independent volumes; `across`: whether planes are neighbours."""
    number, depth, height, width = volumes.shape
    labels, target = pointer(volumes), pointer(out)
    for plane in range(number * depth):
        z = plane % depth
        for y in range(height):
            here = (plane * height + y) * width
            put(target, here, item(labels, here) > 0)
            for x in range(1, width):
                own = item(labels, here + x)
                put(target, here + x, (own > 0) & (not _differs(item(labels, here + x - 1), own)))
            for dz in range(-across, across + 1):
                for dy in (-1, 0, 1):
                    applies = dz < 0 or (dz == 0 and dy < 0) or symmetric
                    if applies and 0 <= z + dz < depth and 0 <= y + dy < height:
                        _separate_row(labels, here, here + (dz * height + dy) * width, width, target)


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
    _separate(volumes, int(dims == 3), rule == "symmetric", target)
    return target

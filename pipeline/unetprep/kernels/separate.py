"""Background between touching instances (Ronneberger et al. 2015, section 3; the rule is the authors' Fiji plugin's).

The paper only says "morphological operations". The plugin: going through the image in raster order, a pixel whose W,
NW, N or NE neighbour belongs to another instance becomes background. We ask the neighbours in the labels as they were
given, so that the answer at a pixel depends on nothing but its neighbours and any chunking gives the same.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALO_PX = 1


def separate_instances(labels: NDArray[np.integer], dims: int = 2) -> NDArray[np.uint8]:
    """The target to learn: 1 inside a cell, 0 in the background and on a one-pixel line between touching cells.

    `labels` is (..., y, x) for `dims` 2 and (..., z, y, x) for `dims` 3, 0 = background; other axes are independent
    images. Afterwards no two cells are 8-connected (26-connected in 3D): of two adjacent pixels of different
    cells the one that comes later in raster order has become background.
    """
    cell: NDArray[np.bool_] = labels != 0
    target = cell.copy()
    sides = labels.shape[-dims:]
    for offset in product((-1, 0, 1), repeat=dims):
        if offset >= (0,) * dims:  # only the neighbours that come before a pixel in raster order
            continue
        here: Any = (..., *(slice(max(0, -o), min(n, n - o)) for o, n in zip(offset, sides, strict=True)))
        there: Any = (..., *(slice(max(0, o), min(n, n + o)) for o, n in zip(offset, sides, strict=True)))
        target[here] &= ~((labels[here] != labels[there]) & cell[there])
    return target.view(np.uint8)

"""Overlays of a preview: stripes over ignored pixels, and the outlines of cells as a path."""

import numpy as np
from numpy.typing import NDArray

from unetprep.pictures import boundary_lines
from unetprep.previews.weights import Preview

STRIPES = (150, 205)  # greys


def stripes(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Diagonal grey stripes where a mask (y, x) is true, transparent elsewhere; (y, x, 4)."""
    pitch = max(1, max(mask.shape) // 100)
    y, x = np.indices(mask.shape)
    grey = np.take(STRIPES, (x + y) // pitch % 2)
    return np.stack([grey, grey, grey, 255 * mask], axis=-1).astype(np.uint8)


def outlines(preview: Preview) -> NDArray[np.float64]:
    """Lines between pixels of different labels, in image coordinates, as one path (2, point) of x and y.

    Each line joins two corners of pixels; NaN separates lines.
    """
    across, down = boundary_lines(preview.instances)
    ends = [((x, y), (x + n, y)) for y, x, n in across] + [((x, y), (x, y + n)) for x, y, n in down]
    lines = np.array(ends, np.float64).reshape(-1, 2, 2) + np.array([preview.x0 - 0.5, preview.y0 - 0.5])
    path = np.concatenate([lines, np.full((len(lines), 1, 2), np.nan)], axis=1).reshape(-1, 2)
    return np.ascontiguousarray(path.T)

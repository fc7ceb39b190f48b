"""Rasterization of outlines: a pixel belongs to a polygon or an ellipse if its centre lies inside.

Coordinates (x, y) have their origin at the corner of the first pixel, so that the centre of pixel (row, column) is
(column + 0.5, row + 0.5). A centre on an edge is inside if the polygon lies to its right, or below a horizontal edge:
polygons that share an edge neither share a pixel nor leave one out. What is inside of an even number
of rings is a hole.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_CROSSINGS = 2**20  # of edges and rows that are found together, beside those of one edge
Window = tuple[int, int, int, int]  # first row and column, and those behind the last


def fill_polygon(rings: Sequence[NDArray[np.float64]], window: Window) -> NDArray[np.bool_]:
    """Mask of the pixels of a window that lie inside of rings, each (n, 2) as x, y, closed or not.

    Every edge crosses the centre lines of some rows; a pixel is inside if an odd number of crossings lies at or before
    its centre. Coordinates must be finite. The values of a pixel do not depend on the window.
    """
    top, left, bottom, right = window
    height, width = bottom - top, right - left
    edges = np.concatenate([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in rings])
    down = edges[:, 1] <= edges[:, 3]
    x0, y0, x1, y1 = np.where(down[:, None], edges, edges[:, [2, 3, 0, 1]]).T  # an edge and its reverse cross alike
    first, last = (np.clip(np.ceil(y - 0.5), top, bottom).astype(np.int64) for y in (y0, y1))
    counts = last - first
    ends = np.cumsum(counts)
    crossings = np.zeros(height * (width + 1), np.uint8)
    for at in range(0, int(ends[-1]), MAX_CROSSINGS):
        some = slice(*np.searchsorted(ends, (at, at + MAX_CROSSINGS), "right"))  # edges whose last crossing is here
        edge = np.repeat(np.arange(len(edges))[some], counts[some])
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts[some]) - counts[some], counts[some]) + first[edge]
        x = x0[edge] + (row + 0.5 - y0[edge]) / (y1 - y0)[edge] * (x1 - x0)[edge]
        column = np.clip(np.ceil(x - 0.5), left, right).astype(np.int64) - left
        crossings ^= np.bincount((row - top) * (width + 1) + column, minlength=len(crossings)).astype(np.uint8)
    rows = crossings.reshape(height, width + 1)[:, :width] & 1
    return np.bitwise_xor.accumulate(rows, axis=1).astype(bool)


def fill_ellipse(box: tuple[float, float, float, float], window: Window) -> NDArray[np.bool_]:
    """Mask of the pixels of a window that lie inside of the ellipse in a box, given as left, top, right, bottom."""
    top, left, bottom, right = window
    x = (2 * np.arange(left, right) + 1 - box[0] - box[2]) / (box[2] - box[0])
    y = (2 * np.arange(top, bottom) + 1 - box[1] - box[3]) / (box[3] - box[1])
    return np.asarray(x**2 + (y**2)[:, None] <= 1)

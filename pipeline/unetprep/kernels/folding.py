"""Folding of a deformation p -> p + u(p): pixels at which its Jacobian determinant is not positive."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unetprep.kernels.spline import expansion_matrix, prefilter, slope_matrix, step_px


def folded_shares(grids: NDArray[np.floating], shape: tuple[int, int], interpolation: str) -> NDArray[np.float32]:
    """For each grid of (field, 2, gy, gx), in pixels, the share of the pixels of `shape` at which its field folds.

    The result is (field,) float32. Almost all deformations of the paper's size have no folds: their share is 0.
    """
    shares = np.zeros(len(grids), np.float32)
    sides = [(n, length, interpolation) for n, length in zip(grids.shape[2:], shape, strict=True)]
    (rows, columns), (row_slopes, column_slopes) = (
        [function(*side) for side in sides] for function in (expansion_matrix, slope_matrix)
    )
    for k in np.flatnonzero(_steepest(grids, shape, interpolation) >= 1):
        grid = grids[k].astype(np.float64)
        by_row = np.stack([rows @ grid[0], rows @ grid[1], row_slopes @ grid[0], row_slopes @ grid[1]])
        shares[k] = _num_folded(by_row, columns.T.copy(), column_slopes.T.copy()) / (shape[0] * shape[1])
    return shares


def _steepest(grids: NDArray[np.floating], shape: tuple[int, int], interpolation: str) -> NDArray[np.float64]:
    """Upper bound for the sum of the slopes of each field along y and x; a field with a bound under 1 cannot fold.

    The slope of a cubic B-spline is a weighted mean of the differences between neighbouring coefficients.
    """
    coefficients = grids.astype(np.float64)
    if interpolation == "bspline":
        coefficients = prefilter(grids.shape[2]) @ coefficients @ prefilter(grids.shape[3]).T
    steepest = np.zeros(grids.shape[:2])
    for axis, length in zip((2, 3), shape, strict=True):
        if grids.shape[axis] > 1:
            steps = abs(np.diff(coefficients, axis=axis)).max(axis=(2, 3))
            steepest += steps / step_px(grids.shape[axis], length, interpolation)
    return np.asarray(steepest.max(axis=1))


@njit(nogil=True, cache=True)
def _num_folded(by_row, columns, slopes):  # type: ignore[no-untyped-def]
    """Number of folded pixels. `by_row` is (4, y, gx), both axes of the field and of its slope; the others (gx, x)."""
    count = 0
    j = np.empty((4, columns.shape[1]))
    for y in range(by_row.shape[1]):
        j[:] = 0.0
        for g in range(columns.shape[0]):
            a, b, c, d = by_row[0, y, g], by_row[1, y, g], by_row[2, y, g], by_row[3, y, g]
            for x in range(columns.shape[1]):
                j[0, x] += c * columns[g, x]
                j[1, x] += a * slopes[g, x]
                j[2, x] += d * columns[g, x]
                j[3, x] += b * slopes[g, x]
        for x in range(columns.shape[1]):
            count += (1.0 + j[0, x]) * (1.0 + j[3, x]) - j[1, x] * j[2, x] <= 0.0
    return count

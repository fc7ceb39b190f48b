"""From a coarse grid of displacements to a dense field by the interpolating cubic B-spline (Ronneberger 2015, §3.1).

The first and the last node lie on the first and the last pixel, and the signal is mirrored there. Along one axis the
field is basis @ inverse(collocation) @ nodes, so the whole expansion is two small matrix products.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.mirror import mirror_index


def _basis(positions: NDArray[np.float64], num_nodes: int) -> NDArray[np.float64]:
    """Weight of each node's coefficient at each position (in node units): the cubic B-spline, mirrored at the ends."""
    first = np.floor(positions).astype(np.intp)
    t = positions - first
    weights = np.stack([(1 - t) ** 3, 4 - 3 * t**2 * (2 - t), 4 - 3 * (1 - t) ** 2 * (1 + t), t**3], axis=1) / 6
    columns = mirror_index(-1, num_nodes + 2, num_nodes)[first[:, None] + np.arange(4)]
    basis = np.zeros((len(positions), num_nodes))
    np.add.at(basis, (np.arange(len(positions))[:, None], columns), weights)
    return basis


@lru_cache(maxsize=64)
def expansion_matrix(num_nodes: int, length_px: int) -> NDArray[np.float64]:
    """The matrix (length_px, num_nodes) that takes values at the nodes to values at the pixels. Do not write to it."""
    if num_nodes == 1:
        return np.ones((length_px, 1))
    collocation = _basis(np.arange(num_nodes, dtype=np.float64), num_nodes)
    matrix = _basis(np.linspace(0, num_nodes - 1, length_px), num_nodes) @ np.linalg.inv(collocation)
    matrix.setflags(write=False)
    return matrix


def displacement_field(grid: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Expand a grid of displacements (axis, gy, gx), in pixels, to a dense field (axis, y, x) of `shape`, float64.

    Interpolating: at the nodes the field has exactly the grid's values. Equal to `scipy.ndimage.zoom(order=3,
    mode="mirror")` of each component. Axis 0 displaces along y, axis 1 along x.

    Raises ValueError for a grid that is not (2, gy, gx).
    """
    if grid.ndim != 3 or grid.shape[0] != 2 or 0 in grid.shape:
        raise ValueError(f"a grid of displacements has shape (2, gy, gx), not {grid.shape}")
    rows, columns = (expansion_matrix(n, length) for n, length in zip(grid.shape[1:], shape, strict=True))
    field: NDArray[np.float64] = rows @ grid.astype(np.float64) @ columns.T
    return field

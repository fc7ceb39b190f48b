"""Cubic B-spline interpolation of a coarse displacement grid to a dense field.

Both methods are separable: along one axis the field is a matrix times the nodes, so a field is two small products.

    bspline          interpolating (Ronneberger et al. 2015, section 3.1): the first and the last node lie on the first
                     and the last pixel, the field passes through the nodes, and the signal is mirrored at its ends
    bspline-approx   approximating, as in the authors' later plugin (Falk et al. 2019): nodes 150 pixels apart, centred
                     on the tile, are the coefficients of the spline; the field is smaller than its coefficients
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetprep.kernels.field_grid import INTERPOLATIONS, SPACING_PX, nodes_needed
from unetprep.kernels.mirror import mirror_index

Matrix = NDArray[np.float64]
LOOKS, LOOKS_A_NODE, FIELDS_AT_ONCE = 33, 8, 64


def displacement_field(
    grid: NDArray[np.floating], shape: tuple[int, ...], interpolation: str = "bspline", dtype: DTypeLike = np.float64
) -> NDArray[np.floating]:
    """Expand a grid of displacements (axis, gy, gx) or (axis, gz, gy, gx), in pixels, to a field `(axis, *shape)`.

    `dtype` is float64, or float32, which differs by at most 1e-5 pixels. With `bspline` the field has the values of the
    grid at the nodes; each component equals `scipy.ndimage.zoom(order=3, mode="mirror")`. `axis` is in the order of
    `shape`: 0 displaces along the first side.

    Raises ValueError for a grid of another shape, an unknown interpolation, and a grid that is too small for
    bspline-approx.
    """
    num_axes = len(shape)
    if grid.ndim != 1 + num_axes or grid.shape[0] != num_axes or num_axes not in (2, 3) or 0 in grid.shape:
        wanted = "(2, gy, gx) for an image, (3, gz, gy, gx) for a volume"
        raise ValueError(f"a grid of displacements has shape {wanted}, not {grid.shape} for {num_axes} sides")
    sides = zip(grid.shape[1:], shape, strict=True)
    *planes, rows, columns = (
        expansion_matrix(n, length, interpolation).astype(dtype, copy=False) for n, length in sides
    )
    field: NDArray[np.floating] = grid.astype(dtype)
    if planes:
        field = np.einsum("pk,akij->apij", planes[0], field)
    return np.asarray(rows @ field @ columns.T)


def largest_displacements(grids: NDArray[np.floating], length_px: int, interpolation: str = "bspline") -> Matrix:
    """Largest displacement along an axis by any of the fields (field, 2, gy, gx) of a square tile, in pixels; (k, k).

    It is sampled at the pixels of `lattice`, between which a field hardly changes.
    """
    places = lattice(max(grids.shape[2:]), length_px)
    rows, columns = (expansion_matrix(n, length_px, interpolation)[places] for n in grids.shape[2:])
    largest = np.zeros((len(places), len(places)))
    for k in range(0, len(grids), FIELDS_AT_ONCE):
        np.maximum(largest, abs(rows @ grids[k : k + FIELDS_AT_ONCE] @ columns.T).max(axis=(0, 1)), out=largest)
    return largest


def lattice(num_nodes: int, length_px: int) -> NDArray[np.intp]:
    """Sampled pixels of a side: at least `LOOKS`, several between nodes, with the first and the last pixel."""
    num_places = min(max(LOOKS, LOOKS_A_NODE * num_nodes), length_px)
    return np.linspace(0, length_px - 1, num_places).round().astype(np.intp)


@lru_cache(maxsize=64)
def expansion_matrix(num_nodes: int, length_px: int, interpolation: str = "bspline") -> Matrix:
    """The read-only matrix (length_px, num_nodes) from values at the nodes to values at the pixels."""
    return _matrix(num_nodes, length_px, interpolation, _values)


@lru_cache(maxsize=64)
def slope_matrix(num_nodes: int, length_px: int, interpolation: str = "bspline") -> Matrix:
    """The read-only matrix (length_px, num_nodes) from values at the nodes to slopes at the pixels, per pixel."""
    return _matrix(num_nodes, length_px, interpolation, _slopes)


def step_px(num_nodes: int, length_px: int, interpolation: str) -> float:
    """Distance between nodes in pixels."""
    return SPACING_PX if interpolation == "bspline-approx" else max(1, length_px - 1) / max(1, num_nodes - 1)


@lru_cache(maxsize=64)
def prefilter(num_nodes: int) -> Matrix:
    """The matrix from values at the nodes to the coefficients of the interpolating spline."""
    return np.asarray(np.linalg.inv(_basis(np.arange(num_nodes, dtype=np.float64), num_nodes, 1, _values)), np.float64)


def _matrix(num_nodes: int, length_px: int, interpolation: str, polynomials: "Polynomials") -> Matrix:
    if interpolation == "bspline":
        positions = np.linspace(0, num_nodes - 1, length_px)
        step = step_px(num_nodes, length_px, interpolation)
        matrix = _basis(positions, num_nodes, step, polynomials) @ prefilter(num_nodes)
    elif interpolation == "bspline-approx":
        if num_nodes < nodes_needed(length_px):
            raise ValueError(
                f"a grid of {num_nodes} nodes, {SPACING_PX} pixels apart, does not cover {length_px} pixels;"
                f" {nodes_needed(length_px)} nodes would"
            )
        positions = (np.arange(length_px) - (length_px - 1) / 2) / SPACING_PX + (num_nodes - 1) / 2
        matrix = _basis(positions, num_nodes, SPACING_PX, polynomials)
    else:
        raise ValueError(f"interpolation is {interpolation!r}, not one of {', '.join(INTERPOLATIONS)}")
    matrix.setflags(write=False)
    return matrix


def _basis(positions: Matrix, num_nodes: int, step: float, polynomials: "Polynomials") -> Matrix:
    """Weight of each node's coefficient at each position (in node units), mirrored at the ends."""
    first = np.floor(positions).astype(np.intp)
    weights = polynomials(positions - first, step)
    columns = mirror_index(-1, num_nodes + 2, num_nodes)[first[:, None] + np.arange(4)]
    basis = np.zeros((len(positions), num_nodes))
    np.add.at(basis, (np.arange(len(positions))[:, None], columns), weights)
    return basis


def _values(t: Matrix, step: float) -> Matrix:
    """The four polynomials of the cubic B-spline."""
    return np.stack([(1 - t) ** 3, 4 - 3 * t**2 * (2 - t), 4 - 3 * (1 - t) ** 2 * (1 + t), t**3], axis=1) / 6


def _slopes(t: Matrix, step: float) -> Matrix:
    """Derivatives of the four polynomials of the cubic B-spline, per pixel."""
    return np.stack([-((1 - t) ** 2), t * (3 * t - 4), 1 + 2 * t - 3 * t**2, t**2], axis=1) / (2 * step)


Polynomials = Callable[[Matrix, float], Matrix]

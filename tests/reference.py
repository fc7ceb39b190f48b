"""The slow, obvious formulas that the kernels must agree with: whole image, one cell or one pixel at a time."""

from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def two_nearest(labels: NDArray[np.integer], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Distances to the nearest and the second nearest cell, (2, ...): one distance transform a cell, then a sort."""
    ids = [i for i in np.unique(labels) if i]
    far = np.full(labels.shape, np.inf)
    distances = [ndimage.distance_transform_edt(labels != i, sampling=spacing) for i in ids]
    return np.sort(np.stack([far, far, *distances]), axis=0)[:2]


def separate(labels: NDArray[np.integer], symmetric: bool = False) -> NDArray[np.uint8]:
    """Pixel by pixel in raster order: background where an earlier (or any) neighbour belongs to another cell."""
    target: NDArray[np.uint8] = (labels != 0).astype(np.uint8)
    offsets = [o for o in product((-1, 0, 1), repeat=labels.ndim) if o < (0,) * labels.ndim or (symmetric and any(o))]
    for place in np.ndindex(labels.shape):
        for offset in offsets:
            other = tuple(p + o for p, o in zip(place, offset, strict=True))
            if all(0 <= q < n for q, n in zip(other, labels.shape, strict=True)) and labels[other] not in (
                0,
                labels[place],
            ):
                target[place] = 0
    return target


def weight_map(
    labels: NDArray[np.integer],
    target: NDArray[np.uint8],
    class_weights: tuple[float, float],
    w0: float = 10.0,
    sigma: float = 5.0,
    spacing: tuple[float, ...] | None = None,
    on_cells: bool = False,
) -> NDArray[np.float64]:
    """Equation 2, in the background (or everywhere)."""
    d1, d2 = two_nearest(labels, spacing or (1.0,) * labels.ndim)
    border = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return np.asarray(class_weights)[target] + np.where((target == 0) | on_cells, border, 0)


def weight_map_2019(
    labels: NDArray[np.integer], target: NDArray[np.uint8], v: float, s1: float, w0: float, s2: float
) -> NDArray[np.float64]:
    """The rule of the authors' later plugin."""
    d1, d2 = two_nearest(labels, (1.0,) * labels.ndim)
    background = v + (1 - v) * np.exp(-(d1**2) / (2 * s1**2)) + w0 * np.exp(-((d1 + d2) ** 2) / (2 * s2**2))
    return np.where(target, 1, background)


def places(
    side: int, matrix: NDArray[np.float64], shift: tuple[float, float], field: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Where each pixel of a tile comes from, (2, side, side)."""
    centre = (side - 1) / 2
    pixels = np.stack(np.meshgrid(*[np.arange(side)] * 2, indexing="ij")) - centre
    moved = np.einsum("ij,jyx->iyx", matrix, pixels) + centre + np.array(shift)[:, None, None]
    return np.asarray(moved + field, np.float64)


def warp(image: NDArray[Any], coordinates: NDArray[np.float64], order: Literal[0, 1]) -> NDArray[np.float64]:
    """One channel, resampled by scipy at coordinates (2, y, x); mirrored outside."""
    return np.asarray(ndimage.map_coordinates(np.asarray(image, np.float64), coordinates, order=order, mode="mirror"))


def warp_cubic(image: NDArray[Any], coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same by the kernel of Keys (1981), a = -1/2."""

    def kernel(t: NDArray[np.float64]) -> NDArray[np.float64]:
        t = abs(t)
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        return np.where(t <= 1, near, np.where(t < 2, far, 0))

    first = np.floor(coordinates).astype(int) - 1
    around = np.pad(np.asarray(image, np.float64), 500, mode="reflect")
    return np.asarray(
        sum(
            kernel(coordinates[0] - first[0] - i)
            * kernel(coordinates[1] - first[1] - j)
            * around[first[0] + i + 500, first[1] + j + 500]
            for i in range(4)
            for j in range(4)
        )
    )

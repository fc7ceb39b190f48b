"""Deformation of a tile: image, labels and weights are resampled by one transform in one pass.

The output at pixel q takes the input at

    matrix @ (q - centre) + centre + shift + displacement(q)

so rotation, scale, flips, shift and deformation are a single transform. Coordinates are computed row by row from the
spline of the grid, without a dense field, and all arrays are sampled while the coordinates are in the processor cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from unetprep.kernels.bilinear import LANES, bilinear4
from unetprep.kernels.simd import pointer
from unetprep.kernels.spline import expansion_matrix

Array = NDArray[np.generic]
ORDERS = (1, 3)
OVERSHOOT = 1.6  # upper bound of a cubic spline relative to the largest of its nodes
SHIFT = 2.0**20  # pixels; added to coordinates to make them positive, which rounds them to 2^-32 pixels
STILL = np.zeros((2, 1, 1), np.float32)


@dataclass(frozen=True, eq=False)
class Transform:
    """Transform from the pixels of an output tile to those of its input. Axis 0 is y, axis 1 is x; all in pixels.

    `matrix` (2, 2) is applied about the centre of the tile, then `shift` (2,) and the displacements of `grid`
    (2, gy, gx), if any, are added.
    """

    matrix: NDArray[np.float64] = field(default_factory=lambda: np.eye(2))
    shift: tuple[float, float] = (0.0, 0.0)
    grid: NDArray[np.float32] | None = None
    interpolation: str = "bspline"

    def coordinates(self, side: int) -> NDArray[np.float64]:
        """Input coordinates of each pixel of a tile, (2, side, side), relative to its first pixel."""
        out = np.empty((2, side, side))
        affine, by_row, columns = self.expanded(side)
        _coordinates(affine, by_row, columns, out)
        return out

    def expanded(self, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The affine part (2, 3), the grid expanded along y (2, side, gx), and the matrix (gx, side) for x."""
        grid, interpolation = (STILL, "bspline") if self.grid is None else (self.grid, self.interpolation)
        rows, columns = (expansion_matrix(n, side, interpolation) for n in grid.shape[1:])
        centre = (side - 1) / 2
        offset = [centre + s for s in self.shift]
        affine = np.array([[*line, o] for line, o in zip(self.matrix, offset, strict=True)])
        farthest = abs(affine) @ [centre, centre, 1] + OVERSHOOT**2 * abs(grid).max()
        if not (farthest < SHIFT / 2).all():  # also for NaN
            raise ValueError(f"a transform takes pixels from up to {farthest.max():g} pixels away, not {SHIFT / 2:g}")
        return affine, rows @ grid.astype(np.float64), np.ascontiguousarray(columns.T)


def warp_tile(
    image: Array,
    labels: Array,
    weights: Array | None,
    transform: Transform,
    tile_px: int,
    order: int = 1,
    outside: int = 0,
    out: tuple[NDArray[np.float32] | None, Array | None, NDArray[np.float32] | None] = (None, None, None),
) -> tuple[NDArray[np.float32], Array, NDArray[np.float32]]:
    """Transform a stored tile, sampling each array once; into the contiguous arrays of `out`, if given.

    image (c, tile + 2 margin, same), labels and weights (output + 2 margin, same), all with one centre, of any numeric
    dtype; labels and weights may have different output sizes, up to the tile. Returns image (c, tile, tile) float32,
    interpolated linearly (`order` 1) or cubically (3; Keys 1981, a = -1/2); labels (output, output), the nearest pixel
    (a tie goes to the larger coordinate), so that no new labels arise; weights (output, output) float32, linear, but 0
    where the nearest pixel has weight 0, so that ignored pixels stay ignored; (0, 0) without weights. Outside the
    stored tile the image is mirrored, labels are `outside` and weights 0. The identity gives the centre of the stored
    tile bit for bit. Coordinates are rounded to 2^-32 pixels, so that a quarter turn maps pixels to pixels exactly.

    Raises ValueError for another order, an image of bool or float16, arrays of other shapes, an unsuitable `out`, and a
    transform that samples pixels more than 2^19 pixels away.
    """
    if image.dtype.kind not in "iuf" or image.dtype == np.float16:
        raise ValueError(f"the image is of {image.dtype}, not of an integer type, float32 or float64")
    check_tile(tile_px, order, image.shape, labels.shape, *([] if weights is None else [weights.shape]))
    twice_margin = image.shape[-1] - tile_px
    weights = np.zeros((twice_margin,) * 2, np.float32) if weights is None else weights
    out_image = _empty_or(out[0], (image.shape[0], tile_px, tile_px), np.float32)
    out_labels = _empty_or(out[1], (labels.shape[-1] - twice_margin,) * 2, labels.dtype)
    out_weights = _empty_or(out[2], (weights.shape[-1] - twice_margin,) * 2, np.float32)
    out_labels.fill(outside)
    out_weights.fill(0)
    affine, by_row, columns = transform.expanded(tile_px)
    image, labels, weights = (np.ascontiguousarray(array) for array in (image, labels, weights))
    clear = bool(out_weights.size) and not weights.min() > 0
    _warp(image, labels, weights, clear, affine, by_row, columns, order, out_image, out_labels, out_weights)
    return out_image, out_labels, out_weights


def _empty_or(given: Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
    if given is None:
        return np.empty(shape, dtype)
    if given.shape != shape or given.dtype != dtype or not given.flags.c_contiguous:
        raise ValueError(f"an output of {given.dtype} {given.shape} is given, not a contiguous {dtype} {shape}")
    return given


def check_tile(tile_px: int, order: int, image: Sequence[int], *others: Sequence[int]) -> None:
    """Raise ValueError unless arrays of these shapes are squares around one tile, none larger than the image.

    Each is wider than its output by the same even number of pixels.
    """
    if order not in ORDERS:
        raise ValueError(f"order is {order}, not one of {ORDERS}")
    around = image[-1] - tile_px
    for shape in (image, *others):
        height, width = shape[-2:]
        if height != width or around < 0 or around % 2 or not around <= width <= image[-1] or (width - tile_px) % 2:
            raise ValueError(
                f"a tile of {tile_px} pixels from an image of shape {tuple(image)} needs squares of {max(around, 0)} to"
                f" {image[-1]} pixels, an even number more or less than the tile; one has shape {tuple(shape)}"
            )


@njit(nogil=True, cache=True)
def _coordinates(affine, by_row, columns, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[1]):
        _row(i, affine, by_row, columns, out[0, i], out[1, i])


@njit(nogil=True, cache=True, error_model="numpy")
def _row(i, affine, by_row, columns, y, x):  # type: ignore[no-untyped-def]
    """Input coordinates of the pixels of row i."""
    n = len(y)
    centre = (n - 1) / 2.0
    u = i - centre
    y0, x0 = affine[0, 0] * u + affine[0, 2], affine[1, 0] * u + affine[1, 2]
    y1, x1 = affine[0, 1], affine[1, 1]
    for j in range(n):
        v = np.float64(np.int32(j)) - centre  # SIMD instructions convert 32 bits, not 64
        y[j] = y0 + y1 * v
        x[j] = x0 + x1 * v
    for g in range(len(columns)):
        dy, dx = by_row[0, i, g], by_row[1, i, g]
        for j in range(n):
            y[j] += dy * columns[g, j]
            x[j] += dx * columns[g, j]


@njit(nogil=True, cache=True)
def _warp(image, labels, weights, clear, affine, by_row, columns, order, out_image, out_labels, out_weights):  # type: ignore[no-untyped-def]
    side = out_image.shape[1]
    y, x = np.empty(side), np.empty(side)
    top, left, at = np.empty(side, np.int32), np.empty(side, np.int32), np.empty(side, np.int32)
    nearest_y, nearest_x = np.empty(side, np.int32), np.empty(side, np.int32)
    fy, fx = np.empty(side, np.float32), np.empty(side, np.float32)
    margin = (image.shape[1] - side) // 2
    labels_at, weights_at = (side - out_labels.shape[0]) // 2, (side - out_weights.shape[0]) // 2  # within the tile
    labels_end, weights_end = labels_at + out_labels.shape[0], weights_at + out_weights.shape[0]
    for i in range(side):
        _row(i, affine, by_row, columns, y, x)
        _split(y, top, fy, nearest_y)
        _split(x, left, fx, nearest_x)
        for c in range(len(image)):
            if order == 3:
                _cubic(image[c], top, left, fy, fx, margin, out_image[c, i])
            elif _lie_inside(top, left, margin, 1, image[c]):
                _linear(image[c], top, left, fy, fx, margin, at, out_image[c, i])
            else:
                _linear_mirrored(image[c], top, left, fy, fx, margin, out_image[c, i])
        if weights_at <= i < weights_end:
            start, end, offset = weights_at, weights_end, margin - weights_at
            a, b, u, v = top[start:end], left[start:end], fy[start:end], fx[start:end]
            if _lie_inside(a, b, offset, 1, weights):
                _linear(weights, a, b, u, v, offset, at, out_weights[i - start])
            else:
                _linear_within(weights, a, b, u, v, offset, out_weights[i - start])
            if clear:
                _clear(weights, nearest_y[start:end], nearest_x[start:end], offset, out_weights[i - start])
        if labels_at <= i < labels_end:
            start, end, offset = labels_at, labels_end, margin - labels_at
            a, b = nearest_y[start:end], nearest_x[start:end]
            if _lie_inside(a, b, offset, 0, labels):
                _nearest(labels, a, b, offset, at, out_labels[i - start])
            else:
                _nearest_within(labels, a, b, offset, out_labels[i - start])


@njit(nogil=True, cache=True)
def _split(p, whole, part, nearest):  # type: ignore[no-untyped-def]
    """Split coordinates into the pixel before and the fraction after it, and find the nearest pixel.

    Coordinates are shifted to be positive and truncated to integers, which is a floor with SIMD instructions.
    """
    for j in range(len(p)):
        shifted = p[j] + SHIFT
        cut = np.int32(shifted)
        whole[j] = cut - np.int32(SHIFT)
        part[j] = np.float32(shifted - np.float64(cut))
        nearest[j] = np.int32(shifted + 0.5) - np.int32(SHIFT)


@njit(nogil=True, cache=True)
def _lie_inside(a, b, offset, more, array):  # type: ignore[no-untyped-def]
    """Whether the pixels (a, b), and those up to `more` after them, all lie in an array."""
    lowest = highest = a[0]
    leftmost = rightmost = b[0]
    for j in range(len(a)):
        lowest, highest = min(lowest, a[j]), max(highest, a[j])
        leftmost, rightmost = min(leftmost, b[j]), max(rightmost, b[j])
    return (
        len(a) >= LANES
        and min(lowest, leftmost) + offset >= 0
        and highest + offset + more < array.shape[0]
        and rightmost + offset + more < array.shape[1]
    )


@njit(nogil=True, cache=True)
def _index(a, b, offset, width, at):  # type: ignore[no-untyped-def]
    for j in range(len(a)):
        at[j] = (a[j] + offset) * width + b[j] + offset


@njit(nogil=True, cache=True)
def _linear(array, a, b, fy, fx, offset, at, out):  # type: ignore[no-untyped-def]
    """Linear interpolation of at least four pixels that all lie inside; some of the last four may be computed twice."""
    _index(a, b, offset, array.shape[1], at)
    image, places, y, x, to = pointer(array), pointer(at), pointer(fy), pointer(fx), pointer(out)
    for j in range(0, len(out) - LANES + 1, LANES):
        bilinear4(image, places, array.shape[1], y, x, to, j)
    bilinear4(image, places, array.shape[1], y, x, to, len(out) - LANES)


@njit(nogil=True, cache=True, inline="always")
def _mean(array, top, bottom, left, right, fy, fx):  # type: ignore[no-untyped-def]
    """Linear interpolation of one pixel, with the same rounding as `_linear`."""
    a, b = np.float32(array[top, left]), np.float32(array[top, right])
    a += (np.float32(array[bottom, left]) - a) * fy
    b += (np.float32(array[bottom, right]) - b) * fy
    return a + (b - a) * fx


@njit(nogil=True, cache=True)
def _linear_mirrored(array, a, b, fy, fx, offset, out):  # type: ignore[no-untyped-def]
    height, width = array.shape
    for j in range(len(out)):
        top, bottom = _fold(a[j] + offset, height), _fold(a[j] + offset + 1, height)
        left, right = _fold(b[j] + offset, width), _fold(b[j] + offset + 1, width)
        out[j] = _mean(array, top, bottom, left, right, fy[j], fx[j])


@njit(nogil=True, cache=True)
def _linear_within(array, a, b, fy, fx, offset, out):  # type: ignore[no-untyped-def]
    """Linear interpolation; pixels with a contributing neighbour outside stay unchanged."""
    height, width = array.shape
    for j in range(len(out)):
        top, left = a[j] + offset, b[j] + offset
        bottom, right = top + (fy[j] > 0), left + (fx[j] > 0)
        if top >= 0 and left >= 0 and bottom < height and right < width:
            out[j] = _mean(array, top, bottom, left, right, fy[j], fx[j])


@njit(nogil=True, cache=True)
def _clear(array, a, b, offset, out):  # type: ignore[no-untyped-def]
    """Set pixels whose nearest pixel is 0 to 0."""
    height, width = array.shape
    for j in range(len(out)):
        row, column = a[j] + offset, b[j] + offset
        if 0 <= row < height and 0 <= column < width and array[row, column] == 0:
            out[j] = 0


@njit(nogil=True, cache=True)
def _nearest(array, a, b, offset, at, out):  # type: ignore[no-untyped-def]
    """Nearest-neighbour sampling of pixels that all lie inside."""
    flat = array.reshape(-1)
    _index(a, b, offset, array.shape[1], at)
    for j in range(len(out)):
        out[j] = flat[np.uint64(at[j])]


@njit(nogil=True, cache=True)
def _nearest_within(array, a, b, offset, out):  # type: ignore[no-untyped-def]
    """Nearest-neighbour sampling; pixels outside stay unchanged."""
    height, width = array.shape
    for j in range(len(out)):
        row, column = a[j] + offset, b[j] + offset
        if 0 <= row < height and 0 <= column < width:
            out[j] = array[row, column]


@njit(nogil=True, cache=True)
def _cubic(array, a, b, fy, fx, offset, out):  # type: ignore[no-untyped-def]
    """Keys' cubic convolution; the array is mirrored outside."""
    height, width = array.shape
    flat = array.reshape(-1)
    for j in range(len(out)):
        up, left = a[j] + offset - 1, b[j] + offset - 1
        w0, w1, w2, w3 = keys(fx[j])
        total = np.float32(0)
        if up >= 0 and left >= 0 and up + 3 < height and left + 3 < width:
            k = np.uint64(up * width + left)
            for weight in keys(fy[j]):
                line = w0 * flat[k] + w1 * flat[k + np.uint64(1)]
                line += w2 * flat[k + np.uint64(2)] + w3 * flat[k + np.uint64(3)]
                total += weight * np.float32(line)
                k += np.uint64(width)
        else:
            c0, c1, c2, c3 = _fold(left, width), _fold(left + 1, width), _fold(left + 2, width), _fold(left + 3, width)
            for weight in keys(fy[j]):
                row = array[_fold(up, height)]
                line = w0 * row[c0] + w1 * row[c1]
                line += w2 * row[c2] + w3 * row[c3]
                total += weight * np.float32(line)
                up += 1
        out[j] = total


@njit(nogil=True, cache=True, inline="always")
def keys(t):  # type: ignore[no-untyped-def]
    """Weights of four pixels at a fraction t, float32, after the second (Keys 1981, a = -1/2)."""
    half, one, three, five = np.float32(0.5), np.float32(1), np.float32(3), np.float32(5)
    s = one - t
    near, next = one + half * t * t * (three * t - five), one + half * s * s * (three * s - five)
    return -half * t * s * s, near, next, -half * s * t * t


@njit(nogil=True, cache=True, inline="always")
def _fold(i, size):  # type: ignore[no-untyped-def]
    """Index inside [0, size) to which i is mirrored without repeating the edge pixel."""
    if 0 <= i < size:
        return i
    if size == 1:
        return 0
    i %= 2 * (size - 1)
    return min(i, 2 * (size - 1) - i)

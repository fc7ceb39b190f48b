"""One pass that moves a tile: image linearly, target by the nearest pixel, weights linearly, all by one field."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True, inline="always")
def _fold(i, size):  # type: ignore[no-untyped-def]
    """Index inside [0, size) that i stands for when the edge pixel is mirrored without being repeated."""
    if 0 <= i < size:
        return i
    if size == 1:
        return 0
    i %= 2 * (size - 1)
    return min(i, 2 * (size - 1) - i)


@njit(nogil=True, cache=True)
def _warp(image, target, weights, field, turn, out_image, out_target, out_weights):  # type: ignore[no-untyped-def]
    channels, height, width = image.shape
    side = out_image.shape[1]
    margin = (height - side) // 2
    inset = (side - out_target.shape[0]) // 2  # from the tile to its output
    centre = (side - 1) / 2.0
    for i in range(side):
        for j in range(side):
            u, v = i - centre, j - centre
            y = turn[0, 0] * u + turn[0, 1] * v + centre + field[0, i, j]
            x = turn[1, 0] * u + turn[1, 1] * v + centre + field[1, i, j]
            y0, x0 = math.floor(y), math.floor(x)
            fy, fx = y - y0, x - x0
            top, bottom = _fold(y0 + margin, height), _fold(y0 + 1 + margin, height)
            left, right = _fold(x0 + margin, width), _fold(x0 + 1 + margin, width)
            for c in range(channels):
                upper = image[c, top, left] * (1.0 - fx) + image[c, top, right] * fx
                lower = image[c, bottom, left] * (1.0 - fx) + image[c, bottom, right] * fx
                out_image[c, i, j] = upper * (1.0 - fy) + lower * fy
            a, b = i - inset, j - inset
            if 0 <= a < out_target.shape[0] and 0 <= b < out_target.shape[1]:
                ty, tx = y0 + margin - inset, x0 + margin - inset
                ny, nx = ty + (fy >= 0.5), tx + (fx >= 0.5)
                if 0 <= ny < target.shape[0] and 0 <= nx < target.shape[1]:
                    out_target[a, b] = target[ny, nx]
                    top, bottom = ty, ty + (fy > 0.0)
                    left, right = tx, tx + (fx > 0.0)
                    if top >= 0 and left >= 0 and bottom < target.shape[0] and right < target.shape[1]:
                        upper = weights[top, left] * (1.0 - fx) + weights[top, right] * fx
                        lower = weights[bottom, left] * (1.0 - fx) + weights[bottom, right] * fx
                        out_weights[a, b] = upper * (1.0 - fy) + lower * fy


def warp_tile(
    image: NDArray[np.generic],
    target: NDArray[np.uint8],
    weights: NDArray[np.float32],
    field: NDArray[np.float64],
    turn: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Move one stored tile by a displacement field and a turn about its centre, resampling everything once.

    image (c, tile + 2 margin, same) of any number dtype, target and weights (output + 2 margin, same); field (2, tile,
    tile) in pixels; turn a 2x2 matrix, orthogonal. The output pixel q takes the input at turn @ (q - centre) + centre
    + field(q). Returns image (c, tile, tile) float32, interpolated linearly; target (output, output), the nearest pixel
    (a tie goes to the larger coordinate), so that no label is invented; weights (output, output) float32, linear.
    Beyond the stored tile the image is mirrored, the target 0 and the weight 0. A field of zeros and the identity give
    the centre of the stored tile, bit for bit.
    """
    side = field.shape[-1]
    output = target.shape[-1] - (image.shape[-1] - side)
    out_image = np.empty((image.shape[0], side, side), np.float32)
    out_target = np.zeros((output, output), np.uint8)
    out_weights = np.zeros((output, output), np.float32)
    _warp(image, target, weights, field, turn, out_image, out_target, out_weights)
    return out_image, out_target, out_weights

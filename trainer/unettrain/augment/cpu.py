"""Augmentation of single tiles on the CPU (Ronneberger et al. 2015, section 3.1).

Parameters are sampled once and applied to image, target and weights together. Smooth deformation comes from the stored
fields; turns, rotation, scale and shift are composed with it, so that a tile is resampled once. Gray values vary as in
the authors' later plugin (Falk et al. 2019): black in U(-0.05, 0.05), white in U(0.95, 1.05), and the slope of the
curve between them in U(0.8, 1.2).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.kernels.gray_values import change_gray
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.warp import warp_tile
from unetprep.kernels.weight_formula import IGNORED
from unetprep.kernels.weights import weigh_block
from unettrain.augment.draw import Draw, noise, transform_of
from unettrain.data.opening import StoredFields
from unettrain.data.tiles import StoredTile, WeightRule

Arrays = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]  # image, target and weights


def apply(
    choice: Draw,
    stored: StoredTile,
    fields: StoredFields,
    tile_px: int,
    cubic: bool = False,
    rule: WeightRule | None = None,
    out: Arrays | None = None,
) -> Arrays:
    """Augmented image (c, tile, tile) float32, target (output, output) uint8 and weights float32 of a stored tile.

    The image is scaled from its intensity range to 0..1; then gray values, blur and noise are applied. Without
    augmentation the result is exactly the centre of the stored tile. For a tile with instances, target and weights are
    computed by `rule` from the moved instances. `out`: three contiguous arrays to write to.
    """
    crop = (stored.image.shape[-1] - tile_px) // 2
    image, target, weights = out or _empty(stored, tile_px, rule)
    cells = stored.instances
    if (choice.field, choice.turn, choice.angle, choice.scale, choice.shift) == (None, 0, 0.0, 1.0, (0.0, 0.0)):
        image[...] = _centre(stored.image, crop)
        if cells is None:
            target[...], weights[...] = _centre(stored.target, crop), _centre(stored.weights, crop)
        else:
            cells = _centre(cells, crop)
    else:
        transform, order = transform_of(choice, fields), 3 if cubic else 1
        if cells is None:
            to = image, target, weights
            warp_tile(stored.image, stored.target, stored.weights, transform, tile_px, order, out=to)
        else:
            _, moved, _ = warp_tile(stored.image, cells, None, transform, tile_px, order, IGNORED, (image, None, None))
            cells = moved.astype(np.int32, copy=False)
    if cells is not None:
        assert rule is not None
        target[...], weights[...] = weigh(cells, rule)
    change_gray(image, *stored.intensity, choice.black, choice.white, choice.slope)
    if choice.blur:
        ndimage.gaussian_filter(image, (0, choice.blur, choice.blur), output=image, mode="mirror")
    if choice.noise:
        image += noise(choice, image.shape)
    return image, target, weights


def _empty(stored: StoredTile, tile_px: int, rule: WeightRule | None) -> Arrays:
    around = stored.image.shape[-1] - tile_px
    if stored.instances is not None and rule is not None:
        side = stored.instances.shape[-1] - around - 2 * rule.reach_px
    else:
        side = stored.target.shape[-1] - around
    image = np.empty((stored.image.shape[0], tile_px, tile_px), np.float32)
    return image, np.empty((side, side), np.uint8), np.empty((side, side), np.float32)


def weigh(instances: NDArray[np.int32], rule: WeightRule) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Target and weights (output, output) of instances (output + 2 reach, same), as unetprep weights computes them."""
    block = np.ascontiguousarray(instances)[None]
    middle = slice(rule.reach_px, instances.shape[0] - rule.reach_px)
    core = (slice(0, 1), middle, middle)
    target = separate_instances(block, 2, rule.separate)[core]
    return target[0], weigh_block(block, target, rule.class_weights, rule.formula, rule.spacing, core)[0]


def _centre(array: NDArray[Any], crop: int) -> NDArray[Any]:
    return array[..., crop : array.shape[-2] - crop, crop : array.shape[-1] - crop]

"""Augmentation (Ronneberger et al. 2015, section 3.1): drawn once, as parameters, then applied to a tile's every array.

Shift and smooth deformation come from the stored fields, rotation and mirroring are the eight turns of a square, and
gray values vary as in the authors' later plugin (Falk et al. 2019): black in U(-0.05, 0.05), white in U(0.95, 1.05).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.warp import Transform, warp_tile
from unettrain import rng
from unettrain.intensity import scale_intensity
from unettrain.layout import StoredFields, StoredTile

GRAY_SPREAD = 0.05
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
MIRROR = np.array([[1.0, 0.0], [0.0, -1.0]])
TURNS = np.stack([np.linalg.matrix_power(QUARTER, k % 4) @ np.linalg.matrix_power(MIRROR, k // 4) for k in range(8)])


@dataclass(frozen=True)
class Augmentation:
    """Which kinds of augmentation are on."""

    deform: bool = True
    flips: bool = True
    gray_values: bool = True


NO_AUGMENTATION = Augmentation(deform=False, flips=False, gray_values=False)


@dataclass(frozen=True)
class Draw:
    """What happens to one tile: the field (None: no deformation), one of the eight `TURNS`, and two gray levels."""

    field: int | None = None
    turn: int = 0
    black: float = 0.0
    white: float = 1.0


def draw(augmentation: Augmentation, num_fields: int, seed: int, epoch: int, sample: int) -> Draw:
    """What happens to tile `sample` in this epoch. A pure function; one kind switched off leaves the others alone."""
    numbers = rng.generator(rng.AUGMENTATION, seed, epoch, sample).random(4)
    spread = GRAY_SPREAD * (2 * numbers[2:] - 1) if augmentation.gray_values else np.zeros(2)
    return Draw(
        field=int(numbers[0] * num_fields) if augmentation.deform and num_fields else None,
        turn=int(numbers[1] * len(TURNS)) if augmentation.flips else 0,
        black=float(spread[0]),
        white=float(1 + spread[1]),
    )


def apply(
    choice: Draw, stored: StoredTile, fields: StoredFields, tile_px: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Image (c, tile, tile) in [0, 1] before the gray levels, target (output, output) and weights of one tile.

    Without augmentation the arrays are exactly the centre of the stored tile.
    """
    if choice.field is None and choice.turn == 0:
        crop = (stored.image.shape[-1] - tile_px) // 2
        image, target, weights = (_centre(a, crop) for a in (stored.image, stored.target, stored.weights))
    else:
        grid = None if choice.field is None else fields.grids[choice.field]
        transform = Transform(TURNS[choice.turn], grid=grid, interpolation=fields.interpolation)
        image, target, weights = warp_tile(stored.image, stored.target, stored.weights, transform, tile_px)
    image = scale_intensity(image, *stored.intensity)
    if (choice.black, choice.white) != (0.0, 1.0):
        image *= np.float32(choice.white - choice.black)
        image += np.float32(choice.black)
    return image, target, weights


def _centre(array: NDArray[Any], crop: int) -> NDArray[Any]:
    return array[..., crop : array.shape[-2] - crop, crop : array.shape[-1] - crop]

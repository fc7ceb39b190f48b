"""Augmentation (Ronneberger et al. 2015, section 3.1): parameters are sampled once, then applied to a whole tile.

Smooth deformation comes from the stored fields; turns, rotation, scale and shift are composed with it, so that a tile
is resampled once. Gray values vary as in the authors' later plugin (Falk et al. 2019): black in U(-0.05, 0.05), white
in U(0.95, 1.05), and the slope of the curve between them in U(0.8, 1.2).
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.kernels.gray_values import change_gray
from unetprep.kernels.separate import separate_instances
from unetprep.kernels.spline import largest_displacements, lattice
from unetprep.kernels.warp import Transform, warp_tile
from unetprep.kernels.weight_formula import IGNORED
from unetprep.kernels.weights import weigh_block
from unettrain import rng
from unettrain.config import Augmentation
from unettrain.data.opening import StoredFields
from unettrain.data.tiles import StoredTile, WeightRule
from unettrain.errors import InvalidInput

GRAY_SPREAD, SLOPE_SPREAD = 0.05, 0.2
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
MIRROR = np.array([[1.0, 0.0], [0.0, -1.0]])
TURNS = np.stack([np.linalg.matrix_power(QUARTER, k % 4) @ np.linalg.matrix_power(MIRROR, k // 4) for k in range(8)])


Arrays = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]  # image, target and weights
NO_AUGMENTATION = Augmentation(deform=False, flips=False, gray_values=False)


@dataclass(frozen=True)
class Draw:
    """What happens to one tile. `dataclasses.asdict` writes it out as plain values; `Draw(**values)` is it again."""

    field: int | None = None  # None: no deformation
    turn: int = 0  # one of the eight TURNS
    black: float = 0.0
    white: float = 1.0
    slope: float = 1.0  # of the gray curve at black; 2 - slope at white
    angle: float = 0.0  # degrees
    scale: float = 1.0  # times larger than it was
    shift: tuple[float, float] = (0.0, 0.0)  # pixels, y and x
    noise: float = 0.0  # standard deviation
    noise_key: tuple[int, int, int] = (0, 0, 0)  # seed, epoch and sample: the noise is a function of them
    blur: float = 0.0  # pixels

    def __post_init__(self) -> None:
        """Raises InvalidInput for what no tile can be drawn."""
        object.__setattr__(self, "shift", tuple(self.shift))
        object.__setattr__(self, "noise_key", tuple(self.noise_key))
        if not (self.field is None or self.field >= 0):
            raise InvalidInput(f"field is {self.field}", allowed="the number of a field, from 0 on, or None")
        if self.turn not in range(len(TURNS)):
            raise InvalidInput(f"turn is {self.turn}", allowed=f"0 to {len(TURNS) - 1}")
        for name in ("black", "white", "slope", "angle", "scale", "shift", "noise", "blur"):
            value = getattr(self, name)
            if not np.isfinite(value).all():
                raise InvalidInput(f"{name} is {value}", allowed="finite numbers")
        if self.scale <= 0 or self.noise < 0 or self.blur < 0:
            raise InvalidInput(
                f"scale is {self.scale}, noise {self.noise}, blur {self.blur}",
                allowed="a scale over 0, noise and blur of at least 0",
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Turn, rotation and scale as one."""
        c, s = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        return np.asarray(np.array([[c, -s], [s, c]]) @ TURNS[self.turn] / self.scale)


def draw(augmentation: Augmentation, num_fields: int, seed: int, epoch: int, sample: int) -> Draw:
    """What happens to tile `sample` in this epoch. A pure function; one kind switched off leaves the others alone."""
    numbers = rng.generator(rng.AUGMENTATION, seed, epoch, sample).random(10)
    spread = (2 * numbers - 1).tolist()
    a, gray = augmentation, float(augmentation.gray_values)
    return Draw(
        field=int(numbers[0] * num_fields) if a.deform and num_fields else None,
        turn=int(numbers[1] * len(TURNS)) if a.flips else 0,
        black=gray * GRAY_SPREAD * spread[2],
        white=1 + gray * GRAY_SPREAD * spread[3],
        slope=1 + gray * SLOPE_SPREAD * spread[4],
        angle=a.rotation * spread[5] + 0.0,  # not -0.0
        scale=float(a.scale ** spread[6]),
        shift=(a.shift * spread[7] + 0.0, a.shift * spread[8] + 0.0),
        noise=a.noise,
        noise_key=(seed, epoch, sample) if a.noise else (0, 0, 0),
        blur=a.blur * float(numbers[9]),
    )


def margin_needed(augmentation: Augmentation, fields: StoredFields, tile_px: int) -> int:
    """How many pixels around a tile come into it, by the largest of the fields and all else that may be drawn.

    Raises ValueError for fields that do not cover a tile of this size.
    """
    moved: Any = 0.0
    if augmentation.deform:
        moved = largest_displacements(fields.grids, tile_px, fields.interpolation)
    half = (tile_px - 1) / 2
    v = abs(lattice(max(fields.grids.shape[2:]), tile_px) - half)
    far, near = np.maximum(v[:, None], v), np.minimum(v[:, None], v)  # from the centre, along either axis
    angle = np.minimum(np.arctan2(near, far), np.radians(augmentation.rotation))  # that takes it the farthest out
    out = (far * np.cos(angle) + near * np.sin(angle)) * augmentation.scale + augmentation.shift + moved - half
    return ceil(float(out.max()) - 1e-9) + augmentation.cubic


def transform_of(choice: Draw, fields: StoredFields) -> Transform:
    """Where the pixels of a tile come from. Raises InvalidInput for a field that is not there."""
    if choice.field is not None and choice.field >= len(fields.grids):
        raise InvalidInput(f"field is {choice.field}", allowed=f"one of the {len(fields.grids)} fields that there are")
    grid = None if choice.field is None else fields.grids[choice.field]
    return Transform(choice.matrix, choice.shift, grid, fields.interpolation)


def apply(
    choice: Draw,
    stored: StoredTile,
    fields: StoredFields,
    tile_px: int,
    cubic: bool = False,
    rule: WeightRule | None = None,
    out: Arrays | None = None,
) -> Arrays:
    """Image (c, tile, tile) float32, target (output, output) and weights of one tile, from its stored arrays.

    The image is scaled so that the image's range becomes 0 to 1, and then changed in its gray values, blurred and
    made noisy. Without augmentation the arrays are exactly the centre of the stored tile. A tile with instances needs
    the rule by which target and weights follow from these once they are moved. `out`: three contiguous arrays for them.
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


def noise(choice: Draw, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What is added to an image (c, y, x) of range 0 to 1."""
    generator = rng.generator(rng.NOISE, *choice.noise_key)
    return np.float32(choice.noise) * generator.standard_normal(shape, np.float32)


def _centre(array: NDArray[Any], crop: int) -> NDArray[Any]:
    return array[..., crop : array.shape[-2] - crop, crop : array.shape[-1] - crop]

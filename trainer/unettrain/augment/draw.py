"""Sampling of augmentation parameters, a pure function of (seed, epoch, tile), and the coordinates they lead to."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.spline import largest_displacements, lattice
from unetprep.kernels.warp import Transform
from unettrain import rng
from unettrain.config import Augmentation
from unettrain.data.opening import StoredFields
from unettrain.errors import InvalidInput

GRAY_SPREAD, SLOPE_SPREAD = 0.05, 0.2
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
MIRROR = np.array([[1.0, 0.0], [0.0, -1.0]])
TURNS = np.stack([np.linalg.matrix_power(QUARTER, k % 4) @ np.linalg.matrix_power(MIRROR, k // 4) for k in range(8)])
NO_AUGMENTATION = Augmentation(deform=False, flips=False, gray_values=False)


@dataclass(frozen=True)
class Draw:
    """Augmentation parameters of one tile. `dataclasses.asdict` gives plain values; `Draw(**values)` restores it.

    `field` is the number of a deformation field, None: no deformation; `turn` one of the eight TURNS; `angle` in
    degrees; `scale` a magnification; `shift` in pixels, y and x. The gray values `black` and `white` become 0 and 1, by
    a curve whose slope is `slope` at black and 2 - slope at white. `noise` is a standard deviation, of noise that is
    determined by `noise_key` (seed, epoch and sample); `blur` is the sigma of a Gaussian in pixels.
    """

    field: int | None = None
    turn: int = 0
    black: float = 0.0
    white: float = 1.0
    slope: float = 1.0
    angle: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    noise_key: tuple[int, int, int] = (0, 0, 0)
    blur: float = 0.0

    def __post_init__(self) -> None:
        """Check the values. Raises InvalidInput for values that no tile can be augmented with."""
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
        """Turn, rotation and scale as one matrix (2, 2)."""
        c, s = np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))
        return np.asarray(np.array([[c, -s], [s, c]]) @ TURNS[self.turn] / self.scale)


def draw(augmentation: Augmentation, num_fields: int, seed: int, epoch: int, sample: int) -> Draw:
    """Sample the parameters of tile `sample` in an epoch. Switching off one kind does not change the others."""
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
    """Margin in pixels from which augmentation may move pixels into a tile, for the largest field and all ranges.

    Raises ValueError for fields that do not cover a tile of this size.
    """
    moved: Any = 0.0
    if augmentation.deform:
        moved = largest_displacements(fields.grids, tile_px, fields.interpolation)
    half = (tile_px - 1) / 2
    v = abs(lattice(max(fields.grids.shape[2:]), tile_px) - half)
    far, near = np.maximum(v[:, None], v), np.minimum(v[:, None], v)  # from the centre, along either axis
    angle = np.minimum(np.arctan2(near, far), np.radians(augmentation.rotation))  # of the farthest displacement
    out = (far * np.cos(angle) + near * np.sin(angle)) * augmentation.scale + augmentation.shift + moved - half
    return ceil(float(out.max()) - 1e-9) + augmentation.cubic


def transform_of(choice: Draw, fields: StoredFields) -> Transform:
    """Transform from the pixels of a tile to their sources. Raises InvalidInput for a missing field."""
    if choice.field is not None and choice.field >= len(fields.grids):
        raise InvalidInput(f"field is {choice.field}", allowed=f"one of the {len(fields.grids)} fields of the store")
    grid = None if choice.field is None else fields.grids[choice.field]
    return Transform(choice.matrix, choice.shift, grid, fields.interpolation)


def noise(choice: Draw, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Noise to add to an image (c, y, x) of range 0 to 1."""
    generator = rng.generator(rng.NOISE, *choice.noise_key)
    return np.float32(choice.noise) * generator.standard_normal(shape, np.float32)

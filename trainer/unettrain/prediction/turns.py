"""Turned versions of an image, whose predictions are turned back and averaged (test-time augmentation).

    4   the four flips, as the authors' 2015 release
    7   seven rotations by multiples of 360/7 degrees: the paper averages "over 7 rotated versions of the input data"
        (section 4) and does not say which
    8   all turns by multiples of 90 degrees, and their mirror images

Flips and turns by 90 degrees move pixels and are exact. Other rotations are interpolated linearly, the image before
and the scores after the prediction; the rotated image is as large as it must be to hold the whole image, and what lies
outside of the image is mirrored. Scores are averaged, not probabilities, as the release does; the paper does not say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.data.intensity import ArrayLike
from unettrain.prediction.planes import Planes
from unettrain.prediction.windows import Window

NUM_TURNS = (1, 4, 7, 8)
BLOCK_PX = 256  # columns that are rotated at once, so that the part of the image that they come from is small

Sides = tuple[int, int]
Read = Callable[[slice, slice], NDArray[Any]]


@dataclass(frozen=True)
class Flip:
    """Exchange of y and x (`swaps`), then flips along the new axes."""

    swaps: bool = False
    flips_y: bool = False
    flips_x: bool = False

    def sides(self, sides: Sides) -> Sides:
        """The sides (y, x) of the turned image."""
        return (sides[1], sides[0]) if self.swaps else sides

    def image(self, image: ArrayLike) -> ArrayLike:
        """An image (c, z, y, x), turned where it is indexed."""
        return _Flipped(image, self)

    def back(self, planes: Planes, window: Window, sides: Sides) -> NDArray[np.float32]:
        """A window of the planes (plane, rows, columns) of an image of these sides, turned back."""
        found = planes.read(window.z, *self._source(window.rows, window.columns, planes.shape[2:]))
        return np.ascontiguousarray(self._undone(found))

    def _source(self, rows: slice, columns: slice, turned: tuple[int, ...]) -> tuple[slice, slice]:
        """Where a part of the image is in the turned image of these sides."""
        if self.swaps:
            rows, columns = columns, rows
        return (
            _flipped(rows, turned[0]) if self.flips_y else rows,
            _flipped(columns, turned[1]) if self.flips_x else columns,
        )

    def _undone(self, block: NDArray[Any]) -> NDArray[Any]:
        block = block[..., :: -1 if self.flips_y else 1, :: -1 if self.flips_x else 1]
        return block.swapaxes(-1, -2) if self.swaps else block


def _flipped(part: slice, size: int) -> slice:
    return slice(size - part.stop, size - part.start)


class _Flipped:
    """An image (c, z, y, x), turned where it is indexed by (channels, z, rows, columns)."""

    def __init__(self, image: ArrayLike, turn: Flip) -> None:
        self._image, self._turn = image, turn
        self.shape: tuple[int, ...] = (*image.shape[:2], *turn.sides((image.shape[2], image.shape[3])))
        self.dtype = image.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        channels, z, *parts = key
        rows, columns = (slice(*part.indices(n)[:2]) for part, n in zip(parts, self.shape[2:], strict=True))
        turn, (height, width) = self._turn, self.shape[2:]
        rows = _flipped(rows, height) if turn.flips_y else rows
        columns = _flipped(columns, width) if turn.flips_x else columns
        block = self._image[(channels, z, columns, rows) if turn.swaps else (channels, z, rows, columns)]
        block = np.asarray(block).swapaxes(-1, -2) if turn.swaps else np.asarray(block)
        return block[..., :: -1 if turn.flips_y else 1, :: -1 if turn.flips_x else 1]


@dataclass(frozen=True)
class Rotation:
    """Rotation by an angle in degrees, about the centre."""

    degrees: float

    @property
    def _cos_sin(self) -> tuple[float, float]:
        return math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))

    def sides(self, sides: Sides) -> Sides:
        """The sides (y, x) of the rotated image, which holds the whole image."""
        (cos, sin), (y, x) = self._cos_sin, (sides[0] - 1, sides[1] - 1)
        extents = abs(y * cos) + abs(x * sin), abs(x * cos) + abs(y * sin)
        height, width = (math.ceil(round(extent, 6)) + 1 for extent in extents)  # cos(90 degrees) is 6e-17
        return height, width

    def image(self, image: ArrayLike) -> ArrayLike:
        """An image (c, z, y, x), rotated where it is indexed; float32."""
        return _Rotated(image, self)

    def back(self, planes: Planes, window: Window, sides: Sides) -> NDArray[np.float32]:
        """A window of the planes (plane, rows, columns) of an image of these sides, rotated back."""
        turned = (planes.shape[2], planes.shape[3])
        places = _Places(sides, turned, *self._cos_sin)
        read = lambda rows, columns: planes.read(window.z, rows, columns)  # noqa: E731
        return sampled(read, turned, places, window.rows, window.columns)


class _Rotated:
    """An image (c, z, y, x), rotated where it is indexed by (channels, z, rows, columns)."""

    def __init__(self, image: ArrayLike, turn: Rotation) -> None:
        self._image = image
        self._sides = (image.shape[2], image.shape[3])
        self.shape: tuple[int, ...] = (*image.shape[:2], *turn.sides(self._sides))
        self.dtype = np.dtype(np.float32)
        cos, sin = turn._cos_sin
        self._places = _Places((self.shape[2], self.shape[3]), self._sides, cos, -sin)

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        channels, z, *parts = key
        rows, columns = (slice(*part.indices(n)[:2]) for part, n in zip(parts, self.shape[2:], strict=True))
        read = lambda y, x: np.asarray(self._image[channels, z, y, x])  # noqa: E731
        return sampled(read, self._sides, self._places, rows, columns)


@dataclass(frozen=True)
class _Places:
    """Places in an array of sides `there` from which pixels of one of sides `here` are taken, both about centres."""

    here: Sides
    there: Sides
    cos: float
    sin: float

    def of(self, rows: slice, columns: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The coordinates y and x of a part."""
        y = np.arange(rows.start, rows.stop)[:, None] - (self.here[0] - 1) / 2
        x = np.arange(columns.start, columns.stop)[None] - (self.here[1] - 1) / 2
        return (
            self.cos * y - self.sin * x + (self.there[0] - 1) / 2,
            self.sin * y + self.cos * x + (self.there[1] - 1) / 2,
        )


def sampled(read: Read, sides: Sides, places: _Places, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Values (plane, rows, columns), interpolated linearly between those that `read` gives of an array of `sides`."""
    blocks = []
    for x0 in range(columns.start, columns.stop, BLOCK_PX):
        y, x = places.of(rows, slice(x0, min(x0 + BLOCK_PX, columns.stop)))
        blocks.append(_interpolated(read, sides, y, x))
    return np.concatenate(blocks, axis=2)


def _interpolated(read: Read, sides: Sides, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float32]:
    axes = []
    for place, size in ((y, sides[0]), (x, sides[1])):
        below = np.floor(place).astype(np.int64)
        index = mirrored(np.stack([below, below + 1]), size)
        first, last = int(index.min()), int(index.max())
        axes.append((index - first, slice(first, last + 1), (place - below).astype(np.float32)))
    (rows, in_rows, down), (columns, in_columns, across) = axes
    around = read(in_rows, in_columns).astype(np.float32, copy=False)
    above, below = (
        around[:, rows[i], columns[0]] * (1 - across) + around[:, rows[i], columns[1]] * across for i in (0, 1)
    )
    found: NDArray[np.float32] = above * (1 - down) + below * down
    return found


def mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Indices mirrored into [0, size), without repeating the edge."""
    if size == 1:
        return np.zeros_like(index)
    folded = index % (2 * (size - 1))
    return np.minimum(folded, 2 * (size - 1) - folded)


def turns_of(num: int) -> tuple[Flip | Rotation, ...]:
    """The turned versions: 1 (the image itself), 4, 7 or 8. The first is always the image itself."""
    if num == 7:
        return (Flip(), *(Rotation(360 * k / 7) for k in range(1, 7)))
    flips = [Flip(swaps, y, x) for swaps in (False, True) for y in (False, True) for x in (False, True)]
    return tuple(flips[:num])

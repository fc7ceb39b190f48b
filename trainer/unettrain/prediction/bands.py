"""Bands of rows: the probabilities of an image from its scores, and labels in bands of another height."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.prediction.averaging import probabilities
from unettrain.prediction.layout import Band
from unettrain.prediction.planes import Planes
from unettrain.prediction.resampling import Axis, resample

ROWS = 256  # of a band; a multiple of the side of a TIFF tile
COLUMNS = 512  # that are resampled at once


@dataclass(frozen=True)
class Probabilities:
    """Probabilities of an image of `sides` (y, x), from sums of the scores of `num_turns` versions of it.

    Where the sides of the planes are others, they are resampled to those of the image.
    """

    planes: Planes
    num_turns: int
    sides: tuple[int, int]

    def rows(self, z: int, y0: int, y1: int) -> NDArray[np.float32]:
        """Rows (class, rows, x) of slice `z`; of two classes only the second."""
        height, width = self.planes.shape[2:]
        if (height, width) == self.sides:
            return probabilities(self.planes.read(z, slice(y0, y1), slice(0, width)), self.num_turns)
        rows = Axis(height, self.sides[0], y0, y1)
        parts = []
        for x0 in range(0, self.sides[1], COLUMNS):
            columns = Axis(width, self.sides[1], x0, min(x0 + COLUMNS, self.sides[1]))
            block = probabilities(self.planes.read(z, rows.source, columns.source), self.num_turns)
            parts.append(resample(block, rows, columns))
        return np.concatenate(parts, axis=2)

    def bands(self) -> Iterator[Band]:
        """All rows, in the order of z, then y."""
        for z in range(self.planes.shape[1]):
            for y0 in range(0, self.sides[0], ROWS):
                yield Band(z, y0, self.rows(z, y0, min(y0 + ROWS, self.sides[0])))


def regrouped(bands: Iterable[Band], height: int) -> Iterator[Band]:
    """Bands of `ROWS` rows from bands of any number of rows, in the order of z, then y, of slices of this height."""
    held: list[NDArray[np.generic]] = []
    num, first = 0, 0
    for z, y0, pixels in bands:
        held.append(pixels)
        num += pixels.shape[1]
        is_last = y0 + pixels.shape[1] == height
        while num >= ROWS or (is_last and num):
            joined = np.concatenate(held, axis=1) if len(held) > 1 else held[0]
            yield Band(z, first, joined[:, :ROWS])
            first, held = first + ROWS, [joined[:, ROWS:]]
            num = held[0].shape[1]
        if is_last:
            held, num, first = [], 0, 0

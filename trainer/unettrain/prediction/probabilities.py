"""The probabilities of an image, from its scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.prediction.averaging import probabilities
from unettrain.prediction.planes import Planes
from unettrain.prediction.resampling import Axis, resample
from unettrain.prediction.windows import Window

COLUMNS = 512  # that are resampled at once


@dataclass(frozen=True)
class Probabilities:
    """Probabilities of an image of `sides` (y, x), from sums of the scores of `num_turns` versions of it.

    Where the sides of the planes are others, they are resampled to those of the image.
    """

    planes: Planes
    num_turns: int
    sides: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The sides (z, y, x) of the image."""
        return (self.planes.shape[1], *self.sides)

    def read(self, window: Window) -> NDArray[np.float32]:
        """The values (class, rows, columns) of a window; of two classes only the second."""
        height, width = self.planes.shape[2:]
        if (height, width) == self.sides:
            return probabilities(self.planes.read(window.z, window.rows, window.columns), self.num_turns)
        rows = Axis(height, self.sides[0], window.y0, window.y1)
        parts = []
        for x0 in range(window.x0, window.x1, COLUMNS):
            columns = Axis(width, self.sides[1], x0, min(x0 + COLUMNS, window.x1))
            block = probabilities(self.planes.read(window.z, rows.source, columns.source), self.num_turns)
            parts.append(resample(block, rows, columns))
        return np.concatenate(parts, axis=2)

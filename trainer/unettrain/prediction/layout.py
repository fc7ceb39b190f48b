"""Layout of a prediction file: its shape, its axes, and the bands it is written in.

A band is the prediction of one row of tiles of one slice, so that memory does not grow with the height of the image.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unettrain import __version__

COMMAND = "unettrain predict"
MARK = f"{COMMAND} {__version__}"  # by which a prediction file is recognised
TIFFS = (".tif", ".tiff")


class Band(NamedTuple):
    """Rows of one slice, starting at y0 and over the full width: (class, rows, x) float32."""

    z: int
    y0: int
    pixels: NDArray[np.float32]


@dataclass(frozen=True)
class Layout:
    """Shape of a prediction (class, z, y, x), the rows of its bands, and the axes that its file has."""

    shape: tuple[int, int, int, int]
    rows: int
    keeps_classes: bool
    keeps_slices: bool

    @property
    def axes(self) -> str:
        """The axes of the file, in the order of `shape`."""
        return "".join("c" * self.keeps_classes + "z" * self.keeps_slices + "yx")

    @property
    def file_shape(self) -> tuple[int, ...]:
        """The sides along these axes."""
        return tuple(n for axis, n in zip("czyx", self.shape, strict=True) if axis in self.axes)

    @property
    def num_bytes(self) -> int:
        """Bytes of the pixels, not compressed."""
        return 4 * math.prod(self.shape)

    def memory_bytes(self, path: Path) -> int:
        """Bytes that writing takes besides the predicted tiles: bands, and a slice for several classes in TIFF."""
        classes, _, height, width = self.shape
        whole_slice = classes > 1 and path.suffix.lower() in TIFFS
        return 4 * classes * width * (2 * self.rows + height * whole_slice)

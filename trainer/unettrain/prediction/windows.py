"""Windows: the parts of a prediction that are read and written at once, so that memory grows with no side of the image.

windows_of    +---------+---------+----+     bands_of    +------------------------+
(tiles,       |    1    |    2    | 3  |     (rows of    |           1            |
chunks)       +---------+---------+----+     a file)     +------------------------+
              |    4    |    5    | 6  |                 |           2            |
              +---------+---------+----+                 +------------------------+
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

ROWS, COLUMNS = 256, 2048  # of a window: multiples of the sides of TIFF tiles and Zarr chunks
BAND_PIXELS = ROWS * COLUMNS  # of a window over the full width, of at least one row


@dataclass(frozen=True)
class Window:
    """A part of an image: slice z, rows y0 to y1, columns x0 to x1."""

    z: int
    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.y0, self.y1)

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.x0, self.x1)


Read = Callable[[Window], NDArray[Any]]  # the values (class, rows, columns) of a window


def windows_of(shape: tuple[int, ...], rows: int = ROWS, columns: int = COLUMNS) -> Iterator[Window]:
    """Windows that cover an image (..., z, y, x) once, in the order of z, then y, then x."""
    slices, height, width = shape[-3:]
    for z in range(slices):
        for y in range(0, height, rows):
            for x in range(0, width, columns):
                yield Window(z, y, min(y + rows, height), x, min(x + columns, width))


def bands_of(shape: tuple[int, ...]) -> Iterator[Window]:
    """Windows over the full width that cover an image (..., z, y, x) once, in the order of z, then y."""
    return windows_of(shape, band_rows(shape[-1]), shape[-1])


def band_rows(width: int) -> int:
    """Rows of a window over the full width: a power of 2, up to `ROWS`."""
    return min(ROWS, 1 << max(1, BAND_PIXELS // width).bit_length() - 1)

"""Arrays (plane, z, y, x) of float32 that are written by windows and read by parts, in memory or in a file.

The file is plain: the values in C order, without a header. It is written by `pwrite` and not through `mmap`, whose
process is killed by a signal where the disk is full.
"""

import os
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from unettrain.prediction.windows import Window

Shape = tuple[int, int, int, int]


class Planes(Protocol):
    """An array (plane, z, y, x) of float32."""

    @property
    def shape(self) -> Shape:
        """Its sides."""
        ...

    def write(self, window: Window, block: NDArray[np.float32]) -> None:
        """Write the values (plane, y, x) of a window."""
        ...

    def read(self, z: int, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The values (plane, rows, columns) of a part of a slice, in a new array."""
        ...

    def close(self) -> None:
        """Free the memory, or close the file."""
        ...


class MemoryPlanes:
    """Planes in memory."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._values = np.zeros(shape, np.float32)

    def write(self, window: Window, block: NDArray[np.float32]) -> None:
        """Write the values (plane, y, x) of a window."""
        self._values[:, window.z, window.y0 : window.y1, window.x0 : window.x1] = block

    def read(self, z: int, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The values (plane, rows, columns) of a part of a slice, in a new array."""
        return self._values[:, z, rows, columns].copy()

    def close(self) -> None:
        """Free the memory."""
        del self._values


class FilePlanes:
    """Planes in a file, which is made if it does not exist."""

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path, self.shape = path, shape
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(self._file, 4 * prod(shape))

    def _offset(self, plane: int, z: int, y: int, x: int) -> int:
        _, slices, height, width = self.shape
        return 4 * (((plane * slices + z) * height + y) * width + x)

    def write(self, window: Window, block: NDArray[np.float32]) -> None:
        """Write the values (plane, y, x) of a window."""
        is_wide = window.x1 - window.x0 == self.shape[3]
        for plane, rows in enumerate(block):
            parts = [rows] if is_wide else rows
            for y, part in enumerate(parts, window.y0):
                self._write(np.ascontiguousarray(part, "<f4"), self._offset(plane, window.z, y, window.x0))

    def _write(self, values: NDArray[np.float32], offset: int) -> None:
        data = memoryview(values.data).cast("B")
        while data:
            written = os.pwrite(self._file, data, offset)
            data, offset = data[written:], offset + written

    def read(self, z: int, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The values (plane, rows, columns) of a part of a slice, in a new array."""
        planes, _, height, width = self.shape
        y0, y1, _ = rows.indices(height)
        x0, x1, _ = columns.indices(width)
        out = np.empty((planes, y1 - y0, x1 - x0), "<f4")
        for plane in range(planes):
            parts = [out[plane]] if x1 - x0 == width else out[plane]
            for y, part in enumerate(parts, y0):
                self._read(part, self._offset(plane, z, y, x0))
        return out

    def _read(self, out: NDArray[np.float32], offset: int) -> None:
        data = memoryview(out.data).cast("B")
        while data:
            num = os.preadv(self._file, [data], offset)
            if num == 0:
                raise OSError(f"{self.path} is shorter than it was: another process has changed it")
            data, offset = data[num:], offset + num

    def sync(self) -> None:
        """Wait until all values are on disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, which stays."""
        os.close(self._file)

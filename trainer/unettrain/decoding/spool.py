"""Two-dimensional arrays in memory or, where they are large, in temporary files that no kill leaves behind."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

IN_MEMORY_BYTES = 32 << 20  # arrays up to this size are kept in memory


class Spool:
    """An array (rows, width) of which whole rows are written, and rows or parts of them read, initially 0.

    A file is removed from its folder as soon as it has been opened, so that its space is freed when the process ends.
    Rows may be written and read by several threads at a time. Raises OSError where a file cannot be written.
    """

    def __init__(self, num_rows: int, width: int, dtype: Any, folder: Path | None) -> None:
        self.width, self.dtype = width, np.dtype(dtype)
        self._row_bytes = width * self.dtype.itemsize
        self._array: NDArray[Any] | None = None
        self._stack = ExitStack()
        if num_rows * self._row_bytes <= IN_MEMORY_BYTES:
            self._array = np.zeros((num_rows, width), self.dtype)
        else:
            file = tempfile.TemporaryFile(dir=folder, prefix=".decoding-")  # noqa: SIM115 - `close` closes it
            self._stack.callback(file.close)
            self._file = file.fileno()
            os.truncate(self._file, num_rows * self._row_bytes)

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Write rows from row `first` on."""
        if self._array is not None:
            self._array[first : first + len(rows)] = rows
            return
        data = memoryview(np.ascontiguousarray(rows, self.dtype).data).cast("B")
        place = first * self._row_bytes
        while data:
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written

    def read(self, first: int, last: int, columns: slice = slice(None)) -> NDArray[Any]:
        """A copy of rows `first` to `last` (exclusive), or of some columns of them."""
        if self._array is not None:
            return self._array[first:last, columns].copy()
        x0, x1, _ = columns.indices(self.width)
        rows = np.empty((last - first, x1 - x0), self.dtype)
        parts = [rows] if x1 - x0 == self.width else rows
        for y, part in enumerate(parts, first):
            self._read(part, y * self._row_bytes + x0 * self.dtype.itemsize)
        return rows

    def _read(self, out: NDArray[Any], place: int) -> None:
        data = memoryview(out.data).cast("B")
        while data:
            num_bytes = os.preadv(self._file, [data], place)
            if num_bytes == 0:
                raise OSError(f"the temporary file of the decoding ends at byte {place}")
            data, place = data[num_bytes:], place + num_bytes

    def close(self) -> None:
        """Free memory or file."""
        self._array = None
        self._stack.close()

"""Predictions as .npy files.

The mark is a second array in the file, which numpy.load does not read. numpy.save documents several arrays in one file.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from unettrain.prediction.layout import Layout
from unettrain.prediction.windows import Read, bands_of


def write_npy(path: Path, read: Read, layout: Layout) -> None:
    """Write a prediction."""
    _, slices, height, width = layout.shape
    with path.open("wb") as file:
        dtype = np.dtype(layout.dtype).newbyteorder("<")
        header = {"descr": dtype.str, "fortran_order": False, "shape": layout.file_shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for window in bands_of(layout.shape):
            for c, pixels in enumerate(read(window)):
                file.seek(start + layout.itemsize * width * ((c * slices + window.z) * height + window.y0))
                file.write(np.ascontiguousarray(pixels, dtype).data)
        file.seek(start + layout.num_bytes)
        np.save(file, np.array(layout.mark))


def npy_mark(path: Path) -> str:
    """The mark of a prediction in a file; "" for any other file."""
    try:
        with path.open("rb") as file:
            shape, dtype = _npy_header(file)
            file.seek(math.prod(shape) * dtype.itemsize, 1)
            start = file.tell()
            shape, dtype = _npy_header(file)
            if shape or dtype.kind != "U" or dtype.itemsize > 1024:
                return ""
            file.seek(start)
            return str(np.load(file, allow_pickle=False))
    except (ValueError, EOFError, SyntaxError):
        return ""


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a version that predict writes")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype

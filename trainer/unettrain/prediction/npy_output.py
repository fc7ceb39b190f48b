"""Predictions as .npy files.

The mark is a second array in the file, which numpy.load does not read. numpy.save documents several arrays in one file.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from unettrain.prediction.layout import COMMAND, MARK, Band, Layout


def write_npy(path: Path, bands: Iterable[Band], layout: Layout) -> None:
    """Write a prediction; bands come in any order."""
    classes, slices, height, width = layout.shape
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": layout.file_shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        for band in bands:
            for c in range(classes):
                file.seek(start + 4 * width * ((c * slices + band.z) * height + band.y0))
                file.write(np.ascontiguousarray(band.pixels[c], "<f4").data)
        file.seek(start + layout.num_bytes)
        np.save(file, np.array(MARK))


def is_own_npy(path: Path) -> bool:
    """Whether a file carries the mark of a prediction."""
    try:
        with path.open("rb") as file:
            shape, dtype = _npy_header(file)
            file.seek(math.prod(shape) * dtype.itemsize, 1)
            start = file.tell()
            shape, dtype = _npy_header(file)
            if shape or dtype.kind != "U" or dtype.itemsize > 1024:
                return False
            file.seek(start)
            return str(np.load(file, allow_pickle=False)).startswith(COMMAND)
    except (ValueError, EOFError, SyntaxError):
        return False


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("not a version that predict writes")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, dtype

"""`.npy` files as sources, of which the rows of a box are read."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box
from unetprep.sources.formats.npy_rows import Header, read_header, read_npy
from unetprep.sources.source import Decode, Source, guessed_axes
from unetprep.sources.urls import File, is_url, read_box
from unetprep.storage.regular_files import open_regular


@dataclass(frozen=True)
class NpySource(Source):
    """A .npy file."""

    def _read_file(self, box: Box) -> NDArray[Any]:
        if is_url(self.path):
            file = File.at(self.path, self.endpoint)
            offset, shape, dtype, is_fortran = _npy_header(file)
            return read_box(file, offset, shape, dtype, box, is_fortran=is_fortran)
        return read_npy(self.path, box)


@lru_cache(maxsize=64)
def _npy_header(file: File) -> Header:
    with file.open() as opened:
        return read_header(opened, file.num_bytes)


def open_file(path: str, decode: Decode | None) -> NpySource:
    """An array, with axes guessed from its shape."""
    shape, dtype = _npy_kind(path)
    return NpySource(path, guessed_axes(shape), shape, dtype.name)


def _npy_kind(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if is_url(path):
        header = _npy_header(File.at(path))
    else:
        with open_regular(path) as file:
            header = read_header(file, Path(path).stat().st_size)
    return header.shape, header.dtype

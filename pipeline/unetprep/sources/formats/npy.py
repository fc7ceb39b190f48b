"""`.npy` files as sources, of which the rows of a box are read."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.formats.npy_rows import Header, PickledObjects, read_header, read_npy
from unetprep.sources.source import Choice, Decode, Source, guessed_axes
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


def open_file(path: str, choice: Choice, decode: Decode | None) -> NpySource:
    """An array, with axes guessed from its shape."""
    try:
        shape, dtype = _npy_kind(path)
    except PickledObjects as error:
        raise InvalidInput(
            f"{path} cannot be read: {error}",
            allowed="arrays of numbers",
            hint="export the masks of cellpose with File > Save masks as PNG/tif, --save_tif or --save_png"
            if path.endswith("_seg.npy")
            else "save the array itself: numpy.save(path, array)",
        ) from None
    return NpySource(path, guessed_axes(shape), shape, dtype.name)


def _npy_kind(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if is_url(path):
        header = _npy_header(File.at(path))
    else:
        with open_regular(path) as file:
            header = read_header(file, Path(path).stat().st_size)
    return header.shape, header.dtype

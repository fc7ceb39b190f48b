"""MRC images and volumes (MRC2014) as sources, read by mrcfile. The voxel size is in angstrom."""

from dataclasses import dataclass
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import pixel_size_of
from unetprep.sources.urls import is_url

LETTERS = {1: "x", 2: "y", 3: "z"}  # of the fields mapc, mapr, maps of the header


@dataclass(frozen=True)
class MrcSource(Source):
    """An MRC file, of which the pixels of a box are read."""

    def _read_file(self, box: Box) -> NDArray[Any]:
        with mrcfile.mmap(self.path, mode="r") as file:
            return np.array(file.data[box])


def open_file(path: str, choice: Choice, decode: Decode | None) -> MrcSource:
    """The image or volume of an MRC file."""
    if is_url(path):
        raise InvalidInput(
            f"{path} is an MRC file at a URL", allowed="local files of this format", hint="copy it first"
        )
    with mrcfile.mmap(path, mode="r") as file:
        header, data = file.header, file.data
        letters = "".join(LETTERS.get(int(n), "?") for n in (header.maps, header.mapr, header.mapc))
        axes = letters[-data.ndim :] if data.ndim <= 3 else "z" * (data.ndim - 3) + letters
        sizes = {axis: float(file.voxel_size[axis]) for axis in "zyx"}
        size, unit = pixel_size_of(sizes, dict.fromkeys("zyx", "angstrom"))
        if size and "z" not in axes:
            size = (None, *size[1:])
        return MrcSource(path, axes, data.shape, data.dtype.newbyteorder("=").name, pixel_size=size, unit=unit)

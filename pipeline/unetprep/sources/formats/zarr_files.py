"""Zarr arrays and OME-Zarr images as sources."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.formats.zarr_arrays import find_array, part_shape, read_array
from unetprep.sources.source import STACK_AXES, Decode, Source, guessed_axes
from unetprep.sources.urls import is_url, names_in

ALLOWED = "a Zarr array or an OME-Zarr image"


@dataclass(frozen=True)
class ZarrSource(Source):
    """A Zarr array, or the full resolution of an OME-Zarr image; a path or a URL."""

    array_path: str = ""

    def _read_file(self, box: Box) -> NDArray[Any]:
        return read_array(self.path, self.array_path, box, self.endpoint)

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        return part_shape(self.path, self.array_path, self.endpoint)


def open_file(path: str, decode: Decode | None) -> ZarrSource:
    """The array at a path or URL, or the full resolution of the OME-Zarr image there."""
    try:
        array = find_array(path)
    except FileNotFoundError:
        if is_url(path) and not names_in(path):
            raise InvalidInput(f"{path} is not there", allowed=ALLOWED) from None
        raise InvalidInput(f"{path} is a folder without a Zarr array", allowed=ALLOWED) from None
    axes = "".join("z" if a in STACK_AXES else a for a in array.axes or guessed_axes(array.shape))
    return ZarrSource(path, axes, array.shape, array.dtype, array_path=array.path)

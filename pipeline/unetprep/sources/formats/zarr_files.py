"""Zarr arrays and OME-Zarr images as sources: folders, URLs and zip files."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.formats.table import split_name
from unetprep.sources.formats.zarr_arrays import find_array, part_shape, read_array
from unetprep.sources.source import STACK_AXES, Choice, Decode, Source, guessed_axes
from unetprep.sources.urls import is_url, names_in

ALLOWED = "a Zarr array or an OME-Zarr image"


@dataclass(frozen=True)
class ZarrSource(Source):
    """A Zarr array, or a level of an OME-Zarr image; a path or a URL.

    `is_measured` says that its pixel size is that of an import into a store, which may lack a unit.
    """

    array_path: str = ""
    is_measured: bool = False

    def _read_file(self, box: Box) -> NDArray[Any]:
        return read_array(split_name(self.path)[0], self.array_path, box, self.endpoint)

    def place_in_file(self) -> tuple[str, str]:
        """The root, and the path of the array."""
        return self.path, self.array_path

    def part_shape(self) -> tuple[int, ...]:
        """Shape of the parts that are decoded together, along the axes of the file."""
        return part_shape(split_name(self.path)[0], self.array_path, self.endpoint)


def open_file(path: str, choice: Choice, decode: Decode | None) -> ZarrSource:
    """The array at a path or URL, or the chosen level of the OME-Zarr image there."""
    root, name = split_name(path)
    try:
        array = find_array(root, name, choice)
    except FileNotFoundError:
        if is_url(path) and not names_in(path):
            raise InvalidInput(f"{path} is not there", allowed=ALLOWED) from None
        raise InvalidInput(f"{path} is a folder without a Zarr array", allowed=ALLOWED) from None
    axes = "".join("z" if a in STACK_AXES else a for a in array.axes or guessed_axes(array.shape))
    size, unit = array.pixel_size, array.unit
    place = array.path, array.is_measured
    return ZarrSource(path, axes, array.shape, array.dtype, *place, pixel_size=size, unit=unit)

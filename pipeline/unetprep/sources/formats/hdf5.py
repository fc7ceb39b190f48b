"""HDF5 datasets as sources: FILE.h5:/NAME, or the only dataset of two or more axes. Read by h5py.

Axes are those of dimension labels or of `axistags` (ilastik, vigra), else guessed. The attribute `element_size_um` is
the pixel size (z, y, x) in micrometres, as ilastik, PlantSeg and Fiji write it.
"""

import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.formats.table import INNER, split_name
from unetprep.sources.source import STACK_AXES, Choice, Decode, Source, guessed_axes
from unetprep.sources.units import pixel_size_of
from unetprep.sources.urls import File, is_url


@dataclass(frozen=True)
class Hdf5Source(Source):
    """A dataset of an HDF5 file."""

    name: str = ""

    def _read_file(self, box: Box) -> NDArray[Any]:
        with _opened(split_name(self.path)[0], self.endpoint) as file:
            return np.asarray(file[self.name][box])

    def part_shape(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        with _opened(split_name(self.path)[0], self.endpoint) as file:
            return file[self.name].chunks or ()


def open_file(path: str, choice: Choice, decode: Decode | None) -> Hdf5Source:
    """The dataset of the name in the path, or the only one."""
    path_of_file, name = split_name(path)
    with _opened(path_of_file, "") as file:
        name = name or _only(path_of_file, file)
        data = file.get(name)
        if not isinstance(data, h5py.Dataset):
            raise InvalidInput(
                f"{path_of_file} has no dataset {name!r}", allowed=_allowed(path_of_file, _datasets(file))
            )
        if data.external:
            raise InvalidInput(f"{path} holds the values in other files", hint="copy them into the file, with h5repack")
        sizes = np.ravel(data.attrs.get("element_size_um", ()))
        named = dict(zip("zyx", sizes.tolist(), strict=True)) if sizes.shape == (3,) else {}
        size, unit = pixel_size_of(named, dict.fromkeys("zyx", "micrometer"))
        axes = _axes_of(data) or guessed_axes(data.shape)
        return Hdf5Source(path, axes, data.shape, data.dtype.name, name, pixel_size=size, unit=unit)


def _opened(path: str, endpoint: str) -> h5py.File:
    return h5py.File(File.at(path, endpoint).open() if is_url(path) else path, "r", locking=False)


def _datasets(file: h5py.File) -> list[str]:
    """Names of the datasets of numbers with two or more axes."""
    found: list[str] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "buif":
            found.append(name)

    file.visititems(add)
    return sorted(found)


def _only(path: str, file: h5py.File) -> str:
    found = _datasets(file)
    if len(found) != 1:
        raise InvalidInput(f"{path} holds {len(found)} datasets of two or more axes", allowed=_allowed(path, found))
    return found[0]


def _allowed(path: str, names: list[str]) -> str:
    return ", ".join(f"{path}{INNER}{name}" for name in names[:6]) or "a file with a dataset of two or more axes"


def _axes_of(data: h5py.Dataset) -> str:
    """The axes that a dataset names; "" if it names none."""
    labels = [str(dimension.label) for dimension in data.dims]
    if not all(labels) and "axistags" in data.attrs:
        labels = [str(axis.get("key", "")) for axis in json.loads(data.attrs["axistags"])["axes"]]
    letters = "".join(labels).lower()
    if len(letters) != data.ndim or not all(labels):
        return ""
    return "".join("z" if a in STACK_AXES else a for a in letters)

"""Leica LIF files as sources, read by liffile. An image of the file is a series, decoded whole."""

from dataclasses import dataclass
from typing import Any

import liffile
import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_memory
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import METERS, pixel_size_of
from unetprep.sources.urls import is_url
from unetprep.sources.whole import decoded

LETTERS = {"C": "c", "S": "c", "Y": "y", "X": "x", "Z": "z", "T": "z"}


@dataclass(frozen=True)
class LifSource(Source):
    """An image of a LIF file."""

    series: int = 0

    @property
    def is_decoded_whole(self) -> bool:
        """True."""
        return True

    def _read_file(self, box: Box) -> NDArray[Any]:
        return decoded(_decode, self.path, self.endpoint, self.series)[box]


def open_file(path: str, choice: Choice, decode: Decode | None) -> LifSource:
    """The chosen image of a LIF file."""
    if is_url(path):
        raise InvalidInput(f"{path} is a LIF file at a URL", allowed="local files of this format", hint="copy it first")
    with liffile.LifFile(path) as file:
        images = file.images
        names = [f"{' x '.join(map(str, one.shape))} ({one.name})" for one in images]
        series = choice.pick(path, "images", names)
        image = images[series]
        axes = "".join(LETTERS.get(str(axis), "?") for axis in image.dims)
        size, unit = pixel_size_of(_sizes(image), dict.fromkeys("zyx", "micrometer"))
        shape, dtype = tuple(map(int, image.shape)), np.dtype(image.dtype).name
    check_memory(path, shape, dtype, "it is decoded whole, and")
    return LifSource(path, axes, shape, dtype, series, pixel_size=size, unit=unit)


def _sizes(image: Any) -> dict[str, float]:
    """Steps of the coordinates along z, y and x, which are in metres, in micrometres."""
    found = {}
    for axis in "ZYX":
        coordinates = np.asarray(image.coords.get(axis, ()), np.float64)
        if len(coordinates) > 1:
            step = abs(coordinates[-1] - coordinates[0]) / (len(coordinates) - 1)
            found[axis.lower()] = float(step) / METERS["micrometer"]
    return found


def _decode(file: Any, series: int) -> NDArray[Any]:
    with liffile.LifFile(file) as opened:
        return np.asarray(opened.images[series].asarray())

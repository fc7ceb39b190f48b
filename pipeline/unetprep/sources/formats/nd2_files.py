"""Nikon ND2 files as sources, read by the package nd2, plane by plane. A position is a series."""

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import nd2
import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.sources.source import Choice, Decode, Source
from unetprep.sources.units import pixel_size_of
from unetprep.sources.urls import is_url

IN_FRAME = ("C", "Y", "X", "S")  # axes of one frame of a file
LETTERS = {"C": "c", "S": "c", "Y": "y", "X": "x", "Z": "z", "T": "z"}


@dataclass(frozen=True)
class Nd2Source(Source):
    """A position of an ND2 file. `position` is -1 if it has only one."""

    position: int = -1

    def _read_file(self, box: Box) -> NDArray[Any]:
        with nd2.ND2File(self.path) as file:
            sizes = dict(file.sizes)
            outer = [axis for axis in sizes if axis not in IN_FRAME]
            inner = [axis for axis in sizes if axis in IN_FRAME]
            kept = [axis for axis in outer if axis != "P"]
            out = np.empty(box_shape(box), self.dtype)
            for place in product(*(range(b.start, b.stop) for b in box[: len(kept)])):
                at = dict(zip(kept, place, strict=True)) | {"P": max(0, self.position)}
                number = int(np.ravel_multi_index([at[a] for a in outer], [sizes[a] for a in outer])) if outer else 0
                frame = np.asarray(file.read_frame(number)).reshape([sizes[axis] for axis in inner])
                where = tuple(i - b.start for i, b in zip(place, box, strict=False))
                out[where] = frame[box[len(kept) :]]
        return out


def open_file(path: str, choice: Choice, decode: Decode | None) -> Nd2Source:
    """The chosen position of an ND2 file."""
    if is_url(path):
        raise InvalidInput(
            f"{path} is an ND2 file at a URL", allowed="local files of this format", hint="copy it first"
        )
    with nd2.ND2File(path) as file:
        sizes, dtype, voxel = dict(file.sizes), file.dtype.name, file.voxel_size()
    num = sizes.get("P", 1)
    position = choice.pick(path, "positions", [str(i) for i in range(num)]) if num > 1 else -1
    outer = [axis for axis in sizes if axis not in (*IN_FRAME, "P")]
    inner = [axis for axis in sizes if axis in IN_FRAME]
    shape = tuple(sizes[axis] for axis in (*outer, *inner))
    axes = "".join(LETTERS.get(axis, "?") for axis in (*outer, *inner))
    if prod(shape) == 0:
        raise ValueError("it holds no frame")
    found = {"z": voxel.z if "Z" in sizes else None, "y": voxel.y, "x": voxel.x}
    size, unit = pixel_size_of(found, dict.fromkeys("zyx", "micrometer"))
    return Nd2Source(path, axes, shape, dtype, position, pixel_size=size, unit=unit)

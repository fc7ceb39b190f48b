"""Several files as one image: a file for each channel, or for each slice."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import InvalidInput
from unetprep.format.boxes import Box
from unetprep.sources.limits import check_shape
from unetprep.sources.source import Source

AXES = {"c": "channel", "z": "slice"}


@dataclass(frozen=True)
class JoinedSource(Source):
    """Sources (c, z, y, x) joined along `axis`, c or z. Its path names the first and the last."""

    parts: tuple[Source, ...]
    axis: str

    def at_absolute_path(self) -> Source:
        """The source with absolute paths, for workers in another folder."""
        return replace(self, parts=tuple(part.at_absolute_path() for part in self.parts))

    def part_shape(self) -> tuple[int, ...]:
        """Shape of what is decoded together: a part that is decoded as a whole, or a part of one."""
        first = self.parts[0]
        inner = dict(zip(first.axes, first.part_shape(), strict=True)) if first.part_shape() else {}
        sides = [inner.get(a, 1) if inner else n for a, n in zip("czyx", first.shape, strict=True)]
        return tuple(sides) if inner or first.is_decoded_whole else ()

    def _read_file(self, box: Box) -> NDArray[Any]:
        along = "czyx".index(self.axis)
        pieces, start = [], 0
        for part in self.parts:
            length = part.shape[along]
            low, high = max(box[along].start - start, 0), min(box[along].stop - start, length)
            if low < high:
                pieces.append(part.read((*box[:along], slice(low, high), *box[along + 1 :])))
            start += length
        return np.concatenate(pieces, axis=along)


def join(parts: Sequence[Source], axis: str) -> Source:
    """Join sources along c or z. Raises InvalidInput for those that differ in another axis, or in dtype."""
    along, first = "czyx".index(axis), parts[0]
    if not parts[1:]:
        return first
    for part in parts[1:]:
        others = [shape[:along] + shape[along + 1 :] for shape in (first.shape, part.shape)]
        if others[0] != others[1] or part.dtype != first.dtype:
            raise InvalidInput(
                f"{first.path} and {part.path} are to be joined, and are {first.shape} {first.dtype} and {part.shape}"
                f" {part.dtype} (c, z, y, x)",
                allowed=f"files of one size and dtype, one for each {AXES[axis]}",
            )
    length = sum(part.shape[along] for part in parts)
    c, z, y, x = (length if i == along else n for i, n in enumerate(first.shape))
    path = f"{first.path}...{os.path.basename(parts[-1].path)}"
    check_shape(path, (c, z, y, x))
    found = JoinedSource(path, "czyx", (c, z, y, x), first.dtype, tuple(parts), axis)
    return replace(found, endpoint=first.endpoint, pixel_size=first.pixel_size, unit=first.unit)

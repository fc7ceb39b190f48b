"""Pixels of a source, read by boxes; decoded parts of it, such as chunks, are kept while strips pass over them."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from unetprep.sources import Source
from unettrain.data.stacked_images import StackedImage

MOST_BYTES = 2**26  # of a block; larger ones are not kept
NUM_KEPT = 2

Key = tuple[int, int, int, int, int]


class Pixels:
    """A source as an array (c, z, y, x), of which only the part that is indexed is read.

    A strip is a few rows of a wide box, or a few columns of a high one. Where the parts that the file is decoded by are
    thicker, blocks as thick as a part are read and the last ones kept, so that no part is decoded for every strip.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape: tuple[int, ...] = source.shape
        self.dtype = np.dtype(source.dtype)
        self._thickness = _part_sides(source)
        self._blocks: OrderedDict[Key, NDArray[np.generic]] = OrderedDict()

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[np.generic]:
        keys = key if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (4 - len(keys))
        box = tuple(
            slice(k, k + 1) if isinstance(k, int) else slice(*k.indices(n))
            for k, n in zip(keys, self.shape, strict=True)
        )
        block = self._read(box)
        return block[tuple(0 if isinstance(k, int) else slice(None) for k in keys)]

    def _read(self, box: tuple[slice, ...]) -> NDArray[np.generic]:
        sides = [part.stop - part.start for part in box]
        axis = 2 if sides[2] <= sides[3] else 3
        thick = self._thickness[axis - 2]
        size = thick * sides[5 - axis] * self.shape[0] * self.dtype.itemsize
        if sides[0] != self.shape[0] or sides[1] != 1 or thick <= sides[axis] or size > MOST_BYTES or not all(sides):
            return self.source.read(box)
        parts = []
        for number in range(box[axis].start // thick, -(-box[axis].stop // thick)):
            start = number * thick
            block = self._block(box, axis, start, min(start + thick, self.shape[axis]))
            inside = [slice(None)] * 4
            inside[axis] = slice(max(box[axis].start - start, 0), box[axis].stop - start)
            parts.append(block[tuple(inside)])
        return np.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]

    def _block(self, box: tuple[slice, ...], axis: int, start: int, stop: int) -> NDArray[np.generic]:
        across = box[5 - axis]
        key = (axis, box[1].start, start, across.start, across.stop)
        if key not in self._blocks:
            whole = list(box)
            whole[axis] = slice(start, stop)
            while len(self._blocks) >= NUM_KEPT:
                self._blocks.popitem(last=False)
            self._blocks[key] = self.source.read(tuple(whole))
        self._blocks.move_to_end(key)
        return self._blocks[key]


def _part_sides(source: Source) -> tuple[int, int]:
    """Sides (y, x) of the parts that a source is decoded by; 0 where every box can be read alone, or parts are kept."""
    of = source.stack if isinstance(source, StackedImage) else source
    part = of.part_shape()
    if not part or of.is_decoded_whole or of.keeps_parts():
        return 0, 0
    sides = dict(zip(of.axes, part, strict=True))
    return sides.get("y", 0), sides.get("x", 0)

"""Synthetic cells as a source of any size: one patch of cells is tiled and renumbered."""

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, box_shape
from unetprep.sources.cells import Cells, brightness
from unetprep.sources.source import Source

PATCH = {2: (1, 2048, 2048), 3: (128, 512, 512)}
COVERED = 0.5  # share of an image that its cells cover


@dataclass(frozen=True)
class GeneratedSource(Source):
    """Generated labels, or with `is_image` their image, of axes c, z, y, x. `seconds` is the total time taken."""

    seconds: ClassVar[float] = 0.0

    num_cells: int
    dims: int
    is_image: bool = False

    def at_absolute_path(self) -> "Source":
        """The source itself, which has no path."""
        return self

    def _read_file(self, box: Box) -> NDArray[Any]:
        start = time.perf_counter()
        try:
            return self._generate(box)
        finally:
            GeneratedSource.seconds += time.perf_counter() - start

    def _generate(self, box: Box) -> NDArray[Any]:
        labels = np.zeros(box_shape(box[1:]), np.int32)
        patch = tuple(map(min, PATCH[self.dims], self.file_shape[1:]))
        grid = [range(b.start // p, -(-b.stop // p)) for b, p in zip(box[1:], patch, strict=True)]
        for place in product(*grid):
            ranges = [
                (max(b.start, i * p), min(b.stop, (i + 1) * p)) for b, i, p in zip(box[1:], place, patch, strict=True)
            ]
            here = tuple(slice(a - b.start, z - b.start) for (a, z), b in zip(ranges, box[1:], strict=True))
            there = tuple(slice(a - i * p, z - i * p) for (a, z), i, p in zip(ranges, place, patch, strict=True))
            labels[here] = self._numbered(patch, place, there)
        if not self.is_image:
            return labels[None]
        channels = range(box[0].start, box[0].stop)
        seed = [self.num_cells, *(b.start for b in box[1:])]
        return np.stack([brightness(labels, [c, *seed]) for c in channels]).astype(self.dtype)

    def _numbered(self, patch: tuple[int, ...], place: tuple[int, ...], there: Box) -> NDArray[np.int32]:
        cells = _cells(patch, max(1, round(self.num_cells * prod(patch) / prod(self.file_shape[1:]))), self.dims)
        found = _window(cells, tuple(s.start for s in there), tuple(s.stop for s in there))
        counts = [-(-n // p) for n, p in zip(self.file_shape[1:], patch, strict=True)]
        first = int(np.ravel_multi_index(place, counts)) * cells.number % (2**31 - 1 - cells.number)
        return np.where(found, found + np.int32(first), 0).astype(np.int32)


def clock() -> float:
    """Seconds as of time.perf_counter, without the time of generating cells."""
    return time.perf_counter() - GeneratedSource.seconds


def generated_pair(
    shape: tuple[int, ...], num_cells: int, dims: int, dtype: str = "uint8"
) -> tuple[GeneratedSource, GeneratedSource]:
    """An image (c, z, y, x) of cells, and its labels."""
    image = GeneratedSource("generated", "czyx", shape, dtype, num_cells, dims, is_image=True)
    return image, replace(image, file_shape=(1, *shape[1:]), dtype="int32", is_image=False)


@lru_cache(maxsize=4)
def _cells(patch: tuple[int, ...], number: int, dims: int) -> Cells:
    return Cells(patch if dims == 3 else patch[1:], number, COVERED)


@lru_cache(maxsize=16)
def _window(cells: Cells, start: tuple[int, ...], stop: tuple[int, ...]) -> NDArray[np.int32]:
    axes = len(cells.shape)
    found = cells.window(start[-axes:], stop[-axes:])
    return found.reshape((-1, *found.shape[-2:]))

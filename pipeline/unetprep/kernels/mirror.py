"""Mirror padding without repeating the edge pixel, by any number of pixels (`numpy.pad(mode="reflect")`)."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mirror_index(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """The index inside [0, size) to which each position in [start, stop) is mirrored.

    Mirroring has period 2 (size - 1), so that neither edge pixel is repeated; with size 1 every index is 0.
    """
    if size == 1:
        return np.zeros(stop - start, np.intp)
    folded = np.arange(start, stop) % (2 * (size - 1))
    return np.minimum(folded, 2 * (size - 1) - folded).astype(np.intp)


def mirrored_tile(array: NDArray[np.generic], start: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Cut a window out of an array of any dtype, and mirror the array outside its edges.

    `start` and `shape` are in pixels and refer to the *last* axes of `array`; leading axes (channels) are kept whole.
    The window may lie wholly outside, and exceed the array by any number of pixels. Equal to cutting it out of
    `numpy.pad(array, ..., mode="reflect")` with a large enough pad (Ronneberger et al. 2015, Fig. 2).

    Raises ValueError for an empty array, which has nothing to mirror.
    """
    if array.size == 0:
        raise ValueError(f"an array of shape {array.shape} has no pixels to mirror")
    for axis, (first, length) in enumerate(zip(start, shape, strict=True), start=array.ndim - len(shape)):
        array = array.take(mirror_index(first, first + length, array.shape[axis]), axis=axis)
    return array


@dataclass(frozen=True)
class Run:
    """Part of a window along one axis: slice `there` of the window, and the pixels `low` to `high` that it shows."""

    there: slice
    low: int
    high: int
    backwards: bool

    def is_all(self, num: int) -> bool:
        """Whether this run is a whole window of `num` pixels that is not mirrored."""
        return self.high - self.low == num and not self.backwards

    def seen_from(self, first: int) -> slice:
        """Slice of the pixels of this run in an array that begins with pixel `first`."""
        low, high = self.low - first, self.high - first
        return slice(high - 1, low - 1 if low else None, -1) if self.backwards else slice(low, high)


@lru_cache(4096)
def mirrored_runs(start: int, stop: int, size: int) -> tuple[Run, ...]:
    """The window `start` to `stop` along a mirrored axis of `size` pixels, as runs of consecutive pixels.

    With size 1 it is one run, to be broadcast.
    """
    if size == 1:
        return (Run(slice(0, stop - start), 0, 1, False),)
    index = mirror_index(start, stop, size)
    step = np.diff(index)
    ends = [*(np.flatnonzero(step[1:] != step[:-1]) + 2).tolist(), len(index)]
    runs = []
    for begin, end in pairwise([0, *ends]):
        part = index[begin:end]
        runs.append(Run(slice(begin, end), int(part.min()), int(part.max()) + 1, bool(part[0] > part[-1])))
    return tuple(runs)


def is_mirrored(rows: tuple[Run, ...], columns: tuple[Run, ...], shape: tuple[int, ...]) -> bool:
    """Whether a window (..., y, x) shows mirrored pixels, so that it is not simply a part of the image."""
    return not (rows[0].is_all(shape[-2]) and columns[0].is_all(shape[-1]))


def bounds(runs: tuple[Run, ...]) -> tuple[int, int]:
    """The range (start, stop) of the pixels of the image that the runs show."""
    return min(run.low for run in runs), max(run.high for run in runs)


def unfold(around: NDArray[Any], rows: tuple[Run, ...], columns: tuple[Run, ...], out: NDArray[Any]) -> None:
    """Fill a window (..., y, x) from the part of the image within the `bounds` of its rows and columns."""
    (top, _), (left, _) = bounds(rows), bounds(columns)
    for row, column in product(rows, columns):
        out[..., row.there, column.there] = around[..., row.seen_from(top), column.seen_from(left)]

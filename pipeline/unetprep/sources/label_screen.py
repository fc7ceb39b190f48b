"""Screen of labels on the pixels of a first reading: whether they need the slower rules of `label_values`.

It counts without numbering any component, in windows of a large image. Of 62 label images (dsb2018, Usiigaci, ovule,
FIB-SEM medulla) none needed them.

- Runs of a single pixel along x. At the edge of an interpolated mask nearly every run is of this kind.
- Pieces for each number. The pieces of all numbers together, less their holes, are the Euler number: pixels - pairs of
  neighbours + squares of 2 x 2 pixels, each of one number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE_PX = 2**19  # a slice of a block up to this size is looked at as a whole
BAND_ROWS, BANDS = 64, 8  # of a larger slice
SLICES = 4  # of a block
THIN_RUNS = 0.1  # share of runs; clean labels: up to 0.05, interpolated ones: from 0.3
FEWEST_THIN = 5
PIECES = 1.4  # pieces for each number; clean labels: up to 1.24
MANY_NUMBERS = 32  # in a window: more than there are classes
ALL_CELLS = 16  # numbers in a window without background that may be classes
UNLABELLED = (254, 255, 65534, 65535)  # numbers that often mark pixels without a label
LEAST_MASK_TOP = 128  # largest value of a grey mask
TABLE = 2**16  # numbers that are counted by a table


@dataclass
class LabelScreen:
    """Counts over the windows of all blocks that were added."""

    runs: int = 0
    thin: int = 0  # runs of a single pixel along x
    pieces: int = 0  # less holes, in windows of few numbers
    numbers: int = 0  # in these windows
    without_background: bool = False  # some of these windows
    has_ignored: bool = False

    def add(self, block: NDArray[Any], ignore_label: int | None = None, *, has_ignored: bool = False) -> None:
        """Add a block (z, y, x) of labels; ignored pixels count as background."""
        self.has_ignored |= has_ignored
        for window in _windows(block):
            if min(window.shape) > 1:
                self._add(window if not has_ignored else np.where(window == ignore_label, 0, window))

    def _add(self, labels: NDArray[Any]) -> None:
        turn = labels[:, 1:] != labels[:, :-1]
        self.runs += int(np.count_nonzero(turn))
        self.thin += int(np.count_nonzero(turn[:, 1:] & turn[:, :-1]))
        first, others = _numbers_in(labels[:, 0]), _numbers_in(labels[:, 1:][turn])
        num = len(np.union1d(first, others)) if len(first) else len(others)
        if num > MANY_NUMBERS:
            return
        cells, step = labels != 0, labels[1:] != labels[:-1]
        in_row = cells[:, 1:] & ~turn
        in_column, square = cells[1:] & ~step, in_row[1:] & in_row[:-1] & ~step[:, 1:]
        num_cells, *pairs, squares = (int(np.count_nonzero(what)) for what in (cells, in_row, in_column, square))
        self.pieces += num_cells - sum(pairs) + squares
        self.numbers += num
        self.without_background |= num_cells == labels.size and 1 < num <= ALL_CELLS

    @property
    def odd(self) -> str:
        """What needs the slower rules: "gradual" values, "pieces" of numbers, or "" for neither."""
        if self.thin >= max(FEWEST_THIN, THIN_RUNS * self.runs):
            return "gradual"
        return "pieces" if self.pieces > PIECES * self.numbers or self.without_background else ""


def _windows(block: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Slices of a block, or bands of rows of them."""
    for plane in block[:: -(-len(block) // SLICES)]:
        if plane.size <= WHOLE_PX:
            yield plane
        else:
            for row in range(0, len(plane), max(BAND_ROWS, len(plane) // BANDS)):
                yield plane[row : row + BAND_ROWS]


def _numbers_in(labels: NDArray[Any]) -> NDArray[Any]:
    """The numbers other than 0, sorted."""
    largest = int(labels.max(initial=0))
    if largest >= TABLE:
        found = np.unique(labels)
        return np.asarray(found[found != 0])
    seen = np.zeros(largest + 1, bool)
    seen[labels.astype(np.intp)] = True
    return np.flatnonzero(seen[1:]) + 1

"""Contingency tables: the pixels that each label shares with each object of a proposal, counted block by block.

Instance metrics of a whole volume follow from its table, which is as small as the number of pairs that overlap.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unetprep.kernels.pair_counts import PairCounts
from unettrain.errors import InvalidInput

IGNORED = -1  # the label of pixels that are neither cell nor background
BLOCK_PX = 2**22  # read at a time


class LabelArray(Protocol):
    """Integer labels that are read box by box: a NumPy array, or one of Zarr, HDF5 or Dask."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sides."""
        ...

    @property
    def dtype(self) -> Any:
        """Its dtype."""
        ...

    def __getitem__(self, box: tuple[slice, ...], /) -> ArrayLike:
        """The values in a box."""
        ...


@dataclass(frozen=True)
class ContingencyTable:
    """The pixels of each pair of a label and an object of the proposal that share any, in the order of both numbers.

    `labels`, `proposals` and `counts`, the number of shared pixels, are int64 (pair,). 0 is background on both sides.
    Pixels with the label IGNORED, -1, are neither cell nor background.
    """

    labels: NDArray[np.int64]
    proposals: NDArray[np.int64]
    counts: NDArray[np.int64]

    def counted(self, ignore_background: bool = False) -> "ContingencyTable":
        """The table without ignored pixels; with `ignore_background` also without those of label 0."""
        kept = self.labels > 0 if ignore_background else self.labels >= 0
        return ContingencyTable(self.labels[kept], self.proposals[kept], self.counts[kept])


def contingency_table(labels: LabelArray, proposal: LabelArray) -> ContingencyTable:
    """The contingency table of labels and proposal: integers or bool of one shape, of any number of axes.

    Labels below 0 are ignored pixels. Arrays of Zarr, HDF5 and Dask are read in blocks of whole chunks, of about
    4 million pixels. Raises InvalidInput for shapes that differ, for other dtypes, and for a proposal below 0.
    """
    check_labels(labels, proposal)
    pairs = PairCounts()
    for box in blocks_of(labels, proposal):
        add_block(pairs, np.asarray(labels[box]), np.asarray(proposal[box]))
    return table_of(pairs)


def add_block(pairs: PairCounts, labels: NDArray[Any], proposal: NDArray[Any]) -> None:
    """Count the pairs of a block. Raises InvalidInput for numbers that int64 does not hold."""
    for name, values in (("labels", labels), ("proposal", proposal)):
        if values.dtype == np.uint64 and values.max(initial=0) > np.iinfo(np.int64).max:
            raise InvalidInput(f"{name} holds {values.max()}", allowed=f"numbers up to {np.iinfo(np.int64).max}")
    pairs.add(labels, proposal)


def table_of(pairs: PairCounts) -> ContingencyTable:
    """The table of counted pairs. Raises InvalidInput for a proposal below 0."""
    labels, proposals, counts = pairs.table()
    if proposals.min(initial=0) < 0:
        raise InvalidInput(
            f"the proposal holds {proposals.min()}", allowed="0 for background and positive numbers of objects"
        )
    if labels.min(initial=0) >= IGNORED:
        return ContingencyTable(labels, proposals, counts)
    (labels, proposals), places = np.unique(
        np.stack([np.maximum(labels, IGNORED), proposals]), axis=1, return_inverse=True
    )
    return ContingencyTable(labels, proposals, sums_by(places.ravel(), counts, len(labels)))


def sums_by(index: NDArray[np.integer], counts: NDArray[np.int64], num: int) -> NDArray[np.int64]:
    """The sum of the counts of each index under `num`."""
    sums = np.zeros(num, np.int64)
    np.add.at(sums, index, counts)
    return sums


def check_labels(labels: LabelArray, proposal: LabelArray, kinds: str = "biu") -> None:
    """Raise InvalidInput for shapes that differ, and for dtypes that are not of these kinds of NumPy."""
    if labels.shape != proposal.shape:
        raise InvalidInput(f"labels have shape {labels.shape}, proposal {proposal.shape}", allowed="one shape for both")
    for name, array in (("labels", labels), ("proposal", proposal)):
        if np.dtype(array.dtype).kind not in kinds:
            raise InvalidInput(f"{name} is {array.dtype}", allowed="integer labels; label_components makes them")


def blocks_of(labels: LabelArray, proposal: LabelArray) -> Iterator[tuple[slice, ...]]:
    """Boxes of about BLOCK_PX pixels that cover both arrays, made of whole chunks of the first that has chunks."""
    shape = labels.shape
    chunk = _chunk(labels) or _chunk(proposal)
    if not chunk:
        yield (slice(None),) * len(shape)
        return
    sides = list(chunk)
    for axis in reversed(range(len(shape))):
        others = math.prod(sides) // sides[axis]
        sides[axis] = min(shape[axis], sides[axis] * max(1, BLOCK_PX // (others * sides[axis])))
    for corner in product(*(range(0, n, side) for n, side in zip(shape, sides, strict=True))):
        yield tuple(slice(c, min(c + side, n)) for c, side, n in zip(corner, sides, shape, strict=True))


def _chunk(array: LabelArray) -> tuple[int, ...]:
    """The shape of the parts that are read together, which for sharded Zarr are shards; () for an array in memory."""
    if isinstance(array, np.ndarray):
        return ()
    chunks = getattr(array, "shards", None) or getattr(array, "chunks", None)
    if not chunks:  # contiguous in a file
        return (1,) * (len(array.shape) - 1) + array.shape[-1:]
    return tuple(max(1, c[0] if isinstance(c, tuple) else c) for c in chunks)  # Dask lists the sides of all chunks

"""Connected components of an image of any size, shard by shard, with one shard in memory at a time.

Each shard is labelled alone. Where two shards meet, pieces of one value that touch are one piece:

    +-----------+-----------+
    |        1 1|1 1        |      1 and 1 of two shards touch across the side they share, 2 and 2 at a corner
    |           |           |      (8-connected only). What is kept of the earlier shards is their last planes along
    |          2|           |      each axis, as far as later shards still lie beside them.
    +-----------+-----------+
    |           |2          |
    +-----------+-----------+

Whole pieces are numbered 1, 2, 3, ... in the order in which their first pixels are met: shard after shard, and within
a shard in raster order. So one small table a shard is enough to number it once more, alone and at any time.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from unetprep.format.boxes import Box, Index, box_shape, shard_box

AXES_ACROSS = {4: 1, 8: 2, 6: 1, 26: 3}  # connectivity: along how many axes at once two neighbours may differ
VOLUMES = (6, 26)


def label_shard(values: NDArray[Any], connectivity: int) -> NDArray[np.int64]:
    """Number the pieces of equal value in (z, y, x), 0 being none, 1, 2, ... in raster order of their first pixels.

    For 4- and 8-connectivity `values` is a single slice.
    """
    image = values if connectivity in VOLUMES else values.reshape(values.shape[1:])
    pieces = label(image, connectivity=AXES_ACROSS[connectivity])  # type: ignore[no-untyped-call]
    return np.asarray(pieces, np.int64).reshape(values.shape)


@dataclass(frozen=True)
class Names:
    """What the pieces of one shard are called in the whole.

    Those listed in `known` began in an earlier shard, which called them `names`. The others count up from `first`.
    """

    first: int
    known: NDArray[np.int64]
    names: NDArray[np.int64]

    def of(self, num_pieces: int) -> NDArray[np.int64]:
        """The name of each of the shard's pieces 0, 1, ..., num_pieces."""
        own = np.ones(num_pieces + 1, bool)
        own[self.known] = own[0] = False
        names = np.zeros(num_pieces + 1, np.int64)
        names[own] = np.arange(self.first, self.first + np.count_nonzero(own))
        names[self.known] = self.names
        return names

    def rename(self, pieces: NDArray[np.int64]) -> NDArray[np.int64]:
        """The shard as `label_shard` numbered it, in the numbers of the whole."""
        return self.of(int(pieces.max(initial=0)))[pieces]


class Joiner:
    """Takes the shards of an array (z, y, x) in raster order and finds out which of their pieces are one."""

    def __init__(self, shape: tuple[int, ...], shard: tuple[int, ...], connectivity: int) -> None:
        self.connectivity = connectivity
        self._shape, self._shard = shape, shard
        self._axes = range(3) if connectivity in VOLUMES else range(1, 3)
        self._at: Index = ()
        self._earlier: dict[int, NDArray[np.int64]] = {}  # per axis: last planes of the shards before, to be joined to
        self._planes: dict[int, NDArray[np.int64]] = {}  # and of the shards beside this one, which come to be those
        self._starts: dict[Index, int] = {}  # how many pieces all shards before have
        self._count = 0
        self._joints = [np.zeros((2, 0), np.int64)]

    def add(self, index: Index, values: NDArray[Any]) -> NDArray[np.int64]:
        """Label the shard that comes next, and join it to those before."""
        pieces = label_shard(values, self.connectivity)
        self._starts[index] = self._count
        for axis in self._axes:
            self._meet(axis, index, pieces, values)
        self._at = index
        self._count += int(pieces.max(initial=0))
        return pieces

    def _meet(self, axis: int, index: Index, pieces: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Join the first plane along an axis to the last ones before it, and keep the last plane for those behind it.

        A plane spans the shard along the axes before `axis`, and the whole array along those after it: that is where
        the corner of a shard meets one that is not beside it.
        """
        box = shard_box(index, self._shape, self._shard)
        where = (*(slice(0, n) for n in box_shape(box[:axis])), *box[axis + 1 :])
        if index[: axis + 1] != self._at[: axis + 1]:
            if axis in self._planes:
                self._earlier[axis] = self._planes[axis]
            self._planes[axis] = np.zeros((2, *box_shape(box[:axis]), *self._shape[axis + 1 :]), np.int64)
        if index[axis]:
            self._join(self._plane(pieces, values, axis, 0), self._earlier[axis], where)
        self._planes[axis][:, *where] = self._plane(pieces, values, axis, -1)

    def _plane(self, pieces: NDArray[np.int64], values: NDArray[Any], axis: int, at: int) -> NDArray[np.int64]:
        """(2, ...): the piece, counted through all shards, and the value of every pixel of a plane; 0 where is none."""
        plane = pieces.take(at, axis)
        return np.stack([np.where(plane, plane + self._count, 0), values.take(at, axis)])

    def _join(self, mine: NDArray[np.int64], earlier: NDArray[np.int64], where: Box) -> None:
        for shift in product((-1, 0, 1), repeat=2):
            if 1 + sum(map(abs, shift)) <= AXES_ACROSS[self.connectivity]:
                here, there = _overlap(where, shift, earlier.shape[1:])
                (piece, value), (other, other_value) = mine[:, *here], earlier[:, *there]
                one = (piece > 0) & (other > 0) & (value == other_value)
                self._joints.append(np.unique(np.stack([piece[one], other[one]]), axis=1))

    def names(self) -> tuple[int, dict[Index, Names]]:
        """How many pieces the whole has, and what each shard's are called; after the last shard was added.

        Of the pieces only those that meet others across a side are held.
        """
        nodes, joints = np.unique(np.concatenate(self._joints, axis=1), return_inverse=True)
        graph = coo_array((np.ones(joints.size // 2, bool), joints.reshape(2, -1)), shape=(nodes.size, nodes.size))
        num_wholes, whole = connected_components(graph, directed=False) if nodes.size else (0, nodes)
        begins = np.full(num_wholes, self._count)
        np.minimum.at(begins, whole, nodes)
        begin = begins[whole]
        continued, names = nodes[begin < nodes], begin[begin < nodes]
        names -= np.searchsorted(continued, names)  # those that continue an earlier one are not counted
        starts = np.array([*self._starts.values(), self._count])
        ends = np.searchsorted(continued, starts, side="right")
        return self._count - len(continued), {
            index: Names(start + 1 - int(a), continued[a:b] - start, names[a:b])
            for (index, start), a, b in zip(self._starts.items(), ends[:-1], ends[1:], strict=True)
        }


def _overlap(where: Box, shift: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Box, Box]:
    """The part of a box whose pixels, shifted, lie in an array of this shape: as seen in the box, and in the array."""
    there = tuple(
        slice(max(0, w.start + s), max(0, min(n, w.stop + s))) for w, s, n in zip(where, shift, shape, strict=True)
    )
    here = tuple(
        slice(t.start - s - w.start, t.stop - s - w.start) for t, s, w in zip(there, shift, where, strict=True)
    )
    return here, there

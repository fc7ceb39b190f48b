"""Connected components of an image of any size, shard by shard, with one shard in memory at a time.

Each shard is labelled alone. Components of two adjacent shards that touch and have one value are merged:

    +-----------+-----------+
    |        1 1|1 1        |      1 and 1 of two shards touch across the shared side, 2 and 2 at a corner
    |           |           |      (8-connected only). Of earlier shards, the last planes along each axis are kept as
    |          2|           |      long as later shards are adjacent to them.
    +-----------+-----------+
    |           |2          |
    +-----------+-----------+

Merged components are numbered 1, 2, 3, ... in the order of their first pixels: shard after shard, and in raster order
within a shard. One small table for each shard, its label map, is enough to number the shard again on its own.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, Index, box_shape, shard_box

AXES_ACROSS = {4: 1, 8: 2, 6: 1, 26: 3}  # connectivity: along how many axes at once two neighbours may differ
VOLUMES = (6, 26)


def label_shard(values: NDArray[Any], connectivity: int) -> NDArray[np.int64]:
    """Number the components of equal value in (z, y, x) 1, 2, ... in raster order of their first pixels; 0 stays 0.

    For 4- and 8-connectivity `values` is a single slice.
    """
    image = values if connectivity in VOLUMES else values.reshape(values.shape[1:])
    from skimage.measure import label

    components = label(image, connectivity=AXES_ACROSS[connectivity])  # type: ignore[no-untyped-call]
    return np.asarray(components, np.int64).reshape(values.shape)


@dataclass(frozen=True)
class LabelMap:
    """Numbers, in the whole array, of the components of one shard.

    The components listed in `known` began in an earlier shard and have the numbers `labels`. The others are numbered
    from `first` on.
    """

    first: int
    known: NDArray[np.int64]
    labels: NDArray[np.int64]

    def of(self, num_components: int) -> NDArray[np.int64]:
        """The number in the whole array of each of the components 0, 1, ..., num_components of the shard."""
        own = np.ones(num_components + 1, bool)
        own[self.known] = own[0] = False
        labels = np.zeros(num_components + 1, np.int64)
        labels[own] = np.arange(self.first, self.first + np.count_nonzero(own))
        labels[self.known] = self.labels
        return labels

    def relabel(self, components: NDArray[np.int64]) -> NDArray[np.int64]:
        """A shard as `label_shard` numbered it, in the numbers of the whole array."""
        return self.of(int(components.max(initial=0)))[components]


class UnionFind:
    """Union-find over the components of the shards of an array (z, y, x), which are added in raster order."""

    def __init__(self, shape: tuple[int, ...], shard: tuple[int, ...], connectivity: int) -> None:
        self.connectivity = connectivity
        self._shape, self._shard = shape, shard
        self._axes = range(3) if connectivity in VOLUMES else range(1, 3)
        self._at: Index = ()
        self._earlier: dict[int, NDArray[np.int64]] = {}  # by axis: last planes of earlier shards, to be joined to
        self._planes: dict[int, NDArray[np.int64]] = {}  # by axis: last planes of the current row of shards
        self._starts: dict[Index, int] = {}  # number of components in all earlier shards
        self._count = 0
        self._joints = [np.zeros((2, 0), np.int64)]

    def add(self, index: Index, values: NDArray[Any]) -> NDArray[np.int64]:
        """Label the next shard and join it to the earlier ones; its components as `label_shard` numbers them."""
        components = label_shard(values, self.connectivity)
        self._starts[index] = self._count
        for axis in self._axes:
            self._meet(axis, index, components, values)
        self._at = index
        self._count += int(components.max(initial=0))
        return components

    def _meet(self, axis: int, index: Index, components: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Join the first plane along an axis to the last planes of earlier shards, and keep the last plane.

        A plane spans the shard along the axes before `axis` and the whole array along those after it, because a shard
        also touches diagonal neighbours at its corners.
        """
        box = shard_box(index, self._shape, self._shard)
        where = (*(slice(0, n) for n in box_shape(box[:axis])), *box[axis + 1 :])
        if index[: axis + 1] != self._at[: axis + 1]:
            if axis in self._planes:
                self._earlier[axis] = self._planes[axis]
            self._planes[axis] = np.zeros((2, *box_shape(box[:axis]), *self._shape[axis + 1 :]), np.int64)
        if index[axis]:
            self._join(self._plane(components, values, axis, 0), self._earlier[axis], where)
        self._planes[axis][:, *where] = self._plane(components, values, axis, -1)

    def _plane(self, components: NDArray[np.int64], values: NDArray[Any], axis: int, at: int) -> NDArray[np.int64]:
        """(2, ...): for each pixel of a plane its component, counted over all shards, or 0, and its value."""
        plane = components.take(at, axis)
        return np.stack([np.where(plane, plane + self._count, 0), values.take(at, axis)])

    def _join(self, mine: NDArray[np.int64], earlier: NDArray[np.int64], where: Box) -> None:
        for shift in product((-1, 0, 1), repeat=2):
            if 1 + sum(map(abs, shift)) <= AXES_ACROSS[self.connectivity]:
                here, there = _overlap(where, shift, earlier.shape[1:])
                (component, value), (other, other_value) = mine[:, *here], earlier[:, *there]
                one = (component > 0) & (other > 0) & (value == other_value)
                self._joints.append(np.unique(np.stack([component[one], other[one]]), axis=1))

    def label_maps(self) -> tuple[int, dict[Index, LabelMap]]:
        """The number of components of the whole array and the label map of each shard, once all shards are added.

        Only components that touch others across a side of a shard are held.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        nodes, joints = np.unique(np.concatenate(self._joints, axis=1), return_inverse=True)
        graph = coo_array((np.ones(joints.size // 2, bool), joints.reshape(2, -1)), shape=(nodes.size, nodes.size))
        num_wholes, whole = connected_components(graph, directed=False) if nodes.size else (0, nodes)
        begins = np.full(num_wholes, self._count)
        np.minimum.at(begins, whole, nodes)
        begin = begins[whole]
        continued, labels = nodes[begin < nodes], begin[begin < nodes]
        labels -= np.searchsorted(continued, labels)  # components that continue an earlier one are not counted
        starts = np.array([*self._starts.values(), self._count])
        ends = np.searchsorted(continued, starts, side="right")
        return self._count - len(continued), {
            index: LabelMap(start + 1 - int(a), continued[a:b] - start, labels[a:b])
            for (index, start), a, b in zip(self._starts.items(), ends[:-1], ends[1:], strict=True)
        }


def _overlap(where: Box, shift: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Box, Box]:
    """The part of a box whose shifted pixels lie in an array of this shape, relative to the box and to the array."""
    there = tuple(
        slice(max(0, w.start + s), max(0, min(n, w.stop + s))) for w, s, n in zip(where, shift, shape, strict=True)
    )
    here = tuple(
        slice(t.start - s - w.start, t.stop - s - w.start) for t, s, w in zip(there, shift, where, strict=True)
    )
    return here, there

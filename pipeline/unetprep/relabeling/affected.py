"""Shards affected by an edit of the labels: those within the kernels' reach of a changed pixel.

+-------------------+
|   halo            |     A shard is computed from its box and the halo around it. It is affected if these hold
|   +-----------+   |     a changed pixel, that is, if the changed pixels, grown by the halo, meet the shard.
|   |   shard  +----+-+
|   +----------|----+ |
|              |edit| |
+--------------+----+-+
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, Index, grow
from unetprep.format.layout import ArraySpec
from unetprep.kernels.mirror import mirror_index
from unetprep.kernels.tiling import output_size
from unetprep.stages.tiles import TilesJob

Halo = tuple[int, ...]


def changed_box(before: NDArray[np.int32], after: NDArray[np.int32], box: Box) -> Box | None:
    """The smallest box around the changed pixels in `box`; None if none changed."""
    where = np.argwhere(before != after)
    if not len(where):
        return None
    low, high = where.min(axis=0), where.max(axis=0)
    return tuple(slice(b.start + int(a), b.start + int(z) + 1) for b, a, z in zip(box, low, high, strict=True))


def affected_shards(spec: ArraySpec, changed: Iterable[Box], halo: Halo) -> set[Index]:
    """The affected shards of an array (z, y, x): those within `halo` of a changed box."""
    found: set[Index] = set()
    for box in changed:
        wide = grow(box, halo, spec.shape)
        found |= set(product(*(range(b.start // s, -(-b.stop // s)) for b, s in zip(wide, spec.shard, strict=True))))
    return found


def affected_tiles(job: TilesJob, changed: Mapping[str, Sequence[Box]], halos: Mapping[str, Halo]) -> set[Index]:
    """The affected shards of tiles: those with a tile whose window holds a changed pixel of target or weights.

    `changed` are boxes of labels, and `halos` the distance up to which the weights of an image change.
    """
    positions, params = job.positions, job.params
    around = (output_size(params.tile_px, params.depth), params.margin_px)
    stale = np.zeros(positions.starts[-1], bool)
    for image, (first, stop) in zip(positions.images, pairwise(positions.starts), strict=True):
        boxes = changed.get(image.name, ())
        if boxes:
            z, y0, x0 = image.origins(0, stop - first, params).T
            rows, columns = (_windows(o, n, *around) for o, n in zip((y0, x0), image.sides[1:], strict=True))
            for box in boxes:
                slices, y, x = grow(box, halos[image.name], image.sides)
                here = (z >= slices.start) & (z < slices.stop) & _meeting(rows, y) & _meeting(columns, x)
                stale[first:stop] |= here
    tail = (0,) * (len(job.outputs[0].shape) - 1)
    return {(int(k), *tail) for k in np.unique(np.flatnonzero(stale) // job.outputs[0].shard[0])}


def _windows(origins: NDArray[np.int64], size: int, output_px: int, margin: int) -> NDArray[np.intp]:
    """First pixel and end of the range that each tile reads along an axis, including mirrored pixels."""
    starts, which = np.unique(origins, return_inverse=True)
    found = []
    for start in starts.tolist():
        indices = mirror_index(start - margin, start + output_px + margin, size)
        found.append((indices.min(), indices.max() + 1))
    return np.array(found)[which]


def _meeting(windows: NDArray[np.intp], changed: slice) -> NDArray[np.bool_]:
    return np.asarray((windows[:, 0] < changed.stop) & (windows[:, 1] > changed.start))

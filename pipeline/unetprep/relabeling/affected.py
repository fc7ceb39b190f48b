"""Shards affected by an edit of the labels: those within the kernels' reach of a changed pixel.

+-------------------+
|   halo            |     A shard is computed from what lies in its box and the halo around it. So it is stale
|   +-----------+   |     where that box meets a changed pixel, which is where the changed pixels, grown by the
|   |   shard  +----+-+   halo, meet the shard.
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
    """The smallest box of all pixels that changed, of those that stand in `box`; None if none did."""
    where = np.argwhere(before != after)
    if not len(where):
        return None
    low, high = where.min(axis=0), where.max(axis=0)
    return tuple(slice(b.start + int(a), b.start + int(z) + 1) for b, a, z in zip(box, low, high, strict=True))


def touched_shards(spec: ArraySpec, changed: Iterable[Box], halo: Halo) -> set[Index]:
    """The shards of an array (z, y, x) within reach of what changed."""
    found: set[Index] = set()
    for box in changed:
        wide = grow(box, halo, spec.shape)
        found |= set(product(*(range(b.start // s, -(-b.stop // s)) for b, s in zip(wide, spec.shard, strict=True))))
    return found


def touched_tiles(job: TilesJob, changed: Mapping[str, Sequence[Box]], halos: Mapping[str, Halo]) -> set[Index]:
    """The shards with a tile whose window holds a changed pixel of the target or weights.

    `changed` are boxes of labels, and `halos` how far from these the weights of an image change.
    """
    places, params = job.places, job.params
    around = (output_size(params.tile_px, params.depth), params.margin_px)
    stale = np.zeros(places.starts[-1], bool)
    for image, (first, stop) in zip(places.images, pairwise(places.starts), strict=True):
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
    """The first pixel and the one behind the last that each tile reads along an axis, mirrored ones included."""
    starts, which = np.unique(origins, return_inverse=True)
    found = []
    for start in starts.tolist():
        indices = mirror_index(start - margin, start + output_px + margin, size)
        found.append((indices.min(), indices.max() + 1))
    return np.array(found)[which]


def _meeting(windows: NDArray[np.intp], changed: slice) -> NDArray[np.bool_]:
    return np.asarray((windows[:, 0] < changed.stop) & (windows[:, 1] > changed.start))

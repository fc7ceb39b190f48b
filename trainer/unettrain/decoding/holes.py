"""Filling of small holes of a mask of any size.

A hole is an 8-connected component of the background that does not reach the edge of the image. Cells are 4-connected,
so a background line between two cells may be 8-connected, and is no row of holes.
"""

from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from unettrain.decoding.parts import ComponentParts
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip, in_order


def fill_holes(mask: Spool, strips: list[Strip], most_px: int, executor: Executor | None, ahead: int) -> None:
    """Set holes of up to `most_px` pixels of a mask (y, x) of 0 and 1 to 1, in place."""
    finder = ComponentParts(mask, value=0, diagonal=True)
    at_edge, counts = [np.zeros(0, np.int32)], [0]
    for strip, parts in in_order(executor, finder.of, strips, ahead):
        labels = finder.add(strip, parts)
        rows = [labels[0]] * (strip == strips[0]) + [labels[-1]] * (strip == strips[-1])
        at_edge.append(np.unique(np.concatenate([labels[:, 0], labels[:, -1], *rows])))
        counts.append(finder.sizes.count)
    objects = finder.objects()
    small = finder.sizes.of_objects(objects) <= most_px
    small[objects[np.concatenate(at_edge)]] = small[0] = False
    filled = small[objects]
    starts = dict(zip(strips, counts, strict=False))

    def fill(strip: Strip) -> None:
        labels, num = finder.of(strip)
        own = filled[starts[strip] : starts[strip] + num + 1]
        if own[1:].any():
            mask.write(strip.first, mask.read(*strip) | _chosen(own, labels))

    for _ in in_order(executor, fill, strips, ahead):
        pass


def _chosen(is_chosen: NDArray[np.bool_], labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    table = is_chosen.astype(np.uint8)
    table[0] = 0
    return table[labels]

"""LRU cache of decoded parts of TIFF files: strips, tiles or pages that are too large to be decoded for every box.

A file whose whole page is one deflate strip is otherwise decoded again for every shard that touches the page.
"""

from collections.abc import Callable, Hashable
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, box_shape, inside, shard_box
from unetprep.storage.lru_cache import ArrayCache

KEPT_BYTES = 256 * 2**20
LARGE_PX = 2**18  # a part of so many pixels is larger than a chunk of the store, so that several boxes share it


DECODED = ArrayCache(KEPT_BYTES)


def is_kept(part: tuple[int, ...], itemsize: int) -> bool:
    """Whether parts of this shape are decoded once and kept."""
    return prod(part) > LARGE_PX and prod(part) * itemsize <= KEPT_BYTES


def read_by_parts(
    file: Hashable, shape: tuple[int, ...], part: tuple[int, ...], box: Box, read: Callable[[Box], NDArray[Any]]
) -> NDArray[Any]:
    """A box of an array, from its parts; `read` decodes those that are not kept. `file` tells versions apart."""
    box = tuple(slice(*b.indices(n)) for b, n in zip(box, shape, strict=True))
    out: NDArray[Any] | None = None
    for index in product(*(range(b.start // p, -(-b.stop // p)) for b, p in zip(box, part, strict=True))):
        cell = shard_box(index, shape, part)
        values = DECODED.get_or_compute((file, index), partial(read, cell))
        out = np.empty(box_shape(box), values.dtype) if out is None else out
        shared = [slice(max(b.start, c.start), min(b.stop, c.stop)) for b, c in zip(box, cell, strict=True)]
        out[inside(tuple(shared), box)] = values[inside(tuple(shared), cell)]
    return read(box) if out is None else out

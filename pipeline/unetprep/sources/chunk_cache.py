"""LRU cache of large decoded parts of TIFF files: strips, tiles or pages.

Without it, a page that is a single deflate strip would be decoded again for every shard that touches it.
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
LARGE_PX = 2**18  # larger parts exceed a chunk of the store, so that several boxes share them


DECODED = ArrayCache(KEPT_BYTES)


def is_kept(part: tuple[int, ...], itemsize: int) -> bool:
    """Whether decoded parts of this shape are cached."""
    return prod(part) > LARGE_PX and prod(part) * itemsize <= KEPT_BYTES


def read_by_parts(
    file: Hashable, shape: tuple[int, ...], part: tuple[int, ...], box: Box, read: Callable[[Box], NDArray[Any]]
) -> NDArray[Any]:
    """A box of an array from its parts; `read` decodes parts that are not cached. `file` is the key of its version."""
    box = tuple(slice(*b.indices(n)) for b, n in zip(box, shape, strict=True))
    out: NDArray[Any] | None = None
    for index in product(*(range(b.start // p, -(-b.stop // p)) for b, p in zip(box, part, strict=True))):
        cell = shard_box(index, shape, part)
        values = DECODED.get_or_compute((file, index), partial(read, cell))
        out = np.empty(box_shape(box), values.dtype) if out is None else out
        shared = [slice(max(b.start, c.start), min(b.stop, c.stop)) for b, c in zip(box, cell, strict=True)]
        out[inside(tuple(shared), box)] = values[inside(tuple(shared), cell)]
    return read(box) if out is None else out

"""LRU cache of decoded parts of TIFF files: strips, tiles or pages that are too large to be decoded for every box.

A file whose whole page is one deflate strip is otherwise decoded again for every shard that touches the page.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from itertools import product
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Box, box_shape, inside, shard_box

KEPT_BYTES = 256 * 2**20
LARGE_PX = 2**18  # a part of so many pixels is larger than a chunk of the store, so that several boxes share it


class DecodedCache:
    """Keeps arrays up to a number of bytes, those used last; the larger ones are not kept. Safe for threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._num_bytes = most_bytes, 0
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of this key, decoded unless it is kept. Do not write to it."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        values = decode()
        if values.nbytes <= self._most_bytes:
            self._keep(key, values)
        return values

    def _keep(self, key: Hashable, values: NDArray[Any]) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = values
            self._num_bytes += values.nbytes
            while self._num_bytes > self._most_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._num_bytes -= dropped.nbytes


DECODED = DecodedCache(KEPT_BYTES)


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
        values = DECODED.get((file, index), partial(read, cell))
        out = np.empty(box_shape(box), values.dtype) if out is None else out
        shared = [slice(max(b.start, c.start), min(b.stop, c.stop)) for b, c in zip(box, cell, strict=True)]
        out[inside(tuple(shared), box)] = values[inside(tuple(shared), cell)]
    return read(box) if out is None else out

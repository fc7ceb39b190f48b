"""Arrays that are read where they are cut, with the pixels of one image of a store or of one file."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import UnetprepError
from unetprep.format.boxes import Box
from unetprep.format.places import ImagePlace
from unetprep.sources.source import Source
from unetprep.storage.lru_cache import ArrayCache
from unetprep.store import Store

Read = Callable[[Box], NDArray[Any]]


class LazyArray:
    """An array of a shape and dtype that reads a box when it is indexed by slices of step 1. Thread-safe.

    Signed labels become unsigned of the same size, since viewers know no negative numbers of segments: -1, which marks
    ignored pixels, becomes the largest number, `ignored`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, read: Read, are_labels: bool = False) -> None:
        own = np.dtype(dtype)
        kind = {"i": f"u{own.itemsize}", "b": "u1"}.get(own.kind, own.str) if are_labels else own.str
        self.shape, self.dtype, self._read = shape, np.dtype(kind).newbyteorder("="), read
        self.ignored = int(np.iinfo(self.dtype).max) if are_labels and own.kind == "i" else None
        self._failures: list[Callable[[str], None]] = []
        self._told = threading.Event()

    def on_failure(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with the message of the first box that cannot be read."""
        self._failures.append(tell)

    def __getitem__(self, box: Box) -> NDArray[Any]:
        """The values of a box. Raises ValueError if they cannot be read."""
        try:
            return self._read(box).astype(self.dtype, copy=False)
        except (UnetprepError, OSError) as error:
            if not self._told.is_set():
                self._told.set()
                for tell in self._failures:
                    tell(str(error))
            raise ValueError(str(error)) from error


def stored_array(store: Store, path: str, place: ImagePlace, recent: ArrayCache, are_labels: bool) -> LazyArray:
    """The pixels of one image in an array of the store, (z, y, x) or (c, z, y, x)."""
    shards = store.shards(path)
    shape = (*shards.shape[:-3], *place.shape(shards.shape))
    return LazyArray(shape, shards.dtype.str, lambda box: store.read(path, place.box(box), recent), are_labels)


def source_labels(source: Source) -> LazyArray:
    """The labels of a file, (z, y, x)."""
    return LazyArray(source.shape[1:], source.dtype, lambda box: source.read((slice(0, 1), *box))[0], are_labels=True)


def source_values(source: Source) -> LazyArray:
    """The real numbers of a file as float32, (c, z, y, x)."""
    return LazyArray(source.shape, "float32", source.read)

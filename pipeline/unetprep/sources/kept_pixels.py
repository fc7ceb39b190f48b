"""Decoded small images of an import, kept between its two readings up to a bound, so that they are decoded once."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from unetprep.sources.arrays import ArraySource
from unetprep.sources.labels import in_memory
from unetprep.sources.source import Source

KEPT_BYTES = 128 * 2**20
Slice = tuple[str, int]  # path of an array of a stack, and slice


class KeptPixels:
    """Pixels (c, z, y, x) by array and slice, up to a number of bytes. Workers elsewhere get none of them.

    The first ones are kept, not the last, since both readings go through the files in one order.
    """

    def __init__(self, most_bytes: int = 0) -> None:
        self._most_bytes, self._num_bytes, self._lock = most_bytes, 0, Lock()
        self._pixels: dict[Slice, NDArray[Any]] = {}
        self._opened: dict[str, NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type["KeptPixels"], tuple[()]]:
        return KeptPixels, ()

    def decode(self, path: str, num_bytes: int, read: Callable[[], NDArray[Any]]) -> None:
        """Keep the pixels of a file that is being opened, until it is read, if there is room."""
        if self._num_bytes + num_bytes <= self._most_bytes:
            self._opened[path] = read()
            self._num_bytes += num_bytes

    def read(self, source: Source, where: Slice) -> ArraySource:
        """A source as an array in memory, which is kept for a slice of an array if there is room."""
        with self._lock:
            opened = self._opened.pop(source.path, None)
            self._num_bytes -= 0 if opened is None else opened.nbytes
        array = source
        if opened is not None:
            array = in_memory(source, opened)
        pixels = array.read((slice(None),) * 4)
        with self._lock:
            if where not in self._pixels and self._num_bytes + pixels.nbytes <= self._most_bytes:
                self._pixels[where] = pixels
                self._num_bytes += pixels.nbytes
        return ArraySource(source.path, "czyx", pixels.shape, source.dtype, source.stem, pixels)

    def take(self, where: Slice) -> NDArray[Any] | None:
        """The pixels for a slice of an array, which are then no longer kept; None if they are not."""
        with self._lock:
            pixels = self._pixels.pop(where, None)
            self._num_bytes -= 0 if pixels is None else pixels.nbytes
        return pixels

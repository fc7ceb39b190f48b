"""A stored array, indexed like a NumPy array. Missing and damaged shards are errors, not zeros."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.places import ImagePlace
from unettrain.data.chunk_reader import ChunkReader
from unettrain.data.store import shape_of


class CheckedArray:
    """View of a stored array that reads when it is indexed, by integers and slices of step 1.

    With `place` it is the array of one image, also where a stack holds many images in one array. Raises Failure with
    the name of the file for a missing or damaged shard.
    """

    def __init__(self, chunks: ChunkReader, place: ImagePlace | None = None) -> None:
        self._chunks, self._place = chunks, place
        self.shape: tuple[int, ...] = shape_of(place, chunks.shape, chunks.store) if place else chunks.shape
        self.dtype: np.dtype[Any] = chunks.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """The values of a box in a new array, without the axes that integers select."""
        keys = _one_for_each_axis(key if isinstance(key, tuple) else (key,), len(self.shape))
        box = tuple(_bounds(k, n) for k, n in zip(keys, self.shape, strict=True))
        values = self._chunks.read_box(self._place.box(box) if self._place else box)
        return values[tuple(slice(None) if isinstance(k, slice) else 0 for k in keys)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All values."""
        return self[...].astype(dtype or self.dtype, copy=False)


def _one_for_each_axis(keys: tuple[Any, ...], num_axes: int) -> tuple[Any, ...]:
    missing = (slice(None),) * (num_axes - sum(k is not Ellipsis for k in keys))
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    return (*keys[:at], *missing, *keys[at + 1 :])


def _bounds(key: Any, size: int) -> slice:
    if isinstance(key, slice):
        start, stop, step = key.indices(size)
        if step != 1:
            raise IndexError(f"a step of {step}; stored arrays allow only a step of 1")
        return slice(start, max(start, stop))
    index = key.__index__()
    if not -size <= index < size:
        raise IndexError(f"{index} is not within an axis of {size}")
    return slice(index % size, index % size + 1)

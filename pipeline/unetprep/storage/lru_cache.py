"""LRU cache of arrays, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray


class ArrayCache:
    """LRU cache of arrays by key, of up to `max_bytes` together. Threads may share it.

    Arrays larger than `max_bytes` are not cached.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._num_bytes = max_bytes, 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """The array of a key, not to be written to; None where it is not cached."""
        with self._lock:
            if (found := self._arrays.get(key)) is not None:
                self._arrays.move_to_end(key)
            return found

    def keep(self, key: Hashable, array: NDArray[Any]) -> None:
        """Cache an array; the least recently used ones are dropped for it."""
        if array.nbytes > self._max_bytes:
            return
        with self._lock:
            if key not in self._arrays:
                self._arrays[key] = array
                self._num_bytes += array.nbytes
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= self._arrays.popitem(last=False)[1].nbytes

    def get_or_compute(self, key: Hashable, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The array of a key, not to be written to; computed and cached where it is absent."""
        found = self.get(key)
        if found is None:
            found = compute()
            self.keep(key, found)
        return found


NO_CACHE = ArrayCache(0)

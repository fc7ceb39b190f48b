"""LRU cache of arrays, bounded in bytes."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray


class Recent:
    """Arrays by key: those that were used last, of `most_bytes` together. Threads may share it."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """The array of a key, not to be written to; None where it is not kept."""
        with self._lock:
            if (found := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, array: NDArray[Any]) -> None:
        """Keep an array, and let others go for it."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = array
                self._bytes += array.nbytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


NOTHING_KEPT = Recent(0)

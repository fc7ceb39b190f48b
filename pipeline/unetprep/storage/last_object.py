"""Storage that keeps the object that was read last, for many small reads of one object."""

from collections.abc import Iterator, Sequence

from unetprep.storage.base import Range, Storage


class LastObject(Storage):
    """A storage of which parts of objects are read from a copy of the whole object. For one thread."""

    def __init__(self, storage: Storage) -> None:
        self.durable = storage.durable
        self._storage, self._key, self._data = storage, "", b""

    def get(self, key: str) -> bytes:
        """A whole object."""
        return self._storage.get(key)

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an object, which is read as a whole unless it was the last one."""
        if key != self._key:
            self._key, self._data = key, self._storage.get(key)
        starts = (offset if offset >= 0 else max(0, len(self._data) + offset) for offset, _ in ranges)
        return [self._data[start : start + length] for start, (_, length) in zip(starts, ranges, strict=True)]

    def put(self, key: str, data: bytes) -> None:
        """Write or replace an object, durably."""
        self._key = ""
        self._storage.put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object if it does not exist."""
        return self._storage.put_if_absent(key, data)

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(key, bytes) of all objects whose key begins with `prefix`."""
        return self._storage.listing(prefix)

    def delete(self, prefix: str) -> None:
        """Delete the object of this key and all objects below it."""
        self._key = ""
        self._storage.delete(prefix)

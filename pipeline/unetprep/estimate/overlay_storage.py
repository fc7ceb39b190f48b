"""Overlay storage: writes go to memory, reads fall through to another storage."""

from collections.abc import Iterator, Sequence

from unetprep.storage.base import Range, Storage


class OverlayStorage(Storage):
    """A storage that never changes the one below. `written` holds the objects that were put, by key."""

    def __init__(self, below: Storage) -> None:
        self.written: dict[str, bytes] = {}
        self.num_puts = 0
        self._below = below
        self._deleted: set[str] = set()

    def get(self, key: str) -> bytes:
        """The object that was written, else the one below."""
        if key in self.written:
            return self.written[key]
        self._refuse_deleted(key)
        return self._below.get(key)

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an object."""
        if key not in self.written:
            self._refuse_deleted(key)
            return self._below.get_ranges(key, ranges)
        data = self.written[key]
        starts = [(offset + len(data) if offset < 0 else offset, length) for offset, length in ranges]
        return [data[start : start + length] for start, length in starts]

    def _refuse_deleted(self, key: str) -> None:
        if self._is_deleted(key):
            raise FileNotFoundError(key)

    def _is_deleted(self, key: str) -> bool:
        parts = key.split("/")
        return bool(self._deleted) and any("/".join(parts[:n]) in self._deleted for n in range(1, len(parts) + 1))

    def put(self, key: str, data: bytes) -> None:
        """Keep an object in memory."""
        self.written[key] = data
        self.num_puts += 1

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Keep an object in memory, unless it exists."""
        try:
            self.get(key)
        except OSError:
            self.put(key, data)
            return True
        return False

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """The objects in memory and those below that were not deleted."""
        yield from ((key, len(data)) for key, data in self.written.items() if key.startswith(prefix))
        for key, num_bytes in self._below.listing(prefix):
            if key not in self.written and not self._is_deleted(key):
                yield key, num_bytes

    def delete(self, prefix: str) -> None:
        """Hide an object, or all below a prefix."""
        for key in [key for key in self.written if key == prefix or key.startswith(f"{prefix}/")]:
            del self.written[key]
        self._deleted.add(prefix)

    def get_below(self, key: str) -> bytes | None:
        """The object in the storage below; None if there is none."""
        try:
            return self._below.get(key)
        except OSError:
            return None

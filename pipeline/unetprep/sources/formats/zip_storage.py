"""Zarr hierarchies in a zip file, for reading."""

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache

import zarr.storage

from unetprep.storage.base import Range, Storage
from unetprep.storage.regular_files import refuse_special

ROOTS = ("zarr.json", ".zgroup", ".zarray")


class ZipStorage(Storage):
    """A zip file whose entries are objects. Entries in one folder, as made by zipping it, count from that folder."""

    def __init__(self, path: str) -> None:
        refuse_special(path)
        self._path = path
        self._zip = zipfile.ZipFile(path)
        names = self._zip.namelist()
        if not set(ROOTS) & set(names):
            tops = {name.partition("/")[0] for name in names if "/" in name}
            self._prefix = f"{tops.pop()}/" if len(tops) == 1 else ""
        else:
            self._prefix = ""

    def get(self, key: str) -> bytes:
        """A whole entry."""
        try:
            return self._zip.read(self._prefix + key)
        except KeyError:
            raise FileNotFoundError(f"{self._path} has no entry {key}") from None

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[bytes]:
        """Parts of an entry."""
        data = self.get(key)
        return [data[a if a >= 0 else len(data) + a :][:length] for a, length in ranges]

    def listing(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Names and sizes of the entries."""
        for entry in self._zip.infolist():
            if entry.filename.startswith(self._prefix + prefix):
                yield entry.filename.removeprefix(self._prefix), entry.file_size

    def put(self, key: str, data: bytes) -> None:
        """Not possible."""
        raise io.UnsupportedOperation("zip files are only read")

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Not possible."""
        raise io.UnsupportedOperation("zip files are only read")

    def delete(self, prefix: str) -> None:
        """Not possible."""
        raise io.UnsupportedOperation("zip files are only read")

    def zarr_store(self) -> zarr.storage.StorePath:
        """The root for zarr."""
        store = zarr.storage.ZipStore(self._path, mode="r")
        store._sync_open()  # zarr opens a store itself only if it is not below a path
        return zarr.storage.StorePath(store, self._prefix.rstrip("/"))


def open_zip(path: str) -> ZipStorage:
    """A version of a zip file, with a cache of the last 4."""
    return _opened(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=4)
def _opened(path: str, changed_ns: int) -> ZipStorage:
    return ZipStorage(path)

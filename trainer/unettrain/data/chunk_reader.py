"""Reader of single chunks of sharded Zarr v3 arrays into preallocated arrays.

For one chunk of a shard, zarr-python takes 50 to 100 times as long as copying it. Here the index of a shard is read
once, and a chunk is one read from its file, or one request to a server. Reading and verifying the checksum release the
GIL. Arrays in another layout than that of pipeline/LAYOUT.md are read by zarr-python.
"""

import os
import threading
import zlib
from contextlib import nullcontext, suppress
from errno import EMFILE, ENFILE
from itertools import product
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from unetprep.format.boxes import Index
from unetprep.format.codecs import CRC_BYTES, refuse_size, verify_crc
from unetprep.format.metadata import DOCUMENT
from unetprep.format.shard_layout import EMPTY, ShardLayout, shard_key
from unetprep.storage.base import Remote, Storage
from unetprep.storage.local import LocalStorage
from unettrain.data.store import SERVER_HINT, fingerprint, parsed_record
from unettrain.errors import Failure

Stamp = tuple[int | str, ...]
ERRORS = (  # of files, servers, checksums and codecs
    *(OSError, ValueError, RuntimeError, OverflowError, MemoryError),
    *(KeyError, TypeError, EOFError, zlib.error),
)

CHECK_S = 0.1  # interval between checks whether an open file has changed
MOST_OPEN = 384  # limit of open files


class ChunkReader:
    """Reader of the chunks of an array. Thread-safe.

    Raises Failure with the name of the file for a missing or damaged shard, and if the array has been replaced.
    """

    def __init__(
        self,
        array: zarr.Array[Any],
        store: str | Path,
        files: "OpenFiles | None" = None,
        storage: Storage | None = None,
    ) -> None:
        self.array, self.path, self.store = array, array.path, store
        self.shape, self.dtype, self.chunk = tuple(array.shape), array.dtype, tuple(array.chunks)
        self.fingerprint = fingerprint(array)
        self._storage = storage or LocalStorage(str(getattr(array.store_path.store, "root", "")))
        self._layout = _layout_of(array)
        self._rows = 0  # chunks of a shard, if each chunk is one row
        if self._layout is not None and self.chunk == (1, *self.shape[1:]) == (1, *self._layout.shard[1:]):
            self._rows = self._layout.shard[0]
        self._files = files or OpenFiles()
        self._mine = threading.local()
        self._stamp: Stamp = ()  # differs at first, so that the array is checked when the first shard is opened

    def empty_row(self) -> NDArray[Any]:
        """An array for `read_row`."""
        return np.empty(self.shape[1:], self.dtype)

    def read_row(self, k: int, out: NDArray[Any]) -> None:
        """Read row k along the first axis, which is one chunk in a store, into an array as from `empty_row`."""
        if self._rows:
            self._read(*divmod(k, self._rows), out)
        else:
            self._by_zarr((slice(k, k + 1), *(slice(0, n) for n in self.shape[1:])), out[np.newaxis])

    def _exists(self, shard: Index) -> bool:
        with suppress(FileNotFoundError):
            return bool(_stat(self._storage, self._key(shard)))
        return False

    def read(self, place: Index, out: NDArray[Any]) -> None:
        """Read the chunk at a position of the chunk grid into a contiguous array of its shape and dtype.

        Values beyond the edge of the array are undefined.
        """
        if self._layout is None:
            sides = zip(place, self.chunk, self.shape, strict=True)
            box = tuple(slice(p * c, min((p + 1) * c, n)) for p, c, n in sides)
            self._by_zarr(box, out.reshape(self.chunk)[tuple(slice(0, b.stop - b.start) for b in box)])
        else:
            shard, chunk = zip(*map(divmod, place, self._layout.chunk_counts), strict=True)
            self._read(_number(shard, self._layout.counts), _number(chunk, self._layout.chunk_counts), out)

    def read_all(self) -> NDArray[Any]:
        """Read a whole, small array."""
        out, chunk = np.empty(self.shape, self.dtype), np.empty(self.chunk, self.dtype)
        for place in product(*(range(-(-n // c)) for n, c in zip(self.shape, self.chunk, strict=True))):
            self.read(place, chunk)
            part = out[tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, self.chunk, strict=True))]
            part[...] = chunk[tuple(map(slice, part.shape))]
        return out

    def read_box(self, box: tuple[slice, ...]) -> NDArray[Any]:
        """Read a box of the array by zarr-python; its slices have a start and a stop within the array."""
        out = np.empty([b.stop - b.start for b in box], self.dtype)
        self._by_zarr(box, out)
        return out

    def _read(self, number: int, chunk: int, out: NDArray[Any]) -> None:
        """Read a chunk of a shard, both numbered in C order."""
        assert self._layout is not None
        try:
            try:
                self._take(self._files.get((self.path, number)) or self._opened(number), chunk, out)
            except _Changed:  # it may have been restored unchanged
                self._files.drop((self.path, number))
                self._take(self._opened(number), chunk, out)
        except FileNotFoundError:
            raise self._failure(f"{self._shard_key(number)} is missing") from None
        except ERRORS as error:
            with suppress(*ERRORS):
                self._refuse_change()
            raise self._failure(f"{self._shard_key(number)} cannot be read: {error}", error) from None

    def _take(self, shard: "_Shard", chunk: int, out: NDArray[Any]) -> None:
        assert self._layout is not None
        offset, length = shard.table[chunk]
        if offset == EMPTY:
            out[...] = 0
        elif self._layout.compressor is not None:
            self._layout.compressor.decode(self._verified(shard, offset, length), out)
        elif shard.verified[chunk]:
            shard.file.read(offset, out)
        else:
            refuse_size(length - CRC_BYTES, out)
            out.reshape(-1).view(np.uint8)[...] = self._verified(shard, offset, length)
            shard.verified[chunk] = isinstance(shard.file, _File)  # changes of an open file are noticed

    def _verified(self, shard: "_Shard", offset: int, length: int) -> NDArray[np.uint8]:
        if not CRC_BYTES < length <= shard.file.size - offset:
            raise ValueError("its index points beyond its end")
        packed = self._scratch(length)
        shard.file.read(offset, packed)
        return verify_crc(packed)

    def _opened(self, number: int) -> "_Shard":
        assert self._layout is not None
        opened = _Shard(_open(self._storage, self._shard_key(number)), self._layout)
        self._refuse_change()  # after opening, so that the file cannot be exchanged in between
        self._files.keep((self.path, number), opened)
        return opened

    def _scratch(self, length: int) -> NDArray[np.uint8]:
        """A buffer of this thread, which is reused."""
        if len(getattr(self._mine, "bytes", ())) < length:
            self._mine.bytes = np.empty(2 * length, np.uint8)
        found: NDArray[np.uint8] = self._mine.bytes[:length]
        return found

    def _by_zarr(self, where: tuple[slice, ...], out: NDArray[Any]) -> None:
        try:
            with self._storage.errors("read", self.path) if isinstance(self._storage, Remote) else nullcontext():
                out[...] = self.array[where]
            self._refuse_missing(where, out)
        except ERRORS as error:
            raise self._failure(f"{self.path} cannot be read at {where}: {error}", error) from None

    def _refuse_missing(self, where: tuple[slice, ...], out: NDArray[Any]) -> None:
        """Raise Failure for missing shards, which zarr-python reads as fill values; shards of other values exist."""
        shard = self.array.shards or self.array.chunks
        for place in product(*(range(w.start // s, -(-w.stop // s)) for w, s in zip(where, shard, strict=True))):
            sides = zip(where, place, shard, strict=True)
            part = out[tuple(slice(max(0, p * s - w.start), (p + 1) * s - w.start) for w, p, s in sides)]
            if (part == self.array.fill_value).all() and not self._exists(place):
                raise self._failure(f"{self._key(place)} is missing")

    def _refuse_change(self) -> None:
        """Raise Failure if the array has been replaced. Shards that are already open stay valid."""
        now = self._stamp_now()
        if now != self._stamp:
            record = parsed_record(self._storage.get(self._document), self.path, self.store)
            if str(record.get("fingerprint", "")) != self.fingerprint:
                raise Failure(
                    f"{self.path} of {self.store} was replaced while it was read",
                    hint="repeat the command; to keep the data of a run, write new arrays to another store",
                )
            self._stamp = now

    def _stamp_now(self) -> Stamp:
        """A stamp that changes whenever the document of the array is written."""
        return _stat(self._storage, self._document)

    @property
    def _document(self) -> str:
        return f"{self.path}/{DOCUMENT}".lstrip("/")

    def _key(self, shard: Index) -> str:
        return f"{self.path}/{shard_key(shard)}".lstrip("/")

    def _shard_key(self, number: int) -> str:
        """The key of a shard, numbered in C order."""
        assert self._layout is not None
        return self._key(tuple(map(int, np.unravel_index(number, self._layout.counts))))

    def _failure(self, problem: str, error: Exception | None = None) -> Failure:
        hint = f"unetprep verify {self.store} --repair deletes damaged shards; repeating the stage recomputes them"
        if isinstance(error, ConnectionError | PermissionError):
            hint = SERVER_HINT
        if isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):
            hint = "allow this process more open files (ulimit -n 4096), or close streams that are no longer used"
        return Failure(f"{problem}, in {self.store}", hint=hint)


class OpenFiles:
    """FIFO cache of open shards, with the index of each; arrays may share it."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], _Shard] = {}
        self._lock = threading.Lock()
        allowed = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else -1
        self._most = min(MOST_OPEN, allowed // 4) if allowed > 0 else MOST_OPEN
        self.get = self._open.get

    def keep(self, key: tuple[str, int], shard: "_Shard") -> None:
        """Keep a shard open, and drop the oldest ones beyond the limit."""
        with self._lock:
            self._open[key] = shard
            while len(self._open) > self._most:
                del self._open[next(iter(self._open))]

    def drop(self, key: tuple[str, int]) -> None:
        """Drop a shard, which is closed when no thread reads it any more."""
        with self._lock:
            self._open.pop(key, None)


def _layout_of(array: zarr.Array[Any]) -> ShardLayout | None:
    """The layout of an array; None if zarr-python has to read it."""
    if isinstance(array.store_path.store, LocalStore) and not hasattr(os, "preadv"):
        return None
    try:
        return ShardLayout.of(array.metadata.to_dict())
    except ValueError:
        return None


class _Changed(ValueError):
    """A file has changed since it was opened."""

    def __init__(self) -> None:
        super().__init__("it changes while it is read")


class _Bytes(Protocol):
    """An open version of a file of `size` bytes."""

    size: int

    def read(self, offset: int, out: NDArray[Any]) -> None:
        """Fill `out` from an offset on. Raises _Changed, and ValueError at the end of the file."""


class _Shard:
    """An open shard with its index: the offset and length of each chunk."""

    def __init__(self, file: _Bytes, layout: ShardLayout) -> None:
        self.file = file
        self.verified = bytearray(layout.num_chunks)  # chunks whose checksum has been verified
        footer = np.empty(layout.index_bytes, np.uint8)
        file.read(max(0, file.size - len(footer)), footer)
        self.table: list[list[int]] = layout.parse_index(footer).tolist()


class _File:
    """A local file, closed when no longer referenced. It stays the same file if its name is taken by another one."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a named pipe fails, and does not block
        found = os.fstat(self._fd)
        self.size, self._written, self._checked = found.st_size, found.st_mtime_ns, monotonic()

    def read(self, offset: int, out: Any) -> None:
        num = os.preadv(self._fd, (out,), offset)
        if monotonic() - self._checked > CHECK_S:  # a check takes half as long as a read
            if os.fstat(self._fd).st_mtime_ns != self._written:
                raise _Changed
            self._checked = monotonic()
        if num != out.nbytes:
            raise ValueError("it is cut short")

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)


class _Object:
    """An object on a server."""

    def __init__(self, storage: Remote, key: str) -> None:
        self._storage, self._key = storage, key
        self.size, self._tag = storage.stat(key)

    def read(self, offset: int, out: NDArray[Any]) -> None:
        if offset + out.nbytes > self.size:
            raise ValueError("it is cut short")
        data, tag = self._storage.read_part(self._key, offset, out.nbytes)
        if tag != self._tag or len(data) != out.nbytes:
            raise _Changed
        out.reshape(-1).view(np.uint8)[...] = np.frombuffer(data, np.uint8)


def _open(storage: Storage, key: str) -> _Bytes:
    if isinstance(storage, Remote):
        return _Object(storage, key)
    assert isinstance(storage, LocalStorage)
    return _File(storage.root / key)


def _stat(storage: Storage, key: str) -> Stamp:
    """A stamp that changes with an object."""
    if isinstance(storage, Remote):
        return storage.stat(key)
    assert isinstance(storage, LocalStorage)
    found = os.stat(storage.root / key)
    return found.st_mtime_ns, found.st_ino, found.st_size


def _number(place: Index, sides: Index) -> int:
    """The number in C order of a position in a grid."""
    number = 0
    for p, n in zip(place, sides, strict=True):
        number = number * n + p
    return number

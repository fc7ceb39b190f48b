"""Files at URLs, read whole, by ranges, or as a seekable file object."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from math import prod
from typing import IO, Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Failure, InvalidInput
from unetprep.format.boxes import Box, box_shape
from unetprep.storage.base import Remote
from unetprep.storage.registry import open_storage

BLOCK = 2**15  # bytes
NUM_BLOCKS = 1024  # cached of one file
CREDENTIALS = ("AWS_", "AZURE_", "GOOGLE_")  # prefixes of environment variables with credentials


def is_url(path: str) -> bool:
    """Whether a path is a URL other than file://."""
    return "://" in path and not path.startswith("file://")


def local_path(path: str) -> str:
    """The path of a file:// URL; other URLs without a trailing slash; paths unchanged."""
    if path.startswith("file://"):
        return unquote(urlsplit(path).path)
    return path.rstrip("/") if is_url(path) else path


def storage_at(url: str, endpoint: str = "") -> Remote:
    """The storage with root `url`, cached while the credentials in the environment stay the same."""
    credentials = tuple(item for item in sorted(os.environ.items()) if item[0].startswith(CREDENTIALS))
    return _storage_at(url, endpoint, credentials)


@lru_cache(maxsize=64)
def _storage_at(url: str, endpoint: str, credentials: tuple[tuple[str, str], ...]) -> Remote:
    return cast(Remote, open_storage(url, endpoint))


def _split(url: str, endpoint: str) -> tuple[Remote, str]:
    folder, _, name = url.rpartition("/")
    return storage_at(folder, endpoint), unquote(name) if url.startswith(("http://", "https://")) else name


class LocalFile(NamedTuple):
    """A version of a local file."""

    path: str
    changed_ns: int
    num_bytes: int


class File(NamedTuple):
    """A version of a file at a URL."""

    url: str
    endpoint: str = ""
    num_bytes: int = 0
    version: str = ""  # changes with the file, so that caches are not outdated

    @classmethod
    def at(cls, url: str, endpoint: str = "") -> "File":
        """The current version of the file. Raises FileNotFoundError if it does not exist."""
        storage, key = _split(url, endpoint)
        return cls(url, endpoint, *storage.stat(key))

    def read(self) -> bytes:
        """The whole content."""
        storage, key = _split(self.url, self.endpoint)
        return storage.get(key)

    def read_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        """Parts by (offset, length). Raises ValueError if the file is shorter."""
        storage, key = _split(self.url, self.endpoint)
        parts = storage.get_ranges(key, ranges)
        if [len(part) for part in parts] != [length for _, length in ranges]:
            raise ValueError("it is truncated")
        return parts

    def open(self) -> IO[bytes]:
        """A file object that reads blocks on demand and caches them."""
        return cast(IO[bytes], _Seekable(self))


class _Seekable(io.RawIOBase):
    """File object with cached blocks: parsing a file takes many small reads, often repeated."""

    def __init__(self, file: File) -> None:
        self._file, self._at = file, 0
        self._block = lru_cache(NUM_BLOCKS)(self._read_block)

    def _read_block(self, number: int) -> bytes:
        start = number * BLOCK
        return self._file.read_ranges([(start, min(BLOCK, self._file.num_bytes - start))])[0]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.num_bytes}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        start, count = self._at, max(0, min(len(buffer), self._file.num_bytes - self._at))
        if count > BLOCK:
            (buffer[:count],) = self._file.read_ranges([(start, count)])
        elif count:
            first, last = start // BLOCK, (start + count - 1) // BLOCK
            blocks = b"".join(self._block(number) for number in range(first, last + 1))
            buffer[:count] = blocks[start - first * BLOCK :][:count]
        self._at += count
        return count


def read_box(
    file: File, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], box: Box, *, is_fortran: bool = False
) -> NDArray[Any]:
    """A box of an uncompressed array in a file; for each plane, one range from the first to the last pixel is read."""
    box = tuple(slice(*b.indices(n)) for b, n in zip(box, shape, strict=True))
    if is_fortran:
        return read_box(file, offset, shape[::-1], dtype, box[::-1]).T
    if 0 in box_shape(box):
        return np.empty(box_shape(box), dtype)
    planes, rows = box[:-2], box[-2:]
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    inside = [b.start * s for b, s in zip(rows, strides[len(planes) :], strict=True)]
    length = sum((b.stop - 1 - b.start) * s for b, s in zip(rows, strides[len(planes) :], strict=True)) + 1
    starts = [
        sum(i * s for i, s in zip(place, strides, strict=False)) + sum(inside)
        for place in product(*(range(b.start, b.stop) for b in planes))
    ]
    size = dtype.itemsize
    parts = file.read_ranges([(offset + start * size, length * size) for start in starts])
    row_strides = tuple(s * size for s in strides[len(planes) :])
    blocks = [np.ndarray(box_shape(rows), dtype, part, strides=row_strides) for part in parts]
    return np.stack(blocks).reshape(box_shape(box))


def names_in(url: str) -> list[str]:
    """Names directly below a URL; empty if it does not exist, or if the server does not list names."""
    try:
        return storage_at(url).children()
    except (FileNotFoundError, io.UnsupportedOperation):
        return []


@contextmanager
def reachable(path: str) -> Iterator[None]:
    """Translate refused and unanswered requests to Failure, and missing files to InvalidInput."""
    try:
        yield
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} is not there ({error})" if path not in str(error) else str(error)) from error
    except (PermissionError, ConnectionError, io.UnsupportedOperation) as error:
        raise Failure(str(error)) from error

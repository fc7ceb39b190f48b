"""Encoding and decoding of shards: compressed chunks with a checksum each, followed by an index.

This is what the sharding codec of Zarr v3 says (https://zarr-specs.readthedocs.io, codecs/sharding-indexed).
zarr-python works chunk by chunk on a single event loop, whose work two threads cannot share; here a thread encodes or
decodes a shard by itself and lets go of the GIL meanwhile. In the tests zarr-python reads what is written here, and the
other way round.
"""

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from unetprep.errors import Failure
from unetprep.format.boxes import Box, Index, box_shape, shard_box
from unetprep.format.documents import Document
from unetprep.storage.base import Storage
from unetprep.storage.lru_cache import NOTHING_KEPT, Recent

Chunks = dict[Index, bytes]  # compressed, with their checksums, by their place in a shard

EMPTY = 2**64 - 1  # offset and length of a chunk that is not there
CRC_BYTES = 4
BLOSC_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}


class Damaged(Failure):
    """An object of the store that is not what was written."""


class MissingShard(Damaged, FileNotFoundError):
    """A shard that should be there and is not."""


class Shards:
    """The shards of the array that a document describes.

    Raises ValueError for another layout than that of pipeline/LAYOUT.md: shards of chunks that are compressed by zstd
    or blosc, or not at all, each with a crc32c behind it.
    """

    def __init__(self, document: Document) -> None:
        try:
            (sharding,) = document["codecs"]
            of_chunk = {codec["name"]: codec.get("configuration", {}) for codec in sharding["configuration"]["codecs"]}
            self.shard = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
            self.chunk = tuple(sharding["configuration"]["chunk_shape"])
            self.shape = tuple(document["shape"])
            self.dtype = np.dtype(document["data_type"])
            order, *compressor, checksum = of_chunk
            if (sharding["name"], order, checksum) != ("sharding_indexed", "bytes", "crc32c"):
                raise KeyError
            _refuse_other_layout(document, sharding["configuration"], of_chunk["bytes"])
            _refuse_uneven(self.shape, self.shard, self.chunk)
            if self.dtype.kind not in "biuf":
                raise ValueError
            self._codec = _compressor({name: of_chunk[name] for name in compressor}, self.dtype.itemsize)
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ValueError("its chunks are not stored as unetprep stores them") from None
        self.counts = tuple(-(-n // s) for n, s in zip(self.shape, self.shard, strict=True))
        self._chunks = tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))
        self._little = self.dtype.newbyteorder("<")

    def key_of(self, box: Box) -> str:
        """The object of the shard that a box begins in, below the array's path."""
        return shard_key(self._index_of(box))

    def box_at(self, box: Box) -> Box:
        """The box of the shard that a box begins in."""
        return shard_box(self._index_of(box), self.shape, self.shard)

    def _index_of(self, box: Box) -> Index:
        return tuple(b.start // s for b, s in zip(box, self.shard, strict=True))

    def encode(self, block: NDArray[Any]) -> bytes:
        """A shard from its values, as many as lie in the array; behind its edge a chunk is filled up with 0."""
        return self.join(self.encode_chunks(block, (0,) * block.ndim))

    def encode_chunks(self, block: NDArray[Any], first: Index) -> Chunks:
        """The chunks of a block that begins with the chunk at `first` and ends with one, or at the array's edge."""
        chunks = {}
        for place in product(*(range(-(-n // c)) for n, c in zip(block.shape, self.chunk, strict=True))):
            values = block[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self.chunk, strict=True))]
            if values.shape != self.chunk:
                values = np.pad(values, [(0, c - n) for c, n in zip(self.chunk, values.shape, strict=True)])
            part = self._codec.encode(np.ascontiguousarray(values, self._little))
            chunks[tuple(f + i for f, i in zip(first, place, strict=True))] = _with_crc(part)
        return chunks

    def join(self, chunks: Chunks) -> bytes:
        """A shard from its chunks; the same bytes in whatever order they were made."""
        index = np.full((*self._chunks, 2), EMPTY, "<u8")
        offset = 0
        for place in sorted(chunks):
            index[place] = offset, len(chunks[place])
            offset += len(chunks[place])
        return b"".join([*(chunks[place] for place in sorted(chunks)), _with_crc(index.tobytes())])

    def read(self, storage: Storage, path: str, box: Box, recent: Recent = NOTHING_KEPT) -> NDArray[Any]:
        """A box of the array. With `recent` decoded chunks are kept there, and taken from there.

        Raises MissingShard where one is missing, and Damaged where a checksum is wrong.
        """
        out = np.zeros(box_shape(box), self.dtype)
        for index in _touched(box, self.shard):
            key = f"{path}/{shard_key(index)}".lstrip("/")
            try:
                self._read_shard(storage, key, index, box, out, recent)
            except FileNotFoundError:
                raise MissingShard(
                    f"{key} is missing",
                    hint="unetprep verify STORE names all that is missing, and the command that makes it again",
                ) from None
            except Damaged as error:
                raise Damaged(
                    f"{key}: {error}",
                    hint="unetprep verify STORE names all that is damaged; with --repair it is deleted to be made anew",
                ) from None
        return out

    def _read_shard(
        self, storage: Storage, key: str, index: Index, box: Box, out: NDArray[Any], recent: Recent
    ) -> None:
        first = tuple(i * n for i, n in zip(index, self._chunks, strict=True))
        last = tuple(f + n for f, n in zip(first, self._chunks, strict=True))
        touched = [
            at for at in _touched(box, self.chunk) if all(f <= a < z for a, f, z in zip(at, first, last, strict=True))
        ]
        missing = []
        for at in touched:
            if (values := recent.get((key, at))) is None:
                missing.append(at)
            else:
                _paste(values, at, self.chunk, box, out)
        places = [tuple(a - f for a, f in zip(at, first, strict=True)) for at in missing]
        for at, part in zip(missing, self._parts(storage, key, places) if places else (), strict=True):
            if part is not None:
                values = self._values(part)
                recent.keep((key, at), values)
                _paste(values, at, self.chunk, box, out)

    def _parts(self, storage: Storage, key: str, places: list[Index]) -> list[bytes | memoryview | None]:
        """The bytes of some chunks; None where one holds only zeros. A shard that is needed whole is read at once."""
        if len(places) == prod(self._chunks):
            whole = memoryview(storage.get(key))
            table = self._table(whole[-self._index_bytes :])
            return [whole[o : o + n] if o != EMPTY else None for o, n in (map(int, table[p]) for p in places)]
        (footer,) = storage.get_ranges(key, [(-self._index_bytes, self._index_bytes)])
        table = self._table(footer)
        ranges = [(int(o), int(n)) for o, n in (table[p] for p in places) if o != EMPTY]
        parts = iter(storage.get_ranges(key, ranges) if ranges else [])
        return [next(parts) if table[p][0] != EMPTY else None for p in places]

    @property
    def _index_bytes(self) -> int:
        return 16 * int(prod(self._chunks)) + CRC_BYTES

    def _table(self, footer: bytes | memoryview) -> NDArray[np.uint64]:
        if len(footer) != self._index_bytes:
            raise Damaged("it is cut short")
        return np.frombuffer(_without_crc(footer), "<u8").reshape(*self._chunks, 2)

    def _values(self, part: bytes | memoryview) -> NDArray[Any]:
        try:
            return np.frombuffer(self._codec.decode(_without_crc(part)), self._little).reshape(self.chunk)
        except (RuntimeError, ValueError) as error:
            raise Damaged(str(error)) from None

    def check_size(self, storage: Storage, key: str, num_bytes: int) -> None:
        """Read the index alone. Raises Damaged if it is wrong, or if the shard is not as long as it says."""
        if num_bytes < self._index_bytes:
            raise Damaged("it is cut short")
        table = self._table(storage.get_ranges(key, [(-self._index_bytes, self._index_bytes)])[0])
        there = table[table[..., 0] != EMPTY]
        end = int((there[:, 0] + there[:, 1]).max()) if len(there) else 0
        if end + self._index_bytes != num_bytes:
            raise Damaged(f"it has {num_bytes} bytes, its index says {end + self._index_bytes}")

    def check(self, data: bytes) -> None:
        """Raises Damaged unless all checksums of a shard are right and its chunks fill it."""
        for _ in self.chunks_of(data):
            pass

    def decode(self, data: bytes) -> NDArray[Any]:
        """All values of a shard, also those behind the edge of the array. Raises Damaged as `check` does."""
        out = np.zeros(self.shard, self.dtype)
        for place, values in self.chunks_of(data):
            out[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self.chunk, strict=True))] = values
        return out

    def chunks_of(self, data: bytes) -> Iterator[tuple[Index, NDArray[Any]]]:
        """The chunks of a shard as they lie in it, and their places; those that hold only zeros may be left out.

        Raises Damaged where a checksum is wrong, or where the chunks do not fill the shard.
        """
        table = self._table(data[-self._index_bytes :])
        places = list(product(*map(range, self._chunks)))
        end = 0
        for place in sorted(places, key=lambda place: int(table[place][0])):
            offset, length = map(int, table[place])
            if offset == EMPTY:
                continue
            if offset != end:
                raise Damaged("its chunks do not lie one behind the other")
            end += length
            yield place, self._values(data[offset:end])
        if end + self._index_bytes != len(data):
            raise Damaged(f"it has {len(data)} bytes, its index says {end + self._index_bytes}")


def _refuse_other_layout(document: Document, sharding: Document, order: Document) -> None:
    """Raise ValueError for settings of Zarr v3 that would be read wrongly here."""
    index = [codec["name"] for codec in sharding.get("index_codecs", [])]
    keys = document.get("chunk_key_encoding", {"name": "default"})
    if (
        index != ["bytes", "crc32c"]
        or sharding.get("index_location", "end") != "end"
        or order.get("endian", "little") != "little"
        or (keys["name"], keys.get("configuration", {}).get("separator", "/")) != ("default", "/")
        or document.get("fill_value", 0) != 0
    ):
        raise ValueError


def _refuse_uneven(shape: Index, shard: Index, chunk: Index) -> None:
    """Raise ValueError unless a shard is made of whole chunks along each axis of the array."""
    if not len(shape) == len(shard) == len(chunk) or any(
        c <= 0 or s <= 0 or s % c for s, c in zip(shard, chunk, strict=True)
    ):
        raise ValueError


def shard_key(index: Index) -> str:
    """The object of a shard, below the array's path."""
    return "c/" + "/".join(map(str, index))


def _touched(box: Box, size: tuple[int, ...]) -> Iterator[Index]:
    """The cells of a grid of some size that a box touches."""
    return product(*(range(b.start // n, -(-b.stop // n)) for b, n in zip(box, size, strict=True)))


def _paste(values: NDArray[Any], at: Index, chunk: tuple[int, ...], box: Box, out: NDArray[Any]) -> None:
    """Copy what a chunk of the grid and a box share into the box."""
    starts = tuple(i * c for i, c in zip(at, chunk, strict=True))
    shared = [(max(b.start, s), min(b.stop, s + c)) for b, s, c in zip(box, starts, chunk, strict=True)]
    inside = tuple(slice(a - b.start, z - b.start) for (a, z), b in zip(shared, box, strict=True))
    out[inside] = values[tuple(slice(a - s, z - s) for (a, z), s in zip(shared, starts, strict=True))]


class _Plain:
    """Bytes as they are."""

    def encode(self, values: NDArray[Any]) -> bytes:
        return values.tobytes()

    def decode(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return data


def _compressor(found: Document, itemsize: int) -> Any:
    """What compresses a chunk."""
    if not found:
        return _Plain()
    ((name, configuration),) = found.items()
    if name == "zstd":
        return Zstd(level=configuration["level"])
    if name != "blosc":
        raise KeyError(name)
    shuffle = BLOSC_SHUFFLES[configuration["shuffle"]]
    return Blosc(configuration["cname"], configuration["clevel"], shuffle, configuration["blocksize"], itemsize)


def _with_crc(data: bytes) -> bytes:
    return b"".join((data, int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")))


def _without_crc(data: bytes | memoryview) -> NDArray[np.uint8]:
    body = np.frombuffer(data, np.uint8)[: max(0, len(data) - CRC_BYTES)]
    if int(google_crc32c.value(body)).to_bytes(CRC_BYTES, "little") != data[-CRC_BYTES:]:
        raise Damaged("a checksum (crc32c) is wrong: the file is damaged")
    return body

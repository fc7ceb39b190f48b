"""Encoding and decoding of shards: compressed chunks, each with a checksum, followed by an index.

zarr-python works chunk by chunk on a single event loop, so threads cannot share its work. Here each thread encodes or
decodes a whole shard and releases the GIL. The tests compare both directions with zarr-python.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.errors import Failure
from unetprep.format.boxes import Box, Index, box_shape, shard_box
from unetprep.format.codecs import append_crc, verify_crc
from unetprep.format.metadata import Json
from unetprep.format.shard_layout import EMPTY, ShardLayout
from unetprep.format.shard_layout import shard_key as shard_key
from unetprep.storage.base import Storage
from unetprep.storage.lru_cache import NO_CACHE, ArrayCache

STRIP_BYTES = 2**20  # of chunks that are made contiguous at a time
Chunks = dict[Index, bytes]  # compressed chunks with their checksums, by position in a shard


class Damaged(Failure):
    """An object of the store differs from what was written."""


class MissingShard(Damaged, FileNotFoundError):
    """A shard of a complete array is missing."""


class Shards:
    """Encoder and decoder of the shards of one array.

    Raises ValueError for a layout other than that of pipeline/LAYOUT.md, as `ShardLayout.of` does.
    """

    def __init__(self, document: Json) -> None:
        self.layout = ShardLayout.of(document)
        self.shape, self.dtype = self.layout.shape, self.layout.dtype
        self.shard, self.chunk, self.counts = self.layout.shard, self.layout.chunk, self.layout.counts
        self._little = self.dtype.newbyteorder("<")
        self._chunk_bytes = prod(self.chunk) * self.dtype.itemsize

    def key_of(self, box: Box) -> str:
        """Key of the shard in which a box begins, relative to the path of the array."""
        return shard_key(self._index_of(box))

    def box_at(self, box: Box) -> Box:
        """The box of the shard in which a box begins."""
        return shard_box(self._index_of(box), self.shape, self.shard)

    def _index_of(self, box: Box) -> Index:
        return tuple(b.start // s for b, s in zip(box, self.shard, strict=True))

    def encode(self, block: NDArray[Any]) -> bytes:
        """A shard from its values within the array; chunks at the edge of the array are padded with 0."""
        return self.join(self.encode_chunks(block, (0,) * block.ndim))

    def encode_chunks(self, block: NDArray[Any], first: Index) -> Chunks:
        """The chunks of a block that begins at chunk `first`; what it lacks of its last chunks is padded with 0."""
        chunks = {}
        compressor, counts = self.layout.compressor, [-(-n // c) for n, c in zip(block.shape, self.chunk, strict=True)]
        step = max(1, STRIP_BYTES // self._chunk_bytes)
        for *above, start in product(*map(range, counts[:-1]), range(0, counts[-1], step)):
            place = (*map(add, first, above), first[-1] + start)
            for k, values in enumerate(self._strip(block, above, start, min(start + step, counts[-1]))):
                part = compressor.encode(values) if compressor else values.reshape(-1).view(np.uint8)
                chunks[(*place[:-1], place[-1] + k)] = append_crc(part)
        return chunks

    def _strip(self, block: NDArray[Any], above: Sequence[int], start: int, stop: int) -> NDArray[Any]:
        """The chunks from `start` to `stop` along the last axis, (chunk, ...), contiguous, padded with 0."""
        *sides, length = self.chunk
        num = stop - start
        rows = [slice(i * c, (i + 1) * c) for i, c in zip(above, sides, strict=True)]
        values = block[(*rows, slice(start * length, stop * length))]
        if values.shape != (*sides, num * length):
            padded = np.zeros((*sides, num * length), self._little)
            padded[tuple(map(slice, values.shape))] = values
            values = padded
        return np.ascontiguousarray(np.moveaxis(values.reshape(*sides, num, length), -2, 0), self._little)

    def join(self, chunks: Chunks) -> bytes:
        """A shard from its chunks; its bytes do not depend on the order of `chunks`."""
        index = np.full((*self.layout.chunk_counts, 2), EMPTY, "<u8")
        offset = 0
        for place in sorted(chunks):
            index[place] = offset, len(chunks[place])
            offset += len(chunks[place])
        return b"".join([*(chunks[place] for place in sorted(chunks)), append_crc(index.tobytes())])

    def read(
        self, storage: Storage, path: str, box: Box, recent: ArrayCache = NO_CACHE, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """A box of the array, written to `out` where it is given. `recent` caches decoded chunks.

        Raises MissingShard for a missing shard, and Damaged for a wrong checksum.
        """
        out = np.empty(box_shape(box), self.dtype) if out is None else out
        for index in _touched(box, self.shard):
            key = f"{path}/{shard_key(index)}".lstrip("/")
            try:
                self._read_shard(storage, key, index, box, out, recent)
            except FileNotFoundError:
                raise MissingShard(
                    f"{key} is missing",
                    hint="unetprep verify STORE lists all missing shards and the commands that compute them",
                ) from None
            except Damaged as error:
                raise Damaged(
                    f"{key}: {error}",
                    hint="unetprep verify STORE lists all damage; --repair deletes it so that it can be recomputed",
                ) from None
        return out

    def _read_shard(
        self, storage: Storage, key: str, index: Index, box: Box, out: NDArray[Any], recent: ArrayCache
    ) -> None:
        first = tuple(i * n for i, n in zip(index, self.layout.chunk_counts, strict=True))
        last = tuple(f + n for f, n in zip(first, self.layout.chunk_counts, strict=True))
        missing = []
        for at, there, part in _pieces(box, self.chunk, first, last):
            if (values := recent.get((key, at))) is None:
                missing.append((at, there, part))
            else:
                out[there] = values[part]
        places = [tuple(a - f for a, f in zip(at, first, strict=True)) for at, _, _ in missing]
        packed = self._parts(storage, key, places) if places else []
        for (at, there, part), data in zip(missing, packed, strict=True):
            if data is None:
                out[there] = 0
            else:
                values = self._values(data)
                recent.keep((key, at), values)
                out[there] = values[part]

    def _parts(self, storage: Storage, key: str, places: list[Index]) -> list[bytes | memoryview | None]:
        """The bytes of chunks; None for chunks of zeros. If all chunks are needed, the shard is read in one request."""
        if len(places) == self.layout.num_chunks:
            whole = memoryview(storage.get(key))
            table = self._table(whole[-self.layout.index_bytes :])
            return [whole[o : o + n] if o != EMPTY else None for o, n in (map(int, table[p]) for p in places)]
        (footer,) = storage.get_ranges(key, [(-self.layout.index_bytes, self.layout.index_bytes)])
        table = self._table(footer)
        ranges = [(int(o), int(n)) for o, n in (table[p] for p in places) if o != EMPTY]
        parts = iter(storage.get_ranges(key, ranges) if ranges else [])
        return [next(parts) if table[p][0] != EMPTY else None for p in places]

    def _table(self, footer: bytes | memoryview) -> NDArray[np.uint64]:
        try:
            return self.layout.parse_index(np.frombuffer(footer, np.uint8)).reshape(*self.layout.chunk_counts, 2)
        except ValueError as error:
            raise Damaged(str(error)) from None

    def _values(self, part: bytes | memoryview) -> NDArray[Any]:
        try:
            body = verify_crc(np.frombuffer(part, np.uint8))
            if self.layout.compressor is None:
                return body.view(self._little).reshape(self.chunk)
            values = np.empty(self.chunk, self._little)
            self.layout.compressor.decode(body, values)
            return values
        except (RuntimeError, ValueError) as error:
            raise Damaged(str(error)) from None

    def check_size(self, storage: Storage, key: str, num_bytes: int) -> None:
        """Read only the index. Raises Damaged if it is invalid, or if the size of the shard does not match it."""
        if num_bytes < self.layout.index_bytes:
            raise Damaged("it is cut short")
        table = self._table(storage.get_ranges(key, [(-self.layout.index_bytes, self.layout.index_bytes)])[0])
        there = table[table[..., 0] != EMPTY]
        end = int((there[:, 0] + there[:, 1]).max()) if len(there) else 0
        if end + self.layout.index_bytes != num_bytes:
            raise Damaged(f"it has {num_bytes} bytes, its index says {end + self.layout.index_bytes}")

    def check(self, data: bytes) -> None:
        """Raise Damaged unless all checksums of a shard are right and its chunks fill it."""
        for _ in self.chunks_of(data):
            pass

    def decode(self, data: bytes) -> NDArray[Any]:
        """All values of a shard, including padding beyond the edge of the array. Raises Damaged as `check` does."""
        out = np.zeros(self.shard, self.dtype)
        for place, values in self.chunks_of(data):
            out[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self.chunk, strict=True))] = values
        return out

    def chunks_of(self, data: bytes) -> Iterator[tuple[Index, NDArray[Any]]]:
        """(position, values) of the stored chunks of a shard, in the order of their offsets.

        Chunks of zeros may be absent. Raises Damaged if a checksum is wrong or the chunks do not fill the shard.
        """
        table = self._table(data[-self.layout.index_bytes :])
        places = list(product(*map(range, self.layout.chunk_counts)))
        end = 0
        for place in sorted(places, key=lambda place: int(table[place][0])):
            offset, length = map(int, table[place])
            if offset == EMPTY:
                continue
            if offset != end:
                raise Damaged("its chunks are not contiguous")
            end += length
            yield place, self._values(data[offset:end])
        if end + self.layout.index_bytes != len(data):
            raise Damaged(f"it has {len(data)} bytes, its index says {end + self.layout.index_bytes}")


def _touched(box: Box, size: tuple[int, ...]) -> Iterator[Index]:
    """The cells of a grid of cell size `size` that a box touches."""
    return product(*(range(b.start // n, -(-b.stop // n)) for b, n in zip(box, size, strict=True)))


def _pieces(box: Box, chunk: tuple[int, ...], first: Index, last: Index) -> Iterator[tuple[Index, Box, Box]]:
    """Chunks from `first` to `last` that a box touches: (position, part of the box, the same part of the chunk)."""
    along = [
        [
            (
                i,
                slice(max(0, i * c - b.start), min(b.stop, (i + 1) * c) - b.start),
                slice(max(0, b.start - i * c), min(c, b.stop - i * c)),
            )
            for i in range(max(f, b.start // c), min(z, -(-b.stop // c)))
        ]
        for b, c, f, z in zip(box, chunk, first, last, strict=True)
    ]
    for axes in product(*along):
        at, there, part = zip(*axes, strict=True)
        yield at, there, part

"""Encoding and decoding of shards: compressed chunks, each with a checksum, followed by an index.

zarr-python works chunk by chunk on a single event loop, so threads cannot share its work. Here each thread encodes or
decodes a whole shard and releases the GIL. The tests compare both directions with zarr-python.
"""

from collections.abc import Iterator
from itertools import product
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
        for place in product(*(range(-(-n // c)) for n, c in zip(block.shape, self.chunk, strict=True))):
            values = block[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self.chunk, strict=True))]
            if values.shape != self.chunk:
                values = np.pad(values, [(0, c - n) for c, n in zip(self.chunk, values.shape, strict=True)])
            values = np.ascontiguousarray(values, self._little)
            part = self.layout.compressor.encode(values) if self.layout.compressor else values.tobytes()
            chunks[tuple(f + i for f, i in zip(first, place, strict=True))] = append_crc(part)
        return chunks

    def join(self, chunks: Chunks) -> bytes:
        """A shard from its chunks; its bytes do not depend on the order of `chunks`."""
        index = np.full((*self.layout.chunk_counts, 2), EMPTY, "<u8")
        offset = 0
        for place in sorted(chunks):
            index[place] = offset, len(chunks[place])
            offset += len(chunks[place])
        return b"".join([*(chunks[place] for place in sorted(chunks)), append_crc(index.tobytes())])

    def read(self, storage: Storage, path: str, box: Box, recent: ArrayCache = NO_CACHE) -> NDArray[Any]:
        """A box of the array. `recent` caches decoded chunks.

        Raises MissingShard for a missing shard, and Damaged for a wrong checksum.
        """
        out = np.zeros(box_shape(box), self.dtype)
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


def _paste(values: NDArray[Any], at: Index, chunk: tuple[int, ...], box: Box, out: NDArray[Any]) -> None:
    """Copy the intersection of a chunk and a box into `out`, the array of the box."""
    starts = tuple(i * c for i, c in zip(at, chunk, strict=True))
    shared = [(max(b.start, s), min(b.stop, s + c)) for b, s, c in zip(box, starts, chunk, strict=True)]
    inside = tuple(slice(a - b.start, z - b.start) for (a, z), b in zip(shared, box, strict=True))
    out[inside] = values[tuple(slice(a - s, z - s) for (a, z), s in zip(shared, starts, strict=True))]

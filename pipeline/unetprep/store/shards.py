"""A shard as bytes: its chunks one after the other, compressed and with a checksum each, and an index behind them.

This is what the sharding codec of Zarr v3 says (https://zarr-specs.readthedocs.io, codecs/sharding-indexed).
zarr-python works chunk by chunk on a single event loop, whose work two threads cannot share; here a thread encodes or
decodes a shard by itself and lets go of the GIL meanwhile. In the tests zarr-python reads what is written here, and the
other way round.
"""

import os
from collections.abc import Iterator
from io import BufferedReader
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodec, ZstdCodec

from unetprep.grid import Box, Index, box_shape

EMPTY = 2**64 - 1  # offset and length of a chunk that is not there
CRC_BYTES = 4


class Shards:
    """The shards of one array whose chunks are compressed by one codec and have a crc32c."""

    def __init__(self, metadata: Any, shard: tuple[int, ...]) -> None:
        (sharding,) = metadata.codecs
        assert isinstance(sharding, ShardingCodec)
        self._chunk, self._shard = sharding.chunk_shape, shard
        self._counts = tuple(s // c for s, c in zip(shard, self._chunk, strict=True))
        self._dtype = np.dtype(metadata.dtype.to_native_dtype()).newbyteorder("<")
        self._codec = _compressor(sharding.codecs[1], self._dtype.itemsize)

    def index_of(self, box: Box) -> Index:
        """Which shard a box begins in."""
        return tuple(b.start // s for b, s in zip(box, self._shard, strict=True))

    def encode(self, block: NDArray[Any]) -> bytes:
        """A shard from its values, as many as lie in the array; behind its edge a chunk is filled up with 0."""
        index = np.full((*self._counts, 2), EMPTY, "<u8")
        parts, offset = [], 0
        for place in product(*map(range, self._counts)):
            values = block[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, self._chunk, strict=True))]
            if values.size == 0:
                continue
            if values.shape != self._chunk:
                values = np.pad(values, [(0, c - n) for c, n in zip(self._chunk, values.shape, strict=True)])
            part = _with_crc(self._codec.encode(np.ascontiguousarray(values, self._dtype)))
            index[place] = offset, len(part)
            parts.append(part)
            offset += len(part)
        return b"".join([*parts, _with_crc(index.tobytes())])

    def read(self, folder: Path, box: Box) -> NDArray[Any]:
        """A box of the array in a folder; a shard that is not there holds zeros.

        Raises ValueError where a checksum is wrong.
        """
        out = np.zeros(box_shape(box), self._dtype.newbyteorder("="))
        for index in _touched(box, self._shard):
            path = folder.joinpath("c", *map(str, index))
            try:
                with path.open("rb") as file:
                    self._read_shard(file, index, box, out)
            except FileNotFoundError:
                continue
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        return out

    def _read_shard(self, file: BufferedReader, index: Index, box: Box, out: NDArray[Any]) -> None:
        file.seek(-(16 * prod(self._counts) + CRC_BYTES), os.SEEK_END)
        table = np.frombuffer(_without_crc(file.read()), "<u8").reshape(*self._counts, 2)
        for at in _touched(box, self._chunk):
            place = tuple(a - i * n for a, i, n in zip(at, index, self._counts, strict=True))
            if not all(0 <= p < n for p, n in zip(place, self._counts, strict=True)):
                continue
            offset, length = map(int, table[place])
            if offset == EMPTY:
                continue
            file.seek(offset)
            values = np.frombuffer(self._codec.decode(_without_crc(file.read(length))), self._dtype)
            inside, where = _overlap(box, at, self._chunk)
            out[inside] = values.reshape(self._chunk)[where]


def _touched(box: Box, size: tuple[int, ...]) -> Iterator[Index]:
    """The cells of a grid of some size that a box touches."""
    return product(*(range(b.start // n, -(-b.stop // n)) for b, n in zip(box, size, strict=True)))


def _overlap(box: Box, at: Index, chunk: tuple[int, ...]) -> tuple[Box, Box]:
    """What a box and a chunk of the grid share, as seen in the box and in the chunk."""
    starts = tuple(i * c for i, c in zip(at, chunk, strict=True))
    shared = [(max(b.start, s), min(b.stop, s + c)) for b, s, c in zip(box, starts, chunk, strict=True)]
    inside = tuple(slice(a - b.start, z - b.start) for (a, z), b in zip(shared, box, strict=True))
    return inside, tuple(slice(a - s, z - s) for (a, z), s in zip(shared, starts, strict=True))


def _compressor(codec: Any, itemsize: int) -> Any:
    """What compresses a chunk."""
    if isinstance(codec, ZstdCodec):
        return Zstd(level=codec.level)
    assert isinstance(codec, BloscCodec)
    shuffle = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
    return Blosc(codec.cname.value, codec.clevel, shuffle[codec.shuffle.value], codec.blocksize, itemsize)


def _with_crc(data: bytes) -> bytes:
    return bytes(data) + int(google_crc32c.value(bytes(data))).to_bytes(CRC_BYTES, "little")


def _without_crc(data: bytes) -> bytes:
    body = data[:-CRC_BYTES]
    if _with_crc(body) != data:
        raise ValueError("the crc32c checksum of a chunk is wrong: the file is damaged")
    return body

"""A shard as bytes: its chunks one after the other, compressed and with a checksum each, and an index behind them.

This is what the sharding codec of Zarr v3 writes (https://zarr-specs.readthedocs.io, codecs/sharding-indexed).
zarr-python encodes chunk by chunk on a single event loop, whose work two threads cannot share; here a thread encodes a
shard by itself and lets go of the GIL meanwhile. Everything is read back by zarr-python in the tests.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, ShardingCodec, ZstdCodec

EMPTY = np.uint64(2**64 - 1)  # offset and length of a chunk that is not there


def encode_shard(block: NDArray[Any], metadata: Any, shard: tuple[int, ...]) -> bytes:
    """The bytes of a shard from its values, as many as lie in the array; behind its edge a chunk is filled up with 0.

    `metadata` are those of a sharded array whose chunks are compressed by one codec and have a crc32c.
    """
    (sharding,) = metadata.codecs
    assert isinstance(sharding, ShardingCodec)
    chunk = sharding.chunk_shape
    compress = _compressor(sharding, block.dtype)
    counts = tuple(s // c for s, c in zip(shard, chunk, strict=True))
    index = np.full((*counts, 2), EMPTY, "<u8")
    parts, offset = [], 0
    for place in product(*map(range, counts)):
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, chunk, strict=True))
        values = block[box]
        if values.size == 0:
            continue
        if values.shape != chunk:
            values = np.pad(values, [(0, c - n) for c, n in zip(chunk, values.shape, strict=True)])
        data = compress(np.ascontiguousarray(values))
        index[place] = offset, len(data) + 4
        parts += [data, _checksum(data)]
        offset += len(data) + 4
    table = index.tobytes()
    return b"".join([*parts, table, _checksum(table)])


def _compressor(sharding: ShardingCodec, dtype: np.dtype[Any]) -> Callable[[NDArray[Any]], bytes]:
    """What the codec between the bytes and the checksum does."""
    _, codec, _ = sharding.codecs
    if isinstance(codec, ZstdCodec):
        encoder: Any = Zstd(level=codec.level)
    else:
        assert isinstance(codec, BloscCodec)
        shuffle = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
        encoder = Blosc(codec.cname.value, codec.clevel, shuffle[codec.shuffle.value], codec.blocksize, dtype.itemsize)
    return lambda values: bytes(encoder.encode(values.astype(dtype.newbyteorder("<"), copy=False)))


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")

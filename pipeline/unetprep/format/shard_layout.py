"""Layout of sharded arrays: the grid of shards, the chunks of a shard, and the index at its end.

This is the part of the sharding codec of Zarr v3 that pipeline/LAYOUT.md uses
(https://zarr-specs.readthedocs.io, codecs/sharding-indexed). The pipeline and the trainer share it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.format.boxes import Index, shard_counts
from unetprep.format.codecs import CRC_BYTES, Compressor, verify_crc

EMPTY = 2**64 - 1  # offset and length of a chunk that is absent from its shard
ENTRY_BYTES = 16  # an entry of the index: offset and length of a chunk, uint64 each
INDEX_CODECS = ["bytes", "crc32c"]


@dataclass(frozen=True)
class ShardLayout:
    """Shape, dtype, chunks, shards and compressor of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    compressor: Compressor | None  # None: uncompressed

    @staticmethod
    def of(document: Mapping[str, Any]) -> "ShardLayout":
        """The layout in the metadata of an array.

        Raises ValueError for a layout other than that of pipeline/LAYOUT.md: shards of chunks that are compressed by
        zstd or Blosc, or not at all, each followed by its CRC32C.
        """
        try:
            (sharding,) = document["codecs"]
            codecs = {codec["name"]: codec.get("configuration", {}) for codec in sharding["configuration"]["codecs"]}
            order, *compressor, checksum = codecs
            if (sharding["name"], order, checksum) != ("sharding_indexed", *INDEX_CODECS):
                raise ValueError
            _refuse_other_settings(document, sharding["configuration"], codecs["bytes"])
            dtype = _dtype(document["data_type"])
            layout = ShardLayout(
                tuple(document["shape"]),
                dtype,
                tuple(sharding["configuration"]["chunk_shape"]),
                tuple(document["chunk_grid"]["configuration"]["chunk_shape"]),
                _compressor({name: codecs[name] for name in compressor}, dtype.itemsize),
            )
            _refuse_partial_chunks(layout)
            return layout
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ValueError("its chunks are not stored as unetprep stores them") from None

    @cached_property
    def counts(self) -> Index:
        """Number of shards along each axis."""
        return shard_counts(self.shape, self.shard)

    @cached_property
    def chunk_counts(self) -> Index:
        """Number of chunks in a shard along each axis."""
        return tuple(s // c for s, c in zip(self.shard, self.chunk, strict=True))

    @cached_property
    def num_chunks(self) -> int:
        """Number of chunks in a shard."""
        return prod(self.chunk_counts)

    @cached_property
    def index_bytes(self) -> int:
        """Size of the index of a shard in bytes, with its checksum."""
        return index_bytes(self.num_chunks)

    def parse_index(self, footer: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """(offset, length) of each chunk in C order, shape (chunk, 2). Raises ValueError for a damaged index."""
        if len(footer) != self.index_bytes:
            raise ValueError("it is cut short")
        return verify_crc(footer).view("<u8").reshape(-1, 2)


def index_bytes(num_chunks: int) -> int:
    """Size of the index of a shard of `num_chunks` chunks in bytes, with its checksum."""
    return ENTRY_BYTES * num_chunks + CRC_BYTES


def shard_key(index: Index) -> str:
    """Key of a shard, relative to the path of its array."""
    return "c/" + "/".join(map(str, index))


def _refuse_other_settings(document: Mapping[str, Any], sharding: Mapping[str, Any], order: Mapping[str, Any]) -> None:
    """Raise ValueError for settings of Zarr v3 that this layout does not use."""
    keys = document.get("chunk_key_encoding", {"name": "default"})
    if (
        [codec["name"] for codec in sharding.get("index_codecs", [])] != INDEX_CODECS
        or sharding.get("index_location", "end") != "end"
        or order.get("endian", "little") != "little"
        or (keys["name"], keys.get("configuration", {}).get("separator", "/")) != ("default", "/")
        or document.get("fill_value", 0) != 0
    ):
        raise ValueError


def _dtype(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in "biuf":
        raise ValueError
    return dtype


def _compressor(codecs: dict[str, Any], itemsize: int) -> Compressor | None:
    if not codecs:
        return None
    ((name, configuration),) = codecs.items()
    return Compressor.of(name, configuration, itemsize)


def _refuse_partial_chunks(layout: ShardLayout) -> None:
    """Raise ValueError unless a shard consists of whole chunks along each axis of the array."""
    if not len(layout.shape) == len(layout.shard) == len(layout.chunk) or any(
        c <= 0 or s <= 0 or s % c for s, c in zip(layout.shard, layout.chunk, strict=True)
    ):
        raise ValueError
